"""A search whose pool grows: what joins it, and that stops, processes and other workers change nothing."""

from __future__ import annotations

import numpy as np
import pytest

import robonas
from robonas.cli import watch
from robonas.errors import ConfigError, StudyError
from robonas.objectives.base import Evaluation
from robonas.report.page import render
from robonas.spaces import from_choices
from robonas.strategies import Problem, Trial, make_strategy
from robonas.study.events import PoolGrown, QueryStarted, QueryStep
from robonas.study.growth import fitness, n_parents
from robonas.study.loop import load_result, record_of, search
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
PLAN = {"metrics": CHEAP, "pool": 12, "budget": 5, "grow": 4, "strategy": "auto"}


def run(folder=None, objective=None, **changes):
    return search(SPACE, objective or CountParameters(), folder=folder, **{**PLAN, **changes})


def told(result):
    """What must be equal for two searches to be the same: queries, and the pool with its scores."""
    queries = [(q.architecture, q.row, q.phase, q.state, q.value, q.weights, q.curve) for q in result.queries]
    joined = None if result.joined is None else result.joined.tolist()
    return queries, result.scores.fingerprint(), joined, result.stop_reason


@pytest.fixture(scope="module")
def whole():
    """The search that nothing stops."""
    return run()


def test_children_join_before_each_query_from_the_first_answer_on(whole) -> None:
    assert len(whole.scores) == 12 + 4 * 4
    assert whole.joined.tolist() == [0] * 12 + [number for number in (1, 2, 3, 4) for _ in range(4)]
    assert whole.n_grown == 16
    canonical = whole.scores.frame["canonical"]
    assert not canonical.iloc[12:].duplicated().any()
    assert not set(canonical.iloc[12:]) & set(canonical.iloc[:12])
    assert (canonical.iloc[12:] == whole.scores.frame["architecture"].iloc[12:]).all()
    assert whole.combined.shape == (28,)
    assert any(whole.joined_after(query) for query in whole.queries), "no child was ever chosen"
    for query in whole.queries:
        assert whole.scores.architectures[query.row] == query.architecture
        assert (whole.joined_after(query) or 0) < query.number


def test_a_child_has_the_scores_that_it_would_have_in_a_sample(whole) -> None:
    alone = robonas.score(SPACE, whole.scores.architectures[-3:], CHEAP, small_batch())
    np.testing.assert_array_equal(whole.scores.scores[-3:], alone.scores)


def test_folder_and_processes_change_nothing(tmp_path, whole) -> None:
    assert told(run(tmp_path, n_jobs=2)) == told(whole)
    assert told(load_result(tmp_path)) == told(whole)
    assert np.array_equal(load_result(tmp_path).combined, whole.combined, equal_nan=True)


@pytest.mark.parametrize("stop_at", [1, 2, 5, 8])
def test_stopped_anywhere_and_run_again_it_ends_as_the_uninterrupted_one(tmp_path, whole, stop_at) -> None:
    """In a training (even numbers), and between a generation and the query that it joins with."""
    seen = 0

    def stop(event) -> None:
        nonlocal seen
        if isinstance(event, (PoolGrown, QueryStarted)):
            seen += 1
            if seen == stop_at + 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[stop])
    if (tmp_path / "search.scores.parquet").exists():
        half = load_result(tmp_path)
        assert len(half.queries) == (stop_at + 2) // 2
        assert half.n_grown == 4 * max(0, len(half.queries) - 1)
    assert told(run(tmp_path)) == told(whole)
    assert told(load_result(tmp_path)) == told(whole)


def test_a_larger_budget_goes_on(tmp_path, whole) -> None:
    run(tmp_path, budget=3)
    assert told(run(tmp_path)) == told(whole)


def test_workers_share_the_pool_and_never_ask_twice(tmp_path) -> None:
    inner = []

    def again(event) -> None:
        if isinstance(event, QueryStep) and not inner:
            inner.append(None)
            inner[0] = run(tmp_path, budget=8)

    outer = run(tmp_path, budget=8, callbacks=[again])
    assert len(outer.queries) == 8 == len({query.architecture for query in outer.queries})
    assert not outer.scores.frame["canonical"].iloc[12:].duplicated().any()
    assert told(load_result(tmp_path)) == told(outer)


def test_what_another_worker_added_while_this_one_scored_is_taken_over(tmp_path) -> None:
    inner = []

    def again(event) -> None:
        if isinstance(event, PoolGrown) and not inner:
            inner.append(None)
            inner[0] = run(tmp_path, budget=4)

    outer = run(tmp_path, budget=6, callbacks=[again])
    assert [q.architecture for q in outer.queries[:4]] == [q.architecture for q in inner[0].queries]
    assert len(outer.queries) == 6 == len({query.architecture for query in outer.queries})
    assert told(load_result(tmp_path)) == told(outer)


@pytest.mark.parametrize("strategy", sorted(robonas.STRATEGIES))
def test_every_strategy_searches_a_growing_pool(strategy) -> None:
    result = run(strategy=strategy)
    assert len({query.architecture for query in result.queries}) == 5
    assert result.n_grown == 16


def test_a_pool_smaller_than_the_budget_will_do() -> None:
    result = run(pool=2, budget=6, strategy="evolution")
    assert len(result.queries) == 6
    assert result.stop_reason == "budget spent"
    with pytest.raises(ConfigError, match=r"fewer than the budget of 6. Enlarge the pool, let it grow"):
        run(pool=2, budget=6, grow=0)


def test_a_space_that_is_used_up_ends_the_search(tmp_path) -> None:
    space = _toy()
    result = search(space, _Sum(), pool=2, budget=20, grow=3, strategy="random", folder=tmp_path)
    assert result.stop_reason == "candidates exhausted"
    assert len(result.queries) == 8  # of 9, one makes no network
    record = record_of(tmp_path)
    assert watch.is_over(record)
    assert watch.ending(record) == "no candidate is left"
    again = search(space, _Sum(), pool=2, budget=20, grow=3, strategy="random", folder=tmp_path)
    assert again.stop_reason == "candidates exhausted"


def test_children_that_make_no_network_or_break_a_limit_do_not_join() -> None:
    limits = robonas.Limits(max_params=15)
    pool = [robonas.Architecture({"a": 0, "b": 1})]
    result = search(_toy(), _Sum(), pool=pool, budget=20, grow=3, strategy="random", limits=limits, folder=None)
    known = {tuple(_toy().parse(text).values()) for text in result.scores.architectures}
    assert known == {(a, b) for a in (0, 1) for b in (1, 3, 9)}


def test_children_without_any_score_do_not_join() -> None:
    plan = {"batch": _batch(), "pool": 2, "budget": 20, "grow": 3, "strategy": "auto", "folder": None}
    result = search(_toy(), _Sum(), metrics=["params"], **plan)
    assert len(result.queries) == 8


def test_failures_have_no_children() -> None:
    result = run(objective=CountParameters(fail=lambda _: True), strategy="random")
    assert result.n_grown == 0
    assert len(result.queries) == 5


def test_growth_is_a_setting_of_the_study(tmp_path) -> None:
    run(tmp_path)
    for grow in (0, 5):
        with pytest.raises(StudyError, match="grow was 4, is now"):
            run(tmp_path, grow=grow)
    with pytest.raises(ConfigError, match="`grow` must be at least 0 children; got -1"):
        run(grow=-1)


def test_scores_of_children_that_changed_under_a_study_are_refused(tmp_path) -> None:
    run(tmp_path, budget=2)
    (cache,) = tmp_path.glob("cache-*.parquet")
    table = robonas.ScoreTable.read(cache)
    child = load_result(tmp_path).scores.architectures[-1]
    table.frame.loc[table.frame["architecture"] == child, "params"] += 1
    table.write(cache)
    with pytest.raises(StudyError, match=r"other scores of .* than now"):
        run(tmp_path)


def test_the_report_and_the_files_say_what_grew(tmp_path, whole) -> None:
    page = render(whole)
    assert "16 joined during the search" in page
    value = whole.to_json()
    assert value["pool"] == 28
    assert value["grown"] == 16
    assert value["best"]["joined_after"] == whole.joined_after(whole.best)


def test_darts_cells_that_grow_are_valid_and_different() -> None:
    space = robonas.make_space("darts", input_shape=(1, 8, 8), n_classes=10, channels=4, layers=3)

    class Skips(CountParameters):
        def evaluate(self, space, architecture, *, seed, report=None):
            return Evaluation(float(sum(option == "skip_connect" for option in architecture.values())), 1.0)

    plan = {"metrics": ["params", "synflow"], "pool": 10, "budget": 5, "grow": 4, "strategy": "auto"}
    result = search(space, Skips(), folder=None, **plan)
    assert result.n_grown == 16
    cells = [space.parse(text) for text in result.scores.architectures]
    canonical = [space.canonical(cell) for cell in cells]
    assert canonical[10:] == cells[10:]
    assert len(set(canonical)) == len(cells)
    assert all(space.failure(cell) is None for cell in cells[10:])
    assert np.isfinite(result.scores.scores).all()
    assert any(result.joined_after(query) for query in result.queries)


def test_half_of_the_parents_are_proven_and_half_are_promising() -> None:
    scores = np.arange(30.0)[:, None]
    problem = Problem(scores, ("a",), 9)
    history = [Trial(row, -float(row)) for row in (3, 7, 9, 2)] + [Trial(11, failed=True), Trial(1)]
    worth = fitness(make_strategy("average_rank"), problem, history)
    assert np.argsort(-worth)[:6].tolist() == [2, 3, 7, 29, 28, 27]
    assert n_parents(30) == 6
    worth = fitness(make_strategy("random"), problem, history)
    assert np.flatnonzero(~np.isnan(worth)).tolist() == [2, 3, 7, 9]
    assert np.nanargmax(worth) == 2


# ── a space of nine, one of which makes no network ──


def _toy():
    return from_choices({"a": (0, 1, 2), "b": (1, 3, 9)}, _build, input_shape=(2,), n_classes=3, name="toy")


def _build(a, b):
    from torch import nn

    if (a, b) == (2, 9):
        raise ValueError("too large")
    return nn.Sequential(*(nn.Linear(2, 2) for _ in range(a)), *(nn.Linear(2, 3) for _ in range(1)))


def _batch():
    import torch

    return robonas.Batch(torch.eye(4, 2), torch.tensor([0, 1, 2, 0]), 3)


class _Sum(CountParameters):
    def batch(self, size, seed):
        return _batch()

    def evaluate(self, space, architecture, *, seed, report=None):
        return Evaluation(float(sum(architecture.values())), 1.0)


def test_with_costs_the_parents_are_those_on_the_front_from_both_ends() -> None:
    costs = np.arange(10.0)[:, None]
    problem = Problem(np.zeros((10, 1)), ("m",), 10, costs=costs)
    history = [Trial(0, 1.0), Trial(2, 3.0), Trial(3, 2.0), Trial(5, 4.0), Trial(8, 5.0), Trial(9, 4.5), Trial(7)]
    worth = fitness(make_strategy("random"), problem, history)
    # On the front are 0, 2, 5 and 8; 3 and 9 are beaten, and 7 has no answer.
    assert np.argsort(-worth)[:6].tolist() == [8, 0, 5, 2, 9, 3]
    assert np.isnan(worth[[1, 4, 6, 7]]).all()
