"""Contenders of an experiment, and the result of one run of a contender."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from robonas.strategies import Strategy, make_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.experiments.tasks import Task

Kind = Literal["strategy", "single", "baseline"]


ALL = "all"
"""Instead of names: every metric of the task."""


@dataclass(frozen=True)
class Contender:
    """A strategy with its settings and the metrics that it is given."""

    strategy: str
    """A name, or ``package.module:NAME``."""
    label: str = ""
    """Label in tables; by default the name of the strategy."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its constructor; JSON values."""
    metrics: tuple[str, ...] | Literal["all"] | None = None
    """Metrics that the strategy reads: names, ``"all"``, or None for the task's own choice."""
    kind: Kind = "strategy"
    """``single`` is one metric alone, ``baseline`` another that is always shown."""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.strategy)

    def make(self) -> Strategy:
        """Make a new instance.

        Raises:
            UnknownNameError: There is no such strategy.
            ConfigError: It does not take these settings.
        """
        return make_strategy(self.strategy, **self.settings)

    def make_for(self, task: Task) -> Strategy:
        """Make a new instance for a task, without what it has learned from tables of the task's family of spaces."""
        return self.make().without(task.family)

    def metrics_on(self, task: Task) -> tuple[str, ...]:
        """Return names of the metrics that it is given on a task."""
        if self.metrics == ALL:
            return task.metrics
        return tuple(self.metrics) if self.metrics is not None else task.default_metrics or task.metrics


@dataclass(frozen=True)
class Run:
    """One search: rows of its pool in the order of asking, and what it had learned in the end."""

    rows: tuple[int, ...]
    """Candidates."""
    phases: tuple[str, ...]
    """Purpose of each query."""
    n_explored: int | None = None
    """T0."""
    weights: dict[str, float] | None = None
    """Weights of the combined metric, by metric."""
    precision: float | None = None
    """Precision@T of the combined metric over the pool."""
    ndcg: float | None = None
    """nDCG@T of it."""
    spearman: float | None = None
    """Its rank correlation with the objective."""
