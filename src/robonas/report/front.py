"""The front of a search in its report: the chart of cost against value, and the hypervolume by query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from robonas.report.palette import light
from robonas.report.style import empty_figure, name_values, plain_text, template_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

LEAST_TO_PREDICT = 4
"""Fewest completed queries from which values of other candidates are predicted."""
_LONG = 90
"""Longer architecture texts are cut where they are hovered over."""


def predicted_values(result: SearchResult) -> NDArray[np.float64] | None:
    """Return the value that the learned combination expects of each candidate, (n_rows,); NaN for evaluated ones.

    It is the straight line of the completed queries' values over their combined scores. None where fewer than four
    have completed, nothing was learned, or the line does not rise.
    """
    combined = result.combined
    done = [query for query in result.queries if query.value is not None]
    if combined is None or len(done) < LEAST_TO_PREDICT:
        return None
    known = np.array([combined[query.row] for query in done])
    values = np.array([query.value for query in done], dtype=np.float64)
    if not np.isfinite(known).all() or np.ptp(known) == 0:
        return None
    slope, start = np.polyfit(known, values, 1)
    if (slope > 0) != (result.direction == "maximize") or slope == 0:
        return None
    expected = start + slope * combined
    canonical = result.scores.frame["canonical"]
    expected[canonical.isin({canonical.iloc[query.row] for query in result.queries}).to_numpy()] = np.nan
    return np.asarray(expected, dtype=np.float64)


def front_chart(result: SearchResult) -> go.Figure:
    """Draw cost against value: the front as a staircase, other queries and predicted candidates behind it.

    Of two costs, the first is drawn, without the staircase, since a query may be on the front by the other one.

    Args:
        result: A search with costs and at least one completed query.
    """
    front = result.trade_off
    axis = result.axes[0]
    members = list(reversed(front.members))  # the cheapest first
    numbers = {query.number for query in members}
    figure = empty_figure(height=440)
    expected = predicted_values(result)
    assert result.costs is not None
    if expected is not None and np.isfinite(expected).any():
        drawn = np.isfinite(expected)
        figure.add_trace(
            go.Scatter(
                x=result.costs[drawn, 0],
                y=expected[drawn],
                mode="markers",
                name="predicted, not evaluated",
                marker={"color": light("line"), "size": 5},
                hovertemplate=f"{template_text(axis.name)} %{{x:,.6g}}<br>predicted %{{y:.5g}}<extra></extra>",
            )
        )
    others = [query for query in front.done if query.number not in numbers]
    figure.add_trace(_queries(result, others, "beaten by another", {"color": light("baseline"), "size": 8}))
    if len(result.axes) == 1:
        reach = float(result.costs[:, 0].max())
        figure.add_trace(
            go.Scatter(
                x=[*(query.costs[0] for query in members), max(reach, members[-1].costs[0])],
                y=[*(query.value for query in members), members[-1].value],
                mode="lines",
                name="best at most at this cost",
                line={"color": light("ink"), "width": 2, "shape": "hv"},
                hoverinfo="skip",
            )
        )
    figure.add_trace(_queries(result, members, "front", {"color": light("exploit"), "size": 11}))
    figure.add_trace(_queries(result, [result.knee], "knee", {"color": light("winner"), "size": 16, "symbol": "star"}))
    figure.update_xaxes(title_text=plain_text(f"{axis.name} ({axis.unit})" if axis.unit else axis.name))
    name_values(figure, result.value_name)
    return figure


def _queries(result: SearchResult, some: Sequence[Query], name: str, marker: dict[str, object]) -> go.Scatter:
    told = []
    for query in some:
        text = query.architecture
        told_costs = [f"{axis.name} {axis.told(cost)}" for axis, cost in zip(result.axes, query.costs, strict=True)]
        cut = text if len(text) <= _LONG else f"{text[:_LONG]}…"
        told.append([query.number, "<br>".join(plain_text(words) for words in (cut, *told_costs))])
    return go.Scatter(
        x=[query.costs[0] for query in some],
        y=[query.value for query in some],
        customdata=told,
        mode="markers",
        name=name,
        marker={**marker, "line": {"color": light("surface"), "width": 1}},
        hovertemplate="query %{customdata[0]}: %{y:.5g}<br>%{customdata[1]}<extra></extra>",
    )


def comparable(result: SearchResult, other: SearchResult) -> bool:
    """Return whether the hypervolumes of two searches have one scale: the same costs, and the same range of them."""
    if (
        result.costs is None
        or other.costs is None
        or result.axes != other.axes
        or not any(query.value is not None for query in other.queries)
    ):
        return False
    ranges = [(each.min(axis=0).tolist(), each.max(axis=0).tolist()) for each in (result.costs, other.costs)]
    return ranges[0] == ranges[1]


def hypervolume_chart(results: Sequence[SearchResult], names: Sequence[str]) -> go.Figure:
    """Draw the hypervolume by query of a search, and of others with the same costs, from one reference point.

    Args:
        results: The search first.
        names: Name of each.
    """
    points = [each.trade_off.reference for each in results]
    sign = 1.0 if results[0].direction == "maximize" else -1.0
    reference = {name: max(point[name] for point in points) for name in points[0]}
    reference["value"] = sign * min(sign * point["value"] for point in points)
    figure = empty_figure(height=300)
    for place, (each, name) in enumerate(zip(results, names, strict=True)):
        figure.add_trace(
            go.Scatter(
                x=[query.number for query in each.queries],
                y=each.hypervolume(reference),
                mode="lines",
                name=plain_text(name),
                line={
                    "color": light("baseline" if place else "ink"),
                    "width": 2 if place else 2.5,
                    "dash": ("solid", "dash", "dot", "dashdot", "longdash")[place % 5],
                    "shape": "hv",
                },
                hovertemplate=f"{template_text(name)}, query %{{x}}<br>hypervolume %{{y:.5g}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="query", tickformat="d")
    name_values(figure, "hypervolume")
    return figure
