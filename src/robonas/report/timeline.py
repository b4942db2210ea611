"""The timeline of a search with several evaluations at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from robonas.report.palette import light
from robonas.report.style import empty_figure, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.study.query import Query

_COLOURS = {"complete": "exploit", "pruned": "muted", "failed": "failure"}


@dataclass(frozen=True)
class Stretch:
    """The time of one evaluation."""

    query: Query
    """The evaluation."""
    place: str
    """Place where it ran: the host, and the device or the number of the slot."""
    start: float
    """Seconds since the first evaluation began."""
    end: float
    """End, likewise."""


@dataclass(frozen=True)
class Timeline:
    """The evaluations of a search, by place and time."""

    stretches: tuple[Stretch, ...]
    """Finished evaluations of which it is known where and when they ran, in the order of asking."""

    @property
    def places(self) -> tuple[str, ...]:
        """Places, in order of their names."""
        return tuple(sorted({stretch.place for stretch in self.stretches}))

    @property
    def seconds(self) -> float:
        """Time from the first beginning to the last end."""
        return max((stretch.end for stretch in self.stretches), default=0.0)

    @property
    def idle(self) -> float:
        """Share of the places' time in which they evaluated nothing, from 0 to 1."""
        whole = self.seconds * len(self.places)
        return 1.0 - sum(stretch.end - stretch.start for stretch in self.stretches) / whole if whole else 0.0


def timeline(queries: Sequence[Query]) -> Timeline | None:
    """Return the timeline of a search; None where fewer than two places are known to have worked.

    The time in which the search was stopped is left out: where nothing ran for a while, the clock stands still.
    """
    known = [
        (query, query.work, max(query.work.began, query.work.ended))
        for query in queries
        if query.work is not None and query.work.ended is not None and query.state != "running"
    ]
    if len({(work.host, work.slot) for _, work, _ in known}) < 2:
        return None
    several = len({work.host for _, work, _ in known}) > 1
    gaps, reached, skipped = [], None, 0.0
    for _, work, ended in sorted(known, key=lambda entry: entry[1].began):
        if reached is None:
            skipped = work.began
        elif work.began > reached:
            skipped += work.began - reached
        gaps.append((work.began, skipped))
        reached = max(reached or ended, ended)

    def clock(began: float) -> float:
        return next(skip for start, skip in reversed(gaps) if start <= began)

    stretches = []
    for query, work, ended in known:
        device = "" if work.device is None else f" {work.device}"
        place = f"{work.host} " if several else ""
        skip = clock(work.began)
        stretches.append(Stretch(query, f"{place}#{work.slot + 1}{device}", work.began - skip, ended - skip))
    return Timeline(tuple(stretches))


def timeline_chart(record: Timeline) -> go.Figure:
    """Draw bars of the evaluations, a row for each place; hover tells the query."""
    figure = empty_figure(height=90 + 34 * len(record.places))
    for state, colour in _COLOURS.items():
        some = [stretch for stretch in record.stretches if stretch.query.state == state]
        if some:
            figure.add_trace(
                go.Bar(
                    orientation="h",
                    y=[stretch.place for stretch in some],
                    base=[stretch.start for stretch in some],
                    x=[stretch.end - stretch.start for stretch in some],
                    name=state,
                    marker={"color": light(colour), "line": {"color": light("surface"), "width": 1}},
                    customdata=[_told(stretch) for stretch in some],
                    hovertemplate="%{customdata}<extra></extra>",
                )
            )
    figure.update_layout(barmode="overlay", bargap=0.35)
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(record.places)), gridcolor=light("surface"))
    figure.update_xaxes(title_text="seconds", rangemode="tozero")
    return figure


def _told(stretch: Stretch) -> str:
    query = stretch.query
    value = query.partial if query.value is None else query.value
    lines = [f"query {query.number}, {stretch.end - stretch.start:.1f} s", plain_text(query.architecture)]
    return "<br>".join(lines if value is None else [lines[0], f"value {value:.5g}", lines[1]])
