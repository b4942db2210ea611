"""Search strategies: from scores and a history to the next candidate.

Notation, as in He et al. (ICLR 2024): N candidates, M metrics, T the budget (distinct objective evaluations), f the
objective (higher is better), w in [-1, 1]^M the weights of the combined metric, T0 the queries spent on finding w.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.defaults import AUTO_METRICS
from robonas.common.lazy import np
from robonas.common.settings import called, seed_of, whole
from robonas.errors import AskTellError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Problem:
    """The candidates of a search and their scores: all that a strategy knows, besides the history.

    Candidates are distinct: isomorphic architectures are one row. Where a pool grows, each ask is given a new problem:
    rows are appended to the one before, and none is changed or removed.

    Raises:
        ConfigError: Shapes that do not agree, no candidates, or a budget below 1.
    """

    scores: NDArray[np.float64]
    """Raw metric values, (N, M); NaN where undefined."""
    metrics: tuple[str, ...]
    """Names of the columns."""
    budget: int
    """T: how many distinct candidates may be evaluated."""
    seed: int = 0
    """The run's seed; same problem and history, same proposal."""
    higher_is_better: tuple[bool, ...] = ()
    """Direction of each metric; empty for all True."""
    codes: NDArray[np.int64] | None = None
    """Option indices of each candidate, (N, n_choices), for strategies that look at the architecture itself."""
    joined: NDArray[np.int64] | None = None
    """Number of queries that had been made when each candidate joined the pool, (N,), ascending from 0; None where the
    pool does not grow."""
    costs: NDArray[np.float64] | None = None
    """Known costs of each candidate, (N, K) with K = 1 or 2, finite, lower is better, where a search trades the
    objective off against them; None where the objective alone counts."""

    def __post_init__(self) -> None:
        if not isinstance(self.scores, np.ndarray):
            raise ConfigError(f"`scores` must be a NumPy array; got a {type(self.scores).__name__}.")
        if self.scores.ndim != 2 or self.scores.shape[1] != len(self.metrics):
            raise ConfigError(f"`scores` must be (candidates, {len(self.metrics)} metrics); got {self.scores.shape}.")
        if len(self.scores) == 0:
            raise ConfigError("There must be at least one candidate; got an empty pool.")
        seed_of(self.seed)
        if whole("budget", self.budget) < 1:
            raise ConfigError(f"The budget must be at least 1 evaluation; got {self.budget}.")
        if self.higher_is_better and len(self.higher_is_better) != len(self.metrics):
            raise ConfigError(
                f"`higher_is_better` must have one entry a metric ({len(self.metrics)}); "
                f"got {len(self.higher_is_better)}."
            )
        if self.codes is not None and len(self.codes) != len(self.scores):
            raise ConfigError(f"`codes` must have one row a candidate ({len(self.scores)}); got {len(self.codes)}.")
        if self.costs is not None and (
            self.costs.shape not in {(len(self.scores), 1), (len(self.scores), 2)} or not np.isfinite(self.costs).all()
        ):
            raise ConfigError(
                f"`costs` must be finite, with one row a candidate ({len(self.scores)}) and one or two columns; got "
                f"shape {self.costs.shape}."
            )
        joined = self.joined
        if joined is not None and (len(joined) != len(self) or joined[0] != 0 or (joined[1:] < joined[:-1]).any()):
            raise ConfigError(
                f"`joined` must have one number a candidate ({len(self.scores)}), ascending from 0; got {joined}."
            )

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def limit(self) -> int:
        """Number of queries that can be made: the budget, or the number of candidates where that is smaller."""
        return min(self.budget, len(self.scores))

    def n_present(self, n_asked: int) -> int:
        """Return how many candidates, counted from the first row, were in the pool after `n_asked` queries."""
        return len(self) if self.joined is None else int(np.searchsorted(self.joined, n_asked, side="right"))

    def since(self, earlier: Problem) -> float:
        """Return the number of queries after which this pool differs from that of `earlier`.

        The number is 0 unless this pool is the earlier one with candidates appended; infinity where both are the same.
        """
        n = len(earlier)
        one, other = (np.zeros(len(each)) if each.joined is None else each.joined for each in (self, earlier))
        ours, theirs = ((each.metrics, each.seed, each.higher_is_better) for each in (self, earlier))
        same = ours == theirs and np.array_equal(one[:n], other)
        if self.costs is not None and earlier.costs is not None:
            same = same and np.array_equal(self.costs[:n], earlier.costs)
        if (
            not same
            or (self.costs is None) != (earlier.costs is None)
            or not np.array_equal(self.scores[:n], earlier.scores, equal_nan=True)
        ):
            return 0
        return float(one[n]) if len(self) > n else np.inf


@dataclass(frozen=True)
class Trial:
    """One query, in the order of asking."""

    row: int
    """The candidate."""
    value: float | None = None
    """f of the candidate, finite, higher is better; None while pending, and for a failed trial."""
    failed: bool = False
    """The evaluation failed: it counts, and the strategy takes it for the worst value seen."""
    pruned: int | None = None
    """Step after which a pruner ended the evaluation, whose value is `value`; None for all other trials.

    Values of few steps are lower than those of all, so this one understates a candidate that was found to be among the
    worse ones anyway. Strategies take it as it is; `tpe` compares by steps first, as BOHB does."""

    told_at: int | None = None
    """Number of queries that had been asked for when the answer came, itself counted; None for an answer that came
    before the next query.

    With several queries at once, strategies that derive their earlier steps again need it: it says what each step knew.
    Without it they learn little from answers that came late."""

    @property
    def pending(self) -> bool:
        """Asked and not yet told."""
        return self.value is None and not self.failed

    def seen_after(self, n_asked: int) -> Trial:
        """Return the trial as it was known after `n_asked` queries: pending where its answer came later."""
        return self if self.told_at is None or self.told_at <= n_asked else Trial(self.row)


@dataclass(frozen=True)
class Proposal:
    """The next candidate to evaluate, and why."""

    row: int
    """The candidate."""
    phase: str
    """Purpose of the query, such as ``"explore"`` or ``"exploit"``."""
    weights: tuple[float, ...] | None = None
    """Weights of the combined metric that chose it, one a metric; None where the strategy has none."""
    reason: str = ""
    """One sentence for the report."""


@dataclass(frozen=True)
class Summary:
    """The knowledge that a strategy has gained from a history."""

    weights: tuple[float, ...] | None = None
    """Weights of its final combined metric, one a metric; None where it learns none."""
    combined: NDArray[np.float64] | None = None
    """The final combined metric of every candidate, (N,), higher is better; NaN for excluded ones."""
    n_explored: int | None = None
    """T0: queries spent on learning; None where there is no such phase."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Other facts for the report; JSON values."""


class Strategy(abc.ABC):
    """Decides which candidate deserves the next query.

    A deterministic function of the problem and the history in order of asking: a copy in another process that is
    given the same history proposes the same candidate, so resuming is replaying. What an instance remembers
    between calls is a cache of that function and nothing else.

    Laws, tested for every entry of the catalogue: never proposes a candidate of the history; every undefined
    score is survived; stops with `AskTellError` when the budget is spent or nothing is left; several queries may
    be pending.
    """

    name: ClassVar[str]
    """The name in the catalogue."""
    uses_scores: ClassVar[bool] = True
    """Whether it reads `Problem.scores`; without, nothing needs to be scored."""
    default_metrics: ClassVar[tuple[str, ...]] = AUTO_METRICS
    """Metrics that a search with it computes, unless told otherwise."""
    trades_off: ClassVar[bool] = False
    """Whether it reads `Problem.costs`, to find the front of the objective against known costs."""
    column_order_irrelevant: ClassVar[bool] = False
    """Claim, tested: permuting the metrics (names, directions and all) changes no proposal."""
    affine_change_irrelevant: ClassVar[bool] = False
    """Claim, tested: replacing a metric x by a·x + b with a > 0 changes no proposal."""

    @abc.abstractmethod
    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Choose the next candidate; called by `ask` with a history that leaves at least one."""

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:  # noqa: ARG002
        """Summarise what has been learned so far; an empty summary for strategies that learn no combined metric."""
        return Summary()

    def check_metrics(self, metrics: Sequence[str]) -> None:  # noqa: B027  # most take whatever there is
        """Raise unless a problem with these metrics has what the strategy needs; asked before anything is scored."""

    def without(self, family: str | None) -> Strategy:  # noqa: ARG002
        """Return this strategy without what it has learned from tables of a family of spaces; itself where nothing.

        An experiment on a task of that family asks for it, since a strategy must not be judged by what it has seen.

        Args:
            family: Name of the space of these tables, such as ``"nasbench201"``; None where it is unknown.
        """
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again; JSON values."""
        return {}

    def __repr__(self) -> str:
        return called(type(self).__name__, self.settings)

    @functools.cached_property
    def reference(self) -> str:
        """Text from which `make_strategy` makes this strategy again.

        For a strategy of the catalogue its `name`; for others ``package.module:NAME`` or ``/path/to/file.py:NAME``.
        """
        return self.name

    def ask(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Choose the next candidate to evaluate.

        Args:
            problem: The candidates and their scores.
            history: All queries so far in the order of asking, pending and failed ones included.

        Raises:
            AskTellError: The budget is spent, no candidate is left, or the history has an impossible or repeated row.
        """
        if not isinstance(problem, Problem):
            raise AskTellError(f"`problem` must be a Problem; got a {type(problem).__name__}.")
        check_history(problem, history)
        if len(history) >= problem.budget:
            raise AskTellError(f"The budget of {problem.budget} evaluations is spent; ask for a larger one to go on.")
        if len(history) >= len(problem):
            raise AskTellError(f"All {len(problem)} candidates have been evaluated; enlarge the pool to go on.")
        proposal = self.propose(problem, history)
        if any(proposal.row == trial.row for trial in history):
            raise AskTellError(
                f"Strategy {self.name!r} proposed candidate {proposal.row} twice. This is a fault of the strategy."
            )
        return proposal


def check_history(problem: Problem, history: Sequence[Trial]) -> None:
    """Raise unless every row exists, none repeats, and values are finite.

    Raises:
        AskTellError: The history is impossible for this problem.
    """
    given: object = history
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise AskTellError(f"A history must be a sequence of Trials; got {history!r}.")
    seen: set[int] = set()
    for number, trial in enumerate(history):
        if not isinstance(trial, Trial):
            raise AskTellError(f"A history must hold Trials; got {trial!r} at place {number}.")
        if not _is(trial.row, Integral):
            raise AskTellError(f"Trial {number} must name its candidate by a whole number; got {trial.row!r}.")
        if trial.value is not None and not _is(trial.value, Real):
            raise AskTellError(f"The value of trial {number} must be a number or None; got {trial.value!r}.")
        if trial.pruned is not None and not _is(trial.pruned, Integral):
            raise AskTellError(f"Trial {number} must be pruned after a whole number of steps; got {trial.pruned!r}.")
        if not 0 <= trial.row < len(problem):
            raise AskTellError(f"Trial {number} names candidate {trial.row}; there are {len(problem)}.")
        if trial.row in seen:
            raise AskTellError(f"Trial {number} repeats candidate {trial.row}; a candidate is evaluated once.")
        if trial.value is not None and (trial.failed or not np.isfinite(trial.value)):
            raise AskTellError(
                f"Trial {number} must have a finite value or be failed; got {trial.value} and failed={trial.failed}."
            )
        if trial.pruned is not None and trial.value is None:
            raise AskTellError(f"Trial {number} was pruned after step {trial.pruned}, so it must have a value of then.")
        if trial.told_at is not None and not (_is(trial.told_at, Integral) and trial.told_at > number):
            raise AskTellError(
                f"The answer of trial {number} must have come after {number + 1} or more queries; got {trial.told_at}."
            )
        if trial.told_at is not None and trial.pending:
            raise AskTellError(f"Trial {number} has no answer, so none can have come after {trial.told_at} queries.")
        seen.add(trial.row)


def _is(value: object, kind: type) -> bool:
    """Return whether a value is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def incumbent(history: Sequence[Trial]) -> Trial | None:
    """Return the best completed trial, never a pruned one; the earliest of equals; None where none has completed."""
    done = [
        (trial.value, -place, trial)
        for place, trial in enumerate(history)
        if trial.value is not None and trial.pruned is None
    ]
    return max(done, key=lambda entry: entry[:2])[2] if done else None
