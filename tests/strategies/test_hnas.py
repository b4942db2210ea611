from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import ConfigError
from robonas.strategies import Hnas, Problem, RandomSearch, Trial
from robonas.strategies.hnas import most_promising, pair_of
from tests.strategies.asking import rows_asked as run

NAN = np.nan


def test_the_objective_by_hand() -> None:
    # Ranks 1/8, 3/8, 5/8, 7/8; the middle mu is 10. S with target 0: 8.2, 4.1, 5.5, 8.8; with 1: 17.8, 11.3, 7.7, 3.5.
    problem = Problem(np.array([[1.0], [20.0], [21.0], [500.0]]), ("grad_norm",), 4)
    strategy = Hnas(probes=2)
    assert run(strategy, problem, np.zeros(4), 2) == [1, 3]
    assert strategy.ask(problem, []).reason == "The best by grad_norm with target 0.00 and weight 10, a probe."
    flipped = Problem(-problem.scores, ("grad_norm",), 4, higher_is_better=(False,))
    assert run(strategy, flipped, np.zeros(4), 4) == run(strategy, problem, np.zeros(4), 4)


def test_the_condition_number_divides_and_points_downwards() -> None:
    # Ranks of the trace are 1/6, 1/2, 5/6, those of the condition number 1/6, 5/6, 1/2.
    scores = np.array([[1.0, 5.0], [2.0, 900.0], [3.0, 60.0]])
    problem = Problem(scores, ("ntk_trace", "ntk_cond"), 3, higher_is_better=(True, False))
    strategy = Hnas(probes=1)
    assert strategy.columns(problem.metrics) == ("ntk_trace", "ntk_cond")
    summary = strategy.summarise(problem, [Trial(strategy.ask(problem, []).row, 0.5)])
    # The only probe has target 1/2: |m² − 1/4| is 2/9, 0 and 4/9.
    np.testing.assert_allclose(summary.combined, [-(1 + 20 / 9), -5 / 3, -(0.6 + 40 / 9)])
    assert summary.details == {"trace": "ntk_trace", "condition": "ntk_cond", "target": 0.5, "mu": pytest.approx(10.0)}
    assert summary.weights is None


def test_the_gradient_metric_is_the_first_known_or_the_one_named() -> None:
    names = ("flops", "snip", "grad_norm")
    assert Hnas().columns(names) == ("grad_norm", None)
    assert Hnas("snip", "flops").columns(names) == ("snip", "flops")
    assert Hnas("ntk_cond").columns(("ntk_cond",)) == ("ntk_cond", None)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (Hnas(), "needs a gradient metric, one of ntk_trace, grad_norm, snip, grasp; there are synflow, params"),
        (Hnas("ntk_trace"), "needs metric 'ntk_trace' for its `trace`; there are synflow, params"),
        (Hnas("synflow", "ntk_cond"), "needs metric 'ntk_cond' for its `condition`"),
    ],
)
def test_missing_metrics_are_told(strategy: Hnas, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        strategy.ask(Problem(np.eye(2), ("synflow", "params"), 2), [])
    with pytest.raises(ConfigError, match=message):
        strategy.check_metrics(("synflow", "params"))


def test_no_probe_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 pair; got 0"):
        Hnas(probes=0)


def test_undefined_candidates_come_last_in_pool_order() -> None:
    problem = Problem(np.array([[NAN, 1.0], [3.0, NAN], [2.0, 2.0], [1.0, 3.0]]), ("snip", "ntk_cond"), 4)
    assert run(Hnas(), problem, np.zeros(4), 4)[2:] == [0, 1]
    dead = Problem(np.ones((3, 1)), ("snip",), 3)
    assert run(Hnas(), dead, np.zeros(3), 3) == [0, 1, 2]
    assert Hnas().ask(dead, []).reason == "The next in the pool, since snip does not tell candidates apart."


def test_expected_improvement_is_largest_where_the_trend_leads() -> None:
    tried = np.array([[0.1, 0.5], [0.3, 0.5], [0.5, 0.5], [0.7, 0.5]])
    places = np.array([[0.12, 0.5], [0.4, 0.5], [0.5, 0.5], [0.8, 0.5]])
    chosen = most_promising(tried, np.array([0.0, 1.0, 2.0, 3.0]), places)
    assert chosen.tolist() == [0.8, 0.5]
    assert pair_of(np.array([0.25, 0.0])) == (0.25, 0.1)
    assert pair_of(np.array([1.0, 1.0])) == (1.0, 1000.0)


def test_a_metric_that_is_best_in_the_middle_is_learned() -> None:
    """Networks of a middling trace are the best: no metric's own ranking has them first."""
    ours, chance = [], []
    for seed in range(5):
        generator = np.random.default_rng(seed)
        scores = generator.lognormal(sigma=3.0, size=(400, 1))
        ranks = np.argsort(np.argsort(scores[:, 0])) / 400
        values = -np.abs(ranks - 0.63)
        problem = Problem(scores, ("grad_norm",), 15, seed)
        ours.append(values[run(Hnas(), problem, values, 15)].max())
        chance.append(values[run(RandomSearch(), problem, values, 15)].max())
    assert np.mean(ours) > -0.01
    assert np.mean(chance) < np.mean(ours)


def test_units_and_order_of_metrics_do_not_matter_over_many_queries() -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(50, 3))
    names = ("snip", "ntk_cond", "grad_norm")
    values = scores[:, 2] - scores[:, 1]
    plain = run(Hnas(), Problem(scores, names, 15), values, 15)
    other = Problem(scores[:, ::-1] * [4.0, 0.5, 2.0] + 8.0, names[::-1], 15)
    assert run(Hnas(), other, values, 15) == plain
