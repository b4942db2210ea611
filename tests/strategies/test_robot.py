from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robonas.errors import ConfigError
from robonas.strategies import Problem, Robot, Strategy, Trial, make_strategy, robot
from robonas.strategies.structure import heard
from robonas.strategies.surrogate import next_weights

NAN = np.nan


def run(problem: Problem, values: np.ndarray, n: int, strategy: Robot | None = None) -> tuple[list[Trial], list[str]]:
    strategy, history, phases = strategy or Robot(), [], []
    for _ in range(n):
        proposal = strategy.ask(problem, history)
        phases.append(proposal.phase)
        history.append(Trial(proposal.row, float(values[proposal.row])))
    return history, phases


def line(n: int = 30, budget: int = 8, seed: int = 0) -> tuple[Problem, np.ndarray]:
    """One metric that is the objective; its weight can only recommend the first or the last candidate."""
    values = np.linspace(0, 1, n)
    return Problem(values[:, None] * 100, ("good",), budget, seed), values


def test_exploration_finds_the_sign_and_exploitation_goes_down_the_ranking() -> None:
    problem, values = line()
    history, phases = run(problem, values, 8)
    assert {trial.row for trial in history[:2]} == {0, 29}
    assert [trial.row for trial in history[2:]] == [28, 27, 26, 25, 24, 23]
    assert phases == ["explore"] * 2 + ["exploit"] * 6
    summary = Robot().summarise(problem, history)
    assert summary.n_explored == 2
    assert summary.weights is not None
    assert summary.weights[0] > 0
    assert summary.details["weight_proposals"] == 8
    assert summary.details["repeats"] == 6


def test_the_latest_of_equally_good_weights_wins() -> None:
    problem, values = line()
    strategy = Robot()
    history, _ = run(problem, values, 8, strategy)
    assert strategy._memory is not None
    good = [step.weights[0] for step in strategy._memory.steps if step.row == 29]
    assert len(good) > 1
    assert strategy.summarise(problem, history).weights == (good[-1],)


def test_a_candidate_without_scores_comes_last_whatever_the_sign() -> None:
    values = np.array([0.1, 0.9, 0.5, 0.7])
    problem = Problem(np.array([[NAN, NAN], [1.0, 2.0], [3.0, 1.0], [2.0, 5.0]]), ("a", "b"), 4)
    for missing in ("exclude", "median", "worst"):
        history, _ = run(problem, values, 4, Robot(missing=missing))
        assert history[-1].row == 0
        summary = Robot(missing=missing).summarise(problem, history)
        assert summary.combined is not None
        assert np.isnan(summary.combined).tolist() == [True, False, False, False]
        assert summary.details["unscored"] == 1


def test_incomplete_candidates_wait_for_complete_ones() -> None:
    values = np.arange(5.0)
    problem = Problem(np.array([[1.0, 9.0], [2.0, NAN], [3.0, 5.0], [4.0, 1.0], [NAN, NAN]]), ("a", "b"), 5)
    history, _ = run(problem, values, 5)
    assert [trial.row for trial in history[-2:]] == [1, 4]
    assert Robot().summarise(problem, history).details["missing"] == {"a": 1, "b": 2}


def test_dead_and_mostly_undefined_metrics_change_nothing_and_are_reported() -> None:
    rng = np.random.default_rng(0)
    scores, values = rng.normal(size=(20, 2)), rng.normal(size=20)
    mostly = np.where(np.arange(20) < 11, NAN, rng.normal(size=20))
    dead = np.column_stack([scores[:, 0], np.full(20, 7.0), scores[:, 1], mostly])
    plain, _ = run(Problem(scores, ("a", "d"), 10), values, 10)
    other = Problem(dead, ("a", "b", "d", "c"), 10)
    history, _ = run(other, values, 10)
    assert plain == history
    summary = Robot().summarise(other, history)
    assert summary.details["dead_metrics"] == ["b", "c"]
    assert summary.weights is not None
    assert summary.weights[1] == summary.weights[3] == 0.0


def test_ties_stand_in_pool_order() -> None:
    problem = Problem(np.array([[1.0], [1.0], [1.0], [0.0], [0.0]]), ("a",), 5)
    history, _ = run(problem, np.array([5.0, 4.0, 3.0, 2.0, 1.0]), 5)
    assert sorted(trial.row for trial in history[:2]) == [0, 3]
    assert [trial.row for trial in history[2:]] == [1, 2, 4]


def test_failures_count_as_the_worst_seen_before_and_pending_ones_as_the_mean() -> None:
    told = [Trial(0, failed=True), Trial(1, 4.0), Trial(2, 2.0), Trial(3, failed=True), Trial(4), Trial(5, 0.0)]
    assert heard(told).tolist() == [0.0, 4.0, 2.0, 2.0, 2.0, 0.0]
    assert heard([Trial(0, failed=True), Trial(1)]).tolist() == [0.0, 0.0]


def test_a_failed_recommendation_never_gives_the_best_weights() -> None:
    problem, values = line()
    strategy, history = Robot(), []
    for _ in range(5):
        row = strategy.ask(problem, history).row
        history.append(Trial(row, failed=True) if row == 29 else Trial(row, float(values[row])))
    assert strategy.summarise(problem, history).weights is not None
    assert strategy.summarise(problem, history).weights[0] < 0  # type: ignore[index]


def test_evaluations_made_elsewhere_are_known() -> None:
    problem, values = line()
    strategy = Robot()
    history = [Trial(29, 1.0), Trial(0, 0.0), Trial(28, float(values[28]))]
    proposal = strategy.ask(problem, history)
    assert (proposal.row, proposal.phase) == (27, "exploit")
    assert strategy.summarise(problem, history).n_explored == 2


def test_each_query_costs_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    import robonas.strategies.robot as module

    calls = []
    monkeypatch.setattr(module, "next_weights", lambda w, y, g: calls.append(len(w)) or g.uniform(-1, 1, w.shape[1]))
    rng = np.random.default_rng(0)
    problem = Problem(rng.normal(size=(500, 4)), tuple("abcd"), 15)
    run(problem, rng.normal(size=500), 15)
    assert len(calls) == 14


def at_once(strategy: Strategy, problem: Problem, values: np.ndarray, workers: int, *, noted: bool) -> list[Trial]:
    """The history of a search in which the oldest of several queries is answered before each new one."""
    history: list[Trial] = []
    while len(history) < problem.limit:
        if len(history) >= workers:
            place = len(history) - workers
            row = history[place].row
            history[place] = Trial(row, float(values[row]), told_at=len(history) if noted else None)
        history.append(Trial(strategy.ask(problem, history).row))
    return history


@pytest.mark.parametrize("name", ["robot", "hnas"])
def test_answers_that_came_late_are_used_where_it_is_noted_when_they_came(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(robot, "next_weights", lambda *a: calls.append(1) or next_weights(*a))
    rng = np.random.default_rng(1)
    problem, values = Problem(rng.normal(size=(200, 3)), ("snip", "grasp", "fisher"), 10), rng.normal(size=200)

    def n_used(*, noted: bool) -> int:
        """How many queries are, in the order of asking, what the steps recommend."""
        strategy = make_strategy(name)
        asked = [trial.row for trial in at_once(strategy, problem, values, 4, noted=noted)]
        steps = list(dict.fromkeys(step.row for step in strategy._memory.steps))  # type: ignore[attr-defined]
        return len(steps) if steps == asked[: len(steps)] else 0

    assert n_used(noted=True) >= 6
    assert len(calls) <= problem.budget, "each step is computed once"
    assert n_used(noted=False) == 0


def test_a_late_answer_is_learned_from() -> None:
    """What follows a pending query is derived afresh once its answer is known."""
    rng = np.random.default_rng(1)
    problem, values = Problem(rng.normal(size=(200, 3)), tuple("abc"), 12), rng.normal(size=200)
    waited, _ = run(problem, values, 4)
    strategy, history = Robot(), []
    for _ in range(4):
        history.append(Trial(strategy.ask(problem, history).row))
    history = [Trial(trial.row, float(values[trial.row])) for trial in history]
    proposal = strategy.ask(problem, history)
    assert proposal == Robot().ask(problem, history)
    assert history[0] == waited[0]


def test_no_metrics_leaves_pool_order() -> None:
    problem = Problem(np.zeros((3, 0)), (), 3)
    history, _ = run(problem, np.zeros(3), 3)
    assert [trial.row for trial in history] == [0, 1, 2]


def test_another_missing_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be one of exclude, median, worst; got 'zero'"):
        Robot(missing="zero")


# ── growing pools ──


def grow(problem: Problem, n: int, joined: list[int]) -> Problem:
    """The first rows, and when each of them joined."""
    return replace(problem, scores=problem.scores[:n], joined=np.array(joined[:n]))


def test_weights_chose_among_those_who_were_there(monkeypatch) -> None:
    """A better candidate for the first weights does not make them ask again; each step is computed once."""
    better_and_better = np.stack([np.arange(60.0), np.sqrt(np.arange(60.0))], axis=1)
    everything = Problem(better_and_better, ("a", "b"), 10, 0)
    joined = [0] * 30 + [number for number in range(1, 10) for _ in range(3)] + [10] * 3
    calls = []
    monkeypatch.setattr(robot, "next_weights", lambda *a: calls.append(1) or next_weights(*a))
    strategy, history = Robot(), []
    for asked in range(10):
        problem = grow(everything, 30 + 3 * asked, joined)
        proposal = strategy.ask(problem, history)
        assert proposal == Robot().ask(problem, history)
        history.append(Trial(proposal.row, float(problem.scores[proposal.row].sum())))
    summary = strategy.summarise(problem, history)
    assert summary.details["weight_proposals"] == 10
    assert max(trial.row for trial in history) >= 54
    calls.clear()
    strategy.ask(replace(grow(everything, 57, joined), budget=11), history)
    assert len(calls) == 1


def test_a_problem_knows_from_when_on_it_differs_from_an_earlier_one() -> None:
    later = Problem(np.arange(5.0)[:, None], ("a",), 3, joined=np.array([0, 0, 1, 1, 3]))
    assert [later.n_present(asked) for asked in range(4)] == [2, 4, 4, 5]
    assert Problem(np.eye(2), ("a", "b"), 3).n_present(0) == 2
    assert later.since(later) == np.inf
    for n, since in ((2, 1), (3, 1), (4, 3)):
        assert later.since(grow(later, n, [0, 0, 1, 1])) == since
    assert later.since(grow(later, 4, [0, 0, 0, 1])) == 0
    assert later.since(replace(grow(later, 4, [0, 0, 1, 1]), seed=1)) == 0
    assert later.since(replace(grow(later, 4, [0, 0, 1, 1]), scores=later.scores[:4] + 1)) == 0


@pytest.mark.parametrize("joined", [[0, 1], [1, 1, 1], [0, 2, 1]])
def test_a_problem_must_say_of_each_candidate_when_it_joined(joined) -> None:
    with pytest.raises(ConfigError, match=r"`joined` must have one number a candidate \(3\), ascending from 0"):
        Problem(np.eye(3), ("a", "b", "c"), 3, joined=np.array(joined))
