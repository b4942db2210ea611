"""Baselines that follow a fixed ranking: one metric, the metrics in turn, or their average rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np
from robonas.common.registry import lookup
from robonas.strategies.base import Problem, Proposal, Strategy, Summary, Trial
from robonas.strategies.scaling import fill_missing, is_dead, oriented, uniform_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def living_ranks(problem: Problem) -> tuple[NDArray[np.float64], list[str]]:
    """Return ranks in (0, 1), higher is better, by each living metric in alphabetical order; NaN where undefined."""
    scores = oriented(problem.scores, problem.higher_is_better)
    dead = is_dead(scores)
    columns = [i for i in sorted(range(len(problem.metrics)), key=problem.metrics.__getitem__) if not dead[i]]
    return uniform_ranks(scores[:, columns]), [problem.metrics[i] for i in columns]


def best_free(combined: NDArray[np.float64], history: Sequence[Trial]) -> int:
    """Return the unevaluated candidate of the largest value; NaN last; of equals, the first in the pool."""
    left = fill_missing(combined, -1e300)
    left[[trial.row for trial in history]] = -np.inf
    return int(np.argmax(left))


class SingleMetric(Strategy):
    """The ranking of one metric, or of all metrics in turn; the "enumeration" rows of the paper's tables.

    Candidates where the metric is undefined come last; equals stand in pool order.

    Args:
        metric: Name of the metric; None for all metrics in turn, in alphabetical order, each proposing its best
            unevaluated candidate.
    """

    name: ClassVar[str] = "single_metric"
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, metric: str | None = None) -> None:
        self.metric = metric

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"metric": self.metric}

    def check_metrics(self, metrics: Sequence[str]) -> None:
        """Check that the metric is among those scored.

        Raises:
            UnknownNameError: It is not.
        """
        if self.metric is not None:
            lookup("metric", self.metric, dict.fromkeys(metrics))

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the best unevaluated candidate of the metric whose turn it is."""
        self.check_metrics(problem.metrics)
        ranks, names = living_ranks(problem)
        if not names or (self.metric is not None and self.metric not in names):
            row = best_free(np.full(len(problem), np.nan), history)
            return Proposal(row, "exploit", reason="The next in the pool, since no metric tells candidates apart.")
        turn = names.index(self.metric) if self.metric is not None else len(history) % len(names)
        return Proposal(
            best_free(ranks[:, turn], history),
            "exploit",
            tuple(float(name == names[turn]) for name in problem.metrics),
            f"The best by {names[turn]} that was not evaluated.",
        )

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:  # noqa: ARG002
        """Return the metric's ranks as the combined metric; an empty summary where the metrics take turns."""
        ranks, names = living_ranks(problem)
        if self.metric not in names:
            return Summary(n_explored=0)
        weights = tuple(float(name == self.metric) for name in problem.metrics)
        return Summary(weights, ranks[:, names.index(self.metric)], 0)


class AverageRank(Strategy):
    """The ranking by the mean rank over all metrics, directions respected; nothing is learned.

    A missing rank counts as the middle; a candidate without any score comes last; a metric without two different values
    does not count; equals stand in pool order.
    """

    name: ClassVar[str] = "average_rank"
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the unevaluated candidate of the best mean rank."""
        row = best_free(self._combined(problem), history)
        return Proposal(row, "exploit", self._weights(problem), "The best by average rank that was not evaluated.")

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:  # noqa: ARG002
        """Return the mean ranks as the combined metric."""
        return Summary(self._weights(problem), self._combined(problem), 0)

    @staticmethod
    def _combined(problem: Problem) -> NDArray[np.float64]:
        ranks, names = living_ranks(problem)
        if not names:
            return np.full(len(problem), np.nan)
        # Rounded, since the sum of equal ranks must not depend on what rounding does to it.
        mean = np.round(fill_missing(ranks, 0.5).mean(axis=1), 12)
        return np.where(np.isnan(ranks).all(axis=1), np.nan, mean)

    @staticmethod
    def _weights(problem: Problem) -> tuple[float, ...]:
        _, names = living_ranks(problem)
        signs = problem.higher_is_better or (True,) * len(problem.metrics)
        return tuple(
            (1.0 if up else -1.0) / len(names) if name in names else 0.0
            for name, up in zip(problem.metrics, signs, strict=True)
        )
