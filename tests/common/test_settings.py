"""Rules that many settings share."""

from __future__ import annotations

import numpy as np
import pytest

from robonas.common.settings import name_of, read_toml, seed_of
from robonas.errors import ConfigError, NasError
from robonas.experiments import Contender, Task, run_experiment
from robonas.objectives import TrainingObjective
from robonas.retraining import train
from robonas.scores.scoring import score
from robonas.study.limits import Limits
from robonas.study.loop import load_result, search
from robonas.study.sampler import StrategySampler
from robonas.training.recipe import Recipe
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
BAD_NAMES = ["", " ", ".", "..", "../../x", "a/b", "/x", "a\\b", "a\nb", "a\0b", "x" * 101, "-x", "x.", None, 3, b"x"]
BAD_SEEDS = [-1, 2**63, 10**26, "1", 1.0, None, True, np.float64(1), np.array([1, 2])]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_names_are_names(tmp_path, name) -> None:
    with pytest.raises(ConfigError, match="`name` must be 1 to 100 letters, digits or '_'"):
        name_of(name)
    with pytest.raises(ConfigError, match="`name` must be"):
        search(SPACE, CountParameters(), folder=tmp_path / "run", name=name)
    with pytest.raises(ConfigError, match="`name` must be"):
        load_result(tmp_path, name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["search", "a", "_", "search-random", "été 2", "v1.2+x", "x" * 100])
def test_what_is_a_name(name) -> None:
    assert name_of(name) == name


@pytest.mark.parametrize("seed", BAD_SEEDS, ids=repr)
def test_seeds_have_a_range_everywhere(tmp_path, seed) -> None:
    batch = small_batch()
    table = score(SPACE, SPACE.sample(3, 0), ["params"], batch)
    task = Task("t", ("a", "b"), np.ones((2, 1)), ("m",), np.ones(2))
    for call in (
        lambda: seed_of(seed),
        lambda: SPACE.sample(2, seed),
        lambda: score(SPACE, SPACE.sample(2, 0), ["params"], batch, seed=seed),
        lambda: search(SPACE, CountParameters(), metrics=CHEAP, folder=tmp_path / "run", seed=seed),
        lambda: StrategySampler(SPACE, table, seed=seed),
        lambda: run_experiment([task], [Contender("random")], budget=1, seeds=[seed]),
    ):
        with pytest.raises(ConfigError, match=r"`seeds?` must be (from 0 to 9223372036854775807|a whole number)"):
            call()
    assert not list(tmp_path.iterdir())


def test_the_largest_seed_works_everywhere() -> None:
    seed = 2**63 - 1
    result = search(SPACE, CountParameters(), metrics=CHEAP, pool=12, budget=2, folder=None, seed=seed)
    assert len(result.queries) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": "0.1"}, {"learning_rate": True}, {"momentum": None}, {"nesterov": 1}, {"flip": "no"},
        {"clip": "1"}, {"epochs": 2.0}, {"epochs": True}, {"schedule": 3}, {"weight_decay": float("nan")},
        {"label_smoothing": [0.1]}, {"crop": "2"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_recipe_of_other_kinds(change) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=f"`{name}` must be"):
        Recipe(**change)


def test_an_unknown_setting_of_a_recipe_has_the_nearest_name(tmp_path) -> None:
    from robonas.datasets import load_dataset

    digits = load_dataset("digits")
    with pytest.raises(ConfigError, match=r"`train` has no setting 'epoch'. Did you mean 'epochs'\?"):
        train(SPACE.sample(1)[0], digits, space=SPACE, folder=tmp_path / "t", epoch=1)
    with pytest.raises(ConfigError, match=r"`train` has no setting 'sead'. Did you mean 'seed'\?"):
        train(SPACE.sample(1)[0], digits, space=SPACE, folder=tmp_path / "t", sead=1)
    with pytest.raises(
        ConfigError, match=r"`TrainingObjective` has no setting 'lerning_rate'. Did you mean 'learning_rate'\?"
    ):
        TrainingObjective(digits, lerning_rate=0.1)
    with pytest.raises(ConfigError, match=r"`TrainingObjective` has no setting 'qqq'. Known: accumulate, "):
        TrainingObjective(digits, qqq=1)
    for change in ({"threads": "2"}, {"threads": 0}, {"threads": True}, {"n_workers": -1}, {"n_workers": 1.5}):
        with pytest.raises(ConfigError, match=f"`{next(iter(change))}` must be"):
            TrainingObjective(digits, **change)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"at_least": {"depth": 5}, "at_most": {"depth": 4}}, "at least depth 5, and at most depth 4"),
        ({"at_least": {"params": 0.2}, "max_params": 100_000}, "at most 100,000 parameters"),
        ({"at_least": {"macs": 3.0}, "max_macs": 2_000_000}, "at most 2,000,000 multiply"),
    ],
)
def test_bounds_that_contradict_each_other_are_told_at_once(bounds, message) -> None:
    with pytest.raises(ConfigError, match=f"The limits contradict each other: .*{message}.*loosen one"):
        Limits(**bounds)


def test_bounds_that_touch_do_not_contradict_each_other() -> None:
    assert len(Limits(at_least={"depth": 4, "params": 0.1}, at_most={"depth": 4}, max_params=100_000).bounds) == 4


@pytest.mark.parametrize(
    "change",
    [{"max_params": True}, {"max_params": "3"}, {"max_macs": None, "batch_size": 2.5}, {"repeats": "x"}],
    ids=repr,
)
def test_limits_of_other_kinds(change) -> None:
    with pytest.raises(ConfigError, match="must be a"):
        Limits(**change)


def test_an_experiment_asks_for_no_more_than_there_is() -> None:
    tasks = [
        Task(name, tuple("abcdef"[:n]), np.ones((n, 1)), ("m",), np.arange(float(n)))
        for name, n in (("a", 6), ("b", 4))
    ]
    with pytest.raises(ConfigError, match="`budget` must be at most the number of candidates, 4 in 'b'; got 5"):
        run_experiment(tasks, ["random"], budget=5, seeds=1)
    with pytest.raises(ConfigError, match="at most the number of candidates, 3 in half of 'a'; got 4"):
        run_experiment(tasks, ["random"], budget=4, seeds=1, half_pools=True)
    assert len(run_experiment(tasks, ["random"], budget=4, seeds=1, baselines=False).frame) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"budget": True}, {"budget": "3"}, {"budget": 2.5}, {"budget": 0}, {"seeds": True}, {"seeds": "12"},
        {"seeds": 0}, {"seeds": []}, {"seeds": 10**26}, {"n_jobs": "x"}, {"n_jobs": 10**26},
        {"folder": "/dev/null/x"},
    ],
    ids=repr,
)  # fmt: skip
def test_an_experiment_of_other_kinds(change) -> None:
    task = Task("t", ("a", "b"), np.ones((2, 1)), ("m",), np.ones(2))
    with pytest.raises(NasError, match=r"must|Cannot write"):
        run_experiment([task], ["random"], **{"budget": 1, "seeds": 1, **change})


def test_a_task_s_own_budget_has_the_same_rule() -> None:
    with pytest.raises(ConfigError, match="`budget` must be at least 1 query of task 't'; got 0"):
        Task("t", ("a",), np.ones((1, 1)), ("m",), np.ones(1), budget=0)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfbudget = 3\n")
    assert read_toml(tmp_path / "a.toml", "settings file") == {"budget": 3}


@pytest.mark.parametrize("content", [b"budget = ", b"\xff\xfeb\0", b"a = " + b"[" * 100_000, b"# " + b"x" * 2**20])
def test_what_is_no_toml(tmp_path, content) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"Suite '.*a.toml' (is not TOML|must have at most)"):
        read_toml(tmp_path / "a.toml", "suite")
    with pytest.raises(ConfigError, match="Cannot read suite"):
        read_toml(tmp_path, "suite")
