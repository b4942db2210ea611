"""Tables fit the terminal; into a file they are whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from robonas.cli import layout
from robonas.common import bars

ROWS = [
    {
        "number": number,
        "architecture": f"|conv_{number}~0|" * 6,
        "value": 0.5 + number / 100,
        "steps": 3,
        "seconds": 1.25,
    }
    for number in range(1, 4)
]


@pytest.fixture
def printed(monkeypatch):
    def run(width, *, terminal=True, title="Queries", rows=ROWS, **options):
        shown, told = io.StringIO(), io.StringIO()
        out = Console(file=shown, width=width, force_terminal=terminal, color_system=None, highlight=False)
        monkeypatch.setattr(layout, "out", out)
        monkeypatch.setattr(bars, "err", Console(file=told, width=width, color_system=None))
        layout.print_table(title, rows, **options)
        return shown.getvalue().splitlines(), told.getvalue()

    return run


def test_a_pipe_gets_every_column_on_one_line_each(printed):
    lines, told = printed(20, terminal=False, long="architecture", spare=("steps",))
    assert lines[0] == "Queries"
    assert len(lines) == 3 + len(ROWS)
    for line, row in zip(lines[3:], ROWS, strict=True):
        assert row["architecture"] in line
        assert "1.25" in line
    assert told == ""


def test_a_wide_terminal_too(printed):
    assert printed(200, long="architecture")[0] == printed(20, terminal=False, long="architecture")[0]


def test_a_narrow_one_has_the_long_texts_below(printed):
    lines, told = printed(40, long="architecture")
    assert [line.strip() for line in lines[4::2]] == [row["architecture"] for row in ROWS]
    assert all(len(line) <= 40 for line in lines[3::2])
    assert told == ""


def test_then_it_leaves_out_spare_columns_and_says_so(printed):
    lines, told = printed(25, long="architecture", spare=("seconds", "steps"))
    assert "seconds" not in lines[1]
    assert "value" in lines[1]
    assert told.startswith("Left out, since the terminal is narrow: seconds")


def test_then_it_goes_on_below_with_the_first_column(printed):
    wide = [{"name": "a", **{f"column {place}": 1.5 for place in range(6)}}]
    lines, told = printed(30, rows=wide)
    headings = [line for line in lines if line.startswith("name")]
    assert len(headings) >= 3
    assert lines[0] == f"Queries (1 of {len(headings)})"
    assert sum(heading.count("column") for heading in headings) == 6
    assert all(len(line) <= 30 for line in lines)
    assert told == ""


def test_no_rows(printed):
    assert printed(80, rows=[])[0][0] == "Queries"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (12345.678, "12,346"),
        (-2043.0, "-2,043"),
        (999.96, "1,000"),
        (0.123456, "0.1235"),
        (7, "7"),
        (28707, "28,707"),
        (True, "True"),
        ("2043", "2043"),
    ],
)
def test_values_as_a_table_shows_them(value, text):
    assert layout.cell_text(value) == text
