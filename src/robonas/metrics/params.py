"""Size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.metrics.base import Metric, Need

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def params(passes: Passes) -> float:
    """Return the number of parameters in millions, frozen ones too, tied ones once."""
    return sum(parameter.numel() for parameter in passes.network.parameters()) / 1e6


PARAMS = Metric(
    name="params",
    compute=params,
    needs=frozenset({Need.PARAMETERS}),
    by_class=True,
    brief="number of parameters, in millions",
    meaning="How many parameters the network has, in millions.",
    formula="Σ numel(p) / 10⁶ over all parameters, tied ones once",
    source="Definition; equals the published values of NAS-Bench-201 and NAS-Bench-Suite-Zero.",
    bounds=(0.0, float("inf")),
    weaknesses="Blind to how the parameters are connected; a hard baseline nevertheless.",
    agreement="Spearman's .81, Kendall's .64",
    reported="the values that NAS-Bench-Suite-Zero publishes have .82 over all cells",
)
