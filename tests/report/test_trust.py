"""The diagnostics of one search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robonas.errors import ConfigError
from robonas.report import theory
from robonas.report.trust import trust
from tests.report import sample


def test_everything_of_a_search_that_learns():
    result = sample.result(20, n_explored=8)
    found = trust(result)
    assert (found.candidates, found.queries, found.proposals, found.repeats, found.depth) == (109, 20, 20, 12, 12)
    assert found.gain.final_best == result.value
    assert found.gain.found_after == result.best.number - 8
    assert found.table.depth == 12
    assert [row.hits for row in found.table.rows] == list(range(1, 11))
    assert found.table.random == theory.what_if(20, 109)
    assert found.table.needed == 2  # 13/2 > 110/21 > 13/3
    assert set(found.reach.rows) <= set(result.scores.distinct.tolist())
    assert found.reach.shares.sum() == pytest.approx(1)
    assert found.winner_share == found.reach.share(result.best.row)
    assert found.winner_corner
    assert len(found.sensitivity) == 4
    assert [row.metric for row in found.metrics] == list(sample.METRICS)
    assert all(0 <= row.kept_without <= 1 for row in found.metrics)
    assert found.known is None


def test_the_table_goes_on_to_the_hits_that_beat_random_search():
    table = trust(sample.result(100, n_explored=30)).table
    assert table.needed > 10
    assert [row.hits for row in table.rows] == [*range(1, 11), table.needed]
    assert table.rows[-1].expected < table.random.expected <= theory.expected_best_rank(table.needed - 1, table.depth)


def test_a_search_without_weights_has_the_health_of_its_metrics_only():
    found = trust(sample.random_baseline())
    assert found.gain is found.table is found.reach is found.winner_share is found.winner_corner is None
    assert found.sensitivity == ()
    assert len(found.metrics) == len(sample.METRICS)
    assert all(row.kept_without is None for row in found.metrics)


def test_weights_that_do_not_explain_the_ranking_are_not_jogged():
    result = sample.result()
    other = replace(result.summary, combined=np.random.default_rng(0).random(len(result.scores)))
    found = trust(replace(result, summary=other))
    assert found.sensitivity == ()
    assert found.reach is not None


def test_nothing_queried_and_no_metrics():
    result = sample.result(queries=())
    found = trust(result)
    assert (found.queries, found.table, found.winner_share) == (0, None, None)
    bare = trust(replace(sample.random_baseline(), scores=result.scores.select([])))
    assert bare.metrics == ()


def test_known_values_judge_the_search():
    result = sample.result(20, n_explored=8, failures=())
    truth = result.combined * 0.01
    found = trust(result, truth).known
    assert found.n_known == 109
    assert (found.hits, found.depth, found.precision) == (12, 12, 1)
    assert found.spearman == pytest.approx(1)
    assert found.expected == pytest.approx(1)
    distinct = truth[result.scores.distinct]
    assert found.true_rank == 1 + np.sum(distinct > truth[result.best.row])
    assert trust(replace(result, direction="minimize"), -truth).known.hits == 12
    none = trust(result, np.full(len(truth), np.nan)).known
    assert (none.n_known, none.true_rank, none.hits, none.expected) == (0, None, 0, None)


def test_known_values_of_another_pool_are_refused():
    with pytest.raises(ConfigError, match=r"one value a row of the table of scores \(120\); got shape \(3,\)"):
        trust(sample.result(), np.zeros(3))


def test_isomorphic_winner_counts_by_its_class():
    result = sample.result(20, n_explored=8)
    frame = result.scores.frame
    twin = int(np.flatnonzero(frame["canonical"].duplicated())[0])
    first = int(np.flatnonzero(frame["canonical"] == frame["canonical"].iloc[twin])[0])
    best = replace(result.best, row=twin, architecture=frame["architecture"].iloc[twin])
    queries = tuple(best if query is result.best else query for query in result.queries)
    found = trust(replace(result, queries=queries))
    assert found.winner_share == found.reach.share(first)
