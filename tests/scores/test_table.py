"""The table of scores: what it holds, how it is stored, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robonas.errors import ConfigError, ScoreTableError
from robonas.metrics import Score
from robonas.scores.table import FORMAT, ScoreTable, check_provenance, provenance
from robonas.tables import read_table

ORIGIN = provenance("nasbench201", {"channels": 2}, "abc", 0)


def make_table() -> ScoreTable:
    """Three architectures in two classes; `b` is undefined for one."""
    scores = {
        "A": {"a": Score(1.0, None, 0.5), "b": Score(math.nan, "no ReLU", 0.25)},
        "C": {"a": Score(3.0, None, 0.5), "b": Score(-2.0, None, 0.25)},
    }
    return ScoreTable.from_scores([("A", "A"), ("B", "A"), ("C", "C")], scores, ("a", "b"), ORIGIN)


def test_holds_scores_reasons_and_seconds() -> None:
    table = make_table()
    np.testing.assert_array_equal(table.scores, [[1, np.nan], [1, np.nan], [3, -2]])
    assert table.reason(0, "b") == table.reason(1, "b") == "no ReLU"
    assert table.reason(2, "b") is None
    assert table.architectures == ("A", "B", "C")
    assert table.distinct.tolist() == [0, 2]


def test_seconds_count_each_class_once() -> None:
    assert make_table().seconds == pytest.approx(1.5)


def test_scores_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_table().scores[0, 0] = 9


def test_summary_counts_and_names_the_reason() -> None:
    summary = make_table().summary()
    assert summary.loc["b", ["defined", "undefined"]].tolist() == [1, 2]
    assert summary.loc["b", "reason"] == "no ReLU"
    assert summary.loc["a", ["minimum", "median", "maximum"]].tolist() == [1, 1, 3]
    assert summary.loc["a", "seconds"] == pytest.approx(1.0)


def test_a_table_without_metrics_has_an_empty_summary() -> None:
    table = ScoreTable.from_scores([("A", "A"), ("B", "A")], {}, (), ORIGIN)
    assert len(table.summary()) == 0
    assert table.warnings() == []


def test_warns_of_mostly_undefined_and_of_constant_metrics() -> None:
    same = {text: {"a": Score(5.0), "b": Score(math.nan, "dead")} for text in "AB"}
    sentences = ScoreTable.from_scores([("A", "A"), ("B", "B")], same, ("a", "b"), ORIGIN).warnings()
    assert len(sentences) == 2
    assert "'a' has the same score for all architectures (5)" in sentences[0]
    assert "'b' is undefined for 2 of 2 architectures: dead" in sentences[1]


def test_half_undefined_is_no_warning_and_more_is() -> None:
    for n_undefined, expected in ((2, 0), (3, 1)):
        scores = {
            text: {"a": Score(math.nan, "dead") if place < n_undefined else Score(float(place))}
            for place, text in enumerate("ABCD")
        }
        sentences = ScoreTable.from_scores([(text, text) for text in "ABCD"], scores, ("a",), ORIGIN).warnings()
        assert len(sentences) == expected, n_undefined


def test_a_metric_that_raised_is_named_with_an_architecture() -> None:
    scores = {
        "A": {"mine": Score(1.0)},
        "B": {"mine": Score(math.nan, "mine raised KeyError: 'x'")},
        "C": {"mine": Score(2.0)},
    }
    (sentence,) = ScoreTable.from_scores([(text, text) for text in "ABC"], scores, ("mine",), ORIGIN).warnings()
    assert sentence == "Metric 'mine' failed for 1 of 3 architectures, first for 'B': mine raised KeyError: 'x'"


def test_round_trip_through_parquet(tmp_path) -> None:
    table = make_table()
    table.write(tmp_path / "s.parquet")
    again = ScoreTable.read(tmp_path / "s.parquet")
    pd.testing.assert_frame_equal(again.frame, table.frame, check_dtype=False)
    assert again.metrics == table.metrics
    assert again.provenance == table.provenance
    assert again.fingerprint() == table.fingerprint()
    assert pd.read_parquet(tmp_path / "s.parquet")["a"].tolist() == [1, 1, 3]


def test_select_keeps_only_what_is_asked_for() -> None:
    table = make_table().select(["b"])
    assert table.metrics == ("b",)
    assert table.scores.shape == (3, 1)
    with pytest.raises(ScoreTableError, match="no metric 'c'; it has a, b"):
        make_table().select(["c"])


@pytest.mark.parametrize("keep", [0, 1, 100, -9])
def test_damaged_file_is_told_plainly(tmp_path, keep) -> None:
    path = tmp_path / "s.parquet"
    make_table().write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScoreTableError, match=r"is damaged .* delete it to score again"):
        ScoreTable.read(path)


def test_another_parquet_file_is_refused(tmp_path) -> None:
    path = tmp_path / "other.parquet"
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(ScoreTableError, match="not robonas's table of scores"):
        ScoreTable.read(path)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (provenance("nasbench201", {"channels": 4}, "abc", 0), "search space"),
        (provenance("nasbench201", {"channels": 2}, "xyz", 0), "batch"),
        (provenance("nasbench201", {"channels": 2}, "abc", 1), "seed"),
    ],
)
def test_scores_of_another_run_are_refused(tmp_path, other, word) -> None:
    with pytest.raises(ScoreTableError, match=f"another {word}"):
        check_provenance(other, ORIGIN, tmp_path)


def test_a_newer_format_is_refused(tmp_path) -> None:
    with pytest.raises(ScoreTableError, match="Update robonas"):
        check_provenance({**ORIGIN, "format": FORMAT + 1}, ORIGIN, tmp_path)


def test_other_versions_are_named(tmp_path) -> None:
    old = {**ORIGIN, "versions": {**ORIGIN["versions"], "torch": "1.0"}}
    with pytest.warns(UserWarning, match="torch 1.0 then"):
        check_provenance(old, ORIGIN, tmp_path)


def ten_rows() -> ScoreTable:
    """Ten classes and a copy of the first, with scores in known orders."""
    scores = {
        str(row): {
            "up": Score(float(row)),
            "down": Score(-(float(row) ** 3)),
            "odd": Score(math.nan, "why") if row == 3 else Score(float((row * 7) % 10)),
            "flat": Score(1.0),
        }
        for row in range(10)
    }
    pairs = [(str(row), str(row)) for row in range(10)] + [("copy", "0")]
    return ScoreTable.from_scores(pairs, scores, ("up", "down", "odd", "flat"), ORIGIN)


def test_correlations_compare_orders_over_classes() -> None:
    table = ten_rows()
    found = table.correlations()
    assert list(found.index) == list(found.columns) == ["up", "down", "odd", "flat"]
    assert found.loc["up", "down"] == pytest.approx(-1)
    rows = [row for row in range(10) if row != 3]
    wanted = stats.spearmanr(rows, [(row * 7) % 10 for row in rows]).statistic
    assert found.loc["up", "odd"] == found.loc["odd", "up"] == pytest.approx(wanted)
    assert found.loc["flat"].isna().all()
    assert abs(table.correlations(method="pearson").loc["up", "down"]) < 1
    tau = table.correlations(method="kendall").loc["up", "odd"]
    assert tau == pytest.approx(stats.kendalltau(rows, [(row * 7) % 10 for row in rows]).statistic)


def test_correlations_with_values_that_are_known_for_some() -> None:
    values = np.full(11, np.nan)
    values[[1, 2, 5, 8]] = 1.0, 2.0, 4.0, 3.0
    found = ten_rows().correlations(values, name="accuracy")
    assert found.loc["accuracy", "up"] == pytest.approx(0.8)
    assert found.loc["accuracy", "down"] == pytest.approx(-0.8)
    values[5] = np.nan
    assert math.isnan(ten_rows().correlations(values).loc["objective", "up"]), "three are too few"
    values[[0, 5]], values[10] = (np.nan, 4.0), 0.0  # of a class, any row may have the value
    assert ten_rows().correlations(values).loc["objective", "up"] == pytest.approx(0.9)


def test_correlations_refuse_what_they_cannot_take() -> None:
    with pytest.raises(ConfigError, match=r"one number a row, \(11,\); got shape \(3,\)"):
        ten_rows().correlations([1, 2, 3])
    with pytest.raises(ConfigError, match="must not be a metric's; got 'up'"):
        ten_rows().correlations(np.zeros(11), name="up")
    with pytest.raises(ConfigError, match="spearman, kendall or pearson; got 'x'"):
        ten_rows().correlations(method="x")


def test_csv_has_the_architectures_and_the_scores(tmp_path) -> None:
    make_table().write_csv(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "architecture,a,b\nA,1.0,\nB,1.0,\nC,3.0,-2.0\n"
    assert read_table(tmp_path / "s.csv").architectures == ("A", "B", "C")
