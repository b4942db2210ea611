"""Likeness of samples of one class to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import correlation

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes

OFFSET = 1e-5
FEW_CLASSES = 100


def epe_nas(passes: Passes) -> float:
    """Return the sum over classes of how decorrelated the Jacobians of the class's samples are."""
    batch, jacobian = passes.batch, passes.jacobian
    targets = batch.targets.to(jacobian.device)
    labels, counts = torch.unique(targets, return_counts=True)
    if int(counts.max()) == 1:
        raise MetricError("no class has two samples in the batch, so that there is no correlation; take a larger batch")
    sums: list[float] = []
    for label in labels.tolist():
        matrix = correlation(jacobian[targets == label], "the gradient of a sample")
        total = float(torch.log(matrix.abs() + OFFSET).sum())
        sums.append(total if batch.n_classes <= FEW_CLASSES else total / len(matrix))
    if batch.n_classes <= FEW_CLASSES:
        return sum(map(abs, sums))
    return sum(abs(one - other) for one in sums for other in sums) / len(sums)


EPE_NAS = Metric(
    name="epe_nas",
    compute=epe_nas,
    needs=frozenset({Need.JACOBIAN}),
    by_class=True,
    brief="unlikeness of samples within a class",
    meaning="How uncorrelated the network's local linear maps are at samples of the same class.",
    formula="Σ_c |Σ log(|C_c| + 1e-5)|, C_c the correlation between the rows ∂(Σ logits)/∂x_n of class c; with more "
    "than 100 classes Σ_{c,d} |s_c − s_d| / classes, s_c = mean over rows",
    source="Lopes, Alirezazadeh, Alexandre, EPE-NAS, ICANN 2021, arXiv 2102.08099, eq. 3 to 5. In float64 throughout.",
    needs_labels=True,
    tasks=("classification",),
    bounds=(0.0, float("inf")),
    weaknesses="Depends on how many samples of each class the batch has; weakly related to accuracy.",
    agreement="Spearman's .66, Kendall's .47",
    reported="no figure of its paper is known to us; the values that NAS-Bench-Suite-Zero publishes have .65 over "
    "15,284 cells",
)
