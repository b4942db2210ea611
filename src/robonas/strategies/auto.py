"""`auto`: the default. A Bayesian model of the candidates themselves, with the metrics as features.

RoBoT hears of each answer one number about one weight vector. Here each answer speaks about every candidate: through
the linear combination of metrics that RoBoT assumes too, through a smooth correction of it, and, with architectures
that resemble each other, directly. Developed on published tables; what was tried, failures too, is in
docs/explanation/search-strategies.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np
from robonas.common.record import FAMILIES, record_of_metrics
from robonas.common.words import plural
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Summary, Trial
from robonas.strategies.beliefs import AGAINST_COSTS, BELIEFS
from robonas.strategies.candidates import (
    GOOD_RECORD,
    Feature,
    believed,
    covariance,
    direction,
    dual_weights,
    linear_weights,
    novelty,
    posterior_deviation,
    prior_slopes,
    prior_variance,
    ranks_from_best,
    targets,
    unit_scores,
)
from robonas.strategies.fronts import staircase
from robonas.strategies.scaling import is_dead, min_max, oriented
from robonas.strategies.structure import free_rows, known_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


CONTRAST_AFTER = 1
"""Number of queries before the one that asks for a middling candidate."""
FAILURE_NOISE = 1.0
"""Noise variance that is added to that of an answer for a failed evaluation, since a failure may be bad luck."""
RANK_OFFSET = 30.0
"""Number added to each rank before its logarithm is taken; the larger it is, the less a first place counts above a
second."""
TWIN_COST = 2.0
"""Penalty of a candidate for n evaluated candidates with exactly its scores: this number times log(1 + n)."""
WHOLE_POOL = 40_000
"""Largest pool that is modelled as a whole; of a larger pool, only the best by the linear weights are modelled."""
SHORTLIST = 8_000
"""Number of candidates of a larger pool that are modelled."""


BELOW_WORST = 0.5
"""Distance of the reference value below the worst target, where a search trades the objective off against costs."""
BEYOND_DEAREST = 1.1
"""Reference cost, where costs are scaled to [0, 1] over the pool."""


class Auto(Strategy):
    """Propose the candidate with the highest fused expectation of several Gaussian processes over candidates.

    The processes differ in how metrics are put on one scale, and in whether they see more than a linear combination;
    each ranks the candidates, and the smallest product of (rank + 30) is asked for. The first query is the best by the
    metrics alone, each of which counts by its record over known tasks. The second is a middling candidate: without
    the contrast, metrics that point downwards could hardly be told from metrics that point upwards.

    Rules:
        - Scores are scaled by the range of their metric, directions respected, then standardised. An
          undefined score takes the lowest value; a candidate without any comes after all others. A metric
          without two different values does not count.
        - Before the first answer, a metric counts by its record (`robonas.common.record`), which is the mean of all
          records for a metric that has none, times the share of it that no other metric has: copies count as one.
          With every answer the processes ask again whether the metrics together point upwards or downwards.
        - The processes know the answers by their ranks, as normal scores; so a diverged training is a last
          place and no outlier, and any monotone change of the objective changes nothing. A failure shares the
          last place and weighs less, since it may be bad luck.
        - A pending query counts in each process as the answer that this process expects, but as none better than
          the best one known; as a middling one while none is known. Since processes expect more of their favourites
          than any answer can give, this keeps the next query away from the pending ones. Smooth processes speak
          from the sixth query on, pending ones counted, and the linear one up to the tenth answer.
        - Candidates whose scores equal those of candidates that have been asked for are probably the same
          network in other words; each such query puts the others back.
        - Of candidates that are expected to be equal, the first in the pool is taken. There is no draw: the
          seed is not used.
        - With `Problem.costs`, each process ranks the candidates by their expected hypervolume improvement, which is
          exact, since the costs are known (see `fronts`), and there is no middling candidate. All metrics count
          alike, since it takes cheap networks too to find a front. Costs are scaled to [0, 1] over the pool; the
          reference point is half a standard deviation below the worst answer, at cost 1.1.
        - With `Problem.codes`, architectures that differ in few choices are expected to be similar.

    Args:
        optimism: Strength of the expectation, before the first answer, that metrics point upwards; 0 for none.
        record: Record of metrics over known tasks by name, from 0 up; None for the shipped one, which an experiment on
            one of these tasks takes without the task's family. Without any, ``{}``, all metrics count alike.

    Raises:
        ConfigError: `optimism`, or a record, is negative or not finite, or no mapping.
    """

    name: ClassVar[str] = "auto"
    trades_off: ClassVar[bool] = True
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, optimism: float = 1.0, record: Mapping[str, float] | None = None) -> None:
        if not 0 <= optimism < np.inf:
            raise ConfigError(f"`optimism` must be a number from 0 up; got {optimism}.")
        if not isinstance(record, Mapping | None):
            raise ConfigError(
                f"`record` must map names of metrics to numbers ({{}} for none), or be None for the shipped one; got "
                f"{record!r}."
            )
        for metric, gain in (record or {}).items():
            if not 0 <= gain < np.inf:
                raise ConfigError(f"`record` must have a number from 0 up for each metric; got {gain} for {metric!r}.")
        self.optimism = optimism
        self.record = None if record is None else dict(record)
        self._pool: _Pool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"optimism": self.optimism, "record": self.record}

    def without(self, family: str | None) -> Strategy:
        """Return `auto` with the shipped record over all other families; itself where it has a record of its own."""
        if self.record is not None or family not in FAMILIES:
            return self
        return type(self)(self.optimism, record_of_metrics(without=family))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the candidate with the best fused rank among those not evaluated."""
        pool = self._prepared(problem)
        view = pool.learn(history)
        if len(history) == CONTRAST_AFTER and problem.costs is None:
            row = pool.middling([trial.row for trial in history])
            reason = "A middling candidate, to learn whether metrics point upwards at all."
            return Proposal(row, "explore", pool.full_weights(view.weights), reason)
        free = free_rows(problem, history)[view.rows]
        if not free.any():
            row = int(np.flatnonzero(free_rows(problem, history))[0])
            return Proposal(row, "exploit", reason="The first that is left; all others have been evaluated.")
        row = int(view.rows[np.argmax(np.where(free, view.fused, -np.inf))])
        weights = pool.full_weights(view.weights)
        phase = "explore" if len(history) <= CONTRAST_AFTER else "exploit"
        return Proposal(row, phase, weights, pool.reason(row, view.weights, len(history)))

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:
        """Return the linear weights and the expectation of each candidate.

        `details` has ``trust`` (share of each metric in the linear weights, signed, sum of sizes 1),
        ``dead_metrics`` and ``missing``.
        """
        pool = self._prepared(problem)
        view = pool.learn(history)
        combined = np.full(len(problem), np.nan)
        combined[view.rows] = view.mean
        weights = pool.full_weights(view.weights)
        size = sum(abs(weight) for weight in weights) or 1.0
        details = {
            "trust": {name: weight / size for name, weight in zip(problem.metrics, weights, strict=True)},
            "dead_metrics": [name for name, dead in zip(problem.metrics, pool.dead, strict=True) if dead],
            "missing": dict(zip(problem.metrics, pool.n_missing.tolist(), strict=True)),
        }
        return Summary(weights, np.where(pool.unscored, np.nan, combined), None, details)

    def _prepared(self, problem: Problem) -> _Pool:
        if self._pool is None or self._pool.problem is not problem:
            self._pool = _Pool(problem, self.optimism, self.record)
        return self._pool


@dataclass(frozen=True, eq=False)
class _View:
    """The expectations of the processes for some candidates."""

    rows: NDArray[np.intp]
    """Which candidates, (n,)."""
    fused: NDArray[np.float64]
    """Minus the sum of log(rank + offset) over the processes that speak, (n,)."""
    mean: NDArray[np.float64]
    """Expectation of the first process, (n,)."""
    weights: NDArray[np.float64]
    """Its linear weights on the living metrics, (M,)."""


class _Pool:
    """Features of a problem's candidates, and their covariances with the evaluated ones: computed once, then kept."""

    def __init__(self, problem: Problem, optimism: float, record: Mapping[str, float] | None) -> None:
        self.problem = problem
        scores = oriented(problem.scores, problem.higher_is_better)
        absent = np.isnan(scores)
        self.n_missing = absent.sum(axis=0)
        self.unscored = np.logical_and.reduce(absent, axis=1) & (absent.shape[1] > 0)
        self.dead = is_dead(scores)
        # In alphabetical order, so that the order of columns has no influence, not even by rounding.
        by_name = sorted(range(len(problem.metrics)), key=problem.metrics.__getitem__)
        self.columns = [column for column in by_name if not self.dead[column]]
        chosen = BELIEFS if problem.costs is None else AGAINST_COSTS
        self.beliefs = [replace(belief, slope=optimism * belief.slope) for belief in chosen]
        self.unit = unit_scores(np.take(scores, self.columns, axis=1))
        self.whole = len(problem) <= WHOLE_POOL
        self.features: dict[str, Feature] = {}
        known = record_of_metrics() if record is None else record
        usual = sum(known.values()) / len(known) if known else GOOD_RECORD
        self.record = np.array([known.get(problem.metrics[column], usual) for column in self.columns])
        self.sample = self.unit[:: -(-len(self.unit) // WHOLE_POOL)]
        self.share: NDArray[np.float64] | None = None
        self.slopes: dict[int, NDArray[np.float64]] = {}
        self.costs = None if problem.costs is None else min_max(problem.costs)
        self.twins: dict[int, NDArray[np.bool_]] = {}
        self.covariances: list[dict[int, NDArray[np.float64]]] = [{} for _ in chosen]

    def learn(self, history: Sequence[Trial]) -> _View:
        """Compute the processes' expectations after the history, for the whole pool or for its shortlist."""
        values = known_values(history)
        asked = [trial.row for trial in history]
        answered = [row for row in asked if row in values]
        scored = dict(zip(answered, targets([values[row] for row in answered]).tolist(), strict=True))
        r = np.array([scored.get(row, 0.0) for row in asked])
        doubts = np.array([FAILURE_NOISE * trial.failed for trial in history])
        pending = np.array([trial.pending for trial in history], dtype=bool)
        queried = np.array(asked, dtype=np.intp)
        ways: dict[int, float] = {}
        supposed: dict[int, NDArray[np.float64]] = {}

        def duals(number: int) -> NDArray[np.float64]:
            K = self._covariance(number, queried, asked)
            noise = self.beliefs[number].noise + doubts
            prior = self._prior(number, queried)
            seen = prior[~pending] / self._spread(number)
            ways[number] = direction(seen, r[~pending]) if self.costs is None else 1.0
            supposed[number] = believed(r, pending, ways[number] * prior, K, noise)
            return dual_weights(K, noise, supposed[number] - ways[number] * prior)

        def expected(number: int, dual: NDArray[np.float64]) -> NDArray[np.float64]:
            mean = ways[number] * self._prior(number, rows) + self._covariance(number, rows, asked) @ dual
            mean[self.unscored[rows]] = -1e6
            # Rounded, since candidates with the same scores must tie whatever rounding does to them.
            return np.round(mean, 9)

        first = duals(0)
        weights = linear_weights(self.beliefs[0], self._features(0, queried), first, ways[0] * self._slopes(0))
        rows = self._modelled(weights)
        n_told = sum(not trial.pending for trial in history)
        speaking = [number for number, belief in enumerate(self.beliefs) if belief.speaks(len(history), n_told)]
        means = {0: expected(0, first)} | {number: expected(number, duals(number)) for number in speaking if number}
        liked = means if self.costs is None else self._improvements(means, rows, history, supposed)
        fused = -np.sum([np.log(ranks_from_best(liked[number]) + RANK_OFFSET) for number in speaking], axis=0)
        fused -= TWIN_COST * np.log1p(self._n_twins(rows, asked))
        return _View(rows, fused, means[0], weights)

    def _improvements(
        self,
        means: dict[int, NDArray[np.float64]],
        rows: NDArray[np.intp],
        history: Sequence[Trial],
        supposed: dict[int, NDArray[np.float64]],
    ) -> dict[int, NDArray[np.float64]]:
        """Compute each process's expected hypervolume improvement by some rows, on the scale of the targets.

        Args:
            means: Expectation of the rows, by process.
            rows: The rows, (n,).
            history: All queries so far.
            supposed: Targets of all queries, by process; those of pending ones are what it expects.
        """
        assert self.costs is not None
        told = [trial for trial in history if trial.value is not None and trial.pruned is None]
        values = targets([trial.value for trial in told if trial.value is not None])
        end = np.full(self.costs.shape[1], BEYOND_DEAREST)
        reference = float(values.min(initial=0.0)) - BELOW_WORST
        asked = [trial.row for trial in history]
        pending = [place for place, trial in enumerate(history) if trial.pending]
        prices = self.costs[[trial.row for trial in told] + [asked[place] for place in pending]]
        doubts = np.array([FAILURE_NOISE * trial.failed for trial in history])
        found: dict[int, NDArray[np.float64]] = {}
        for number, mean in means.items():
            belief = self.beliefs[number]
            if pending or not found:  # what is pending is taken as known: nobody is sent for the same improvement
                stairs = staircase(np.append(values, supposed[number][pending]), prices, reference, end)
                areas = stairs.areas(self.costs[rows])
            variance = prior_variance(belief, self._features(number, rows), has_codes=self.problem.codes is not None)
            known = self._covariance(number, np.array(asked, dtype=np.intp), asked)
            cross = self._covariance(number, rows, asked)
            deviation = posterior_deviation(variance, cross, known, belief.noise + doubts)
            # Rounded for the same reason as the means.
            found[number] = np.round(stairs.expected_improvement(mean, deviation, areas), 9)
        return found

    def _feature(self, number: int) -> Feature:
        """Return the transformation of a process, fitted to the pool or to a sample of it."""
        kind = self.beliefs[number].feature
        if kind not in self.features:
            self.features[kind] = Feature(self.sample, kind)
        return self.features[kind]

    def _features(self, number: int, rows: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Return the features F of some rows, or of all."""
        feature = self._feature(number)
        if self.whole:
            return feature.fitted if rows is None else feature.fitted[rows]
        return feature(self.unit if rows is None else self.unit[rows])

    def _prior(self, number: int, rows: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Return the prior mean of some rows, or of all."""
        return self._features(number, rows) @ self._slopes(number)

    def _spread(self, number: int) -> float:
        """Return the standard deviation of a process' prior mean over the pool; 1 where it is constant."""
        return float((self._feature(number).fitted @ self._slopes(number)).std()) or 1.0

    def _slopes(self, number: int) -> NDArray[np.float64]:
        """Return the slopes of the prior mean of a process, (M,)."""
        belief = self.beliefs[number]
        if number not in self.slopes and self.costs is not None:
            self.slopes[number] = np.full(len(self.columns), belief.slope / np.sqrt(max(1, len(self.columns))))
        elif number not in self.slopes:
            if self.share is None:
                self.share = novelty(Feature(self.sample, "rank").fitted)
            self.slopes[number] = prior_slopes(belief, self._feature(number).fitted, self.record, self.share)
        return self.slopes[number]

    def middling(self, other_than: list[int]) -> int:
        """Return the candidate whose prior mean is nearest to the pool's median; of equals, the first in the pool."""
        prior = np.round(self._prior(0), 9)
        distance = np.abs(prior - np.median(prior)) + np.where(self.unscored, 1e6, 0.0)
        distance[other_than] = np.inf
        return int(np.argmin(distance))

    def _n_twins(self, rows: NDArray[np.intp], asked: list[int]) -> NDArray[np.intp]:
        """Count for each row the evaluated candidates that have the same scores, (n,)."""
        count = np.zeros(len(rows), dtype=np.intp)
        for row in asked:
            if not self.whole:
                count += np.all(self.unit[rows] == self.unit[row], axis=1)
                continue
            if row not in self.twins:
                self.twins[row] = np.all(self.unit == self.unit[row], axis=1)
            count += self.twins[row]
        return count

    def _modelled(self, weights: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the rows to model, in pool order: all of them, or the best by the linear weights."""
        if self.whole:
            return np.arange(len(self.problem))
        feature = self.features[self.beliefs[0].feature]
        liking = np.where(self.unscored, -np.inf, feature.combined(self.unit, weights))
        return np.sort(np.argpartition(-liking, SHORTLIST)[:SHORTLIST])

    def _covariance(self, number: int, rows: NDArray[np.intp], asked: list[int]) -> NDArray[np.float64]:
        """Compute the covariance of the rows with the evaluated candidates, (n, t); for whole pools it is kept."""
        belief, codes = self.beliefs[number], self.problem.codes

        def part(rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
            return self._features(number, rows), None if codes is None else codes[rows]

        if not self.whole:
            return covariance(belief, part(rows), part(np.array(asked, dtype=np.intp)))
        store = self.covariances[number]
        for row in asked:
            if row not in store:  # one at a time, since several at once round otherwise
                everyone = self._features(number), codes
                store[row] = covariance(belief, everyone, part(np.array([row], dtype=np.intp)))[:, 0]
        return np.stack([store[row][rows] for row in asked], axis=1) if asked else np.zeros((len(rows), 0))

    def full_weights(self, weights: NDArray[np.float64]) -> tuple[float, ...]:
        """Return the linear weights of all given metrics: 0 for dead ones, negated where lower is better."""
        full = np.zeros(len(self.problem.metrics))
        full[self.columns] = weights
        if self.problem.higher_is_better:
            full = full * np.where(self.problem.higher_is_better, 1.0, -1.0)
        return tuple(full.tolist())

    def reason(self, row: int, weights: NDArray[np.float64], n_asked: int) -> str:
        """Say in one sentence which metrics speak most for the candidate."""
        if not self.columns or self.unscored[row]:
            return "The next in the pool, since no metric speaks for or against it."
        parts = weights * self._features(0, np.array([row]))[0]
        best = [place for place in np.argsort(-parts, kind="stable")[:2] if parts[place] > 0]
        names = " and ".join(self.problem.metrics[self.columns[place]] for place in best)
        basis = f"After {plural(n_asked, 'query')}" if n_asked else "Before any answer"
        return f"{basis}, it is expected to be the best" + (f"; mostly {names} speak for it." if names else ".")
