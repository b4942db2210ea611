"""Runs: resumed, the same for any number of processes, and blind to the final measure."""

from __future__ import annotations

import json
import os
import random
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from robonas.errors import ConfigError, StudyError, TableError, UnknownNameError
from robonas.experiments import Contender, Results, Task, run_experiment
from robonas.experiments.runs import search
from robonas.strategies import STRATEGIES, Problem, RandomSearch, Strategy, make_strategy
from robonas.strategies.base import Proposal
from tests.experiments import toy

CONTENDERS = ("average_rank", "random")


def run(tasks=None, contenders=CONTENDERS, **settings) -> Results:
    return run_experiment(tasks or [toy.task()], contenders, **{"budget": 6, "seeds": 3, **settings})


def test_rows_are_tidy_and_right() -> None:
    results, task = run(), toy.task()
    assert results.strategies == ["average_rank", "random", "jacov alone", "plain alone", "synflow alone"]
    assert len(results.frame) == 5 * 3 * 6
    for _, one in results.frame.groupby(["strategy", "seed"]):
        assert one["query"].tolist() == [1, 2, 3, 4, 5, 6]
        assert one["row"].is_unique
        values = task.objective[one["row"]]
        np.testing.assert_array_equal(one["value"], values)
        np.testing.assert_array_equal(one["best_value"], np.maximum.accumulate(values))
        winners = [one["row"].iloc[int(np.argmax(values[: q + 1]))] for q in range(6)]
        np.testing.assert_array_equal(one["final"], task.final[winners])
        np.testing.assert_array_equal(one["rank"], [1 + np.sum(task.objective > task.objective[w]) for w in winners])
        np.testing.assert_array_equal(one["final_rank"], [1 + np.sum(task.final > task.final[w]) for w in winners])
        np.testing.assert_allclose(one["regret"], task.objective.max() - one["best_value"])
        np.testing.assert_allclose(one["cost_s"], np.cumsum(task.cost[one["row"]]))
        assert one["architecture"].tolist() == [task.architectures[row] for row in one["row"]]


def test_a_loss_is_turned_round() -> None:
    data = toy.frame()
    task = toy.task()
    loss = Task(
        "loss", task.architectures, task.scores, task.metrics, -task.objective, higher_is_better=False,
        final=-np.asarray(data["test_acc"]), final_name="x", final_higher_is_better=False,
    )  # fmt: skip
    up, down = run().frame, run([loss]).frame
    for name in ("row", "rank", "final_rank", "regret"):
        np.testing.assert_allclose(up[name], down[name])
    np.testing.assert_allclose(up["best_value"], -down["best_value"])


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_no_strategy_is_touched_by_the_final_measure(strategy) -> None:
    """Law: another final measure, another cost, the same queries."""
    contender = Contender(strategy, settings={"trace": "synflow"} if strategy == "hnas" else {})
    one = run(contenders=[contender], seeds=1, baselines=False)
    task = toy.task()
    other = Task(
        "toy", task.architectures, task.scores, task.metrics, task.objective, final=np.full(len(task), np.nan),
        cost=np.zeros(len(task)),
    )  # fmt: skip
    assert one.frame["row"].tolist() == run([other], [contender], seeds=1, baselines=False).frame["row"].tolist()


def test_a_strategy_that_lacks_a_metric_says_so_before_anything_runs() -> None:
    begun = []
    with pytest.raises(ConfigError, match=r"needs a gradient metric.*; there are jacov, plain, synflow"):
        run(contenders=["random", "hnas"], progress=lambda done, total: begun.append(done))
    assert not begun


class Spy(Strategy):
    """Keeps what it is shown."""

    name = "spy"
    seen: ClassVar[list] = []

    def propose(self, problem, history):
        Spy.seen.append((problem, tuple(history)))
        return Proposal(len(history), "explore")


def test_a_search_is_shown_metrics_and_answers_only() -> None:
    Spy.seen.clear()
    task = toy.task(metrics=["synflow"])
    run([task], ["tests.experiments.test_runs:Spy"], seeds=1, baselines=False, n_jobs=0)
    assert len(Spy.seen) == 6
    for problem, history in Spy.seen:
        assert problem.metrics == ("synflow",)
        np.testing.assert_array_equal(problem.scores[:, 0], task.scores[:, task.metrics.index("synflow")])
        assert [trial.value for trial in history] == task.objective[: len(history)].tolist()
        assert not np.isin(task.final, problem.scores).any()


def test_half_pools_are_halves_and_the_same_for_all() -> None:
    results, task = run(half_pools=True), toy.task()
    assert set(results.frame["candidates"]) == {25}
    for seed, runs in results.frame.groupby("seed"):
        pool = task.pool(seed, half=True)
        assert len(np.unique(pool)) == 25
        assert set(runs["row"]) <= set(pool.tolist())
        best = runs[runs["rank"] == 1]
        assert (best["best_value"] == task.objective[pool].max()).all()
    assert not np.array_equal(task.pool(0, half=True), task.pool(1, half=True))
    # A metric alone has a spread now.
    asked = results.frame[results.frame["strategy"] == "jacov alone"].groupby("seed")["row"].agg(tuple)
    assert len(set(asked)) == 3


def test_the_same_for_any_number_of_processes_and_any_folder(tmp_path) -> None:
    contenders = ["robot", "evolution", Contender("average_rank", metrics=("synflow",))]
    one = run(contenders=contenders, seeds=2, n_jobs=1, folder=tmp_path / "one")
    two = run(contenders=contenders, seeds=2, n_jobs=2)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    one.write(tmp_path / "a.parquet")
    two.write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


class Stops(RandomSearch):
    """Random search that is interrupted in the run with seed 2, as by Ctrl-C, until it may go on.

    Its class counts what it was asked, so it works in the process of the test only.
    """

    name = "stops"
    may_go_on = False
    asked = 0

    def propose(self, problem, history):
        Stops.asked += 1
        if problem.seed == 2 and len(history) == 3 and not Stops.may_go_on:
            raise KeyboardInterrupt
        return super().propose(problem, history)


def test_a_crash_loses_the_run_in_flight_only(tmp_path) -> None:
    contender = "tests.experiments.test_runs:Stops"
    Stops.asked, Stops.may_go_on = 0, False
    with pytest.raises(KeyboardInterrupt):
        run(contenders=[contender], seeds=4, baselines=False, folder=tmp_path, n_jobs=0)
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2
    Stops.asked, Stops.may_go_on = 0, True
    told = []
    results = run(
        contenders=[contender], seeds=4, baselines=False, folder=tmp_path, n_jobs=0,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert Stops.asked == 2 * 6
    assert told == [(2, 4), (3, 4), (4, 4)]
    fresh = run(contenders=[Contender("random", contender)], seeds=4, baselines=False, n_jobs=0)
    pd.testing.assert_frame_equal(results.frame, fresh.frame)


def test_kept_runs_are_those_of_the_same_settings(tmp_path) -> None:
    folder = {"folder": tmp_path, "baselines": False, "contenders": ["average_rank"], "seeds": 1}

    def count() -> int:
        return len(list((tmp_path / "runs").glob("*.json")))

    run(**folder)
    run(**folder)
    assert count() == 1
    run(**folder, budget=7)
    assert count() == 2
    run(**folder, half_pools=True)
    assert count() == 3
    run([toy.task(seed=1)], **folder)
    assert count() == 4
    run([toy.task(metrics=["synflow"])], **folder)
    assert count() == 5
    run([toy.task(final="train_seconds")], **folder)  # judged by something else, it is the same search
    assert count() == 5


def test_damaged_kept_runs_are_made_again(tmp_path) -> None:
    settings = {"folder": tmp_path, "contenders": ["random"], "seeds": 1, "baselines": False}
    first = run(**settings)
    (file,) = (tmp_path / "runs").glob("*.json")
    for rubbish in ("", "{", "[]", '{"rows": 3}', json.dumps({"rows": [1], "more": 2})):
        file.write_text(rubbish)
        pd.testing.assert_frame_equal(run(**settings).frame, first.frame)


class Dies(RandomSearch):
    """Ends its process, as the system does for want of memory."""

    name = "dies"

    def propose(self, problem, history):
        os._exit(9)


class Fails(RandomSearch):
    """Raises an error of its own."""

    name = "fails"

    def propose(self, problem, history):
        raise ConfigError("This strategy wants a sacrifice; got none.")


def test_a_strategy_that_fails_is_named() -> None:
    with pytest.raises(StudyError, match=r"Fails on toy with seed 0 failed. This strategy wants a sacrifice"):
        run(contenders=["tests.experiments.test_runs:Fails"])


@pytest.mark.slow
def test_a_worker_that_dies_is_named() -> None:
    with pytest.raises(StudyError, match=r"Dies on toy with seed . ended its process with exit code 9"):
        run(contenders=["tests.experiments.test_runs:Dies"], n_jobs=2)


def test_a_whole_table_may_be_asked_for_and_no_more() -> None:
    results = run([toy.task(n=4)], budget=4)
    assert results.frame.groupby(["strategy", "seed"])["query"].max().unique().tolist() == [4]
    assert (results.at(4)["rank"] == 1).all()
    with pytest.raises(ConfigError, match=r"at most the number of candidates, 4 in 'toy'; got 6. Ask for fewer"):
        run([toy.task(n=4)], budget=6)


def test_global_generators_are_left_alone() -> None:
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    run(contenders=["robot", "evolution"], seeds=1)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002


def test_search_stops_at_the_budget_or_the_pool() -> None:
    scores = np.arange(8.0)[:, None]
    for budget, expected in ((3, 3), (8, 8), (20, 8)):
        run_ = search(Problem(scores, ("m",), budget), np.arange(8.0), make_strategy("average_rank"))
        assert len(set(run_.rows)) == len(run_.rows) == expected
    assert (run_.precision, run_.spearman) == (1.0, pytest.approx(1.0))


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="at least one task and one strategy; got 1 and 0"):
        run(contenders=[])
    with pytest.raises(ConfigError, match=r"'random' occurs twice. Give it a label"):
        run(contenders=["random", "random"])
    with pytest.raises(ConfigError, match="Each task must have a name of its own; 'toy' occurs twice"):
        run([toy.task(), toy.task()])
    with pytest.raises(ConfigError, match="`budget` must be at least 1 query; got 0"):
        run(budget=0)
    with pytest.raises(ConfigError, match="Each seed must be named once"):
        run(seeds=[1, 1])
    with pytest.raises(UnknownNameError, match="Did you mean 'robot'"):
        run(contenders=["robto"])
    with pytest.raises(ConfigError, match="Task 'toy' has no metric 'zen'; it has jacov, plain, synflow"):
        run(contenders=[Contender("robot", metrics=("zen",))])


def test_task_mistakes() -> None:
    table = toy.table()
    with pytest.raises(ConfigError, match=r"'test_acc' is a test or final measure.*validation measure .val_acc."):
        Task.from_table(table, objective="test_acc")
    assert Task.from_table(table, objective="test_acc", allow_test=True).objective_name == "test_acc"
    with pytest.raises(TableError, match=r"no column 'val_ac'. Did you mean 'val_acc'"):
        Task.from_table(table, objective="val_ac")
    with pytest.raises(TableError, match="known only after training"):
        Task.from_table(table, objective="val_acc", metrics=["synflow", "test_acc"])
    with pytest.raises(ConfigError, match="'val_acc' is the objective, so it cannot be a metric as well"):
        Task.from_table(table, objective="val_acc", metrics=["synflow", "val_acc"])
    with pytest.raises(ConfigError, match="Each metric must be named once"):
        Task.from_table(table, objective="val_acc", metrics=["synflow", "synflow"])


def test_rows_without_an_objective_are_no_candidates() -> None:
    data = toy.frame()
    data.loc[[3, 7], "val_acc"] = np.nan
    from robonas.tables.building import from_frame
    from robonas.tables.columnar import describe

    table = from_frame(data, "arch", [describe(name) for name in data.columns if name != "arch"], {"source": "x"})
    task = Task.from_table(table, objective="val_acc", final="test_acc")
    assert (len(task), task.left_out) == (48, 2)
    assert data["arch"][3] not in task.architectures


def test_results_are_written_and_read(tmp_path) -> None:
    results = run()
    results.write(tmp_path / "r.parquet")
    found = Results.read(tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(found.frame, results.frame)
    assert json.loads(json.dumps(found.settings)) == json.loads(json.dumps(results.settings))
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(StudyError, match="not a readable file of an experiment's results"):
        Results.read(tmp_path / "other.parquet")
    with pytest.raises(FileNotFoundError):
        Results.read(tmp_path / "none.parquet")
