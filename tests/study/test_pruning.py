"""Pruners by name and by hand: their verdicts, settings that tell them apart, and nothing of the user's changed."""

from __future__ import annotations

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, PatientPruner, SuccessiveHalvingPruner

from robonas.errors import ConfigError, UnknownNameError
from robonas.study.pruning import PRUNERS, Pruning


def verdicts(pruner, curves, direction="maximize") -> list[int]:
    """After how many steps each of some trainings is ended."""
    study = optuna.create_study(study_name="s", direction=direction, pruner=pruner)
    ended = []
    for curve in curves:
        trial = study.ask()
        step = 0
        for step, value in enumerate(curve, 1):
            trial.report(value, step)
            if step < len(curve) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curve[-1])
        ended.append(step)
    return ended


CURVES = [[0.1 * level * step for step in range(1, 10)] for level in (5, 4, 3, 2, 6, 1, 7, 4)]


def test_names_are_sorted_and_known() -> None:
    assert list(PRUNERS) == sorted(PRUNERS)
    with pytest.raises(UnknownNameError, match=r"Unknown pruner 'medain'\. Did you mean 'median'\?"):
        Pruning("medain")
    with pytest.raises(ConfigError, match=r"one of hyperband, .*, or a pruner of Optuna; got int"):
        Pruning(3)  # type: ignore[arg-type]


def test_successive_halving_keeps_the_best_third_at_each_rung() -> None:
    # At step 1 the values 5 4 3 2 6 1 7 4 come one by one; only 5, 6 and 7 are in the best third of those before.
    assert verdicts(Pruning("successive_halving").pruner(9), CURVES) == [9, 1, 1, 1, 9, 1, 9, 1]
    losses = [[-value for value in curve] for curve in CURVES]
    assert verdicts(Pruning("successive_halving").pruner(9), losses, "minimize") == [9, 1, 1, 1, 9, 1, 9, 1]


def test_the_median_needs_five_that_finished() -> None:
    # The median of 5 4 3 2 6 is 4: 1 is below it, 7 above. With 7 it is 4.5, so the last 4 is below.
    assert verdicts(Pruning("median").pruner(9), CURVES) == [9, 9, 9, 9, 9, 1, 9, 1]


def test_hyperband_has_brackets_up_to_the_number_of_epochs() -> None:
    ended = verdicts(Pruning("hyperband").pruner(9), CURVES * 6)
    assert set(ended) == {1, 3, 9}
    assert ended == verdicts(HyperbandPruner(min_resource=1, max_resource=9), CURVES * 6)


def test_a_pruner_is_made_once() -> None:
    pruning = Pruning("hyperband")
    assert pruning.pruner(9) is pruning.pruner(9)
    assert pruning.settings == {"name": "hyperband"}


def test_a_pruner_of_the_users_is_copied_and_described() -> None:
    given = HyperbandPruner(min_resource=2)
    pruning = Pruning(given)
    before = dict(vars(given))
    assert pruning.settings["name"] == "optuna.pruners._hyperband:HyperbandPruner"
    assert pruning.settings["min_resource"] == 2
    assert pruning.settings["max_resource"] == "auto"
    verdicts(pruning.pruner(9), CURVES)
    assert vars(given) == before
    assert Pruning(MedianPruner(n_startup_trials=3)).settings != Pruning(MedianPruner()).settings
    nested = Pruning(PatientPruner(SuccessiveHalvingPruner(reduction_factor=2), patience=1)).settings
    assert nested["wrapped_pruner"]["reduction_factor"] == 2
    assert nested["patience"] == 1
