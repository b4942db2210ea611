"""The same metrics in the way of the public implementations, the baseline that the engine's targets were set against.

Beside what `benchmarks/plain_metrics.py` does (a copy of the network and own passes a metric, PyTorch's default
layout), public code builds and runs every edge of a cell, those that lead nowhere and those that are ``none`` (a
product with zero) too, computes `snip` through weight masks, and collects garbage after every metric. That is done
here, from these facts, without any of their code, and nothing heavier: they also build the network anew for each
metric, which here is a copy.

Dead edges get no gradient and bring nothing, so that the six metrics have the engine's values.
"""

from __future__ import annotations

import copy
import gc
from typing import TYPE_CHECKING

import torch
from plain_metrics import PLAIN
from torch import Tensor, nn
from torch.nn import functional

from robonas.spaces.edges import EDGE_NAMES, EDGES
from robonas.spaces.networks.blocks import Cell, ReLUConvBN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.architecture import Architecture


class FullCell(nn.Module):
    """All six edges."""

    def __init__(self, live: Cell, operations: Mapping[tuple[int, int], str]) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        for (source, target), operation in operations.items():
            name = f"{source}_{target}"
            self.edges[name] = live.edges[name] if name in live.edges else _operation(operation, live.c_out)

    def forward(self, x: Tensor) -> Tensor:
        """The last node."""
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(sum(self.edges[f"{source}_{target}"](nodes[source]) for source in range(target)))
        return nodes[-1]


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


def _operation(name: str, channels: int) -> nn.Module:
    if name == "none":
        return _Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return ReLUConvBN(channels, channels, 1 if name == "nor_conv_1x1" else 3)


def full_network(network: nn.Module, architecture: Architecture) -> nn.Module:
    """A network of `NASBench201` with every edge of its cells built; weights of live edges are shared."""
    operations = {edge: str(architecture[name]) for edge, name in zip(EDGES, EDGE_NAMES, strict=True)}
    full = copy.copy(network)
    full._modules = dict(network._modules)  # noqa: SLF001  (a shallow copy that may get other blocks)
    full.blocks = nn.Sequential(
        *(FullCell(block, operations) if isinstance(block, Cell) else block for block in network.blocks)
    )
    return full


def snip(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Through the gradient in a mask of ones on every weight."""
    network = copy.deepcopy(network)
    network.train()
    masks: list[nn.Parameter] = []
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        mask = nn.Parameter(torch.ones_like(layer.weight))
        layer.weight.requires_grad_(False)
        masks.append(mask)
        if isinstance(layer, nn.Conv2d):
            layer.forward = lambda x, own=layer, mask=mask: functional.conv2d(
                x, own.weight * mask, own.bias, own.stride, own.padding, own.dilation, own.groups
            )
        else:
            layer.forward = lambda x, own=layer, mask=mask: functional.linear(x, own.weight * mask, own.bias)
    functional.cross_entropy(network(inputs), targets).backward()
    return sum(mask.grad.abs().sum().item() for mask in masks)


def _tidy(metric: Callable[[nn.Module, Tensor, Tensor], float]) -> Callable[[nn.Module, Tensor, Tensor], float]:
    def measured(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
        value = metric(network, inputs, targets)
        gc.collect()
        return value

    return measured


PUBLIC = {name: _tidy(snip if name == "snip" else metric) for name, metric in PLAIN.items()}
"""Every metric of NAS-Bench-Suite-Zero by name; for a `full_network`."""
