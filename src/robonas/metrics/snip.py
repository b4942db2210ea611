"""Sensitivity of the loss to removing single weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.reading import total

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def snip(passes: Passes) -> float:
    """Return the sum of |weight × gradient| over convolution and linear layers."""
    weights = passes.weights
    return total(
        (weights[name].detach() * gradient).abs().sum(dtype=torch.float64)
        for name, gradient in passes.gradients.items()
    )


SNIP = Metric(
    name="snip",
    compute=snip,
    needs=frozenset({Need.GRADIENTS}),
    by_class=True,
    brief="how much the loss would feel lost weights",
    meaning="How much the loss would feel the removal of single weights, summed.",
    formula="Σ |w · ∂L/∂w| over the weights w of convolution and linear layers",
    source="Lee, Ajanthan, Torr, SNIP, ICLR 2019, arXiv 1810.02340, eq. 4; summed for NAS by Abdelfattah et al., "
    "arXiv 2101.08134. Without the mask parameters and replaced `forward` of the reference code, which go wrong where "
    "a layer computes its own weight.",
    needs_labels=True,
    bounds=(0.0, float("inf")),
    weaknesses="Follows the gradient's size, and so depth and width.",
    agreement="Spearman's .65, Kendall's .47",
    reported="Abdelfattah et al. report .58 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .64 over all cells",
)
