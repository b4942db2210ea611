"""Ending hopeless trainings early, by Optuna's pruners: fewer epochs for the same number of networks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from robonas.common.registry import lookup
from robonas.errors import ConfigError
from robonas.study.trials import COSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState


def hyperband(steps: int) -> optuna.pruners.BasePruner:
    """Make a pruner of successive halving by thirds, in brackets that begin at epoch 1, 3, 9 and so on.

    A network's bracket goes by its number and the study's name. Li et al., JMLR 18, 2018, in the asynchronous form of
    Optuna; with the strategy `tpe`, this is BOHB (Falkner, Klein, Hutter, ICML 2018).
    """
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=1, max_resource=steps, reduction_factor=3)


def median(steps: int) -> optuna.pruners.BasePruner:  # noqa: ARG001
    """Make a pruner that ends a training whose best is below the median of earlier ones, once five have finished.

    Golovin et al., Google Vizier, KDD 2017.
    """
    from optuna.pruners import MedianPruner

    return MedianPruner()


def successive_halving(steps: int) -> optuna.pruners.BasePruner:  # noqa: ARG001
    """Make a pruner that lets only the best third so far go on at epochs 1, 3, 9 and so on.

    Li et al., MLSys 2020, arXiv 1810.05934, in the form of Optuna, which never takes a training up again.
    """
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)


PRUNERS: Mapping[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "hyperband": hyperband,
    "median": median,
    "successive_halving": successive_halving,
}
"""Every pruner by name, from the number of epochs of a full training."""


class Pruning:
    """The pruner of a search.

    Args:
        pruner: A name in `PRUNERS`, or a pruner of Optuna, of which a copy is used.

    Raises:
        UnknownNameError: There is no such pruner.
        ConfigError: It is neither.
    """

    def __init__(self, pruner: str | optuna.pruners.BasePruner) -> None:
        from optuna.pruners import BasePruner

        self._made: optuna.pruners.BasePruner | None = None
        if isinstance(pruner, str):
            self._make: Callable[[int], BasePruner] | None = lookup("pruner", pruner, PRUNERS)
            self.settings: dict[str, Any] = {"name": pruner}
        elif isinstance(pruner, BasePruner):
            self._make, self._made = None, copy.deepcopy(pruner)
            self.settings = _description(pruner)
        else:
            raise ConfigError(
                f"`pruner` must be one of {', '.join(PRUNERS)}, or a pruner of Optuna; got {type(pruner).__name__}."
            )

    def pruner(self, steps: int) -> optuna.pruners.BasePruner:
        """Return the pruner, for trainings of so many epochs."""
        if self._made is None:
            assert self._make is not None
            self._made = self._make(steps)
        return self._made

    def verdict(self, study: optuna.Study, trial_id: int, steps: int) -> tuple[bool, dict[str, Any]]:
        """Return whether to end a training after the last step that it has reported; nothing is written.

        Args:
            study: The search's.
            trial_id: The training's.
            steps: Epochs of a full training.

        Returns:
            The answer, and what the pruner wants to be noted with the trial: system attributes.
        """
        import optuna

        pruner = self.pruner(steps)
        noting = _Noting(study._storage, study, trial_id)  # noqa: SLF001
        seen = optuna.Study(study.study_name, noting, pruner=pruner)  # type: ignore[arg-type]
        return pruner.prune(seen, noting.get_trial(trial_id)), noting.notes


class _Noting:
    """A storage that keeps for itself what a pruner writes.

    Successive halving writes that a training has come to a rung before it answers. A stop between that and the record
    of the answer would let it answer otherwise.

    Of a study with costs it shows the value alone, and of the other trials those that cost no more: a training is
    hopeless where cheaper networks are better, while a cheap network may be on the front though dearer ones are better.
    """

    def __init__(self, storage: optuna.storages.BaseStorage, study: optuna.Study, trial_id: int) -> None:
        self._storage = storage
        self._n_objectives = len(study.directions)
        self._own = trial_id
        self.notes: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the direction of the value alone."""
        return self._storage.get_study_directions(study_id)[:1]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._seen(self._storage.get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials with which this one is compared."""
        trials = self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        if self._n_objectives == 1:
            return trials
        own = _costs(self._storage.get_trial(self._own))
        return [self._seen(trial) for trial in trials if _no_dearer(trial, own)]

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the completed trial with the best value among those with which this one is compared."""
        if self._n_objectives == 1:
            return self._storage.get_best_trial(study_id)
        done = [trial for trial in self.get_all_trials(study_id) if trial.state.name == "COMPLETE"]
        if not done:
            raise ValueError("No trials are completed yet.")
        best = max if self.get_study_directions(study_id)[0].name == "MAXIMIZE" else min
        return best(done, key=lambda trial: trial.values[0])

    def _seen(self, trial: FrozenTrial) -> FrozenTrial:
        """Return the trial with its value alone."""
        if self._n_objectives == 1 or not trial.values:
            return trial
        seen = copy.copy(trial)
        seen.values = trial.values[:1]
        return seen

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ARG002
        self.notes[key] = value


def _costs(trial: FrozenTrial) -> Sequence[float]:
    costs: Sequence[float] = trial.user_attrs.get(COSTS, ())
    return costs


def _no_dearer(trial: FrozenTrial, costs: Sequence[float]) -> bool:
    """Return whether no cost of a trial is above these."""
    own = _costs(trial)
    return len(own) == len(costs) and all(one <= other for one, other in zip(own, costs, strict=True))


def _description(pruner: optuna.pruners.BasePruner) -> dict[str, Any]:
    """Return its class and its plain attributes, those of a pruner within it included; JSON values."""
    from optuna.pruners import BasePruner

    kind = type(pruner)
    said: dict[str, Any] = {"name": f"{kind.__module__}:{kind.__qualname__}"}
    for name, value in vars(pruner).items():
        if isinstance(value, BasePruner):
            said[name.strip("_")] = _description(value)
        elif value is None or isinstance(value, (str, int, float)):
            said[name.strip("_")] = value
    return said
