"""What every strategy of the catalogue promises, on drawn problems with missing, infinite, constant and tied scores."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from robonas.errors import AskTellError, ConfigError
from robonas.strategies import STRATEGIES, Problem, Strategy, Trial, incumbent, make_strategy

NAMES = sorted(STRATEGIES)
ALL = pytest.mark.parametrize("name", NAMES)
FEW = settings(max_examples=8, deadline=None, derandomize=True)
METRICS = ("snip", "grad_norm", "ntk_cond", "fisher")
"""Not in alphabetical order; with the first alone, every strategy has what it needs."""
LEVELS = (np.nan, np.inf, -np.inf, -1e8, 0.0, 0.25, 0.5, 1.0, 3.0, 1e30)
Answer = float | tuple[float, int] | None
ANSWERS: tuple[Answer, ...] = (None, 0.1, 0.5, 0.5, 0.9, (0.3, 1), (0.5, 4))
"""What an evaluation may give; None is a failure, a pair a value and the step after which the rest was pruned."""


def least(name: str) -> int:
    """Without how many metrics the strategy says at once that it cannot work."""
    try:
        make_strategy(name).check_metrics(())
    except ConfigError:
        return 1
    return 0


@st.composite
def problems(draw: st.DrawFn, *, levels: tuple[float, ...] = LEVELS, min_metrics: int = 0) -> Problem:
    """Small pools, so that budgets end in all ways."""
    n, m = draw(st.integers(1, 8)), draw(st.integers(min_metrics, 4))
    values = draw(st.lists(st.sampled_from(levels), min_size=n * m, max_size=n * m))
    codes = np.array([[i // 3, i % 3 - 1, 0] for i in range(n)]) if draw(st.booleans()) else None
    return Problem(
        scores=np.array(values, dtype=np.float64).reshape(n, m),
        metrics=METRICS[:m],
        budget=draw(st.integers(1, 7)),
        seed=draw(st.integers(0, 3)),
        higher_is_better=tuple(draw(st.booleans()) for _ in range(m)) if draw(st.booleans()) else (),
        codes=codes,
    )


def answers(problem: Problem) -> st.SearchStrategy[list[Answer]]:
    return st.lists(st.sampled_from(ANSWERS), min_size=len(problem), max_size=len(problem))


def told(row: int, answer: Answer) -> Trial:
    if isinstance(answer, tuple):
        return Trial(row, answer[0], pruned=answer[1])
    return Trial(row, failed=True) if answer is None else Trial(row, answer)


def search(
    strategy: Strategy, problem: Problem, answer: list[Answer], history: list[Trial] | None = None
) -> list[Trial]:
    history = list(history or [])
    while len(history) < problem.limit:
        row = strategy.ask(problem, history).row
        history.append(told(row, answer[row]))
    return history


@ALL
@FEW
@given(data=st.data())
def test_asks_for_the_budget_exactly_and_never_twice(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    strategy = make_strategy(name)
    before = problem.scores.copy()
    history = search(strategy, problem, data.draw(answers(problem)))
    assert len({trial.row for trial in history}) == problem.limit
    with pytest.raises(AskTellError, match=r"budget|evaluated"):
        strategy.ask(problem, history)
    np.testing.assert_array_equal(problem.scores, before)


@ALL
@FEW
@given(data=st.data())
def test_a_search_cut_anywhere_goes_on_as_if_uncut(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    answer = data.draw(answers(problem))
    strategy = make_strategy(name)
    whole = search(strategy, problem, answer)
    cut = data.draw(st.integers(0, len(whole)))
    assert whole == search(make_strategy(name), problem, answer, whole[:cut])
    assert whole == search(strategy, problem, answer, whole[:cut])
    copy, copied_problem, part = pickle.loads(pickle.dumps((strategy, problem, whole[:cut])))
    assert whole == search(copy, copied_problem, answer, part)
    assert whole == search(make_strategy(name, **strategy.settings), problem, answer, whole[:cut])


@ALL
@FEW
@given(data=st.data())
def test_an_instance_may_serve_several_searches_by_turns(name: str, data: st.DataObject) -> None:
    first, second = (data.draw(problems(min_metrics=least(name))) for _ in range(2))
    answer = [0.1 * (row % 4) for row in range(9)]
    expected = [search(make_strategy(name), problem, answer) for problem in (first, second)]
    shared = make_strategy(name)
    histories: list[list[Trial]] = [[], []]
    for _ in range(7):
        for problem, history in zip((first, second), histories, strict=True):
            if len(history) < problem.limit:
                row = shared.ask(problem, history).row
                history.append(told(row, answer[row]))
    assert expected == histories


@ALL
@FEW
@given(data=st.data())
def test_several_queries_may_be_pending_and_answered_in_any_order(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    answer = data.draw(answers(problem))
    order = data.draw(st.randoms(use_true_random=False))
    workers = data.draw(st.integers(2, 4))
    strategy = make_strategy(name)
    history: list[Trial] = []
    while len(history) < problem.limit or any(trial.pending for trial in history):
        pending = [place for place, trial in enumerate(history) if trial.pending]
        if len(pending) == workers or len(history) == problem.limit:
            place = order.choice(pending)
            history[place] = told(history[place].row, answer[history[place].row])
        else:
            proposal = strategy.ask(problem, history)
            assert proposal == make_strategy(name).ask(problem, history), "the state is the history alone"
            history.append(Trial(proposal.row))
    assert len({trial.row for trial in history}) == problem.limit


@ALL
@FEW
@given(data=st.data())
def test_a_pool_may_grow_between_asks(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    later = data.draw(st.lists(st.integers(0, 4), min_size=len(problem) - 1, max_size=len(problem) - 1))
    joined = np.array([0, *sorted(later)])
    answer = data.draw(answers(problem))
    strategy, history = make_strategy(name), []
    earlier = _begun(problem, joined, 0)
    while len(history) < earlier.budget and len(history) < np.count_nonzero(joined <= len(history)):
        strategy.summarise(earlier, history)
        now = _begun(problem, joined, len(history))
        proposal = strategy.ask(now, history)
        assert proposal == make_strategy(name).ask(now, history), "the state is the problem and the history alone"
        assert joined[proposal.row] <= len(history)
        history.append(told(proposal.row, answer[proposal.row]))
        earlier = now
    assert len({trial.row for trial in history}) == len(history)
    summary, fresh = strategy.summarise(problem, history), make_strategy(name).summarise(problem, history)
    assert summary.weights == fresh.weights
    assert summary.details == fresh.details
    if summary.combined is not None:
        np.testing.assert_array_equal(summary.combined, fresh.combined)


def _begun(problem: Problem, joined: np.ndarray, n_asked: int) -> Problem:
    """The problem as it was after so many queries."""
    n = np.count_nonzero(joined <= n_asked)
    codes = None if problem.codes is None else problem.codes[:n]
    costs = None if problem.costs is None else problem.costs[:n]
    return replace(problem, scores=problem.scores[:n], codes=codes, joined=joined[:n], costs=costs)


@ALL
@FEW
@given(data=st.data())
def test_everything_may_fail_or_stay_pending(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    for failed in (True, False):
        strategy, history = make_strategy(name), []
        while len(history) < problem.limit:
            history.append(Trial(strategy.ask(problem, history).row, failed=failed))
        assert incumbent(history) is None
        strategy.summarise(problem, history)


@ALL
@FEW
@given(data=st.data())
def test_queries_may_be_pending_while_a_pool_grows_and_costs_count(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    n = len(problem)
    if STRATEGIES[name].trades_off and data.draw(st.booleans()):
        k = data.draw(st.integers(1, 2))
        costs = data.draw(st.lists(st.sampled_from((0.0, 1.0, 1.0, 7.0)), min_size=n * k, max_size=n * k))
        problem = replace(problem, costs=np.array(costs).reshape(n, k))
    later = data.draw(st.lists(st.integers(0, 4), min_size=n - 1, max_size=n - 1))
    joined = np.array([0, *sorted(later)])
    answer = data.draw(answers(problem))
    order = data.draw(st.randoms(use_true_random=False))
    workers, noted = data.draw(st.integers(2, 8)), data.draw(st.booleans())
    strategy, history = make_strategy(name), []
    while True:
        now = _begun(problem, joined, len(history))
        pending = [place for place, trial in enumerate(history) if trial.pending]
        if len(pending) < workers and len(history) < now.limit:
            proposal = strategy.ask(now, history)
            assert proposal == make_strategy(name).ask(now, history), "the state is the problem and the history alone"
            assert proposal.row not in {trial.row for trial in history}
            assert joined[proposal.row] <= len(history)
            history.append(Trial(proposal.row))
        elif pending:
            place = order.choice(pending)
            answered = told(history[place].row, answer[history[place].row])
            history[place] = replace(answered, told_at=len(history)) if noted else answered
        else:
            break
        strategy.summarise(now, history)
    assert len(history) == _begun(problem, joined, len(history)).limit


@ALL
@FEW
@given(data=st.data())
def test_with_one_query_at_a_time_it_is_the_same_whether_it_is_noted_when_answers_came(
    name: str, data: st.DataObject
) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    history = search(make_strategy(name), problem, data.draw(answers(problem)))
    strategy = make_strategy(name)
    for n in range(len(history)):
        noted = [replace(trial, told_at=place + 1) for place, trial in enumerate(history[:n])]
        assert strategy.ask(problem, noted).row == history[n].row


@ALL
@FEW
@given(data=st.data())
def test_undefined_scores_everywhere_are_survived(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(levels=(np.nan, np.inf, -np.inf), min_metrics=1))
    assert len(search(make_strategy(name), problem, [0.5] * len(problem))) == problem.limit


@ALL
@FEW
@given(data=st.data())
def test_the_summary_fits_the_problem(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    strategy = make_strategy(name)
    history = search(strategy, problem, data.draw(answers(problem)))
    for end in (0, 1, len(history)):
        summary = strategy.summarise(problem, history[:end])
        if summary.weights is not None:
            assert len(summary.weights) == len(problem.metrics)
            assert np.isfinite(summary.weights).all()
        if summary.combined is not None:
            assert summary.combined.shape == (len(problem),)
            assert not np.isinf(summary.combined).any()
        if summary.n_explored is not None:
            assert 0 <= summary.n_explored <= end
        json.dumps(dict(summary.details), allow_nan=False)


@ALL
@FEW
@given(data=st.data())
def test_proposals_explain_themselves(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=least(name)))
    strategy, history = make_strategy(name), []
    while len(history) < problem.limit:
        proposal = strategy.ask(problem, history)
        assert proposal.phase
        assert proposal.reason.endswith(".")
        assert proposal.weights is None or len(proposal.weights) == len(problem.metrics)
        history.append(Trial(proposal.row, 0.1 * (proposal.row % 3)))


@pytest.mark.parametrize("name", [name for name in NAMES if STRATEGIES[name].column_order_irrelevant])
@FEW
@given(data=st.data())
def test_the_order_of_metrics_is_irrelevant_where_claimed(name: str, data: st.DataObject) -> None:
    problem = data.draw(problems(min_metrics=2))
    answer = data.draw(answers(problem))
    order = data.draw(st.permutations(range(len(problem.metrics))))
    other = replace(
        problem,
        scores=problem.scores[:, order],
        metrics=tuple(problem.metrics[i] for i in order),
        higher_is_better=tuple(problem.higher_is_better[i] for i in order) if problem.higher_is_better else (),
    )
    assert search(make_strategy(name), problem, answer) == search(make_strategy(name), other, answer)


@pytest.mark.parametrize("name", [name for name in NAMES if STRATEGIES[name].affine_change_irrelevant])
@FEW
@given(data=st.data())
def test_units_of_metrics_are_irrelevant_where_claimed(name: str, data: st.DataObject) -> None:
    # Powers of two and small integers, so that the change itself is free of rounding.
    problem = data.draw(problems(levels=(np.nan, np.inf, -4.0, 0.0, 1.0, 2.0, 2.0, 7.0), min_metrics=1))
    answer = data.draw(answers(problem))
    scale = np.array([data.draw(st.sampled_from([0.25, 1.0, 8.0, 1024.0])) for _ in problem.metrics])
    shift = np.array([data.draw(st.sampled_from([-16.0, 0.0, 3.0])) for _ in problem.metrics])
    other = Problem(
        problem.scores * scale + shift,
        problem.metrics,
        problem.budget,
        problem.seed,
        problem.higher_is_better,
        problem.codes,
    )
    assert search(make_strategy(name), problem, answer) == search(make_strategy(name), other, answer)


SCRIPT = """
import sys
import numpy as np
from robonas.strategies import Problem, Trial, make_strategy
rng = np.random.default_rng(5)
scores = rng.normal(size=(60, 3))
scores[rng.random(scores.shape) < 0.05] = np.nan
codes = np.array([[i // 16, i // 4 % 4, i % 4] for i in range(60)])
for name in sys.argv[1:]:
    problem, history = Problem(scores, ("snip", "grad_norm", "ntk_cond"), 9, 1, codes=codes), []
    strategy = make_strategy(name)
    for _ in range(9):
        row = strategy.ask(problem, history).row
        value = float(np.nan_to_num(scores[row, 0])) + row % 3
        history.append(Trial(row, failed=True) if row % 11 == 0 else Trial(row, value))
    print(name, [trial.row for trial in history])
"""


def test_another_process_asks_for_the_same(monkeypatch, capsys) -> None:
    command = [sys.executable, "-c", SCRIPT, *NAMES]
    there = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**_environment(), "PYTHONHASHSEED": "1"}
    ).stdout
    monkeypatch.setattr(sys, "argv", command[2:])
    exec(SCRIPT, {})
    assert capsys.readouterr().out == there
    assert len(there.splitlines()) == len(NAMES)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@ALL
def test_an_impossible_history_is_refused(name: str) -> None:
    problem = Problem(np.eye(3), METRICS[:3], 3)
    for history, message in (
        ([Trial(3, 0.1)], "names candidate 3"),
        ([Trial(0, 0.1), Trial(0, 0.1)], "repeats candidate 0"),
        ([Trial(0, float("nan"))], "finite"),
        ([Trial(0, failed=True, pruned=2)], "pruned after step 2, so it must have a value"),
        ([Trial(1, 0.5), Trial(0, 0.5, told_at=1)], "answer of trial 1 must have come after 2 or more queries; got 1"),
        ([Trial(0, 0.5, told_at=True)], "must have come after 1 or more queries; got True"),
        ([Trial(0, told_at=1)], "no answer, so none can have come after 1 queries"),
    ):
        with pytest.raises(AskTellError, match=message):
            make_strategy(name).ask(problem, history)


def test_names_are_those_of_the_classes() -> None:
    assert list(STRATEGIES) == sorted(STRATEGIES)
    assert {name: name for name in STRATEGIES} == {name: entry.name for name, entry in STRATEGIES.items()}
