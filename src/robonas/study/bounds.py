"""Bounds on costs and metrics of a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from robonas.costs.measuring import COSTS
from robonas.errors import ConfigError
from robonas.metrics import DEAR, Metric, is_foreign, resolve_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.metrics import MetricLike


@dataclass(frozen=True)
class Bound:
    """One bound, included in what is allowed."""

    name: str
    """Name of the cost or metric."""
    value: float
    """Value of the bound."""
    upper: bool
    """Whether values must be at most this, or at least."""
    metric: Metric | None = None
    """The metric; None for a cost of `robonas.costs.measuring`."""

    @property
    def key(self) -> str:
        """The name, told apart from a cost of the same name, as the metric ``params`` is, in millions."""
        return self.name if self.metric is None or self.name not in COSTS else f"{self.name} (metric)"

    def __str__(self) -> str:
        return f"{'at most' if self.upper else 'at least'} {self.told(self.value)}"

    @property
    def fault(self) -> str:
        """Fault of candidates that break the bound, such as ``"synflow below 80"``."""
        if self.metric is None:
            return f"more than {self.told(self.value)}"
        return f"{self.key} {'above' if self.upper else 'below'} {self.value:.6g}"

    def keeps(self, value: float) -> bool:
        """Return whether a value is allowed; NaN is not."""
        return value <= self.value if self.upper else value >= self.value

    def told(self, value: float) -> str:
        """Return a value in words, such as ``"1,000 parameters"`` or ``"synflow 80"``."""
        return COSTS[self.name].format(value) if self.metric is None else f"{self.key} {value:.6g}"

    def broken_by(self, value: float) -> str:
        """Return the sentence for a value that breaks it."""
        return f"It has {self.told(value)}; the limit is {self.limit}."

    @property
    def limit(self) -> str:
        """Text of the limit, to follow "the limit is"."""
        return self.told(self.value) if self.metric is None else str(self)


def check_together(bounds: Sequence[Bound]) -> None:
    """Raise where something must be at least more than it may be at most.

    Raises:
        ConfigError: Two bounds contradict each other.
    """
    for low in (bound for bound in bounds if not bound.upper):
        for high in (bound for bound in bounds if bound.upper and bound.name == low.name):
            # The metrics `params` and `macs` are in millions, the costs of these names are not.
            scale = 1e6 if (low.metric is None) != (high.metric is None) else 1.0
            if low.value * scale > high.value:
                raise ConfigError(
                    f"The limits contradict each other: {low}, and {high}. No candidate can keep both; loosen one."
                )


def metric_bounds(setting: str, given: Mapping[MetricLike, float]) -> list[Bound]:
    """Return the bounds on metrics of one side.

    Raises:
        ConfigError: One is no number, or its metric is too dear or of this machine.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"`{setting}` must map metrics to numbers; got {given!r}.")
    if not given:
        return []
    bounds: list[Bound] = []
    values: list[Any] = list(given.values())
    for metric, value in zip(resolve_metrics(tuple(given)), values, strict=True):
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ConfigError(f"`{setting}` of {metric.name} must be a number; got {value!r}.")
        if metric.measures_the_machine:
            instead = {"latency": "max_latency_ms", "peak_memory": "max_memory"}.get(metric.name, "max_latency_ms")
            raise ConfigError(
                f"`{setting}` must bound metrics that give the same value twice; {metric.name!r} measures this "
                f"machine. Use `{instead}`."
            )
        if metric.cost in DEAR and not is_foreign(metric):
            raise ConfigError(
                f"`{setting}` must bound cheap metrics, which are computed for every candidate; {metric.name!r} costs "
                f"{metric.cost}. Search by it instead, or bound a cheaper one."
            )
        bounds.append(Bound(metric.name, float(value), upper=setting == "at_most", metric=metric))
    return bounds
