from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from robonas.strategies.candidates import (
    FEATURES,
    Belief,
    Feature,
    believed,
    covariance,
    direction,
    dual_weights,
    linear_weights,
    novelty,
    prior_slopes,
    targets,
    unit_scores,
)

BELIEF = Belief("min_max", slope=0.7, linear=0.5, smooth=2.0, length=1.5, structure=0.3, decay=2.0, noise=0.1)


def test_covariance_is_the_sum_that_is_stated() -> None:
    rng = np.random.default_rng(0)
    F, codes = rng.normal(size=(6, 4)), rng.integers(3, size=(6, 5))
    smooth = Matern(length_scale=1.5 * np.sqrt(4), nu=2.5)(F)
    differing = (codes[:, None] != codes[None]).mean(axis=2)
    expected = 0.6 + 0.5 * F @ F.T / 4 + 2.0 * smooth + 0.3 * np.exp(-2.0 * differing)
    belief = dataclasses.replace(BELIEF, constant=0.6)
    np.testing.assert_allclose(covariance(belief, (F, codes), (F, codes)), expected, atol=1e-12)
    without = expected - 0.3 * np.exp(-2.0 * differing)
    np.testing.assert_allclose(covariance(belief, (F, None), (F, None)), without, atol=1e-12)


def test_linear_weights_are_those_of_bayesian_regression() -> None:
    """Without its other parts: prior weights v of variance linear / M."""
    rng = np.random.default_rng(1)
    F, r, slopes = rng.normal(size=(9, 3)), rng.normal(size=9), np.array([0.7, 0.2, 0.0])
    belief = Belief("min_max", slope=0.7, linear=0.5, smooth=0.0, length=1.0, structure=0.0, decay=1.0, noise=0.1)
    duals = dual_weights(covariance(belief, (F, None), (F, None)), np.full(9, 0.1), r - F @ slopes)
    precision = F.T @ F / 0.1 + np.eye(3) * 3 / 0.5
    expected = np.linalg.solve(precision, F.T @ r / 0.1 + 3 / 0.5 * slopes)
    np.testing.assert_allclose(linear_weights(belief, F, duals, slopes), expected)
    mean = F @ slopes + covariance(belief, (F, None), (F, None)) @ duals
    np.testing.assert_allclose(mean, F @ expected)


def test_targets_are_normal_scores_of_ranks() -> None:
    np.testing.assert_allclose(targets([5.0, -1e9, 7.0]), [0.0, -0.967422, 0.967422], atol=1e-6)
    np.testing.assert_allclose(targets([2.0, 2.0]), [0.0, 0.0])
    assert targets([]).shape == (0,)


@pytest.mark.parametrize("kind", FEATURES)
def test_features_are_standardised_and_monotone(kind: str) -> None:
    scores = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0], [np.nan, np.inf]])
    F = Feature(unit_scores(scores), kind).fitted
    np.testing.assert_allclose(F.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(F[:, 0].std(), 1.0)
    assert (np.diff(F[:3, 0]) > 0).all()
    assert F[3, 0] == F[0, 0], "an undefined score takes the lowest value"
    np.testing.assert_array_equal(F[:, 1], 0.0)


@pytest.mark.parametrize("kind", FEATURES)
def test_a_metric_with_its_sign_changed_is_the_same_feature_with_its_sign_changed(kind: str) -> None:
    unit = unit_scores(np.random.default_rng(0).exponential(size=(20, 2)))
    np.testing.assert_allclose(Feature(1 - unit, kind).fitted, -Feature(unit, kind).fitted, atol=1e-9)


def test_asinh_draws_in_a_tail_and_normal_scores_keep_the_order_only() -> None:
    unit = unit_scores(np.array([[0.0], [1.0], [2.0], [3.0], [1e6]]))
    gaps = {kind: np.diff(Feature(unit, kind).fitted[:, 0]) for kind in FEATURES}
    assert gaps["min_max"][0] < 1e-4 < gaps["asinh"][0] < gaps["normal"][0]
    np.testing.assert_allclose(gaps["normal"][0], gaps["normal"][-1])


@pytest.mark.parametrize("kind", FEATURES)
def test_rows_of_the_pool_get_the_same_features_again_and_others_those_between_which_they_lie(kind: str) -> None:
    unit = unit_scores(np.random.default_rng(0).normal(size=(50, 2)).round(1))
    feature = Feature(unit, kind)
    np.testing.assert_allclose(feature(unit), feature.fitted, atol=1e-12)
    order = np.argsort(unit[:, 0])
    between = feature((unit[order[20:21]] + unit[order[30:31]]) / 2)[0, 0]
    assert feature.fitted[order[20], 0] < between < feature.fitted[order[30], 0]
    np.testing.assert_allclose(feature.combined(unit, np.array([2.0, -1.0])), feature.fitted @ [2.0, -1.0], atol=1e-12)
    beyond = feature(np.array([[-1.0, 2.0]]))
    assert beyond[0, 0] <= feature.fitted[:, 0].min()
    assert beyond[0, 1] >= feature.fitted[:, 1].max()


def test_a_belief_speaks_between_its_first_and_last_query() -> None:
    belief = dataclasses.replace(BELIEF, first=2, last=4)
    assert [belief.speaks(n, n) for n in range(6)] == [False, False, True, True, False, False]
    assert belief.speaks(6, 3), "pending queries let a process begin, and do not end it"
    assert not belief.speaks(1, 0)
    assert BELIEF.speaks(0, 0)
    assert BELIEF.speaks(1000, 1000)


def test_pending_queries_count_as_what_is_expected_of_them_but_as_nothing_better_than_known() -> None:
    r, prior, noise = np.array([1.0, 0.0, -1.0, 0.0]), np.array([0.5, 3.0, 0.0, -0.4]), np.full(4, 0.25)
    K = np.array([[1.0, 0.5, 0.0, 0.25], [0.5, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.5], [0.25, 0.0, 0.5, 1.0]])
    pending = np.array([False, True, False, True])
    # The answers are independent of each other: their duals are (r - prior) / 1.25.
    expected = -0.4 + 0.25 * 0.5 / 1.25 - 0.5 * 1.0 / 1.25
    np.testing.assert_allclose(believed(r, pending, prior, K, noise), [1.0, 1.0, -1.0, expected])
    np.testing.assert_allclose(believed(r, pending, prior - 9, K, noise)[1], -6 + 0.5 * 9.5 / 1.25)
    assert r.tolist() == [1.0, 0.0, -1.0, 0.0], "what was passed in is unchanged"


def test_without_pending_queries_targets_stay_and_without_answers_all_are_middling() -> None:
    r, K = np.array([0.7, -0.7]), np.eye(2)
    assert believed(r, np.zeros(2, dtype=bool), np.ones(2), K, np.ones(2)) is r
    assert believed(r, np.ones(2, dtype=bool), np.ones(2), K, np.ones(2)).tolist() == [0.0, 0.0]
    nothing = np.zeros(0)
    assert believed(nothing, nothing.astype(bool), nothing, np.zeros((0, 0)), nothing).shape == (0,)


def test_no_answers_leave_the_prior() -> None:
    assert dual_weights(BELIEF, np.zeros((0, 0)), np.zeros(0)).shape == (0,)
    np.testing.assert_allclose(linear_weights(BELIEF, np.zeros((0, 4)), np.zeros(0), np.full(4, 0.35)), 0.35)


def test_copies_of_a_metric_count_together_as_one() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 400))
    F = Feature(unit_scores(np.column_stack([one, one**3, one, other])), "rank").fitted
    share = novelty(F)
    np.testing.assert_allclose(share[:3], 1 / 3, atol=0.02)
    assert share[3] == pytest.approx(1.0, abs=0.05)
    slopes = prior_slopes(BELIEF, F, np.full(4, 0.2), share)
    assert slopes[:3].sum() == pytest.approx(slopes[3], rel=0.05)


def test_a_prior_mean_is_as_steep_as_the_record_of_its_metrics() -> None:
    F = Feature(unit_scores(np.random.default_rng(0).normal(size=(50, 3))), "rank").fitted
    deviations = {}
    for record in (0.0, 0.1, 0.2):
        slopes = prior_slopes(BELIEF, F, np.full(3, record), np.ones(3))
        deviations[record] = (F @ slopes).std()
    assert deviations == pytest.approx({0.0: 0.05 * 0.7, 0.1: 0.5 * 0.7, 0.2: 0.7}), "the least record is 0.01"
    slopes = prior_slopes(BELIEF, F, np.array([0.0, 0.1, 0.3]), np.ones(3))
    np.testing.assert_allclose(slopes / slopes[1], [0.1, 1.0, 3.0])


def test_answers_turn_the_direction() -> None:
    prior = np.array([2.5, 0.0, 2.0])
    assert 0.85 < direction(np.zeros(0), np.zeros(0)) < 0.95
    assert direction(prior, targets([0.9, 0.1, 0.8])) > 0.95
    assert direction(prior, targets([0.1, 0.9, 0.2])) < -0.5
