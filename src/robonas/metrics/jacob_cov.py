"""Difference of samples to the network in evaluation mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.jacov import spread
from robonas.metrics.passes.needs import CUT_INPUT, INPUT_IGNORED

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def jacob_cov(passes: Passes) -> float:
    """Compute `jacov` in evaluation mode, where batch norm does not mix samples."""
    inputs = passes.inputs().clone().requires_grad_()
    logits = passes.pick(passes.run(inputs, recorder=passes.recorder(), training=False, purpose="jacob_cov"))
    rows = None
    if logits.requires_grad:
        (rows,) = torch.autograd.grad(logits.sum(), inputs, allow_unused=True)
    # Logits that look alike beside a large bias may differ all the same; gradients have no bias.
    if (rows is None or not bool(rows.any())) and bool((logits == logits[:1]).all()):
        raise MetricError(INPUT_IGNORED)
    if rows is None:
        raise MetricError(CUT_INPUT)
    return spread(rows.flatten(1))


JACOB_COV = Metric(
    name="jacob_cov",
    compute=jacob_cov,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="`jacov` with each sample on its own",
    meaning="How uncorrelated the network's local linear maps are at different samples, each sample on its own.",
    formula="−Σ_i [log(λ_i + k) + 1/(λ_i + k)], k = 1e-5, λ the eigenvalues of the correlation between rows ∂(Σ "
    "logits)/∂x_n, in evaluation mode",
    source="Mellor, Turner, Storkey, Crowley, Neural Architecture Search without Training, first version, arXiv "
    "2006.04647v1, eq. 2 and 3. The authors give the network a single output; here the logits of the network that it "
    "is are summed.",
    weaknesses="In evaluation mode a fresh batch norm does nothing, so that activations can grow with depth. About "
    "-1e5 for each sample that is a combination of others.",
    agreement="Spearman's .67, Kendall's .48",
    reported="no figure of its paper is known to us; for the form that others took from it see `jacov`",
)
