"""Facts as text and as HTML, and small pictures."""

from __future__ import annotations

import math
import re

import pytest

from robonas.common.notebook import Picture, facts_html, facts_text, histogram


def test_facts_take_at_most_two_lines_each() -> None:
    text = facts_text("Title", {"a": "short", "longer name": "word " * 100, "b": ""})
    lines = text.splitlines()
    assert lines[:2] == ["Title", "  a            short"]
    assert len(lines) == 5
    assert lines[3].endswith(" …")
    assert max(map(len, lines)) <= 100
    assert facts_text("Title", {}) == "Title"


def test_facts_are_escaped() -> None:
    assert "<b>" not in facts_html("<b>", {"<b>": "<b>"})


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [5.0], [math.nan], [], [1e308, -1e308], [0.0, math.inf]])
def test_pictures_draw_any_numbers_within_their_frame(values) -> None:
    points = [(float(place), value) for place, value in enumerate(values, 1)]
    picture = Picture((1, max(len(values), 1)), values, ("query", "value"))
    picture.points(points, "points", "#000000")
    picture.line(points, "line", "#000000", steps=True)
    drawn = str(picture)
    assert "nan" not in drawn
    assert "inf" not in drawn
    for x, y in re.findall(r'<circle cx="([-0-9.]+)" cy="([-0-9.]+)"', drawn):
        assert 0 <= float(x) <= 560
        assert 0 <= float(y) <= 230


def test_a_histogram_counts_every_value() -> None:
    assert histogram([math.nan]) == ""
    flat = histogram(float(value) for value in range(24))
    assert flat.count("<rect") == 24
    assert len(set(re.findall(r'height="([0-9.]+)"/>', flat))) == 1
    assert histogram([3.0, 3.0]).count("<rect") == 1
    assert histogram([-1e308, 1e308]).count("<rect") == 2
