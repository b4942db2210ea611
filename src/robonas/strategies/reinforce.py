"""REINFORCE over the architectures' own choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np, special
from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Trial
from robonas.strategies.structure import codes_of, free_rows, known_values, n_options, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BASELINE_MOMENTUM = 0.9
"""Decay of the running mean of rewards that is subtracted from each reward."""
PATIENCE = 25
"""Number of samples for each query made; after them, the free candidate nearest to the last sample is proposed."""


class Reinforce(Strategy):
    """A categorical distribution for each choice, moved by the policy gradient with Adam.

    Logits begin at 0.001 times normal noise; the baseline is a running mean, updated before it is subtracted. A
    sample that was evaluated before updates the policy again and costs nothing; one that is not in the pool
    stands for the candidate that differs from it in the fewest choices. A failure counts as the worst value; a
    pending sample is no lesson yet, and one whose answer came late is a lesson from then on (`Trial.told_at`).

    Args:
        learning_rate: Learning rate of Adam.

    Raises:
        ConfigError: It is not above 0.

    Source:
        Williams, Machine Learning 8, 1992; the set-up is that of Dong and Yang, "NAS-Bench-201", ICLR 2020, as in the
        reference code of RoBoT.
    """

    name: ClassVar[str] = "reinforce"
    uses_scores: ClassVar[bool] = False
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, learning_rate: float = 0.01) -> None:
        if not learning_rate > 0:
            raise ConfigError(f"`learning_rate` must be above 0; got {learning_rate}.")
        self.learning_rate = learning_rate

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"learning_rate": self.learning_rate}

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the first sample of the policy that was not evaluated."""
        codes = codes_of(problem)
        options = n_options(codes)
        generator = numpy_generator("reinforce", problem.seed)
        policy = _Policy(options, generator, self.learning_rate)
        everywhere, free, values = np.ones(len(problem), dtype=bool), free_rows(problem, history), known_values(history)
        rows = {tuple(code): row for row, code in enumerate(codes.tolist())}
        trials, asked, unheard = {trial.row: trial for trial in history}, set(), list[int]()
        sample = policy.sample(generator)
        for _ in range(PATIENCE * (len(history) + 1)):
            row = rows.get(tuple(sample.tolist()), -1)
            if row < 0:
                row = nearest(codes, sample, everywhere, generator)
            if free[row]:
                return Proposal(row, "explore", reason="Sampled from the policy.")
            asked.add(row)
            if row not in unheard:
                unheard.append(row)
            for lesson in [row for row in unheard if not trials[row].seen_after(len(asked)).pending]:
                unheard.remove(lesson)
                if lesson in values:
                    policy.learn(codes[lesson], values[lesson])
            sample = policy.sample(generator)
        row = nearest(codes, sample, free, generator)
        return Proposal(row, "explore", reason="The nearest to what the policy keeps sampling.")


class _Policy:
    """The logits of a policy, their Adam moments and the baseline."""

    def __init__(self, options: NDArray[np.int64], generator: np.random.Generator, learning_rate: float) -> None:
        self.allowed = np.arange(options.max(initial=1)) < options[:, None]
        self.logits = 1e-3 * generator.standard_normal(self.allowed.shape)
        self.learning_rate = learning_rate
        self.first, self.second, self.n_steps = np.zeros_like(self.logits), np.zeros_like(self.logits), 0
        self.baseline: float | None = None

    def probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each option, (n_choices, most options)."""
        masked: NDArray[np.float64] = special.softmax(np.where(self.allowed, self.logits, -np.inf), axis=1)
        return masked

    def sample(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw an option for each choice."""
        below = np.cumsum(self.probabilities(), axis=1) < generator.random((len(self.logits), 1))
        sample: NDArray[np.int64] = np.minimum(below.sum(axis=1), self.allowed.sum(axis=1) - 1)
        return sample

    def learn(self, code: NDArray[np.int64], reward: float) -> None:
        """Take one step of Adam along (reward − baseline) times the gradient of the log-probability."""
        old = 0.0 if self.baseline is None else self.baseline
        self.baseline = BASELINE_MOMENTUM * old + (1 - BASELINE_MOMENTUM) * reward
        chosen = np.zeros_like(self.logits)
        chosen[np.arange(len(code)), code] = 1.0
        gradient = (reward - self.baseline) * (chosen - self.probabilities())
        self.n_steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        step = self.first / (1 - 0.9**self.n_steps)
        self.logits = self.logits + self.learning_rate * step / (
            np.sqrt(self.second / (1 - 0.999**self.n_steps)) + 1e-8
        )
