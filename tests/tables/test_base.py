"""The one form: roles, names, what is undefined, reading back."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from robonas.errors import TableError
from robonas.tables import BenchmarkTable, Column, read_table
from robonas.tables.building import Builder, Raw, clean, number


def small(**undefined) -> BenchmarkTable:
    builder = Builder()
    for i in range(4):
        builder.add(
            f"a{i}",
            [
                Raw(Column("synflow", "metric", base="synflow", task="c10"), [1.0, None, -1e8, math.nan][i]),
                Raw(Column("jacov", "metric", base="jacov", task="c10"), None),
                Raw(Column("synflow", "metric", base="synflow", task="c100"), float(i)),
                Raw(Column("val", "objective", base="val", task="c10", epochs=12), 10.0 + i),
                Raw(Column("val", "objective", base="val", task="c10", epochs=200), 20.0 + i),
                Raw(Column("test", "final", base="test", task="c10", epochs=200), 30.0 + i),
                Raw(Column("index", "info", base="index"), i),
            ],
        )
    return builder.build({"source": "small", **undefined})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "absent"), (math.nan, "nan"), (math.inf, "infinite"), (-math.inf, "infinite"), (-1e8, "sentinel"),
        (-1e7, "sentinel"), ("x", "not a number"), (1 + 2j, "not a number"), (10**400, "infinite"),
        ([], "not a number"),         (np.float32("nan"), "nan"),
    ],
)  # fmt: skip
def test_undefined_values(value, reason) -> None:
    assert math.isnan(number(value)[0])
    assert number(value)[1] == reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (True, 1.0),
        ("2.5", 2.5),
        (np.array([3.0]), 3.0),
        (np.complex128(4), 4.0),
        (-9.9e6, -9.9e6),
        (1e300, 1e300),
    ],
)
def test_defined_values(value, expected) -> None:
    assert number(value) == (expected, None)


@given(st.lists(st.floats(width=64) | st.none(), max_size=20))
def test_clean_counts_every_undefined_value(values) -> None:
    found, why = clean(values)
    assert len(found) == len(values)
    assert int(np.isnan(found).sum()) == sum(why.values())
    assert (found[~np.isnan(found)] > -1e7).all()


def test_a_mark_of_failure_does_not_squash_the_rest() -> None:
    values, why = clean([*np.linspace(0, 1, 99), -1e8])
    assert (np.nanmin(values), np.nanmax(values), why) == (0.0, 1.0, {"sentinel": 1})


def test_names_roles_and_counts() -> None:
    table = small()
    assert [column.name for column in table.columns] == [
        "synflow_c10", "jacov_c10", "synflow_c100", "val_c10_12ep", "val_c10_200ep", "test_c10_200ep", "index",
    ]  # fmt: skip
    assert dict(table.column("synflow_c10").undefined) == {"absent": 1, "nan": 1, "sentinel": 1}
    assert table.metrics == ("synflow_c10", "synflow_c100")
    assert table.summary().loc["synflow_c10", ["defined", "undefined"]].tolist() == [1, 3]
    assert table.summary().loc["synflow_c10", "why"] == "1 absent, 1 nan, 1 sentinel"


def test_nothing_is_guessed() -> None:
    table = small()
    with pytest.raises(TableError, match="'val' may be any of val_c10_12ep, val_c10_200ep; name one of them"):
        table.column("val")
    with pytest.raises(TableError, match="'synflow' may be any of synflow_c10, synflow_c100"):
        table.scores(["synflow"])
    with pytest.raises(TableError, match=r"no column 'synflw_c10'\. Did you mean 'synflow_c10'"):
        table.column("synflw_c10")
    with pytest.raises(TableError, match=r"no column 'val_200ep'\. Did you mean 'val_c10_200ep'"):
        table.column("val_200ep")


def test_scores() -> None:
    table = small()
    np.testing.assert_array_equal(table.scores(["synflow_c100", "index"]), [[i, i] for i in range(4)])
    with pytest.raises(TableError, match="At least one metric"):
        table.scores([])
    with pytest.raises(TableError, match="'index' is named twice"):
        table.scores(["index", "index"])
    with pytest.raises(TableError, match=r"Metric 'jacov_c10' is undefined for all 4 rows \(4 absent\)"):
        table.scores(["jacov_c10"])
    with pytest.raises(TableError, match="known only after training"):
        table.scores(["index", "val_c10_12ep"])


def test_values_are_a_copy() -> None:
    table = small()
    table.values("index")[:] = 9
    assert table.values("index").tolist() == [0, 1, 2, 3]


def test_one_task() -> None:
    one = small().for_task("c10")
    assert [column.name for column in one.columns] == [
        "synflow",
        "jacov",
        "val_12ep",
        "val_200ep",
        "test_200ep",
        "index",
    ]
    assert one.provenance["task"] == "c10"
    with pytest.raises(TableError, match="no task 'c1'; it has c10, c100"):
        small().for_task("c1")


def test_architectures_that_a_task_lacks_are_left_out_with_their_counts() -> None:
    builder = Builder()
    builder.add("a", [Raw(Column("x", "metric", task="t"), 1.0), Raw(Column("x", "metric", task="u"), 1.0)])
    builder.add("b", [Raw(Column("x", "metric", task="t"), 1.0)])
    both = builder.build({"source": "s"})
    assert dict(both.column("x_u").undefined) == {"absent": 1}
    assert both.for_task("u").architectures == ("a",)
    assert dict(both.for_task("u").column("x").undefined) == {}


def test_written_and_read_back(tmp_path) -> None:
    table = small(more=[1, "x"])
    table.write(tmp_path / "t.parquet")
    for found in (BenchmarkTable.read(tmp_path / "t.parquet"), read_table(tmp_path / "t.parquet")):
        pd.testing.assert_frame_equal(found.frame, table.frame)
        assert found.columns == table.columns
        assert found.provenance == table.provenance
    assert list(pd.read_parquet(tmp_path / "t.parquet").columns) == list(table.frame.columns)


def test_files_that_are_no_tables(tmp_path) -> None:
    pd.DataFrame({"architecture": ["a"], "x": [1.0]}).to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(TableError, match="not robonas's benchmark table"):
        BenchmarkTable.read(tmp_path / "plain.parquet")
    with pytest.raises(FileNotFoundError):
        BenchmarkTable.read(tmp_path / "none.parquet")
    table = small()
    table.write(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-50])
    with pytest.raises(TableError, match="damaged"):
        BenchmarkTable.read(tmp_path / "t.parquet")


def test_a_newer_format_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.tables.base.FORMAT", 99)
    small().write(tmp_path / "t.parquet")
    monkeypatch.undo()
    with pytest.raises(TableError, match="format 99; this robonas reads up to 1"):
        BenchmarkTable.read(tmp_path / "t.parquet")


def test_tables_are_checked() -> None:
    frame = pd.DataFrame({"architecture": ["a", "a"], "x": [1.0, 2.0]})
    with pytest.raises(TableError, match="'a' occurs twice"):
        BenchmarkTable(frame, (Column("x", "info"),), {})
    with pytest.raises(TableError, match="must have the columns architecture, y; got architecture, x"):
        BenchmarkTable(frame, (Column("y", "info"),), {})
    with pytest.raises(TableError, match="it is empty"):
        BenchmarkTable(frame.iloc[:0], (Column("x", "info"),), {})
    with pytest.raises(TableError, match="role must be one of metric, objective, final, cost, info"):
        Column("x", "target")
    builder = Builder()
    builder.add("a", [Raw(Column("x", "info"), 1)])
    with pytest.raises(TableError, match="'a' twice with a value of 'x'"):
        builder.add("a", [Raw(Column("x", "info"), 2)])
