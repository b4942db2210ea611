"""Flow through the network's weights alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.networks import place_of
from robonas.metrics.recording import Recorder, own_tensors
from robonas.metrics.sweep import INPUT_IGNORED

if TYPE_CHECKING:
    from robonas.metrics.passes import Passes


def flows(passes: Passes, *, skip_norms: bool = True) -> dict[str, Tensor]:
    """|w| · ∂R/∂|w| for every weight, R the sum of the logits of an image of ones.

    All parameters and buffers are absolute, in float64.
    """
    network, weights = passes.network, passes.weights
    tensors: dict[str, Tensor] = {
        name: tensor.detach().abs().double() if tensor.is_floating_point() else tensor.detach().clone()
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    sources = {name: tensors[name].requires_grad_() for name, weight in weights.items() if weight.requires_grad}
    if not sources:
        raise MetricError("every weight is frozen")
    device, _ = place_of(network, passes.batch.inputs)
    ones = torch.ones((1, *passes.batch.input_shape), dtype=torch.float64, device=device)
    recorder = Recorder(protected=own_tensors(network), skip_norms=skip_norms)
    total = passes.pick(passes.run(ones, tensors=tensors, recorder=recorder, purpose="synflow")).sum()
    if not total.requires_grad:
        return {name: torch.zeros_like(source) for name, source in sources.items()}
    gradients = torch.autograd.grad(total, list(sources.values()), allow_unused=True)
    return {
        name: torch.zeros_like(source) if gradient is None else source.detach() * gradient
        for (name, source), gradient in zip(sources.items(), gradients, strict=True)
    }


def synflow(passes: Passes) -> float:
    """Logarithm of the total flow."""
    total = sum(float(flow.abs().sum()) for flow in flows(passes).values())
    if total == 0.0:
        raise MetricError(INPUT_IGNORED)
    return math.log(total)


SYNFLOW = Metric(
    name="synflow",
    compute=synflow,
    needs=frozenset({Need.OWN_PASSES}),
    meaning="How much signal all paths through the weights carry together, without data.",
    formula="log Σ |w · ∂R/∂w|, R the sum of the logits of one input of ones, all parameters absolute, every "
    "normalisation skipped, float64",
    source="Tanaka, Kunin, Yamins, Ganguli, Pruning neural networks without any data, NeurIPS 2020, arXiv "
    "2006.05467, eq. 2; "
    "logarithm and skipped batch norm as in NASLib. Samsung's code leaves the batch norm of reduction blocks in; "
    "here every normalisation, "
    "layer and group norm too, is the identity.",
    weaknesses="Grows with depth and width; says little where gates, softmax or GELU break the homogeneity that it "
    "rests on.",
)
