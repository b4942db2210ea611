"""A search as it was asked for: what is checked, and on what its trials depend."""

from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import ConfigError, UnknownNameError
from robonas.scores.scoring import Scorer
from robonas.study.limits import Limits
from robonas.study.loop import search
from robonas.study.plan import Plan, cache_file
from robonas.study.pruning import Pruning
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
GIVEN = {
    "metrics": ("synflow", "params"), "limits": None, "strategy": "robot", "budget": 4, "seed": 0, "grow": 0,
    "pruner": None,
}  # fmt: skip


def plan(objective=None, **changes) -> Plan:
    return Plan.made(SPACE, objective or CountParameters(), **{**GIVEN, **changes})


def run(folder=None, objective=None, **changes):
    settings = {"metrics": CHEAP, "pool": 30, "budget": 4, "strategy": "random", **changes}
    return search(SPACE, objective or CountParameters(), folder=folder, **settings)


def test_names_become_what_they_stand_for() -> None:
    made = plan(pruner="median")
    assert [metric.name for metric in made.metrics] == ["synflow", "params"]
    assert made.strategy.name == "robot"
    assert made.higher_is_better == [metric.higher_is_better for metric in made.metrics]
    assert isinstance(made.pruning, Pruning)
    assert plan().pruning is None


def test_a_strategy_that_reads_no_scores_has_no_metrics_and_no_scorer() -> None:
    made = plan(strategy="random")
    assert made.metrics == ()
    assert made.candidates(small_batch(), 8, None, 1, None, "cpu").scorer is None
    bounded = plan(strategy="random", limits=Limits(at_most={"depth": 9}))
    assert bounded.candidates(small_batch(), 8, None, 1, None, "cpu").scorer is not None


def test_the_scorer_has_the_objectives_batch_and_a_cache_in_the_folder(tmp_path) -> None:
    scorer = plan(seed=3).candidates(None, 8, None, 2, tmp_path, "cpu").scorer
    assert (scorer.seed, scorer.n_jobs) == (3, 2)
    assert scorer.batch.fingerprint() == small_batch(8, 3).fingerprint()
    assert scorer.cache == tmp_path / cache_file(scorer)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"budget": 0}, ConfigError, "`budget` must be at least 1"),
        ({"grow": -1}, ConfigError, "`grow` must be at least 0"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"strategy": "robto"}, UnknownNameError, "Did you mean 'robot'"),
        ({"metrics": ("sinflow",)}, UnknownNameError, "Did you mean 'synflow'"),
    ],
)
def test_mistakes_are_told(changes, error, message) -> None:
    with pytest.raises(error, match=message):
        plan(**changes)


def test_settings_hold_all_that_changes_a_trial_but_the_budget() -> None:
    pairs = [("a", "a"), ("b", "a")]
    usual = plan().settings(pairs)
    assert usual == plan(budget=9).settings(pairs)
    others = [
        plan(seed=1).settings(pairs),
        plan(metrics=("params", "synflow")).settings(pairs),
        plan(strategy="average_rank").settings(pairs),
        plan(grow=1).settings(pairs),
        plan(pruner="median").settings(pairs),
        plan(limits=Limits(max_params=9)).settings(pairs),
        plan(CountParameters(direction="minimize")).settings(pairs),
        plan().settings(pairs[:1]),
    ]
    assert all(other != usual for other in others)


def test_each_space_batch_and_seed_has_a_cache_of_its_own() -> None:
    other = type(SPACE)(input_shape=(1, 8, 8), channels=3, depth=1)
    names = {
        cache_file(Scorer(SPACE, small_batch(), seed=0)),
        cache_file(Scorer(SPACE, small_batch(), seed=1)),
        cache_file(Scorer(SPACE, small_batch(seed=1), seed=0)),
        cache_file(Scorer(other, small_batch(), seed=0)),
    }
    assert len(names) == 4
    assert cache_file(Scorer(SPACE, small_batch(), seed=0, n_jobs=2)) in names


def test_another_seed_may_share_the_folder(tmp_path) -> None:
    run(tmp_path, strategy="average_rank")
    assert len(run(tmp_path, strategy="average_rank", seed=1, name="second").queries) == 4
    assert len(list(tmp_path.glob("cache-*.parquet"))) == 2


@pytest.mark.parametrize("odd", [{"x": float("nan")}, {1: 2}, {"t": (1, 2)}])
def test_settings_of_any_json_kind_resume(tmp_path, odd) -> None:
    class Odd(CountParameters):
        @property
        def settings(self):
            return odd

    run(tmp_path, Odd(), budget=1)
    assert len(run(tmp_path, Odd(), budget=2).queries) == 2


def test_settings_that_json_cannot_hold_are_told() -> None:
    class Odd(CountParameters):
        @property
        def settings(self):
            return {"x": object()}

    with pytest.raises(ConfigError, match="must be JSON values"):
        run(objective=Odd())


@pytest.mark.parametrize(
    "changes", [{"pool": 2.5}, {"pool": True}, {"budget": "3"}, {"budget": 2.5}, {"budget": True}, {"pool": "30"}]
)
def test_numbers_that_are_none_are_told(changes) -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        run(**changes)


def test_numbers_of_numpy_are_numbers() -> None:
    assert len(run(pool=np.int64(20), budget=np.int32(2)).queries) == 2
