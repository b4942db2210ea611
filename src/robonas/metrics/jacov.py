"""Difference of samples to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import correlation, eigenvalues

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

OFFSET = 1e-5


def spread(jacobian: Tensor) -> float:
    """Return minus the sum of log(λ + k) + 1/(λ + k) over the spectrum of the correlation between rows."""
    shifted = eigenvalues(correlation(jacobian, "the gradient of a sample")) + OFFSET
    return -float((torch.log(shifted) + 1.0 / shifted).sum())


def jacov(passes: Passes) -> float:
    """Return how uncorrelated the gradients of the samples are."""
    return spread(passes.jacobian)


JACOV = Metric(
    name="jacov",
    compute=jacov,
    needs=frozenset({Need.JACOBIAN}),
    by_class=True,
    brief="unlikeness of the samples' gradients",
    meaning="How uncorrelated the network's local linear maps are at different samples.",
    formula="−Σ_i [log(λ_i + k) + 1/(λ_i + k)], k = 1e-5, λ the eigenvalues of the correlation between rows ∂(Σ "
    "logits)/∂x_n",
    source="Mellor, Turner, Storkey, Crowley, Neural Architecture Search without Training, first version, arXiv "
    "2006.04647v1, eq. 2 and 3; name and training mode as in NAS-Bench-Suite-Zero. The matrix is symmetric, so its "
    "eigenvalues are taken as real, in float64.",
    weaknesses="About -1e5 for each sample that is a combination of others: with more samples than input values, or "
    "linear networks.",
    agreement="Spearman's .73, Kendall's .54",
    reported="Abdelfattah et al. report .73 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .71 over 15,284 cells",
)
