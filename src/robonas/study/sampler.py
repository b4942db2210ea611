"""A strategy as an Optuna sampler, for people's own Optuna and Ray Tune code."""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from robonas.architecture import Architecture
from robonas.common.settings import count_of, seed_of
from robonas.errors import ConfigError, ScoreTableError
from robonas.metrics import METRICS
from robonas.strategies import Strategy, make_strategy
from robonas.strategies.base import Problem, Trial, incumbent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from robonas.scores.table import ScoreTable
    from robonas.spaces import SearchSpace


class StrategySampler(optuna.samplers.BaseSampler):
    """Suggests the choices of the candidate that a strategy of robonas asks for next.

    The history is read from the study's trials each time: so a study in a database is resumed, several threads or
    processes may work on it, and trials that others have added count. Parameters of the objective that are no
    choices of the space, such as a learning rate, are left to another sampler.

    Rules:
        - A running trial is a pending query, a failed one, or one whose value is infinite, a failure, and a pruned
          one counts with its last value. Of several trials of one candidate the first that has a value counts.
          Trials whose parameters are no candidate count for nothing.
        - A study may go on past the budget: each further trial is asked for as the last of a budget larger by one.
        - With the last candidate the study is told to stop. A worker that asks all the same gets the best again.
        - Threads of one process never get the same candidate. Processes that ask at the very same moment may;
          `robonas.search` has a lock against it.

    Args:
        space: Space of the candidates.
        scores: The candidates and their scores, from `robonas.score`.
        strategy: A name, or a `Strategy`.
        budget: Number of planned trials; some strategies spread their exploration over it.
        seed: Seed of the strategy.
        lower_is_better: Names of own metrics that point downwards; those of the catalogue are known.
        independent_sampler: Sampler of other parameters; None for random values.

    Raises:
        ConfigError: A budget below 1, or metrics that the strategy cannot work with. When asked: a study with
            several objectives.
        ScoreTableError: The table is empty, or `lower_is_better` names a metric that it has not.

    Example:
        >>> import optuna, robonas
        >>> space = robonas.NASBench201(input_shape=(1, 8, 8), n_classes=10, channels=2, depth=1)
        >>> batch = robonas.load_dataset("digits").batch(16, 0)
        >>> scores = robonas.score(space, space.sample(20, 0), ["snip", "synflow"], batch)
        >>> sampler = robonas.StrategySampler(space, scores, budget=5)
        >>> study = optuna.create_study(direction="maximize", sampler=sampler)
        >>> study.optimize(lambda trial: sampler.architecture(trial)["edge_0_1"] == "nor_conv_3x3", n_trials=5)
        >>> study.best_value
        1.0
    """

    def __init__(
        self,
        space: SearchSpace,
        scores: ScoreTable,
        strategy: str | Strategy = "auto",
        *,
        budget: int = 20,
        seed: int = 0,
        lower_is_better: Collection[str] = (),
        independent_sampler: optuna.samplers.BaseSampler | None = None,
    ) -> None:
        if len(scores) == 0:
            raise ScoreTableError("The table must have at least one architecture; it has none.")
        for name in lower_is_better:
            if name not in scores.metrics:
                raise ScoreTableError(
                    f"The table has no metric {name!r}; it has {', '.join(scores.metrics) or 'none'}."
                )
        self.space = space
        self.strategy = make_strategy(strategy)
        self.strategy.check_metrics(scores.metrics)
        seed = seed_of(seed)
        self._independent = independent_sampler or optuna.samplers.RandomSampler(seed=seed % 2**32)
        self._choices = dict(space.choices)
        rows = scores.distinct
        self._candidates = [space.parse(scores.architectures[row]) for row in rows]
        canonical = [space.parse(text) for text in scores.frame["canonical"].iloc[rows]]
        self._row_of = {architecture: row for row, architecture in enumerate(canonical)}
        self._problem = Problem(
            scores.scores[rows],
            scores.metrics,
            count_of("budget", budget, "trial"),
            seed,
            tuple(
                name not in lower_is_better and (name not in METRICS or METRICS[name].higher_is_better)
                for name in scores.metrics
            ),
            np.stack([space.encode(architecture) for architecture in canonical]),
        )
        self._key = f"robonas:{scores.fingerprint()}"
        self._turn = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_turn": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._turn = threading.RLock()

    def architecture(self, trial: optuna.Trial) -> Architecture:
        """Return the candidate that a trial is to evaluate; to be called in the objective.

        Does what ``trial.suggest_categorical(name, options)`` for each of its choices does, and knows which choices it
        has where some mean nothing under others.
        """
        _ = trial.relative_params  # asks for the candidate, where Optuna has not done it yet
        attributes = trial.storage.get_trial_system_attrs(trial._trial_id)  # noqa: SLF001
        row = attributes.get(self._key)
        names = _fixed(attributes) if row is None else self._candidates[row]
        chosen = [name for name in self._choices if name in names] or list(self._choices)
        return Architecture({name: trial.suggest_categorical(name, self._choices[name]) for name in chosen})

    # ── what Optuna calls ──

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return no parameters: choices come from `sample_independent`, which knows their kind."""
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Ask for the trial's candidate and note it in the study, unless `enqueue_trial` has set parameters."""
        if len(study.directions) > 1:
            raise ConfigError("A strategy has one objective; this study has several. Use another sampler for it.")
        if not _fixed(trial.system_attrs):
            with self._turn:
                study._storage.set_trial_system_attr(trial._trial_id, self._key, self._next(study, trial))  # noqa: SLF001
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the candidate's option for a parameter of any kind; parameters that are no choice are drawn."""
        row = trial.system_attrs.get(self._key)
        if row is None or param_name not in self._candidates[row]:
            return self._independent.sample_independent(study, trial, param_name, param_distribution)
        option = self._candidates[row][param_name]
        try:
            known = param_distribution._contains(param_distribution.to_internal_repr(option))  # noqa: SLF001
        except (TypeError, ValueError):
            known = False
        if not known:
            raise ConfigError(
                f"Choice {param_name!r} is {option!r} in the candidate that is asked for, which the objective does not "
                f"allow ({param_distribution}). Suggest all options of the space: {list(self._choices[param_name])}."
            )
        return option

    def _next(self, study: optuna.Study, trial: FrozenTrial) -> int:
        history = self._history(study, trial)
        if len(history) + 1 >= len(self._problem):
            with contextlib.suppress(RuntimeError):  # not within `optimize`, so there is nothing to stop
                study.stop()
        if len(history) >= len(self._problem):
            best = incumbent(history)
            return history[0].row if best is None else best.row
        if len(history) >= self._problem.budget:
            self._problem = replace(self._problem, budget=len(history) + 1)
        return self.strategy.ask(self._problem, history).row

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Pass on to the other sampler."""
        self._independent.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Pass on to the other sampler."""
        self._independent.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Pass on to the other sampler; the strategy draws what its seed says."""
        self._independent.reseed_rng()

    # ── the history ──

    def _history(self, study: optuna.Study, current: FrozenTrial) -> list[Trial]:
        """Return all queries of the study in the order of asking, as the strategy sees them."""
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        found: dict[int, Trial] = {}
        # From the storage, since a pruner such as Hyperband's shows its sampler a part of the study.
        for trial in study._storage.get_all_trials(study._study_id, deepcopy=False):  # noqa: SLF001
            row = None if trial.number == current.number else self._row(trial)
            if row is not None and (row not in found or found[row].value is None):
                found[row] = _told(row, trial, sign)
        return list(found.values())

    def _row(self, trial: FrozenTrial) -> int | None:
        """Return the candidate of a trial, by its parameters, or by what was suggested where they are incomplete."""
        chosen = Architecture({name: option for name, option in trial.params.items() if name in self._choices})
        if self.space.contains(chosen):
            return self._row_of.get(self.space.canonical(chosen))
        row = trial.system_attrs.get(self._key)
        return None if row is None else int(row)


def _fixed(system_attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters that `enqueue_trial` has set; none for most trials."""
    fixed: Mapping[str, Any] = system_attrs.get("fixed_params", {})
    return fixed


def _told(row: int, trial: FrozenTrial, sign: float) -> Trial:
    if not trial.state.is_finished():
        return Trial(row)
    if trial.state == TrialState.FAIL or trial.value is None or not math.isfinite(trial.value):
        return Trial(row, failed=True)
    return Trial(row, sign * trial.value, pruned=trial.last_step if trial.state == TrialState.PRUNED else None)
