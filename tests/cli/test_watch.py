"""`robonas show --watch`: what it draws of a record, and when it ends."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from robonas.cli import watch
from robonas.errors import StudyError
from robonas.objectives import CurvePoint
from robonas.study.query import Query, Work
from robonas.study.reading import Record

SETTINGS = {"objective": {"direction": "minimize", "value_name": "loss"}, "strategy": {"name": "auto"}}


def query(number, state="complete", value=None, **parts) -> Query:
    return Query(number, f"net-{number}", number, "explore", state, value, **parts)


def record(*queries, budget=4, stopped=None, settings=SETTINGS) -> Record:
    return Record("search", settings, budget, {}, queries, stopped)


def drawn(what: Record, now: float) -> list[list[str]]:
    """Cells of the lines of the picture, without its frame."""
    console = Console(file=io.StringIO(), width=160)
    console.print(watch.picture(what, now))
    lines = console.file.getvalue().splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]


def test_a_line_for_each_training_and_the_best_below() -> None:
    point = CurvePoint(2, 8, 0.25)
    what = record(
        query(1, value=0.5, seconds=7.0),
        query(2, value=0.3, seconds=9.0),
        query(3, "running", curve=(CurvePoint(1, 8, 0.9), point), work=Work("one", 1, "cuda:1", 100.0, None)),
        query(4, "running", work=Work("two", 0, None, 100.0, None)),
    )
    assert drawn(what, 110.0) == [
        ["3", "one cuda:1", "2/8", "0.2500", "10 s", "30 s", "net-3"],
        ["4", "two #1", "", "", "10 s", "", "net-4"],
        ["best", "", "", "0.3000", "9 s", "", "net-2"],
    ]


def test_a_search_that_has_only_begun() -> None:
    assert drawn(record(), 0.0) == []
    assert drawn(record(query(1, "running")), 0.0) == [["1", "waiting", "", "", "", "", "net-1"]]


@pytest.mark.parametrize(
    ("what", "over"),
    [
        (record(), False),
        (record(budget=0), False),
        (record(*(query(n, value=1.0) for n in range(4))), True),
        (record(*(query(n, "running") for n in range(4))), False),
        (record(query(1, value=1.0), stopped="time over"), True),
    ],
)
def test_it_ends_when_nothing_is_left_to_do(what, over) -> None:
    assert watch.is_over(what) is over


def test_damaged_settings_are_told() -> None:
    with pytest.raises(StudyError, match="Study 'search' is damaged: its settings have no 'objective'"):
        watch.picture(record(settings={}), 0.0)


def test_it_looks_again_until_the_search_is_over(monkeypatch, capsys) -> None:
    seen = [record(query(1, "running")), record(query(1, "running")), record(query(1, value=1.0), budget=1)]
    pauses = []
    monkeypatch.setattr(watch, "record_of", lambda *_, **__: seen.pop(0))
    monkeypatch.setattr(watch.time, "sleep", pauses.append)
    monkeypatch.setattr(watch, "out", Console(file=io.StringIO(), width=120))

    class Study:
        name, storage = "search", None

    watch.watch("folder", Study())
    assert len(pauses) == 2
    told = watch.out.file.getvalue()
    assert told.count("0 of 4 evaluations") == 1  # once for what has not changed
    assert told.count("1 of 1 evaluations") == 1
    assert "the budget is spent" in capsys.readouterr().err
