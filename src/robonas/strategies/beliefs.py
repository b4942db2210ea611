"""The processes that `auto` fuses. How their settings were chosen is in docs/explanation/search-strategies.md."""

from __future__ import annotations

from robonas.strategies.candidates import Belief


def _smooth(feature: str, slope: float) -> Belief:
    return Belief(
        feature,
        slope,
        linear=1.0,
        smooth=1.0,
        length=2.5,
        structure=0.1,
        decay=2.0,
        noise=0.05,
        first=5,
        least_record=0.1,
    )


def _linear(feature: str) -> Belief:
    return Belief(feature, slope=0.3, linear=1.0, smooth=0.0, length=1.0, structure=0.0, decay=1.0, noise=0.3, last=10)


SMOOTH_FEATURES = ("min_max", "asinh", "normal")
BY_RECORD = Belief(
    "rank", slope=2.5, linear=0.1, smooth=0.0, length=1.0, structure=0.0, decay=1.0, noise=0.3, last=10, constant=1.0
)
BELIEFS = (*(_smooth(feature, slope=0.8) for feature in SMOOTH_FEATURES), BY_RECORD)
"""The processes whose rankings are fused; the first one's linear weights are reported.

The last one, which knows most before the first answer, alone up to five queries, which is all that so few answers can
tell; smooth ones alone from ten answers on.
"""
AGAINST_COSTS = (*(_smooth(feature, slope=0.4) for feature in SMOOTH_FEATURES), _linear("asinh"), _linear("min_max"))
"""The same where a search trades the objective off against costs. It looks for a whole front, so all metrics count
alike, with slope / sqrt(M) each, and its first queries are spread among their extremes."""
