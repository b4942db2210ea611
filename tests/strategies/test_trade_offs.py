"""Strategies that trade the objective off against known costs."""

from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import ConfigError
from robonas.strategies import STRATEGIES, Problem, Trial, make_strategy
from robonas.strategies.fronts import hypervolume

TRADING = [name for name, strategy in STRATEGIES.items() if strategy.trades_off]
N = 60


def problem(n_costs: int = 1, budget: int = 12, seed: int = 0, **changes) -> tuple[Problem, np.ndarray]:
    """Candidates whose value rises with a score and with the cost, and the values."""
    generator = np.random.default_rng(7)
    codes = generator.integers(0, 3, (N, 4))
    costs = codes[:, :n_costs] + generator.uniform(0, 0.5, (N, n_costs))
    values = codes.sum(axis=1) + generator.normal(0, 0.2, N)
    scores = np.column_stack([values + generator.normal(0, 0.5, N), generator.normal(size=N)])
    made = {"codes": codes, "costs": costs, "seed": seed, **changes}
    return Problem(scores, ("helpful", "noise"), budget, **made), values


def run(name: str, given: Problem, values: np.ndarray) -> list[int]:
    strategy, history = make_strategy(name), []
    while len(history) < given.limit:
        row = strategy.ask(given, history).row
        history.append(Trial(row, float(values[row])))
    return [trial.row for trial in history]


@pytest.mark.parametrize("name", TRADING)
@pytest.mark.parametrize("n_costs", [1, 2])
def test_every_trading_strategy_asks_for_different_candidates_and_repeats_itself(name, n_costs) -> None:
    given, values = problem(n_costs)
    rows = run(name, given, values)
    assert len(set(rows)) == given.budget
    assert run(name, given, values) == rows


@pytest.mark.parametrize("name", TRADING)
def test_equal_costs_failures_and_pending_queries_are_survived(name) -> None:
    given, values = problem(costs=np.ones((N, 1)))
    strategy = make_strategy(name)
    history = [Trial(3, 1.0), Trial(9, failed=True), Trial(4), Trial(20, 0.5, pruned=1)]
    assert strategy.ask(given, history).row not in {3, 9, 4, 20}
    assert strategy.ask(given, [Trial(row, failed=True) for row in range(6)]).row >= 6
    assert len(set(run(name, given, values))) == given.budget


@pytest.mark.parametrize("name", ["auto", "robot"])
def test_costs_change_what_is_asked_for(name) -> None:
    given, values = problem()
    alone, _ = problem(costs=None)
    assert run(name, given, values) != run(name, alone, values)


def test_auto_finds_more_of_the_front_than_random_search() -> None:
    def volume(name: str, seed: int) -> float:
        given, values = problem(seed=seed)
        rows = run(name, given, values)
        costs = given.costs
        assert costs is not None
        return hypervolume(values[rows], costs[rows], values.min(), costs.max(axis=0) + 1, costs.min(axis=0))

    seeds = range(5)
    assert np.mean([volume("auto", seed) for seed in seeds]) > np.mean([volume("random", seed) for seed in seeds])


@pytest.mark.parametrize("costs", [np.ones((N, 3)), np.ones((N - 1, 1)), np.full((N, 1), np.nan), np.ones(N)])
def test_costs_of_another_shape_or_undefined_ones_are_refused(costs) -> None:
    with pytest.raises(ConfigError, match="`costs` must be finite, with one row a candidate"):
        problem(costs=costs)


@pytest.mark.parametrize("name", TRADING)
def test_in_a_growing_pool_a_fresh_strategy_asks_for_the_same_as_one_that_was_there(name) -> None:
    """Dearer and cheaper candidates join later, which must not change what earlier queries were asked for."""
    whole, values = problem()
    costs = whole.costs.copy()
    costs[30:45], costs[45:] = costs[30:45] + 20.0, costs[45:] - 20.0
    joined = np.repeat([0, 4, 8], [30, 15, 15])
    there, history = make_strategy(name), []
    for n_asked in range(whole.budget):
        n = int(np.searchsorted(joined, n_asked, side="right"))
        part = Problem(
            whole.scores[:n], whole.metrics, whole.budget, codes=whole.codes[:n], joined=joined[:n], costs=costs[:n]
        )
        row = there.ask(part, history).row
        assert make_strategy(name).ask(part, history).row == row
        history.append(Trial(row, float(values[row])))
