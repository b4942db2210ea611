from __future__ import annotations

import time

import numpy as np
import pytest

import robonas.strategies.auto as module
from robonas.errors import ConfigError
from robonas.strategies import Auto, Problem, RandomSearch, Trial
from tests.strategies.asking import ask_and_tell as run

NAN = np.nan


def pool(n: int = 400, seed: int = 0, budget: int = 15, sign: float = 1.0) -> tuple[Problem, np.ndarray]:
    """Four metrics, two of which add up to the objective but for noise, and two that are noise."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 4))
    values = scores[:, 0] + 0.7 * scores[:, 2] + 0.3 * rng.normal(size=n)
    return Problem(sign * scores, ("a", "b", "c", "d"), budget, seed), values


def rank(values: np.ndarray, history: list[Trial]) -> int:
    return 1 + int(np.sum(values > max(trial.value for trial in history if trial.value is not None)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_beats_random_search_whichever_way_metrics_point(sign: float) -> None:
    ranks = []
    for seed in range(6):
        problem, values = pool(seed=seed, sign=sign)
        ranks.append([rank(values, run(s, problem, values, 15)) for s in (Auto(), RandomSearch())])
    ours, random = np.mean(ranks, axis=0)
    assert ours < random / 3


def test_the_first_query_is_among_the_best_by_all_metrics_and_the_second_a_middling_one() -> None:
    problem, values = pool()
    rows = [trial.row for trial in run(Auto(), problem, values, 5)]
    total = problem.scores.argsort(axis=0).argsort(axis=0).sum(axis=1)
    assert np.mean(total > total[rows[0]]) < 0.01
    assert abs(np.mean(total < total[rows[1]]) - 0.5) < 0.2
    assert np.mean(total < total[rows[2]]) > 0.8


def test_a_metric_counts_by_its_record_at_first() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(rng.normal(size=(300, 2)), ("fisher", "jacov"), 5)
    share = [
        np.mean(problem.scores <= problem.scores[Auto(record=r).ask(problem, []).row], axis=0)
        for r in (None, {"fisher": 0.3, "jacov": 0.0})
    ]
    assert share[0][1] > 0.98, "jacov has a record, fisher none"
    assert share[1][0] > 0.98


@pytest.mark.parametrize("gain", [-1.0, NAN, np.inf])
def test_a_senseless_record_is_refused(gain: float) -> None:
    with pytest.raises(ConfigError, match="from 0 up for each metric"):
        Auto(record={"snip": gain})


def test_directions_are_respected() -> None:
    problem = Problem(np.array([[0.0, 0.1], [0.5, 0.5], [1.0, 1.0], [0.9, 0.2], [0.1, 0.3]]), ("a", "b"), 5)
    lower = Problem(-problem.scores, ("a", "b"), 5, higher_is_better=(False, False))
    assert run(Auto(), lower, np.zeros(5), 5) == run(Auto(), problem, np.zeros(5), 5)


def test_trust_goes_to_the_metrics_that_matter() -> None:
    problem, values = pool(budget=40)
    strategy = Auto()
    summary = strategy.summarise(problem, run(strategy, problem, values, 40))
    trust = summary.details["trust"]
    assert min(trust["a"], trust["c"]) > max(abs(trust["b"]), abs(trust["d"]))
    assert sum(abs(share) for share in trust.values()) == pytest.approx(1.0)
    assert summary.combined is not None
    assert np.corrcoef(summary.combined, values)[0, 1] > 0.7


def test_a_monotone_change_of_the_objective_changes_nothing() -> None:
    problem, values = pool()
    rows = [trial.row for trial in run(Auto(), problem, values, 12)]
    assert rows == [trial.row for trial in run(Auto(), problem, np.exp(3 * values), 12)]


def test_a_diverged_training_is_only_a_last_place() -> None:
    problem, values = pool()
    history = run(Auto(), problem, values, 4)
    worst = min(trial.value for trial in history if trial.value is not None)
    for disaster in (-1e12, worst - 1e-9):
        told = [*history[:3], Trial(history[3].row, disaster)]
        assert (
            Auto().ask(problem, told).row == Auto().ask(problem, [*history[:3], Trial(history[3].row, worst - 1)]).row
        )


def test_a_failure_speaks_against_its_neighbours_less_than_a_worst_answer() -> None:
    problem, values = pool()
    history = run(Auto(), problem, values, 6)
    best = max(history, key=lambda trial: trial.value or 0.0)
    told = [trial for trial in history if trial is not best]
    floor = min(trial.value for trial in told if trial.value is not None)

    def expectation(last: Trial) -> float:
        combined = Auto().summarise(problem, [*told, last]).combined
        assert combined is not None
        near = np.argsort(np.abs(problem.scores - problem.scores[best.row]).sum(axis=1))[1:10]
        return float(combined[near].mean())

    assert expectation(Trial(best.row, floor)) < expectation(Trial(best.row, failed=True))


def test_candidates_with_the_same_scores_are_not_all_asked_for_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, values = pool(n=60, budget=30)
    copies = Problem(np.repeat(problem.scores, 40, axis=0), problem.metrics, 30)
    answers = np.repeat(values, 40)

    def n_different() -> int:
        return len({trial.row // 40 for trial in run(Auto(), copies, answers, 30)})

    ours = n_different()
    monkeypatch.setattr(module, "TWIN_COST", 0.0)
    assert ours > n_different()


def test_a_pending_query_keeps_the_next_one_away() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(40, 3))
    scores = np.repeat(base, 5, axis=0) + 1e-4 * rng.normal(size=(200, 3))
    problem, history = Problem(scores, ("a", "b", "c"), 8), []
    for _ in range(8):
        history.append(Trial(Auto().ask(problem, history).row))
    assert len({trial.row // 5 for trial in history}) >= 5


def test_candidates_without_scores_come_last() -> None:
    scores = np.array([[NAN, NAN], [1.0, 2.0], [NAN, 3.0], [0.0, 0.0]])
    problem = Problem(scores, ("a", "b"), 4)
    history = run(Auto(), problem, np.array([9.0, 1.0, 2.0, 3.0]), 4)
    assert history[-1].row == 0
    combined = Auto().summarise(problem, history).combined
    assert combined is not None
    assert np.isnan(combined).tolist() == [True, False, False, False]


def test_a_dead_metric_changes_nothing() -> None:
    problem, values = pool()
    more = Problem(
        np.column_stack([problem.scores, np.full(len(problem), 3.0)]), (*problem.metrics, "flat"), 15, problem.seed
    )
    assert run(Auto(), problem, values, 10) == run(Auto(), more, values, 10)
    assert Auto().summarise(more, []).details["dead_metrics"] == ["flat"]


def test_a_large_pool_is_searched_by_its_shortlist(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, values = pool(n=1000)
    monkeypatch.setattr(module, "WHOLE_POOL", 500)
    monkeypatch.setattr(module, "SHORTLIST", 100)
    strategy = Auto()
    history = run(strategy, problem, values, 15)
    assert rank(values, history) <= 20
    assert strategy.summarise(problem, history).combined is not None


def test_a_shortlist_that_is_used_up_leaves_the_rest_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, values = pool(n=30, budget=30)
    monkeypatch.setattr(module, "WHOLE_POOL", 5)
    monkeypatch.setattr(module, "SHORTLIST", 4)
    assert len({trial.row for trial in run(Auto(), problem, values, 30)}) == 30


@pytest.mark.slow
def test_asking_is_quick() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(
        rng.normal(size=(15_625, 13)), tuple("abcdefghijklm"), 20, codes=rng.integers(5, size=(15_625, 6))
    )
    start = time.perf_counter()
    run(Auto(), problem, rng.normal(size=15_625), 20)
    assert time.perf_counter() - start < 6


@pytest.mark.parametrize("optimism", [-1.0, NAN, np.inf])
def test_senseless_optimism_is_refused(optimism: float) -> None:
    with pytest.raises(ConfigError, match="from 0 up"):
        Auto(optimism=optimism)
