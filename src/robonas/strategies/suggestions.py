"""The base of strategies in which one of Optuna's samplers chooses: the history as a study, its suggestion as a row."""

from __future__ import annotations

import abc
import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np
from robonas.common.randomness import derive_seed
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Trial
from robonas.strategies.structure import free_rows, hamming, known_values, n_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import optuna
    from numpy.typing import NDArray

_TURN = threading.RLock()
"""Held while a sampler works: what it changes for that time, levels of loggers among it, is the process's."""


class SamplerStrategy(Strategy):
    """A strategy that asks a sampler of Optuna for options and takes the free candidate that is nearest to them.

    Every choice of `Problem.codes` is a categorical parameter. For each proposal a study in memory is made of the
    history and a new sampler, seeded by the problem's seed and the number of queries, is asked: so a proposal is
    a function of the problem and the history, and Optuna's own state plays no part.

    Rules:
        - A suggestion that is not in the pool, or was asked for before, stands for the candidate that differs
          from it in the fewest choices; of equals, the first in the pool.
        - A failure counts as the worst value seen, and is no trial at all while nothing has succeeded. A pending
          query is a running trial, which the samplers keep away from. A pruned one is a pruned trial where the
          sampler learns from those, else a finished one with the value that it had.
        - Without `Problem.codes`, or where they do not differ, there is nothing to model, and candidates are
          drawn uniformly.

    Args:
        startup: Number of random queries before the model chooses; None for a third of the
            budget, at least 2 and at most Optuna's own 10.

    Raises:
        ConfigError: `startup` is below 1.
    """

    uses_scores: ClassVar[bool] = False
    trades_off: ClassVar[bool] = True
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True
    title: ClassVar[str]
    """The sampler's name in sentences."""
    learns_from_pruned: ClassVar[bool] = False
    """Whether the sampler looks at pruned trials, and knows that they are."""

    def __init__(self, startup: int | None = None) -> None:
        if startup is not None and startup < 1:
            raise ConfigError(f"`startup` must be at least 1 query; got {startup}.")
        self.startup = startup

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"startup": self.startup}

    @abc.abstractmethod
    def sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        """Make a new sampler."""

    def attributes(self, n_before: int, startup: int) -> dict[str, Any]:  # noqa: ARG002
        """Return what the sampler would have noted in a trial after `n_before` completed ones; nothing for most."""
        return {}

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the candidate that is nearest to the sampler's suggestion."""
        free = np.flatnonzero(free_rows(problem, history))
        seed = derive_seed(self.name, problem.seed, len(history)) % 2**32
        if problem.codes is None or (problem.codes == problem.codes[0]).all():
            row = int(np.random.default_rng(seed).choice(free))
            return Proposal(row, "explore", reason="Drawn uniformly, since the candidates have no choices to model.")
        startup = min(10, max(2, problem.budget // 3)) if self.startup is None else self.startup
        values = known_values(history)
        suggestion = self._suggestion(problem, values, history, seed, startup)
        distance = hamming(problem.codes[free], suggestion)
        place = int(np.argmin(distance))
        modelled = len(values) >= startup
        how = f"Suggested by {self.title}" if modelled else f"Drawn at random before {self.title} begins to model"
        off = int(distance[place])
        if off:
            how += f"; the nearest that was not evaluated, {off} choice{'s' if off > 1 else ''} away"
        return Proposal(int(free[place]), "exploit" if modelled else "explore", reason=f"{how}.")

    def _suggestion(
        self,
        problem: Problem,
        values: dict[int, float],
        history: Sequence[Trial],
        seed: int,
        startup: int,
    ) -> NDArray[np.int64]:
        """Return the options for every choice, (n_choices,)."""
        import optuna
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.study import StudyDirection
        from optuna.trial import TrialState, create_trial

        assert problem.codes is not None
        codes, costs = problem.codes, problem.costs
        # -1 where architectures may leave a choice out.
        ranges = [range(low, count) for low, count in zip(codes.min(axis=0).tolist(), n_options(codes), strict=True)]
        space: dict[str, BaseDistribution] = {
            str(choice): CategoricalDistribution(options) for choice, options in enumerate(ranges) if len(options) > 1
        }
        with quiet():
            n_costs = 0 if costs is None else costs.shape[1]
            directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * n_costs]
            study = optuna.create_study(directions=directions, sampler=self.sampler(seed, startup))
            n_complete = 0
            for trial in history:
                if not (trial.pending or trial.row in values):
                    continue
                pruned = trial.pruned is not None and self.learns_from_pruned and costs is None
                value = values.get(trial.row)
                prices = [] if costs is None else costs[trial.row].tolist()
                done = TrialState.PRUNED if pruned else TrialState.COMPLETE
                study.add_trial(
                    create_trial(
                        state=TrialState.RUNNING if trial.pending else done,
                        values=None if value is None else [value, *prices],
                        intermediate_values={trial.pruned or 0: values[trial.row]} if pruned else None,
                        params={name: int(codes[trial.row, int(name)]) for name in space},
                        distributions=space,
                        system_attrs=self.attributes(n_complete, startup),
                    )
                )
                n_complete += not (trial.pending or pruned)
            asked = study.ask(space).params
        return np.array([asked.get(str(choice), options[0]) for choice, options in enumerate(ranges)], dtype=np.int64)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log and its warnings about experimental features; one thread at a time."""
    logger = logging.getLogger("optuna")
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
