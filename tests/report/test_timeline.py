"""The timeline of a search: who evaluated what, and when."""

from __future__ import annotations

import pytest

from robonas.report.timeline import timeline, timeline_chart
from robonas.study.query import Query, Work


def query(number, slot, began, ended, *, host="one", state="complete", device=None) -> Query:
    work = Work(host, slot, device, began, ended)
    value = float(number) if state == "complete" else None
    return Query(number, f"<net {number}>", number, "explore", state, value, work=work)


def test_times_count_from_the_first_and_idle_time_is_what_is_left() -> None:
    record = timeline([query(1, 0, 100, 110), query(2, 1, 100, 104), query(3, 1, 106, 110)])
    assert [(s.place, s.start, s.end) for s in record.stretches] == [("#1", 0, 10), ("#2", 0, 4), ("#2", 6, 10)]
    assert (record.places, record.seconds) == (("#1", "#2"), 10)
    assert record.idle == pytest.approx(2 / 20)


def test_the_clock_stands_still_while_nothing_runs() -> None:
    record = timeline([query(1, 0, 100, 110), query(2, 1, 100, 104), query(3, 0, 900, 905), query(4, 1, 903, 907)])
    assert [(s.start, s.end) for s in record.stretches] == [(0, 10), (0, 4), (10, 15), (13, 17)]


def test_places_are_told_apart_by_host_and_device() -> None:
    record = timeline(
        [query(1, 0, 0, 1, device="cuda:0"), query(2, 1, 0, 1, device="cuda:1"), query(3, 0, 0, 1, host="two")]
    )
    assert record.places == ("one #1 cuda:0", "one #2 cuda:1", "two #1")


def test_one_place_has_no_timeline() -> None:
    assert timeline([query(1, 0, 0, 1), query(2, 0, 1, 2)]) is None
    assert timeline([Query(1, "a", 0, "explore", "complete", 1.0)]) is None
    running = query(2, 1, 0, None, state="running")
    assert timeline([query(1, 0, 0, 1), running]) is None


def test_the_chart_has_a_bar_for_each_evaluation_and_escapes_what_it_tells() -> None:
    record = timeline([query(1, 0, 0, 2), query(2, 1, 0, 4, state="failed"), query(3, 0, 2, 4)])
    chart = timeline_chart(record)
    bars = {bar.name: (list(bar.base), list(bar.x), list(bar.y), list(bar.customdata)) for bar in chart.data}
    assert bars["complete"][:3] == ([0, 2], [2, 2], ["#1", "#1"])
    assert bars["failed"][:3] == ([0], [4], ["#2"])
    assert bars["complete"][3][0] == "query 1, 2.0 s<br>value 1<br>&lt;net 1&gt;"
