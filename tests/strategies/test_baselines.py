from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import ConfigError, UnknownNameError
from robonas.strategies import (
    AverageRank,
    Evolution,
    LocalSearch,
    Problem,
    RandomSearch,
    Reinforce,
    SingleMetric,
    Strategy,
    Trial,
)
from robonas.strategies.reinforce import _Policy
from robonas.strategies.structure import codes_of, hamming, known_values, mutated, n_options, nearest
from tests.strategies.asking import rows_asked as run

NAN = np.nan


def cube(side: int = 4, choices: int = 3, budget: int = 40, seed: int = 0) -> tuple[Problem, np.ndarray]:
    """All combinations of a few options; the objective is the sum of the options."""
    codes = np.stack(np.meshgrid(*[np.arange(side)] * choices, indexing="ij"), -1).reshape(-1, choices)
    values = codes.sum(axis=1).astype(float)
    return Problem(np.zeros((len(codes), 0)), (), budget, seed, codes=codes), values


def test_random_search_depends_on_the_seed_and_not_on_answers() -> None:
    problem, values = cube()
    first = run(RandomSearch(), problem, values, 40)
    assert first == run(RandomSearch(), problem, -values, 40)
    assert first != run(RandomSearch(), cube(seed=1)[0], values, 40)


@pytest.mark.parametrize("strategy", [Evolution(), LocalSearch()])
def test_moves_differ_in_one_choice_while_neighbours_are_left(strategy: Strategy) -> None:
    problem, values = cube(side=6, choices=4, budget=30)
    assert problem.codes is not None
    history: list[Trial] = []
    for _ in range(30):
        proposal = strategy.ask(problem, history)
        if proposal.phase == "exploit":
            parents = problem.codes[[trial.row for trial in history]]
            assert hamming(parents, problem.codes[proposal.row]).min() <= 2
        history.append(Trial(proposal.row, float(values[proposal.row])))


@pytest.mark.parametrize(
    ("strategy", "least"),
    [(Evolution(), 1.5), (LocalSearch(), 3.0), pytest.param(Reinforce(0.2), 1.0, marks=pytest.mark.slow)],
)
def test_structure_helps_where_the_objective_follows_it(strategy: Strategy, least: float) -> None:
    gains = []
    for seed in range(8):
        problem, values = cube(side=6, choices=5, budget=60, seed=seed)
        found = values[run(strategy, problem, values, 60)][30:].mean()
        gains.append(found - values[run(RandomSearch(), problem, values, 60)][30:].mean())
    assert np.mean(gains) >= least


def test_evolution_starts_with_a_third_and_never_breeds_failures() -> None:
    problem, _ = cube(budget=12)
    history, phases = [], []
    for _ in range(12):
        proposal = Evolution().ask(problem, history)
        phases.append(proposal.phase)
        history.append(Trial(proposal.row, failed=True))
    assert phases == ["explore"] * 12
    assert known_values(history) == {}
    assert known_values([*history, Trial(99, 2.0), Trial(98)])[history[0].row] == 2.0


def test_local_search_starts_again_when_no_neighbour_is_left() -> None:
    codes = np.array([[0, 0], [0, 1], [5, 5], [5, 6]])
    problem = Problem(np.zeros((4, 0)), (), 4, codes=codes)
    strategy, history, phases = LocalSearch(), [], []
    for _ in range(4):
        proposal = strategy.ask(problem, history)
        phases.append(proposal.phase)
        history.append(Trial(proposal.row, -float(len(history))))
    assert phases == ["explore", "exploit", "explore", "exploit"]
    assert {trial.row for trial in history[:2]} in ({0, 1}, {2, 3})


def test_reinforce_learns_from_repeats_without_asking() -> None:
    """Two options of one choice: the answer is known after two queries, whatever the policy samples."""
    problem = Problem(np.zeros((2, 0)), (), 2, codes=np.array([[0], [1]]))
    assert sorted(run(Reinforce(), problem, np.array([0.0, 1.0]), 2)) == [0, 1]


def test_reinforce_learns_from_an_answer_that_came_late(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, values = cube(budget=20)
    assert problem.codes is not None
    learned: list[tuple[int, ...]] = []
    learn = _Policy.learn

    def noting(policy: _Policy, code: np.ndarray, reward: float) -> None:
        learned.append(tuple(code.tolist()))
        learn(policy, code, reward)

    monkeypatch.setattr(_Policy, "learn", noting)
    history: list[Trial] = []
    while len(history) < problem.limit:
        if len(history) >= 4:
            row = history[len(history) - 4].row
            history[len(history) - 4] = Trial(row, float(values[row]), told_at=len(history))
        learned.clear()
        history.append(Trial(Reinforce().ask(problem, history).row))
    assert [tuple(problem.codes[trial.row].tolist()) for trial in history[:16]] == list(dict.fromkeys(learned))


def test_mutation_changes_one_choice_to_another_option() -> None:
    generator = np.random.default_rng(0)
    code, options = np.array([1, 0, 2]), np.array([3, 1, 4])
    children = [mutated(code, options, generator) for _ in range(300)]
    assert {int((child != code).sum()) for child in children} == {1}
    assert {(int(child[0]), int(child[2])) for child in children} == {(0, 2), (2, 2), (1, 0), (1, 1), (1, 3)}
    assert mutated(np.array([0]), np.array([1]), generator).tolist() == [0]


def test_a_choice_left_out_is_an_option_of_its_own() -> None:
    codes = np.array([[0, -1], [1, 0], [1, 1]])
    shown = codes_of(Problem(np.zeros((3, 0)), (), 3, 0, codes=codes))
    assert codes[0, 1] == -1  # what was given is as it was
    generator = np.random.default_rng(0)
    children = {tuple(mutated(shown[0], n_options(shown), generator).tolist()) for _ in range(100)}
    assert children == {(1, 0), (0, 1), (0, 2)}  # among them both options of the choice
    policy = _Policy(n_options(shown), np.random.default_rng(0), learning_rate=0.1)
    policy.learn(shown[0], 1.0)
    assert policy.probabilities()[1].argmax() == 0  # and no other option has its reward


def test_the_nearest_free_row_is_taken() -> None:
    codes = np.array([[0, 0], [0, 1], [3, 3]])
    assert nearest(codes, np.array([0, 0]), np.array([False, True, True]), np.random.default_rng(0)) == 1


def test_a_metric_alone_goes_down_its_ranking() -> None:
    problem = Problem(np.array([[3.0, 0.0], [NAN, 1.0], [5.0, 2.0], [4.0, 3.0]]), ("a", "b"), 4)
    assert run(SingleMetric("a"), problem, np.zeros(4), 4) == [2, 3, 0, 1]
    lower = Problem(problem.scores, ("a", "b"), 4, higher_is_better=(False, True))
    assert run(SingleMetric("a"), lower, np.zeros(4), 4) == [0, 3, 2, 1]
    assert SingleMetric("a").summarise(problem, []).weights == (1.0, 0.0)


def test_metrics_take_turns() -> None:
    problem = Problem(np.array([[3.0, 0.0], [4.0, 1.0], [5.0, 2.0], [0.0, 3.0]]), ("a", "b"), 4)
    assert run(SingleMetric(), problem, np.zeros(4), 4) == [2, 3, 1, 0]


def test_an_unknown_metric_is_refused() -> None:
    problem = Problem(np.eye(2), ("synflow", "snip"), 2)
    with pytest.raises(UnknownNameError, match="Unknown metric 'sinp'"):
        SingleMetric("sinp").ask(problem, [])


def test_average_rank_by_hand() -> None:
    scores = np.array([[1.0, 30.0, 7.0], [2.0, 10.0, 7.0], [3.0, NAN, 7.0], [NAN, NAN, NAN]])
    problem = Problem(scores, ("a", "b", "c"), 4, higher_is_better=(True, False, True))
    # Ranks of a: 1/6, 3/6, 5/6; of -b: 1/4, 3/4, missing; c tells nothing.
    summary = AverageRank().summarise(problem, [])
    np.testing.assert_allclose(summary.combined, [5 / 24, 15 / 24, 2 / 3, NAN])
    assert summary.weights == (0.5, -0.5, 0.0)
    assert run(AverageRank(), problem, np.zeros(4), 4) == [2, 1, 0, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Evolution(population=0), "at least 1; got 0 and 5"),
        (lambda: Reinforce(learning_rate=0), "above 0; got 0"),
    ],
)
def test_senseless_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]
