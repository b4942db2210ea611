"""The network of a pair of DARTS cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robonas.spaces.networks.blocks import Classifier, ConvBNAct, FactorizedReduction, ReLUConvBN

if TYPE_CHECKING:
    from collections.abc import Sequence

NodeInputs = tuple[tuple[str, int], tuple[str, int]]
"""The two (operation, source) of a node of a DARTS cell, the lower source first."""


class Network(nn.Module):
    """Stem, cells, head; the settings are those of the space `DARTS`."""

    def __init__(
        self,
        normal: Sequence[NodeInputs],
        reduction: Sequence[NodeInputs],
        *,
        stem: str,
        channels: int,
        layers: int,
        in_channels: int,
        n_classes: int,
        auxiliary: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        c = channels
        self.drop_path = drop_path
        self.stem: nn.Module
        self.second_stem: nn.Module | None = None
        if stem == "cifar":
            width = 3 * c
            self.stem = ConvBNAct(in_channels, width, 3)
        else:
            width = c
            self.stem = nn.Sequential(
                ConvBNAct(in_channels, c // 2, 3, 2, activation=nn.ReLU), ConvBNAct(c // 2, c, 3, 2)
            )
            self.second_stem = ReLUConvBN(c, c, 3, 2)
        before, last, halved = width, width, stem == "imagenet"
        self.cells = nn.ModuleList()
        self.branch = 2 * layers // 3
        self.auxiliary: nn.Module | None = None
        for layer in range(layers):
            reduces = layer in {layers // 3, self.branch}
            c = 2 * c if reduces else c
            self.cells.append(_Cell(reduction if reduces else normal, before, last, c, reduces, halved))
            before, last, halved = last, 4 * c, reduces
            if auxiliary and layer == self.branch:
                self.auxiliary = _auxiliary_head(last, n_classes)
        self.head = Classifier(last, n_classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits; in training with an auxiliary head, both logits."""
        before = self.stem(x)
        last = before if self.second_stem is None else self.second_stem(before)
        side: Tensor | None = None
        for layer, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self.drop_path if self.training else 0.0)
            if layer == self.branch and self.auxiliary is not None and self.training:
                side = self.auxiliary(last)
        logits: Tensor = self.head(last)
        return logits if side is None else (logits, side)


class _Cell(nn.Module):
    """Four nodes, side by side."""

    def __init__(
        self, nodes: Sequence[NodeInputs], before: int, last: int, c: int, reduces: bool, halved: bool
    ) -> None:
        super().__init__()
        self.before = FactorizedReduction(before, c) if halved else ReLUConvBN(before, c, 1)
        self.last = ReLUConvBN(last, c, 1)
        self.sources = [source for node in nodes for _, source in node]
        self.operations = nn.ModuleList(
            _operation(name, c, 2 if reduces and source < 2 else 1) for node in nodes for name, source in node
        )

    def forward(self, before: Tensor, last: Tensor, drop_path: float) -> Tensor:
        """Return maps of 4·c channels from those of the two cells before."""
        states = [self.before(before), self.last(last)]
        results: list[Tensor] = []
        for source, operation in zip(self.sources, self.operations, strict=True):
            result = operation(states[source])
            if drop_path > 0 and not isinstance(operation, nn.Identity):
                kept = torch.rand(len(result), 1, 1, 1, device=result.device, dtype=result.dtype) >= drop_path
                result = result / (1 - drop_path) * kept
            results.append(result)
            if len(results) % 2 == 0:
                states.append(results[-2] + results[-1])
        return torch.cat(states[2:], dim=1)


def _operation(name: str, c: int, stride: int) -> nn.Module:
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduction(c, c)
    kernel = int(name[-1])
    if name.startswith("dil_conv"):
        return _depthwise(c, kernel, stride, dilation=2)
    return nn.Sequential(*_depthwise(c, kernel, stride), *_depthwise(c, kernel, 1))


def _depthwise(c: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """Return ReLU, depthwise and pointwise convolution, and batch norm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c, c, kernel, stride, padding, dilation=dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
    )


def _auxiliary_head(c: int, n_classes: int) -> nn.Sequential:
    """Return a second classifier, whose loss helps the lower cells to learn."""
    return nn.Sequential(
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        ConvBNAct(c, 128, 1, activation=nn.ReLU),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, n_classes),
    )
