"""HNAS: Bayesian optimisation of the two parameters of a training-free objective from theory.

| symbol | meaning | shape |
|---|---|---|
| m | the gradient metric, as its rank in the pool, in (0, 1) | (N,) |
| c | the condition number, as its rank, lower is better; 1 where there is none | (N,) |
| t, mu | target of m, in [0, 1], and the weight of missing it, 0.1 to 1,000 | scalars |
| S | c / m + mu |m² − t²|, what candidates are ranked by; lower is better | (N,) |

Source: Shu, Dai, Wu, Low, "Unifying and Boosting Gradient-Based Training-Free Neural Architecture Search", NeurIPS
    2022, arXiv 2201.09785: the bound on the generalisation error (condition number over trace norm of the tangent
    kernel, and a penalty for its distance from a target) and the optimisation of its two unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Summary, Trial
from robonas.strategies.scaling import is_dead, oriented, uniform_ranks
from robonas.strategies.structure import heard
from robonas.strategies.surrogate import NOISE, length_scale, standardised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TRACES = ("ntk_trace", "grad_norm", "snip", "grasp")
"""Gradient metrics that the theory can use, the one of the reference code first."""
CONDITION = "ntk_cond"
"""Name of the metric that is the condition number."""
LOG10_MU = (-1.0, 3.0)
"""Bounds of log10(mu)."""
N_SAMPLES = 10_000
"""Number of points of the unit square at which expected improvement is compared."""


@dataclass(frozen=True, eq=False)
class Step:
    """One proposed pair and the candidate that it recommends."""

    place: NDArray[np.float64]
    """(t, log10(mu) on its bounds), both in [0, 1]."""
    row: int
    """The candidate."""
    told: tuple[Trial, ...]
    """Values that were known of the candidates of all earlier pairs."""


class Hnas(Strategy):
    """Bayesian optimisation of the target and the weight of a generalisation bound on a gradient metric.

    S = c / m + mu |m² − t²| ranks the candidates; the first that was not evaluated is asked for, and a Gaussian process
    over (t, log mu) learns from its value. The first `probes` pairs have t on a grid and the middle mu, each following
    one maximises expected improvement (Matérn 5/2, one length scale).

    How this differs from the reference code:
        - It works on whatever metrics a pool has; the code computes the trace and the condition number.
        - m and c are ranks within the pool, so that units do not matter. The code multiplies t by a scale that was
          set by hand for each space (5,000 and 100).
        - mu lies in 0.1 to 1,000, since ranks are of the order of 1; there, in 1e-4 to 1 before that scale.
        - All candidates are ranked; there, a sample of 2,000 more at each step.
        - Expected improvement is compared at 10,000 random points, not climbed: what it recommends is piecewise
          constant anyway.

    Rules at the edges:
        - A candidate without the gradient metric (or the condition number, where it is used) comes after those
          that have them. Candidates of equal S stand in pool order; so do all where the gradient metric has no
          two different values.
        - A failure tells the process the worst value before it, a pending query the mean of all values.
        - The pairs are derived afresh, each from what was known when it was proposed, as the weights of `robot` are;
          where `Trial.told_at` is missing, the answer to a pending query may change what follows.
        - Of a growing pool, a pair chooses among those who were there when it was proposed, by the ranks of then.

    Args:
        trace: The gradient metric; None for the first of ntk_trace, grad_norm, snip and grasp that there is.
        condition: The metric in the place of the condition number; None for ntk_cond where there is one, else c = 1.
        probes: Number of pairs that come from the grid.

    Raises:
        ConfigError: `probes` is below 1. When asked: the problem has no such metric.
    """

    name: ClassVar[str] = "hnas"
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, trace: str | None = None, condition: str | None = None, probes: int = 5) -> None:
        if probes < 1:
            raise ConfigError(f"`probes` must be at least 1 pair; got {probes}.")
        self.trace = trace
        self.condition = condition
        self.probes = probes
        self._memory: _Memory | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"trace": self.trace, "condition": self.condition, "probes": self.probes}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": None}

    def check_metrics(self, metrics: Sequence[str]) -> None:
        """Check that the metrics include those that the objective needs.

        Raises:
            ConfigError: One of them is missing.
        """
        for role, name in (("trace", self.trace), ("condition", self.condition)):
            if name is not None and name not in metrics:
                raise ConfigError(
                    f"Strategy 'hnas' needs metric {name!r} for its `{role}`; "
                    f"there are {', '.join(metrics) or 'none'}. Score it too, or name another."
                )
        if self.trace is None and not set(TRACES) & set(metrics):
            raise ConfigError(
                f"Strategy 'hnas' needs a gradient metric, one of {', '.join(TRACES)}; there are "
                f"{', '.join(metrics) or 'none'}. Score one of them too, or name another by the setting `trace`."
            )

    def columns(self, metrics: Sequence[str]) -> tuple[str, str | None]:
        """Return the names of the gradient metric and of the condition number; None for the latter where c = 1."""
        trace = self.trace if self.trace is not None else next(name for name in TRACES if name in metrics)
        known = CONDITION if CONDITION in metrics and trace != CONDITION else None
        return trace, known if self.condition is None else self.condition

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the first candidate not evaluated in the ranking by the next pair of t and mu."""
        memory, told, step = self._replay(problem, history)
        phase = "explore" if len(told) < self.probes else "exploit"
        target, mu = pair_of(step.place)
        origin = "a probe" if phase == "explore" else "the largest expected improvement"
        reason = f"The best by {memory.told_by} with target {target:.2f} and weight {mu:.2g}, {origin}."
        if memory.dead:
            reason = f"The next in the pool, since {memory.trace} does not tell candidates apart."
        return Proposal(step.row, phase, reason=reason)

    def summarise(self, problem: Problem, history: Sequence[Trial]) -> Summary:
        """Return the ranking by the best pair so far.

        `details` has ``trace`` and ``condition`` (names of metrics, None where c = 1), and, once something has
        succeeded, ``target`` and ``mu`` of the pair whose candidate is the best.
        """
        memory, told, _ = self._replay(problem, history)
        details: dict[str, Any] = {"trace": memory.trace, "condition": memory.condition}
        values = [-np.inf if trial.value is None else trial.value for trial in told]
        if not np.isfinite(values).any():
            return Summary(details=details)
        best = memory.steps[int(np.argmax(values))]
        target, mu = pair_of(best.place)
        S = memory.objective(best.place)
        combined = np.where(np.isfinite(S), -S, np.nan)
        return Summary(combined=combined, details={**details, "target": target, "mu": mu})

    def _replay(self, problem: Problem, history: Sequence[Trial]) -> tuple[_Memory, list[Trial], Step]:
        """Return the answers that the pairs have led to, and the step that follows them."""
        if self._memory is None or self._memory.problem is not problem:
            self.check_metrics(problem.metrics)
            self._memory = _Memory(problem, *self.columns(problem.metrics), self.probes, self._memory)
        answers = {trial.row: trial for trial in history}
        told: list[Trial] = []
        while len(told) < len(problem):
            step = self._memory.step(tuple(trial.seen_after(len(told)) for trial in told))
            if step.row not in answers:
                return self._memory, told, step
            told.append(answers[step.row])
        return self._memory, told, self._memory.steps[-1]


class _Memory:
    """A cache of everything that is computed once for a problem, and of the steps so far."""

    def __init__(
        self, problem: Problem, trace: str, condition: str | None, probes: int, before: _Memory | None = None
    ) -> None:
        self.problem, self.trace, self.condition, self.probes = problem, trace, condition, probes
        used = [problem.metrics.index(name) for name in (trace, condition) if name is not None]
        signs = tuple(problem.higher_is_better[column] for column in used) if problem.higher_is_better else ()
        self._scores = oriented(problem.scores[:, used], signs)
        self._levels = self._present(len(problem))
        self.dead = bool(is_dead(self._scores)[0])
        self.told_by = trace if condition is None else f"{trace} and {condition}"
        self.steps: list[Step] = []
        if before is not None:
            self.steps = [step for number, step in enumerate(before.steps) if number < problem.since(before.problem)]

    def _present(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ranks m and c of the first `n` candidates, (n,) each."""
        scores = self._scores[:n]
        ranks, dead = uniform_ranks(scores), is_dead(scores)
        m = np.full(n, 0.5) if dead[0] else ranks[:, 0]
        c = np.ones(n) if self.condition is None or dead[1] else 1.0 - ranks[:, 1]
        return m, c

    def objective(self, place: NDArray[np.float64], n: int | None = None) -> NDArray[np.float64]:
        """Return S of every candidate, or of the first `n`; infinite where a metric is undefined."""
        target, mu = pair_of(place)
        m, c = self._levels if n is None or n == len(self.problem) else self._present(n)
        S = c / m + mu * np.abs(m**2 - target**2)
        full: NDArray[np.float64] = np.where(np.isnan(S), np.inf, S)
        return full

    def step(self, told: tuple[Trial, ...]) -> Step:
        """Return the pair that follows the answers so far, and its first candidate that no earlier pair led to."""
        number = len(told)
        if number < len(self.steps) and self.steps[number].told == told:
            return self.steps[number]
        del self.steps[number:]
        if number < self.probes:
            grid = np.linspace(0.0, 1.0, self.probes) if self.probes > 1 else np.array([0.5])
            place = np.array([grid[number], 0.5])
        else:
            generator = numpy_generator("hnas", self.problem.seed, number)
            tried = np.stack([step.place for step in self.steps])
            place = most_promising(tried, heard(told), generator.uniform(size=(N_SAMPLES, 2)))
        present = self.problem.n_present(number)
        order = np.argsort(self.objective(place, present if present > number else None), kind="stable")
        known = {step.row for step in self.steps}
        row = next(row for row in order.tolist() if row not in known)
        self.steps.append(Step(place, row, told))
        return self.steps[-1]


def pair_of(place: NDArray[np.float64]) -> tuple[float, float]:
    """Return the target t and the weight mu at a place of the unit square."""
    low, high = LOG10_MU
    return float(place[0]), float(10.0 ** (low + (high - low) * place[1]))


def most_promising(
    tried: NDArray[np.float64], values: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the place of the largest expected improvement over the best value, (2,).

    Args:
        tried: Places so far, (n, 2).
        values: Values of the candidates at these places, (n,).
        places: Places to compare, (k, 2).
    """
    import warnings

    import torch

    X, y = torch.from_numpy(tried), torch.from_numpy(standardised(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries underneath: deprecations of each other
        from botorch.acquisition import LogExpectedImprovement
        from botorch.models import SingleTaskGP
        from gpytorch.kernels import MaternKernel
        from gpytorch.means import ZeroMean

        model = SingleTaskGP(
            X,
            y.unsqueeze(1),
            train_Yvar=torch.full((len(y), 1), NOISE, dtype=torch.float64),
            covar_module=MaternKernel(nu=2.5).double(),
            mean_module=ZeroMean(),
            outcome_transform=None,
        )
        model.covar_module.lengthscale = length_scale(X, y)
        with torch.no_grad():
            gains = LogExpectedImprovement(model.eval(), best_f=y.max())(torch.from_numpy(places).unsqueeze(1))
    chosen: NDArray[np.float64] = places[int(torch.argmax(gains.nan_to_num(nan=-torch.inf)))]
    return chosen
