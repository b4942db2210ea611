"""Searches that evaluate several candidates at once: budgets, the record, limits of time, and engines."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from robonas.errors import ConfigError, ObjectiveError, StudyError
from robonas.objectives import CurvePoint, FunctionObjective
from robonas.strategies import STRATEGIES
from robonas.study.events import QueryFinished, QueryStarted
from robonas.study.loop import load_result, search
from robonas.study.query import Query
from tests.fakes import small_batch, small_space

METRICS = ("params", "grad_norm", "snip")


def length(architecture, seed) -> float:
    """A value at once, that differs between most candidates."""
    return float(sum((place + 1) * len(option) for place, option in enumerate(architecture.values())))


def slow_ones(architecture, seed) -> float:
    """A value after a time that depends on the candidate, so that answers come in another order than questions."""
    value = length(architecture, seed)
    time.sleep(0.02 * (value % 5))
    return value


def run(function=length, **settings):
    objective = FunctionObjective(function, takes="architecture", name="length")
    given = {"pool": 40, "budget": 8, "folder": None, "batch": small_batch(), "metrics": METRICS, "n_parallel": 3}
    return search(small_space(), objective, **(given | settings))


def check_record(result, n: int) -> None:
    """Every query is what the strategy asks for, told what was answered when it was chosen, and no more."""
    numbers = [query.number for query in result.queries]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({query.architecture for query in result.queries}) == len(numbers)
    for query in result.queries:
        assert len(query.pending) < n
        assert all(number < query.number for number in query.pending)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "metric"])
def test_every_strategy_spends_the_budget_and_never_asks_twice(strategy):
    result = run(slow_ones, strategy=strategy, budget=6)
    assert (result.stop_reason, len(result.queries)) == ("budget spent", 6)
    assert [query.state for query in result.queries] == ["complete"] * 6
    check_record(result, 3)
    assert [query.pending for query in result.queries][:3] == [(), (1,), (1, 2)]
    assert {query.work.slot for query in result.queries} <= {0, 1, 2}
    assert all(query.work.ended >= query.work.began for query in result.queries)


def test_the_record_tells_what_each_query_was_chosen_from(tmp_path):
    from robonas.study.chooser import Chooser

    result = run(slow_ones, folder=tmp_path)
    space = small_space()
    for query in result.queries:
        known = [
            entry
            if entry.number not in query.pending
            else Query(entry.number, entry.architecture, entry.row, "", "running")
            for entry in result.queries[: query.number - 1]
        ]
        chooser = Chooser(
            space,
            STRATEGIES["auto"](),
            result.scores,
            budget=8,
            seed=0,
            higher_is_better=[True] * len(METRICS),
            direction="maximize",
        )
        assert chooser.choose(known).architecture == query.architecture


def test_one_at_a_time_is_as_without():
    plain, one = run(n_parallel=None), run(n_parallel=1)
    assert [(query.architecture, query.value, query.pending) for query in plain.queries] == [
        (query.architecture, query.value, ()) for query in one.queries
    ]


def test_a_stop_and_another_number_of_processes_go_on(tmp_path):
    def stop(event):
        if isinstance(event, QueryFinished) and event.query.number >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(slow_ones, folder=tmp_path, callbacks=[stop])
    cut = load_result(tmp_path)
    assert cut.stop_reason == "interrupted"
    for n in (1, 2):
        whole = run(slow_ones, folder=tmp_path, n_parallel=n)
        assert (whole.stop_reason, len(whole.queries)) == ("budget spent", 8)
        check_record(whole, 3)
    assert [query.architecture for query in whole.queries[:4]] == [query.architecture for query in cut.queries[:4]]


def test_events_tell_of_each_query_and_where_it_runs():
    events = []
    run(callbacks=[events.append])
    started = [event.query for event in events if isinstance(event, QueryStarted)]
    finished = [event.query.number for event in events if isinstance(event, QueryFinished)]
    assert [query.number for query in started] == list(range(1, 9))
    assert sorted(finished) == list(range(1, 9))
    assert all(query.work.ended is None and query.work.slot in {0, 1, 2} for query in started)


def test_failures_cost_their_trials_only():
    def train(architecture, seed):
        value = length(architecture, seed)
        if value % 3 == 0:
            os._exit(7)
        if value % 3 == 1:
            raise ObjectiveError("diverged")
        return value

    result = run(train, budget=12)
    assert {query.failure for query in result.queries} == {
        None, "The training's process ended with exit code 7.", "diverged",
    }  # fmt: skip
    assert len(result.queries) == 12


# ── limits of time ──


def test_no_training_begins_after_the_time_and_a_later_call_goes_on(tmp_path):
    first = run(lambda architecture, seed: time.sleep(0.3) or length(architecture, seed), folder=tmp_path, timeout=1e-6)
    assert (first.stop_reason, first.queries) == ("time over", ())
    assert load_result(tmp_path).stop_reason == "time over"
    ended = []

    def patience(event):
        if isinstance(event, QueryFinished) and not ended:
            ended.append(event)
            monkey.setattr("robonas.study.running.time.monotonic", lambda: float("inf"))

    with pytest.MonkeyPatch.context() as monkey:
        second = run(folder=tmp_path, timeout=10_000, callbacks=[patience])
    assert second.stop_reason == "time over"
    assert 1 <= len(second.queries) <= 3  # what had begun is finished
    assert {query.state for query in second.queries} == {"complete"}
    third = run(folder=tmp_path)
    assert (third.stop_reason, len(third.queries)) == ("budget spent", 8)
    assert load_result(tmp_path).stop_reason == "budget spent"


def test_a_training_that_takes_too_long_has_failed():
    def train(architecture, seed):
        value = length(architecture, seed)
        while value % 4 == 0:
            time.sleep(0.1)
        return value

    result = run(train, trial_timeout=6, budget=4, n_parallel=2)
    assert {query.failure for query in result.queries} <= {None, "It took longer than the 6 seconds that it may."}
    assert all((query.failure is None) == (length(small_space().parse(query.architecture), 0) % 4 != 0)
               for query in result.queries)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_parallel": 9}, "No more evaluations can run at once than the budget has; got 9 at once and a budget of 8"),
        ({"n_parallel": 0}, "`n_parallel` must be at least 1 evaluation; got 0"),
        ({"n_parallel": 1.5}, "`n_parallel` must be a whole number"),
        ({"devices": ["tpu"]}, "Device must be"),
        ({"devices": ["cuda:99"]}, "'cuda:99' is not available here"),
        ({"devices": "cpu"}, "`devices` must be a list of devices"),
        ({"timeout": 0}, "`timeout` must be a positive number of seconds, or None; got 0"),
        ({"trial_timeout": -1}, "`trial_timeout` must be a positive number of seconds"),
        ({"executor": 3}, "`executor` must have a `submit`"),
        ({"executor": "slurm"}, "`executor` must have a `submit`"),
    ],
)
def test_bad_input_is_one_sentence(settings, words):
    with pytest.raises(ConfigError, match=words):
        run(**settings)


def test_what_cannot_be_sent_is_told_before_the_first_evaluation():
    import threading

    lock = threading.Lock()
    with pytest.raises(ConfigError, match="Objective 'function' cannot be evaluated in processes of its own"):
        run(lambda architecture, seed: float(lock.locked()))


# ── engines ──


@pytest.mark.slow
def test_an_executor_of_concurrent_futures():
    with ProcessPoolExecutor(2) as executor:
        result = run(slow_ones, executor=executor, n_parallel=None)
        assert (result.stop_reason, len(result.queries)) == ("budget spent", 8)
        check_record(result, 2)
        assert {query.work.host for query in result.queries} == {"executor"}
        with pytest.raises(ConfigError, match="a pruner needs"):
            run(executor=executor, pruner="median")
        with pytest.raises(ConfigError, match="An executor chooses the devices"):
            run(executor=executor, devices=["cpu"])


def test_a_broken_executor_ends_the_search_and_loses_nothing(tmp_path):
    executor = ProcessPoolExecutor(1)
    stopped = []

    def stop(event):
        if isinstance(event, QueryFinished) and event.query.number == 2:
            executor.shutdown()
            stopped.append(event)

    with pytest.raises(StudyError, match="The executor is broken"):
        run(executor=executor, n_parallel=1, folder=tmp_path, callbacks=[stop])
    whole = run(folder=tmp_path)
    assert (whole.stop_reason, len(whole.queries)) == ("budget spent", 8)
    assert [query.state for query in whole.queries] == ["complete"] * 8


def climb(architecture, seed, report) -> float:
    value = length(architecture, seed)
    for step in range(1, 5):
        report(CurvePoint(step, 4, value * step))
    return 4 * value


@pytest.mark.parametrize("n", [1, 3])
def test_pruning_with_several_at_once(n):
    result = run(climb, pruner="median", budget=20, n_parallel=n)
    assert len(result.queries) == 20
    assert result.n_pruned > 0
    assert all(query.steps < 4 for query in result.queries if query.state == "pruned")
