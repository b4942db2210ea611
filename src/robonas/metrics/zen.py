"""Sensitivity of the network's last features to its input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from robonas.common.lazy import functional, torch
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.modules import buffers_of, modules_of
from robonas.metrics.passes.reading import numbers
from robonas.metrics.passes.redraw import redrawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

STEP = 0.01


def zen(passes: Passes) -> float:
    """Return the logarithm of how far features move for a small step of the input, plus what batch norms took away."""
    from robonas.metrics.passes.weights import BATCH_NORMS

    network = passes.network
    tensors = redrawn(passes, "normal", "zen")
    # One set of running statistics for both passes: they are part of the score.
    tensors |= {name: buffer.clone() for name, buffer in buffers_of(network).items() if name not in tensors}
    first = passes.noise("zen")
    with torch.no_grad():
        before = _features(passes, first, tensors)
        after = _features(passes, first + STEP * passes.noise("zen step"), tensors)
    moved = float((before - after).abs().flatten(1).sum(1, dtype=torch.float64).mean())
    if moved == 0.0:
        raise MetricError("the last features do not depend on the input, or by less than their rounding shows")
    variances = numbers(
        tensors[f"{name}.running_var" if name else "running_var"].double().mean()
        for name, module in modules_of(network)
        if isinstance(module, BATCH_NORMS) and module.running_var is not None
    )
    return math.log(moved) + sum(0.5 * math.log(variance) for variance in variances)


def _features(passes: Passes, inputs: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """Return what goes into the last pooling over all positions; without one, into the last linear layer."""
    pooled: list[Tensor] = []
    linear: list[Tensor] = []

    def note(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
        if func is functional.linear:
            linear[:] = [args[0] if args else kwargs["input"]]
        return output

    def note_pool(source: Tensor) -> None:
        pooled[:] = [source]

    passes.run(inputs, tensors=tensors, recorder=passes.recorder(transform=note, on_pool=note_pool), purpose="zen")
    for found in (pooled, linear):
        if found and len(found[0]) == len(inputs):
            return found[0]
    raise MetricError("the network has neither a pooling over all positions nor a linear layer after its features")


ZEN = Metric(
    name="zen",
    compute=zen,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="reaction of the features to the input",
    meaning="How expressive the network is: how strongly its last features react to the input under Gaussian weights.",
    formula="log mean_n Σ|φ(x) − φ(x + 0.01 e)| + Σ over batch norms of log √(mean running variance), x and e "
    "standard normal, weights N(0, 1), φ the features before global pooling, training mode, running statistics after "
    "the two passes",
    source="Lin, Wang, Sun, Chen, Sun, Qian, Li, Jin, Zen-NAS, ICCV 2021, arXiv 2102.01063, algorithm 1; one "
    "repetition, as in NASLib. Without global pooling, φ is the input of the last linear layer.",
    weaknesses="Grows with depth and width; without batch norm it can overflow in float32.",
    agreement="Spearman's .29, Kendall's .25",
    reported="the paper has none on this space; the values that NAS-Bench-Suite-Zero publishes have .40 over 15,284 "
    "cells",
)
