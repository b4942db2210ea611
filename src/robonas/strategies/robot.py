"""RoBoT: Bayesian optimisation of a linear combination of metrics, then evaluations in the order of its ranking.

| symbol | meaning | shape |
|---|---|---|
| Z | metrics, min-max scaled over the pool | (N, M) |
| w_t | the t-th proposed weights, in [-1, 1]^M | (M,) |
| A_t | the candidate that w_t recommends, argmax Z w_t | row |
| T, T0 | budget; distinct candidates that the T weights recommend | |

Source: He, Shu, Dai, Low, "Robustifying and Boosting Training-Free Neural Architecture Search", ICLR 2024, arXiv
    2403.07591,
algorithms 1 and 2. Departures from its reference code, all of them at the edges, are listed at `Robot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.defaults import PAPER_METRICS
from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Summary, Trial
from robonas.strategies.fronts import chebyshev
from robonas.strategies.scaling import column_medians, fill_missing, finite_or_nan, is_dead, min_max
from robonas.strategies.structure import heard
from robonas.strategies.surrogate import next_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MISSING_POLICIES = ("exclude", "median", "worst")
"""Policies for undefined scores."""


@dataclass(frozen=True, eq=False)
class Step:
    """One proposed weight vector and what it recommends."""

    weights: NDArray[np.float64]
    """w_t on the living metrics in alphabetical order."""
    row: int
    """A_t."""
    n_asked: int
    """Number of different candidates that earlier weights recommended; it tells which rows a growing pool had then."""
    told: tuple[Trial, ...]
    """Values that were known of the candidates of all earlier weights."""


class Robot(Strategy):
    """The faithful algorithm of the paper.

    Exploration: T weight vectors in all, the first uniform, each following one the maximiser of the upper confidence
    bound of a Gaussian process fitted to all (w, f(A(w))) so far. A recommendation that was evaluated before costs no
    budget but uses up one of the T vectors; so T0 ≤ T candidates are evaluated. Exploitation: the T − T0 evaluations
    left go down the ranking of the best weights found, skipping what was evaluated.

    Rules at the edges:
        - A candidate with a missing score (NaN, ±inf) is not recommended while others are left; of such
          candidates those without any score come last. (The reference code skips missing scores, so that they
          count as the column's minimum: worst under a positive weight, best under a negative one. That is
          ``missing="worst"``.)
        - A metric that is defined for less than half of the pool, or has no two different values, is dead: no weight is
          learned for it, it is reported with weight 0, and its missing scores exclude nobody.
        - Candidates of equal combined score stand in pool order. Of weights whose candidates are equally
          good, the latest wins.
        - A failed evaluation tells the process the worst value seen before it, a pending one the mean of the
          values seen. Weights that recommend a pending candidate stand for the next one in their ranking.
        - The T weight vectors are derived afresh, each from what was known when it was proposed: `Trial.told_at` says
          so. Where it is missing, from what is known now; when the answer to a pending query then changes what follows,
          candidates that were evaluated are never proposed again, whichever weights recommend them.
        - `Problem.higher_is_better` is not used: the sign of a weight is learned.
        - Of a growing pool, weights choose among those who were there when they were proposed, on the scale of that
          pool; the ranking at the end is of all. Which metrics are dead is decided by the pool at the start.
        - With costs, which the paper does not have, each query has random weights of the objectives (uniform on the
          simplex), and the augmented Chebyshev scalarisation of combined score and costs ranks the candidates; the
          answers are scalarised by the same weights. This is ParEGO's way, and ours, not the paper's.

    Args:
        missing: Policy for a missing score: ``"exclude"``, the candidate comes after all complete ones;
            ``"median"``, the median of the scaled column; ``"worst"``, 0 after scaling.

    Raises:
        ConfigError: Another `missing`.
    """

    name: ClassVar[str] = "robot"
    default_metrics: ClassVar[tuple[str, ...]] = PAPER_METRICS
    trades_off: ClassVar[bool] = True
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, missing: str = "exclude") -> None:
        if missing not in MISSING_POLICIES:
            raise ConfigError(f"`missing` must be one of {', '.join(MISSING_POLICIES)}; got {missing!r}.")
        self.missing = missing
        self._memory: _Memory | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"missing": self.missing}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": None}

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose what the next weights recommend; after T weights, the next candidate in the best weights' ranking."""
        run = self._replay(problem, history)
        if run.wanted is not None:
            step = run.steps[-1]
            number = len(run.steps)
            reason = (
                "Uniformly drawn weights recommend it."
                if number == 1
                else f"Weights {number} of {problem.budget}, the most promising by the Gaussian process, recommend it."
            )
            return Proposal(run.wanted, "explore", run.memory.expand(step.weights), reason)
        number = len(history)
        weights = run.best(number)
        known = {trial.row for trial in history}
        for place, row in enumerate(run.memory.ranking(weights, number).tolist(), start=1):
            if row not in known:
                reason = f"Number {place} in the ranking by the best weights found; all before it are evaluated."
                return Proposal(row, "exploit", run.memory.expand(weights), reason)
        raise AssertionError("`ask` leaves a candidate")  # pragma: no cover

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:
        """Return the best weights so far, their ranking, T0, and the missing scores and dead metrics.

        `details` has ``weight_proposals`` (weights tried), ``repeats`` (those whose candidate had been
        recommended before), ``dead_metrics``, ``missing`` (undefined scores by metric) and ``unscored``
        (candidates without any score).
        """
        run = self._replay(problem, history)
        memory = run.memory
        steps = run.steps if run.wanted is None else run.steps[:-1]
        details = {
            "weight_proposals": len(steps),
            "repeats": len(steps) - len({step.row for step in steps}),
            "dead_metrics": [name for name, dead in zip(problem.metrics, memory.dead, strict=True) if dead],
            "missing": dict(zip(problem.metrics, memory.n_missing.tolist(), strict=True)),
            "unscored": int(memory.unscored.sum()),
        }
        if not steps:
            return Summary(n_explored=0, details=details)
        weights = run.best(len(steps))
        combined = np.where(memory.unscored, np.nan, memory.scaled @ weights)
        return Summary(memory.expand(weights), combined, len({step.row for step in steps}), details)

    def _replay(self, problem: Problem, history: Sequence[Trial]) -> _Run:
        """Replay the T weight proposals as far as the history has their answers."""
        if self._memory is None or self._memory.problem is not problem:
            self._memory = _Memory(problem, self.missing, self._memory)
        memory = self._memory
        answers = {trial.row: trial for trial in history}
        told: list[Trial] = []
        asked: set[int] = set()
        for number in range(problem.budget):
            step = memory.step(tuple(trial.seen_after(len(asked)) for trial in told))
            if step.row not in answers:
                return _Run(memory, memory.steps[: number + 1], told, step.row)
            told.append(answers[step.row])
            asked.add(step.row)
        return _Run(memory, memory.steps[: problem.budget], told, None)


@dataclass(frozen=True, eq=False)
class _Run:
    """The weights proposed so far, the answers of their candidates, and the candidate to evaluate next, if any."""

    memory: _Memory
    steps: Sequence[Step]
    told: Sequence[Trial]
    wanted: int | None

    def best(self, number: int) -> NDArray[np.float64]:
        """Return the weights with the best answer; the latest of equals, or of all where nothing has succeeded.

        Args:
            number: Place of the query, which decides what answers are worth where costs are traded off.
        """
        values = np.where([trial.value is None for trial in self.told], -np.inf, self.memory.worth(self.told, number))
        return self.steps[len(values) - 1 - int(np.argmax(values[::-1]))].weights


class _Memory:
    """A cache of everything that is computed once for a problem, and of the steps so far."""

    def __init__(self, problem: Problem, missing: str, before: _Memory | None = None) -> None:
        clean = finite_or_nan(problem.scores)
        self.problem, self.missing = problem, missing
        absent = np.isnan(clean)
        self.n_missing = absent.sum(axis=0)
        n_founders = problem.n_present(0)
        founders = clean[:n_founders]
        self.dead = is_dead(founders) | (2 * absent[:n_founders].sum(axis=0) > n_founders)
        self.unscored = np.logical_and.reduce(absent, axis=1) & (absent.shape[1] > 0)
        # As in the reference code, a weight's place goes by its metric's name: the order of columns must not matter.
        by_name = sorted(range(len(problem.metrics)), key=problem.metrics.__getitem__)
        self.columns = [column for column in by_name if not self.dead[column]]
        self._living = clean[:, self.columns]
        self.scaled, self.last = self._present(len(problem))
        self._cheapness: dict[int, NDArray[np.float64]] = {}
        self.steps: list[Step] = [] if before is None else before.steps_before(problem.since(before.problem))
        self._ranking: tuple[bytes, NDArray[np.intp]] | None = None

    def steps_before(self, n_asked: float) -> list[Step]:
        """Return the steps for which a later problem has the same candidates as this one."""
        return [step for step in self.steps if step.n_asked < n_asked]

    def _present(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the scaled scores Z of the first `n` candidates, and the group of each: 0 is ranked first, 2 last."""
        scaled = min_max(self._living[:n])
        incomplete = np.isnan(scaled).any(axis=1)
        fill = np.zeros(len(self.columns)) if self.missing == "worst" else column_medians(scaled)
        last = np.where(self.unscored[:n], 2, incomplete & (self.missing == "exclude")).astype(np.int64)
        return fill_missing(scaled, fill), last

    def expand(self, weights: NDArray[np.float64]) -> tuple[float, ...]:
        """Return one weight for each metric of the problem, 0 for the dead ones."""
        full = np.zeros(len(self.problem.metrics))
        full[self.columns] = weights
        return tuple(full.tolist())

    def ranking(self, weights: NDArray[np.float64], number: int) -> NDArray[np.intp]:
        """Return all candidates, the best first for query `number`; of equals, the first in the pool first."""
        key = weights.tobytes() + (b"" if self.problem.costs is None else bytes(str(number), "ascii"))
        if self._ranking is None or self._ranking[0] != key:
            self._ranking = key, np.lexsort((-self._traded_off(self.scaled @ weights, number), self.last))
        return self._ranking[1]

    def recommended(self, weights: NDArray[np.float64], n_asked: int, number: int, pending: set[int]) -> int:
        """Return the first candidate of the ranking in the pool as it was after `n_asked` queries.

        Pending ones are passed over, unless there are no others.
        """
        n = self.problem.n_present(n_asked)
        scaled, last = (self.scaled, self.last) if n == len(self.problem) else self._present(n)
        if pending:
            last = last.copy()
            last[list(pending)] = 3
        return int(np.argmax(np.where(last == last.min(), self._traded_off(scaled @ weights, number), -np.inf)))

    def _traded_off(self, combined: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        """Return the combined scores of the first candidates; with costs, scalarised by the weights of a query."""
        if self.problem.costs is None:
            return combined
        return self._scalarised(combined, self._cheap(len(combined)), number)

    def _cheap(self, n: int) -> NDArray[np.float64]:
        """Return how cheap the first `n` candidates are, scaled over them: what joins later changes no earlier step."""
        assert self.problem.costs is not None
        if n not in self._cheapness:
            self._cheapness[n] = 1.0 - min_max(self.problem.costs[:n])
        return self._cheapness[n]

    def _scalarised(
        self, values: NDArray[np.float64], cheapness: NDArray[np.float64], number: int
    ) -> NDArray[np.float64]:
        gains = np.column_stack([min_max(values[:, None]), cheapness])
        importance = numpy_generator("robot trade-off", self.problem.seed, number).dirichlet(np.ones(gains.shape[1]))
        return chebyshev(gains, importance)

    def worth(self, told: Sequence[Trial], number: int) -> NDArray[np.float64]:
        """Return what the Gaussian process is given for each answer, (n,); see `heard`.

        With costs, it is the augmented Chebyshev scalarisation of value and costs under the random weights of query
        `number`, as in ParEGO.
        """
        values = heard(told)
        if self.problem.costs is None or not len(values):
            return values
        rows = [trial.row for trial in told]
        return self._scalarised(values, self._cheap(self.problem.n_present(len(set(rows))))[rows], number)

    def step(self, told: tuple[Trial, ...]) -> Step:
        """Return the weights that follow what is known of the candidates of earlier weights, and their candidate."""
        number = len(told)
        if number < len(self.steps) and self.steps[number].told == told:
            return self.steps[number]
        del self.steps[number:]
        generator = numpy_generator("robot", self.problem.seed, number)
        if not self.columns:
            weights = np.zeros(0)
        elif number == 0:
            weights = generator.uniform(-1.0, 1.0, size=len(self.columns))
        else:
            tried = np.stack([step.weights for step in self.steps])
            weights = next_weights(*_distinct(tried, self.worth(told, number)), generator)
        n_asked = len({trial.row for trial in told})
        pending = {trial.row for trial in told if trial.pending}
        self.steps.append(Step(weights, self.recommended(weights, n_asked, number, pending), n_asked, told))
        return self.steps[-1]


def _distinct(
    weights: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out weights that were proposed before: their answer is known, and the process gains nothing from it."""
    _, first = np.unique(weights, axis=0, return_index=True)
    keep = np.sort(first)
    return weights[keep], values[keep]
