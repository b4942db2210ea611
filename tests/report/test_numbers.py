"""Records, before any picture is drawn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from robonas.common.randomness import numpy_generator
from robonas.objectives.base import CurvePoint
from robonas.report import numbers
from tests.report import sample


def with_values(values, *, direction="maximize", states=None):
    """A search with these values; None is a failure."""
    base = sample.result(len(values), failures=())
    queries = [
        replace(
            query,
            value=value,
            state="failed" if value is None else "complete",
            failure="why" if value is None else None,
        )
        for query, value in zip(base.queries, values, strict=True)
    ]
    for place, state in (states or {}).items():
        queries[place] = replace(queries[place], state=state)
    return replace(base, queries=tuple(queries), direction=direction)


def test_progress_keeps_failures_as_gaps():
    found = numbers.progress(with_values([None, 0.5, 0.4, None, 0.7]), "me")
    assert found.label == "me"
    assert found.numbers.tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(found.values, [np.nan, 0.5, 0.4, np.nan, 0.7], equal_nan=True)
    assert np.array_equal(found.best, [np.nan, 0.5, 0.5, 0.5, 0.7], equal_nan=True)
    assert found.failed.tolist() == [True, False, False, True, False]
    assert found.n_explored == 5


def test_progress_of_a_loss_goes_down():
    found = numbers.progress(with_values([0.5, 0.6, 0.2], direction="minimize"))
    assert found.best.tolist() == [0.5, 0.5, 0.2]


def test_progress_of_nothing_is_empty():
    found = numbers.progress(sample.result(queries=()))
    assert len(found.numbers) == len(found.values) == len(found.best) == len(found.failed) == 0


def test_labels_are_unique_and_no_longer_than_needed():
    robot, random = sample.result(), sample.random_baseline(seed=3)
    assert numbers.labels([robot, random]) == ("robot", "random")
    assert numbers.labels([robot, random, replace(random, seed=4)]) == ("robot", "random, seed 3", "random, seed 4")
    twins = numbers.labels([robot, replace(robot, study="other"), robot])
    assert len(set(twins)) == 3
    assert twins[1] == "robot, seed 0, other"


def test_standing_counts_every_query():
    running = with_values([0.1, None, 0.4, 0.3, None], states={4: "running"})
    found = numbers.standing(running)
    assert (found.value, found.found_at, found.n_queries, found.n_complete, found.n_failed) == (0.4, 3, 5, 3, 1)
    assert found.seconds == pytest.approx(sum(query.seconds for query in running.queries))
    nothing = numbers.standing(with_values([None]))
    assert (nothing.value, nothing.found_at, nothing.n_failed) == (None, None, 1)


def test_weights_are_sorted_by_size_and_dead_ones_marked():
    result = sample.result()
    frame = result.scores.frame.copy()
    frame["snip"] = 3.0
    bars = numbers.weights(replace(result, scores=replace(result.scores, frame=frame)))
    assert [bar.metric for bar in bars] == ["synflow", "jacov", "fisher", "params", "snip", "grad_norm", "grasp"]
    assert [bar.metric for bar in bars if bar.dead] == ["snip"]
    assert bars[2].weight == -0.62
    assert numbers.weights(sample.random_baseline()) is None


def test_agreement_points_and_sign():
    result = sample.result(20)
    found = numbers.agreement(result)
    assert 4 not in found.numbers
    assert len(found.numbers) == 19
    assert found.combined.tolist() == [
        result.combined[query.row] for query in result.queries if query.value is not None
    ]
    assert found.spearman == pytest.approx(spearmanr(found.combined, found.values).statistic)
    low, high = found.interval
    assert -1 <= low < found.spearman < high <= 1
    assert numbers.agreement(replace(result, direction="minimize")).spearman == pytest.approx(-found.spearman)
    assert numbers.agreement(sample.random_baseline()) is None


def test_agreement_leaves_out_candidates_without_a_combined_score():
    result = sample.result(6, failures=())
    merged = result.combined.copy()
    merged[result.queries[0].row] = np.nan
    found = numbers.agreement(replace(result, summary=replace(result.summary, combined=merged)))
    assert found.numbers.tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "0 points are too few"),
        ([1.0], [1.0], "1 point is too few"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "3 points are too few"),
        ([1.0] * 10, [*map(float, range(10))], "same combined score"),
        ([*map(float, range(10))], [1.0] * 10, "same value"),
    ],
)
def test_undefined_correlations_say_why(x, y, reason):
    rho, interval, undefined = numbers.rank_correlation(np.array(x), np.array(y))
    assert rho is None
    assert interval is None
    assert reason in undefined


def test_correlation_is_repeatable_and_survives_resamples_that_are_constant():
    x, y = np.array([1.0] * 9 + [2.0]), np.array([1.0] * 9 + [2.0])
    first, second = numbers.rank_correlation(x, y, 1), numbers.rank_correlation(x, y, 1)
    assert first == second
    assert first[0] == pytest.approx(1)
    assert first[1] == pytest.approx((1, 1))


def test_fewer_than_ten_points_have_neither_a_correlation_nor_an_interval():
    few = np.arange(9.0)
    assert numbers.rank_correlation(few, few)[:2] == (None, None)
    assert numbers.rank_correlation(few, few, resamples=0, fewest=4) == (pytest.approx(1), None, None)
    assert numbers.rank_correlation(np.arange(10.0), np.arange(10.0))[1] is not None


@pytest.mark.parametrize("n", [10, 15])
def test_the_interval_is_that_of_resamples_ranked_one_by_one(n):
    rng = np.random.default_rng(n)
    x, y = np.round(4 * rng.random(n)), rng.random(n)
    _, interval, _ = numbers.rank_correlation(x, y, 3, resamples=200)
    draws = numpy_generator("bootstrap", 3).integers(n, size=(200, n))
    each = [spearmanr(x[drawn], y[drawn]).statistic for drawn in draws if np.ptp(x[drawn]) and np.ptp(y[drawn])]
    assert interval == pytest.approx(np.percentile(each, [2.5, 97.5]))


def test_curves_have_failures_and_the_winner():
    result = sample.result(6, failures=(2,))
    found = numbers.curves(result)
    assert sorted(curve.number for curve in found) == [1, 2, 3, 4, 5, 6]
    assert [curve.number for curve in found if curve.is_best] == [result.best.number]
    assert found[-1].failed
    assert found[-1].steps == (1, 2, 3)
    bare = replace(result, queries=tuple(replace(query, curve=()) for query in result.queries))
    assert numbers.curves(bare) == ()
    one = replace(result.queries[0], curve=(CurvePoint(1, 1, 0.5),))
    assert numbers.curves(replace(result, queries=(one,))) == (
        numbers.Curve(1, (1,), (0.5,), is_best=True, failed=False),
    )


def test_metric_rows():
    result = sample.result()
    rows = numbers.metric_rows(result)
    assert [row.metric for row in rows] == list(sample.METRICS)
    assert all(row.defined + row.undefined == 120 for row in rows)
    assert rows[0].reason == "no gradient reaches the input"
    assert rows[-1].reason is None
    assert rows[-1].undefined == 0
    assert numbers.metric_rows(replace(result, scores=result.scores.select([]))) == ()
