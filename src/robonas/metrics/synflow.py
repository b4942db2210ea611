"""Flow through the network's weights alone: synflow and its variants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.networks import place_of
from robonas.metrics.sweep import INPUT_IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes import Passes


def absolute_gradients(passes: Passes, *, skip_norms: bool) -> list[tuple[Tensor, Tensor]]:
    """For every weight |w| and ∂R/∂|w|, R the sum of the logits of one input of ones.

    All parameters and buffers are absolute, in float64.
    """

    def make() -> list[tuple[Tensor, Tensor]]:
        network = passes.network
        tensors: dict[str, Tensor] = {
            name: tensor.detach().abs().double() if tensor.is_floating_point() else tensor.detach().clone()
            for name, tensor in (*network.named_parameters(), *network.named_buffers())
        }
        sources = [tensors[name].requires_grad_() for name, weight in passes.weights.items() if weight.requires_grad]
        if not sources:
            raise MetricError("every weight is frozen")
        device, _ = place_of(network, passes.batch.inputs)
        ones = torch.ones((1, *passes.batch.input_shape), dtype=torch.float64, device=device)
        recorder = passes.recorder(skip_norms=skip_norms)
        total = passes.pick(passes.run(ones, tensors=tensors, recorder=recorder, purpose="synflow")).sum()
        if not total.requires_grad:
            raise MetricError(INPUT_IGNORED)
        gradients = torch.autograd.grad(total, sources, allow_unused=True)
        return [(s.detach(), g) for s, g in zip(sources, gradients, strict=True) if g is not None]

    return passes.memo(f"synflow {skip_norms}", make)


def _log_total(passes: Passes, *, skip_norms: bool) -> float:
    total = sum(float((w * g).abs().sum()) for w, g in absolute_gradients(passes, skip_norms=skip_norms))
    if total == 0.0:
        raise MetricError(INPUT_IGNORED)
    return math.log(total)


def synflow(passes: Passes) -> float:
    """Logarithm of the total flow, normalisations skipped."""
    return _log_total(passes, skip_norms=True)


def synflow_bn(passes: Passes) -> float:
    """Logarithm of the total flow, normalisations kept."""
    try:
        return _log_total(passes, skip_norms=False)
    except ValueError as error:
        raise MetricError(f"a batch norm cannot normalise one input of ones: {error}") from error


def log_synflow(passes: Passes) -> float:
    """Flow with a logarithm on every gradient."""
    total = sum(float((w * torch.log1p(g)).abs().sum()) for w, g in absolute_gradients(passes, skip_norms=True))
    if total == 0.0:
        raise MetricError(INPUT_IGNORED)
    return total


TANAKA = (
    "Tanaka, Kunin, Yamins, Ganguli, Pruning neural networks without any data, NeurIPS 2020, arXiv 2006.05467, eq. 2; "
)

SYNFLOW = Metric(
    name="synflow",
    compute=synflow,
    needs=frozenset({Need.OWN_PASSES}),
    meaning="How much signal all paths through the weights carry together, without data.",
    formula="log Σ |w · ∂R/∂w|, R the sum of the logits of one input of ones, all parameters absolute, every "
    "normalisation skipped, float64",
    source=TANAKA
    + "logarithm and skipped batch norm as in NASLib. Samsung's code leaves the batch norm of reduction blocks in; "
    "here every normalisation, layer and group norm too, is the identity.",
    weaknesses="Grows with depth and width; says little where gates, softmax or GELU break the homogeneity that it "
    "rests on.",
)
SYNFLOW_BN = Metric(
    name="synflow_bn",
    compute=synflow_bn,
    needs=frozenset({Need.OWN_PASSES}),
    meaning="Synflow with normalisations in their place.",
    formula="log Σ |w · ∂R/∂w|, as `synflow`, but normalisations work, in training mode",
    source=TANAKA + "what RoBoT's scripts for DARTS compute. Here its logarithm.",
    weaknesses="Normalising a constant input nearly cancels the flow: only borders are left. Kept for comparison.",
)
LOG_SYNFLOW = Metric(
    name="log_synflow",
    compute=log_synflow,
    needs=frozenset({Need.OWN_PASSES}),
    meaning="Synflow whose gradients are tamed one by one, so that no layer outweighs all others.",
    formula="Σ |w · log(1 + ∂R/∂w)|, as `synflow` otherwise",
    source="Cavagnero, Robbiano, Caputo, Averta, FreeREA, WACV 2023, arXiv 2207.05135, section 3.2. The logarithm is "
    "on the gradient, not on the sum.",
    bounds=(0.0, math.inf),
    weaknesses="As `synflow`; the size of the weights counts more.",
)
