"""Experiments with costs: how much of the true front each strategy has found."""

from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import ConfigError
from robonas.experiments import run_experiment
from robonas.experiments.statistics import compare
from robonas.experiments.suite import load_suite
from robonas.experiments.summary import across_tasks, means, summarise
from tests.experiments import toy


def priced(**settings):
    return toy.task(against="plain", **settings)


@pytest.fixture(scope="module")
def results():
    tasks = [priced(), toy.task("no costs", seed=1)]
    return run_experiment(tasks, ["auto", "random"], budget=50, seeds=2, baselines=False, n_jobs=0)


def test_regret_and_share_are_those_of_the_true_front(results) -> None:
    task = priced()
    value, cost = task.objective, task.against[:, 0]
    better = (value[None] >= value[:, None]) & (cost[None] <= cost[:, None])
    front = (better & ((value[None] > value[:, None]) | (cost[None] < cost[:, None]))).sum(axis=1) == 0
    scaled = (cost - cost.min()) / np.ptp(cost)

    def volume(rows) -> float:
        grid = np.linspace(0, 1.1, 20_001)
        heights = [max((value[row] for row in rows if scaled[row] <= at), default=value.min()) for at in grid]
        return float(np.mean(np.array(heights) - value.min()) * 1.1)

    for _, run in results.frame[results.frame["task"] == "toy"].groupby(["strategy", "seed"]):
        assert run["front_share"].iloc[-1] == 1.0  # all fifty were evaluated
        assert run["hypervolume_regret"].iloc[-1] == pytest.approx(0.0, abs=1e-12)
        assert (np.diff(run["hypervolume_regret"]) <= 1e-12).all()
        rows = run["row"].to_numpy()[:7]
        assert run["front_share"].iloc[6] == front[rows].sum() / front.sum()
        expected = 1 - volume(rows) / volume(np.flatnonzero(front))
        assert run["hypervolume_regret"].iloc[6] == pytest.approx(expected, abs=1e-3)


def test_tasks_without_costs_have_none_and_do_not_count(results) -> None:
    assert results.frame.loc[results.frame["task"] == "no costs", "front_share"].isna().all()
    assert list(means(results, "hypervolume_regret", 5).columns) == ["toy"]
    assert list(means(results, "rank", 5).columns) == ["toy", "no costs"]
    assert set(across_tasks(results, [5], "hypervolume_regret").index) == {"auto", "random"}
    assert {"hypervolume_regret_mean", "front_share_median"} <= set(summarise(results, [5]))
    assert np.isfinite(
        compare(results, "auto", quantity="hypervolume_regret", queries=5)["advantage"].astype(float)
    ).any()
    plain = run_experiment([toy.task()], ["random"], budget=5, seeds=1, baselines=False, n_jobs=0)
    assert "hypervolume_regret_mean" not in summarise(plain)


def test_costs_change_what_auto_asks_for_and_the_kept_runs(tmp_path) -> None:
    plan = {"budget": 8, "seeds": 1, "baselines": False, "n_jobs": 0, "folder": tmp_path}
    with_costs = run_experiment([priced()], ["auto"], **plan).frame["row"].tolist()
    assert with_costs != run_experiment([toy.task()], ["auto"], **plan).frame["row"].tolist()
    assert with_costs == run_experiment([priced()], ["auto"], **plan).frame["row"].tolist()
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_suite_names_costs(tmp_path) -> None:
    toy.frame().to_csv(tmp_path / "toy.csv", index=False)
    head = '[[task]]\ntable = "toy.csv"\nobjective = "val_acc"\nagainst = '
    tail = '\n[[strategy]]\nname = "random"\n'
    file = tmp_path / "suite.toml"
    for text, names in (('"synflow"', ("synflow",)), ('["synflow", "plain"]', ("synflow", "plain"))):
        file.write_text(head + text + tail)
        assert load_suite(file).tasks[0].against_names == names
    file.write_text(head + "[1]" + tail)
    with pytest.raises(ConfigError, match="must have texts in its list 'against'"):
        load_suite(file)


@pytest.mark.parametrize("against", ["val_acc", "test_acc", ["plain", "plain"], ["plain", "jacov", "synflow"]])
def test_what_is_no_cost_is_refused(against) -> None:
    with pytest.raises(ConfigError, match="must name one or two columns that are neither"):
        toy.task(against=against)


def test_a_constant_cost_is_refused_and_a_missing_one_left_out() -> None:
    data = toy.frame()
    data["flat"], data["holes"] = 3.0, np.where(np.arange(50) < 10, np.nan, np.arange(50))
    table = toy.from_frame(
        data, "arch", [toy.describe(name) for name in data.columns if name != "arch"], {"source": "toy.csv"}
    )
    with pytest.raises(ConfigError, match="Cost 'flat' of task 'toy' is 3 for every candidate"):
        toy.Task.from_table(table, objective="val_acc", against="flat")
    task = toy.Task.from_table(table, objective="val_acc", against="holes")
    assert (len(task), task.left_out) == (40, 10)
