"""Flow through the network's weights alone: synflow and its variants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.common.lazy import functional, torch
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.modules import buffers_of, parameters_of
from robonas.metrics.passes.needs import CUT
from robonas.metrics.passes.networks import place_of
from robonas.metrics.passes.reading import any_true, total

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes
    from robonas.metrics.passes.recorder import Recorder


NO_FLOW = "the logits do not depend on the input, or an activation at the end, such as tanh, is saturated"


@dataclass(frozen=True, eq=False)
class Flow:
    """Result of one input of ones in the absolute network."""

    pairs: list[tuple[Tensor, Tensor]]
    """For every weight |w| and ∂R/∂|w| · 2^−scale."""
    scale: int
    """0, unless the gradients are beyond float64."""


def flow(passes: Passes, *, skip_norms: bool) -> Flow:
    """Return the gradients of R, the sum of the logits of one input of ones, in all weights.

    All parameters and buffers are absolute, in float64. What overflows is run again with scaled activations.
    """
    from robonas.metrics.passes.recorder import own_tensors
    from robonas.metrics.passes.scaled import ScaledRecorder

    def make() -> Flow:
        recorder = passes.recorder(skip_norms=skip_norms)
        found = _flow(passes, recorder)
        if skip_norms and any_true(~torch.isfinite(gradient).all() for _, gradient in found.pairs):
            found = _flow(passes, ScaledRecorder(protected=own_tensors(passes.network)))
        return found

    return passes.memo(f"synflow {skip_norms}", make)


def _flow(passes: Passes, recorder: Recorder) -> Flow:
    from robonas.metrics.passes.scaled import ScaledRecorder

    network = passes.network
    tensors: dict[str, Tensor] = {
        name: tensor.detach().abs().double() if tensor.is_floating_point() else tensor.detach().clone()
        for name, tensor in (parameters_of(network) | buffers_of(network)).items()
    }
    sources = [tensors[name].requires_grad_() for name, weight in passes.weights.items() if weight.requires_grad]
    if not sources:
        raise MetricError("every weight is frozen")
    device, _ = place_of(network, passes.batch.inputs)
    ones = torch.ones((1, *passes.batch.input_shape), dtype=torch.float64, device=device)
    logits = passes.pick(passes.run(ones, tensors=tensors, recorder=recorder, purpose="synflow"))
    if not logits.requires_grad:
        raise MetricError(CUT)
    gradients = torch.autograd.grad(logits.sum(), sources, allow_unused=True)
    pairs = [(w.detach(), g) for w, g in zip(sources, gradients, strict=True) if g is not None]
    if not pairs:
        raise MetricError(CUT)
    return Flow(pairs, recorder.scale_of(logits) if isinstance(recorder, ScaledRecorder) else 0)


def _log_total(passes: Passes, *, skip_norms: bool) -> float:
    found = flow(passes, skip_norms=skip_norms)
    flowing = total((w * g).abs().sum() for w, g in found.pairs)
    if flowing == 0.0:
        raise MetricError(NO_FLOW)
    return math.log(flowing) + found.scale * math.log(2.0)


def synflow(passes: Passes) -> float:
    """Return the logarithm of the total flow, normalisations skipped."""
    return _log_total(passes, skip_norms=True)


def synflow_bn(passes: Passes) -> float:
    """Return the logarithm of the total flow, normalisations kept."""
    try:
        return _log_total(passes, skip_norms=False)
    except ValueError as error:
        raise MetricError(f"a batch norm cannot normalise one input of ones: {error}") from error


def log_synflow(passes: Passes) -> float:
    """Return the flow with a logarithm on every gradient."""
    found = flow(passes, skip_norms=True)
    if any_true((g <= -1.0).any() for _, g in found.pairs):
        raise MetricError(
            "a gradient is below -1, where its logarithm ends: the network is not monotone in its weights"
        )
    parts = []
    for w, g in found.pairs:
        # log(1 + g 2^s) = softplus(log g + s log 2), which does not overflow
        logs = functional.softplus(torch.log(g) + found.scale * math.log(2.0)) if found.scale else torch.log1p(g)
        parts.append((w * logs).abs().sum())
    flowing = total(parts)
    if flowing == 0.0:
        raise MetricError(NO_FLOW)
    return flowing


TANAKA = (
    "Tanaka, Kunin, Yamins, Ganguli, Pruning neural networks without any data, NeurIPS 2020, arXiv 2006.05467, eq. 2; "
)

SYNFLOW = Metric(
    name="synflow",
    compute=synflow,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="flow through all weights, without data",
    meaning="How much signal all paths through the weights carry together, without data.",
    formula="log Σ |w · ∂R/∂w|, R the sum of the logits of one input of ones, all parameters absolute, every "
    "normalisation skipped, float64",
    source=TANAKA
    + "logarithm and skipped batch norm as in NASLib. Samsung's code leaves the batch norm of reduction blocks in; "
    "here every normalisation, layer and group norm too, is the identity.",
    weaknesses="Grows with depth and width; says little where gates, softmax or GELU break the homogeneity that it "
    "rests on.",
    agreement="Spearman's .73, Kendall's .53",
    reported="Abdelfattah et al. report .74 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .78 over all cells",
)
SYNFLOW_BN = Metric(
    name="synflow_bn",
    compute=synflow_bn,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="`synflow` with normalisations in place",
    meaning="Synflow with normalisations in their place.",
    formula="log Σ |w · ∂R/∂w|, as `synflow`, but normalisations work, in training mode",
    source=TANAKA + "what RoBoT's scripts for DARTS compute. Here its logarithm.",
    weaknesses="Normalising a constant input nearly cancels the flow: only borders are left. Kept for comparison.",
    agreement="Spearman's −.33, Kendall's −.23",
    reported="no paper reports one",
)
LOG_SYNFLOW = Metric(
    name="log_synflow",
    compute=log_synflow,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="`synflow` with the logarithm of gradients",
    meaning="Synflow whose gradients are tamed one by one, so that no layer outweighs all others.",
    formula="Σ |w · log(1 + ∂R/∂w)|, as `synflow` otherwise",
    source="Cavagnero, Robbiano, Caputo, Averta, FreeREA, WACV 2023, arXiv 2207.05135, section 3.2. The logarithm is "
    "on the gradient, not on the sum.",
    bounds=(0.0, math.inf),
    weaknesses="As `synflow`; the size of the weights counts more.",
    agreement="Spearman's .76, Kendall's .56",
    reported="no figure of its paper is known to us",
)
