"""Fronts, hypervolumes and their exact expected improvement, against cases by hand and against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from robonas.strategies.fronts import chebyshev, hypervolume, is_on_front, staircase

ONE = np.array([10.0])


def test_a_front_by_hand() -> None:
    values = np.array([3.0, 2.0, 1.0, 2.5, np.nan])
    costs = np.array([[5.0], [2.0], [1.0], [6.0], [0.0]])
    assert is_on_front(values, costs).tolist() == [True, True, True, False, False]
    # Equal candidates are all on the front; one with equal value and higher cost is not.
    assert is_on_front(np.array([1.0, 1.0, 1.0]), np.array([[1.0], [1.0], [2.0]])).tolist() == [True, True, False]


def test_volume_and_improvement_by_hand() -> None:
    values, costs = np.array([3.0, 2.0]), np.array([[5.0], [2.0]])
    # From cost 2 to 5 the best value is 2, from 5 to 10 it is 3: 3 · 2 + 5 · 3.
    assert hypervolume(values, costs, 0.0, ONE, np.zeros(1)) == pytest.approx(21.0)
    stairs = staircase(values, costs, 0.0, ONE)
    # At cost 1 with value 2.5: 1 · 2.5 before cost 2, 3 · 0.5 up to cost 5, nothing after.
    assert stairs.improvement(np.array([2.5]), stairs.areas(np.array([[1.0]])))[0] == pytest.approx(4.0)
    assert stairs.improvement(np.array([2.5]), stairs.areas(np.array([[11.0]])))[0] == 0.0
    empty = staircase(np.zeros(0), np.zeros((0, 1)), 0.0, ONE)
    assert empty.improvement(np.array([2.0]), empty.areas(np.array([[4.0]])))[0] == pytest.approx(12.0)


def test_two_costs_by_hand() -> None:
    values, costs = np.array([1.0, 2.0]), np.array([[1.0, 1.0], [2.0, 3.0]])
    end = np.array([4.0, 4.0])
    # 1 · 9 boxes of height 1, and on [2, 4] × [3, 4] one more.
    assert hypervolume(values, costs, 0.0, end, np.zeros(2)) == pytest.approx(9.0 + 2.0)


def points(n_costs: int):
    return st.integers(0, 8).flatmap(
        lambda n: st.tuples(
            arrays(float, n, elements=st.integers(0, 6).map(float)),
            arrays(float, (n, n_costs), elements=st.integers(0, 9).map(float)),
        )
    )


@settings(deadline=None)
@given(known=st.integers(1, 2).flatmap(points), value=st.integers(0, 7), cost=st.integers(0, 9))
def test_improvement_is_the_difference_of_volumes(known, value, cost) -> None:
    values, costs = known
    n_costs = costs.shape[1]
    end, start = np.full(n_costs, 8.0), np.zeros(n_costs)
    new = np.full((1, n_costs), float(cost))
    before = hypervolume(values, costs, 1.0, end, start)
    after = hypervolume(np.append(values, value), np.vstack([costs, new]), 1.0, end, start)
    stairs = staircase(values, costs, 1.0, end)
    gain = stairs.improvement(np.array([float(value)]), stairs.areas(new))[0]
    assert gain == pytest.approx(after - before)
    assert gain >= 0


@settings(deadline=None, max_examples=25)
@given(
    known=st.integers(1, 2).flatmap(points),
    mean=st.floats(-1, 8),
    deviation=st.floats(0, 3),
    cost=st.integers(0, 9),
    seed=st.integers(0, 100),
)
def test_the_closed_form_is_the_mean_of_random_improvements(known, mean, deviation, cost, seed) -> None:
    values, costs = known
    n_costs = costs.shape[1]
    stairs = staircase(values, costs, 1.0, np.full(n_costs, 8.0))
    new = np.full((1, n_costs), float(cost))
    exact = stairs.expected_improvement(np.array([mean]), np.array([deviation]), stairs.areas(new))[0]
    draws = np.random.default_rng(seed).normal(mean, deviation, 20_000)
    found = stairs.improvement(draws, np.repeat(stairs.areas(new), len(draws), axis=0))
    error = found.std() / np.sqrt(len(draws))
    # Improvements too rare to be drawn have no spread in the sample; together they are below this.
    rare = 2e-3 * stairs.areas(new).sum() * deviation
    assert abs(exact - found.mean()) <= 6 * error + rare + 1e-9 * max(1.0, abs(exact))


@given(known=points(1))
def test_the_front_has_the_whole_volume(known) -> None:
    values, costs = known
    front = is_on_front(values, costs)
    whole = hypervolume(values, costs, 0.0, ONE, np.zeros(1))
    assert hypervolume(values[front], costs[front], 0.0, ONE, np.zeros(1)) == pytest.approx(whole)


def test_chebyshev_prefers_what_its_weights_say() -> None:
    gains = np.array([[1.0, 0.0], [0.6, 0.6], [0.0, 1.0]])
    assert [int(np.argmax(chebyshev(gains, np.array(w)))) for w in ([1, 0], [0.5, 0.5], [0, 1])] == [0, 1, 2]


def test_three_costs_are_refused() -> None:
    with pytest.raises(ValueError, match="one or two costs; got 3"):
        staircase(np.zeros(1), np.zeros((1, 3)), 0.0, np.ones(3))
