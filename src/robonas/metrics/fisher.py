"""Information in the outputs of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.reading import numbers

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def fisher(passes: Passes) -> float:
    """Return the sum over layers and channels of fan-in × half the mean squared saliency of the channel."""
    saliencies = passes.saliencies
    if not saliencies:
        raise MetricError("no gradient reaches the output of a convolution or linear layer")
    squares = numbers(saliency.products.double().square().mean(0).sum() for saliency in saliencies)
    return sum(saliency.fan_in * 0.5 * square for saliency, square in zip(saliencies, squares, strict=True))


FISHER = Metric(
    name="fisher",
    compute=fisher,
    needs=frozenset({Need.SALIENCIES, Need.GRADIENTS}),
    by_class=True,
    brief="how much the loss would feel lost channels",
    meaning="How much the loss would feel the removal of whole channels, summed.",
    formula="Σ_l fan-in_l Σ_c ½ mean_n (Σ_positions a_nc · ∂L/∂a_nc)², a the output of convolution or linear call l "
    "before any norm",
    source="Theis, Korshunova, Tejani, Huszár, arXiv 1801.05787, eq. 9; Turner et al., BlockSwap, ICLR 2020, arXiv "
    "1906.04113; summed for NAS by Abdelfattah et al., arXiv 2101.08134. As there, a channel counts once for each of "
    "its weights. A layer that is called twice counts twice (the reference code keeps its last call), and tokens are "
    "positions.",
    needs_labels=True,
    bounds=(0.0, float("inf")),
    weaknesses="Spans orders of magnitude and is driven by few layers.",
    agreement="Spearman's .55, Kendall's .39",
    reported="Abdelfattah et al. report .36 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .55 over all cells",
)
