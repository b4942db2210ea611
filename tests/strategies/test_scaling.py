from __future__ import annotations

import itertools

import numpy as np
import pytest

from robonas.strategies.scaling import (
    column_medians,
    fill_missing,
    is_dead,
    min_max,
    normal_scores,
    oriented,
    uniform_ranks,
)

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_bounds_do_not_depend_on_where_a_missing_value_stands(order: tuple[int, ...]) -> None:
    column = np.array([[NAN], [1.0], [2.0]])[list(order)]
    np.testing.assert_array_equal(min_max(column), np.array([[NAN], [0.0], [1.0]])[list(order)])


@pytest.mark.parametrize("infinity", [INF, -INF])
def test_infinities_are_missing(infinity: float) -> None:
    np.testing.assert_array_equal(min_max(np.array([[infinity], [1.0], [3.0], [2.0]])).T, [[NAN, 0.0, 1.0, 0.5]])


def test_a_dead_column_is_zero_and_known_as_dead() -> None:
    scores = np.array([[5.0, NAN, 1.0], [5.0, NAN, 2.0], [NAN, INF, NAN]])
    np.testing.assert_array_equal(min_max(scores)[:, 0], [0.0, 0.0, NAN])
    assert is_dead(scores).tolist() == [True, True, False]


def test_the_widest_numbers_do_not_overflow() -> None:
    top = np.finfo(float).max
    np.testing.assert_array_equal(min_max(np.array([[-top], [0.0], [top]])).T, [[0.0, 0.5, 1.0]])


def test_ranks_are_shared_by_ties_and_skip_missing_values() -> None:
    np.testing.assert_allclose(uniform_ranks(np.array([[3.0], [NAN], [1.0], [3.0]])).T, [[2 / 3, NAN, 1 / 6, 2 / 3]])


def test_normal_scores_are_symmetric_quantiles() -> None:
    scaled = normal_scores(np.array([[10.0], [1e9], [-4.0]]))
    np.testing.assert_allclose(scaled.T, [[0.0, 0.967422, -0.967422]], atol=1e-6)


def test_orientation_negates_where_lower_is_better() -> None:
    np.testing.assert_array_equal(oriented(np.array([[1.0, 2.0]]), (True, False)), [[1.0, -2.0]])


def test_filling_by_medians() -> None:
    scaled = np.array([[1.0, NAN], [3.0, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(fill_missing(scaled, column_medians(scaled)), [[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]])


@pytest.mark.parametrize("function", [min_max, uniform_ranks, normal_scores, is_dead, column_medians])
@pytest.mark.parametrize("shape", [(0, 2), (1, 2), (2, 0)])
def test_small_shapes(function: object, shape: tuple[int, int]) -> None:
    assert function(np.zeros(shape)).shape[-1] == shape[1]  # type: ignore[operator]
