"""The closed forms against counting, the rest against hand-made cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import optimize

from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.report import theory


def all_bests(k: int, n: int) -> np.ndarray:
    """The smallest of every choice of k ranks from 1..n."""
    return np.array([min(chosen) for chosen in itertools.combinations(range(1, n + 1), k)])


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 6), (2, 6), (3, 7), (7, 7), (5, 9)])
def test_rank_forms_equal_counting(k, n):
    bests = all_bests(k, n)
    assert theory.expected_best_rank(k, n) == pytest.approx(bests.mean())
    for rank in range(n + 2):
        assert theory.chance_worse_than(rank, k, n) == pytest.approx(np.mean(bests > rank))
    for probability in (0.1, 0.5, 0.9, 0.99):
        counted = next(rank for rank in range(1, n + 1) if np.mean(bests <= rank) >= probability - 1e-12)
        assert theory.best_rank_quantile(probability, k, n) == counted


def test_published_examples_of_the_forms():
    """Random search in NAS-Bench-201 with 20 queries, one hit among 20, and TransNAS micro with 100."""
    assert theory.expected_best_rank(20, 15_625) == pytest.approx(744.1, abs=0.1)
    assert theory.expected_best_rank(1, 20) == 10.5
    assert theory.expected_best_rank(100, 4_096) == pytest.approx(40.6, abs=0.1)
    assert theory.hits_to_beat_random(20, 20, 15_625) == 1
    assert theory.hits_to_beat_random(100, 100, 4_096) == 2


def test_no_hits_promise_nothing():
    assert theory.expected_best_rank(0, 5) == math.inf
    assert theory.best_rank_quantile(0.5, 0, 5) is None
    assert theory.chance_worse_than(3, 0, 5) == 1


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_impossible_hits_are_refused(k, n):
    with pytest.raises(ConfigError, match=f"from 0 to the number of ranks \\({n}\\); got {k}"):
        theory.expected_best_rank(k, n)


def test_impossible_probability_and_what_if_are_refused():
    with pytest.raises(ConfigError, match="between 0 and 1; got 1"):
        theory.best_rank_quantile(1, 1, 2)
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        theory.what_if(0, 4)


@given(st.integers(1, 30), st.integers(1, 60), st.integers(0, 40))
def test_fewest_hits_to_beat_random_equal_a_search(n, draws, more):
    candidates = draws + more
    random = theory.expected_best_rank(draws, candidates)
    found = [k for k in range(1, n + 1) if theory.expected_best_rank(k, n) < random - 1e-9]
    assert theory.hits_to_beat_random(n, draws, candidates) == (found[0] if found else None)


def test_what_if_row():
    assert theory.what_if(2, 6) == theory.WhatIf(2, pytest.approx(7 / 3), 2, 4)


# ── weights ──

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.9, 0.4], [1.0, 1.0]])
"""Four corners, a centre, a point inside, and a copy of a corner."""


def test_reachable_are_the_corners_with_equal_shares():
    found = theory.reachable(SQUARE, numpy_generator("test"), 20_000)
    assert set(found.rows.tolist()) == {0, 1, 2, 3}
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares == pytest.approx(np.full(4, 0.25), abs=0.02)
    assert found.share(4) == 0
    assert found.share(int(found.rows[0])) == found.shares[0] == found.shares.max()


def test_reachable_in_small_blocks_is_the_same(monkeypatch):
    whole = theory.reachable(SQUARE, numpy_generator("test"), 1_000)
    monkeypatch.setattr(theory, "_CELLS", 7 * 13)
    parts = theory.reachable(SQUARE, numpy_generator("test"), 1_000)
    assert parts.rows.tolist() == whole.rows.tolist()
    assert parts.shares.tolist() == whole.shares.tolist()


def test_corners_can_be_first_and_others_cannot():
    assert [theory.can_be_first(SQUARE, row) for row in range(len(SQUARE))] == [True] * 4 + [False, False, True]
    assert theory.can_be_first(np.ones((3, 2)), 1)
    assert not theory.can_be_first(np.array([[0.0], [0.5], [1.0]]), 1)


@given(st.integers(0, 10_000))
def test_what_draws_reach_is_a_corner(seed):
    scaled = np.round(np.random.default_rng(seed).random((12, 3)), 1)
    for row in theory.reachable(scaled, numpy_generator("test", seed), 50).rows:
        assert theory.can_be_first(scaled, int(row))


@pytest.mark.parametrize("kind", ["uniform", "grid", "skewed"])
def test_corners_are_those_of_a_linear_programme(kind):
    """The largest δ with u_i w + δ ≤ 0 for all directions u_i from the candidate, w in [-1, 1]^M, is above 0."""
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(150):
        scaled = rng.random((int(rng.integers(2, 60)), int(rng.integers(1, 8))))
        scaled = {"uniform": scaled, "grid": np.round(3 * scaled) / 3, "skewed": scaled**8}[kind]
        row = int(rng.integers(len(scaled)))
        others = scaled - scaled[row]
        others = others[np.any(others != 0, axis=1)]
        if not len(others):
            continue
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        n = others.shape[1]
        answer = optimize.linprog(
            c=[0.0] * n + [-1.0],
            A_ub=np.hstack([others, np.ones((len(others), 1))]),
            b_ub=np.zeros(len(others)),
            bounds=[(-1.0, 1.0)] * n + [(0.0, None)],
        )
        assert answer.status == 0
        if not 1e-9 < answer.x[-1] < 1e-4:  # else rounding decides
            assert theory.can_be_first(scaled, row) == (answer.x[-1] > 1e-4)
            seen.add(answer.x[-1] > 1e-4)
    assert seen == {True, False}


def test_a_corner_is_found_in_a_large_pool():
    scaled = np.random.default_rng(0).random((20_000, 6))
    assert theory.can_be_first(scaled, int(np.argmax(scaled.sum(axis=1))))
    assert not theory.can_be_first(np.vstack([scaled, scaled.mean(axis=0)]), len(scaled))


def test_top_puts_nan_last_and_keeps_the_order_of_equals():
    assert theory.top(np.array([1.0, np.nan, 3.0, 1.0, 2.0]), 4).tolist() == [2, 4, 0, 3]
    assert theory.top(np.array([np.nan, 0.0]), 5).tolist() == [1, 0]


def test_jaccard():
    assert theory.jaccard(np.array([1, 2, 3]), np.array([2, 3, 4])) == 0.5
    assert theory.jaccard(np.array([], dtype=int), np.array([], dtype=int)) == 1


def test_sensitivity_is_one_without_noise_and_falls_with_it():
    scaled = np.random.default_rng(0).random((200, 4))
    weights = np.array([1.0, -0.5, 0.25, 0.8])
    rows = theory.weight_sensitivity(scaled, weights, 10, numpy_generator("test"), noises=(0.0, 0.05, 1.0), n_draws=40)
    assert rows[0].mean == rows[0].low == 1
    assert 1 > rows[1].mean > rows[2].mean > 0
    assert all(row.low <= row.mean for row in rows)


def test_a_metric_without_weight_can_be_left_out_and_the_only_one_cannot():
    scaled = np.array([[0.0, 1.0], [0.2, 0.9], [0.4, 0.8], [0.6, 0.7], [0.8, 0.6], [1.0, 0.5]])
    # Without the first metric all are equal, and the top is the first two of the pool instead of the last two.
    assert theory.without_each_metric(scaled, np.array([1.0, 0.0]), 2).tolist() == [0.0, 1.0]


# ── metrics and answers ──


def test_health():
    scores = np.array(
        [[1.0, 5.0, np.nan, 0.0], [2.0, 5.0, np.nan, 1e-6], [np.inf, 5.0, np.nan, 2e-6], [4.0, np.nan, np.nan, 1.0]]
    )
    plain, constant, absent, tail = theory.metric_health(scores)
    assert (plain.missing, plain.n_distinct, plain.dead, plain.ruled_by_outliers) == (0.25, 3, False, False)
    assert plain.spread == pytest.approx(0.5)  # 0, 1/3, 1: quartiles at 1/6 and 2/3
    assert (constant.dead, constant.missing) == (True, 0.25)
    assert (absent.dead, absent.missing, absent.ruled_by_outliers) == (True, 1, False)
    assert math.isnan(absent.spread)
    assert not tail.ruled_by_outliers
    many = np.append(np.linspace(0, 1e-6, 99), 1.0)[:, None]
    assert theory.metric_health(many)[0].ruled_by_outliers


@pytest.mark.parametrize(
    ("values", "n_explored", "maximise", "expected"),
    [
        ([0.1, 0.3, 0.2, 0.6, 0.5], 3, True, (0.3, 0.6, 0.3, 1)),
        ([0.1, 0.3, 0.2, 0.6, 0.5], 3, False, (0.1, 0.1, 0.0, None)),
        ([3.0, 2.0, 2.5, 1.0], 2, False, (2.0, 1.0, 1.0, 2)),
        ([np.nan, 0.4, 0.4], 1, True, (None, 0.4, None, 1)),
        ([0.4, 0.4], 1, True, (0.4, 0.4, 0.0, None)),
        ([np.nan, np.nan], 1, True, (None, None, None, None)),
        ([], 0, True, (None, None, None, None)),
    ],
)
def test_gain(values, n_explored, maximise, expected):
    found = theory.exploitation_gain(np.array(values), n_explored, maximise=maximise)
    assert (found.explored_best, found.final_best) == expected[:2]
    assert found.gain == (None if expected[2] is None else pytest.approx(expected[2]))
    assert found.found_after == expected[3]


def test_true_ranks_and_hits():
    objective = np.array([0.9, 0.5, 0.9, np.nan, 0.7])
    ranks = theory.true_ranks(objective)
    assert ranks[[0, 1, 2, 4]].tolist() == [1, 4, 1, 3]
    assert math.isnan(ranks[3])
    combined = np.array([5.0, 4.0, 3.0, 9.0, np.nan])
    # Its top two are row 3, of which nothing is known, and row 0, which shares the first rank.
    assert theory.hits(combined, objective, 2) == 1
    assert theory.hits(combined, objective, 4) == 3


@given(st.integers(0, 1_000))
def test_hits_equal_the_intersection_where_nothing_ties(seed):
    generator = np.random.default_rng(seed)
    combined, objective = generator.permutation(30).astype(float), generator.permutation(30).astype(float)
    both = set(np.argsort(-combined)[:7]) & set(np.argsort(-objective)[:7])
    assert theory.hits(combined, objective, 7) == len(both)
