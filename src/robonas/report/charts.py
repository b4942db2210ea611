"""The report's charts: Plotly figures of the records of `numbers`, in light colours that the page can turn dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from robonas.report.palette import light
from robonas.report.style import empty_figure, name_values, plain_text, template_text, wrapped_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.report.learned import Own, SizePoints
    from robonas.report.numbers import Agreement, Curve, Progress, Weight

_BASELINE_DASHES = ("dash", "dot", "dashdot", "longdash")
_BASELINE_MARKS = ("circle-open", "square-open", "diamond-open", "triangle-up-open")
_FEW_POINTS = 40
"""Charts with more queries draw smaller marks."""


def progress_chart(
    main: Progress, baselines: Sequence[Progress], value_name: str, reasons: Sequence[str | None]
) -> go.Figure:
    """Draw the best value so far by query, each query's own value, failures at the foot, and the baselines' lines.

    Args:
        main: The search.
        baselines: Others to draw beside it.
        value_name: Title of the vertical axis.
        reasons: Reason of the failure of each query of `main`.
    """
    figure = empty_figure(height=400)
    size = 8 if len(main.numbers) <= _FEW_POINTS else 5
    for place, other in enumerate(baselines):
        figure.add_trace(
            go.Scatter(
                x=other.numbers,
                y=other.best,
                mode="lines",
                name=f"{plain_text(other.label)}: best so far",
                legendgroup=f"other {place}",
                line={"color": light("baseline"), "width": 2, "dash": _BASELINE_DASHES[place % 4], "shape": "hv"},
                hovertemplate=f"{template_text(other.label)}, query %{{x}}<br>best so far %{{y:.5g}}<extra></extra>",
            )
        )
        known = np.isfinite(other.values)
        figure.add_trace(
            go.Scatter(
                x=other.numbers[known],
                y=other.values[known],
                mode="markers",
                name=plain_text(other.label),
                legendgroup=f"other {place}",
                showlegend=False,
                marker={"color": light("baseline"), "symbol": _BASELINE_MARKS[place % 4], "size": size - 1},
                hovertemplate=f"{template_text(other.label)}, query %{{x}}<br>%{{y:.5g}}<extra></extra>",
            )
        )
    if np.isfinite(main.best).any():
        figure.add_trace(
            go.Scatter(
                x=main.numbers,
                y=main.best,
                mode="lines",
                name=f"{plain_text(main.label)}: best so far",
                line={"color": light("ink"), "width": 2.5, "shape": "hv"},
                hovertemplate="query %{x}<br>best so far %{y:.5g}<extra></extra>",
            )
        )
    for phase in dict.fromkeys(main.phases):
        own = np.array([name == phase for name in main.phases], dtype=np.bool_) & np.isfinite(main.values)
        if own.any():
            figure.add_trace(
                go.Scatter(
                    x=main.numbers[own],
                    y=main.values[own],
                    mode="markers",
                    name=plain_text(phase),
                    marker={
                        "color": phase_colour(phase),
                        "size": size,
                        "line": {"color": light("surface"), "width": 1},
                    },
                    hovertemplate=f"query %{{x}} ({template_text(phase)})<br>%{{y:.5g}}<extra></extra>",
                )
            )
    pruned = np.isfinite(main.partial)
    if pruned.any():
        figure.add_trace(
            go.Scatter(
                x=main.numbers[pruned],
                y=main.partial[pruned],
                mode="markers",
                name="pruned",
                marker={"color": light("muted"), "symbol": "triangle-down-open", "size": size},
                hovertemplate="query %{x} pruned<br>%{y:.5g} by then<extra></extra>",
            )
        )
    if main.failed.any():
        why = [escape(reason or "no reason given") for reason, bad in zip(reasons, main.failed, strict=True) if bad]
        figure.add_trace(
            go.Scatter(
                x=main.numbers[main.failed],
                y=np.full(int(main.failed.sum()), 0.03),
                yaxis="y2",
                mode="markers",
                name="failed",
                marker={"color": light("failure"), "symbol": "x", "size": size + 1},
                customdata=[wrapped_text(text) for text in why],
                hovertemplate="query %{x} failed<br>%{customdata}<extra></extra>",
            )
        )
    last = max([*(int(other.numbers[-1]) for other in (main, *baselines) if len(other.numbers)), 1])
    if main.n_explored is not None and 0 < main.n_explored < len(main.numbers):
        border = main.n_explored + 0.5
        figure.add_vline(x=border, line={"color": light("muted"), "width": 1, "dash": "dot"})
        for anchor, words in (("right", "← explore "), ("left", " exploit →")):
            figure.add_annotation(
                x=border,
                y=1.0,
                yref="paper",
                yanchor="top",
                xanchor=anchor,
                text=words,
                showarrow=False,
                font={"color": light("muted"), "size": 12},
            )
    steps = {"dtick": 1} if last <= 12 else {}
    figure.update_xaxes(title_text="query", range=[0.4, last + 0.6], tickformat="d", **steps)
    name_values(figure, value_name)
    drawn = np.concatenate([main.partial, *(part for each in (main, *baselines) for part in (each.values, each.best))])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn):  # room for the words at the top and the crosses at the foot
        low, high = float(drawn.min()), float(drawn.max())
        room = 0.14 * (high - low) or 0.05 * abs(high) or 1.0
        figure.update_yaxes(range=[low - room, high + room])
    else:
        figure.update_yaxes(showticklabels=False)
    figure.update_layout(
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    return figure


def weights_chart(bars: Sequence[Weight], own: Sequence[Own] = ()) -> go.Figure:
    """Draw learned weights as signed bars, the heaviest on top, and each metric's own correlation as a diamond.

    Args:
        bars: The weights; dead metrics are hatched and named so.
        own: The rank correlation of each metric, by itself, with the values.
    """
    drawn = list(reversed(bars))
    figure = empty_figure(height=max(220, 34 * len(drawn) + 110))
    for name, colour in (("weight", "exploit"), ("negative weight", "negative"), ("dead metric", "muted")):
        own_bars = [bar for bar in drawn if _kind_of(bar) == name]
        if own_bars:
            figure.add_trace(
                go.Bar(
                    x=[bar.weight for bar in own_bars],
                    y=[_bar_name(bar) for bar in own_bars],
                    orientation="h",
                    name=name,
                    marker={
                        "color": light(colour),
                        "pattern": {
                            "shape": "/" if name == "dead metric" else "",
                            "fgcolor": light("surface"),
                            "fgopacity": 0.8,
                        },
                    },
                    hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
                )
            )
    alone = {each.metric: each for each in own if each.spearman is not None}
    told = [bar for bar in drawn if bar.metric in alone and not bar.dead]
    if told:
        figure.add_trace(
            go.Scatter(
                x=[alone[bar.metric].spearman for bar in told],
                y=[plain_text(bar.metric) for bar in told],
                customdata=[alone[bar.metric].n for bar in told],
                mode="markers",
                name="own correlation",
                marker={
                    "color": light("winner"),
                    "symbol": "diamond",
                    "size": 10,
                    "line": {"color": light("surface"), "width": 1},
                },
                hovertemplate="%{y} alone: %{x:+.2f} over %{customdata} queries<extra></extra>",
            )
        )
    widest = max(len(bar.metric) for bar in drawn)
    reach = max([abs(bar.weight) for bar in drawn] + [abs(alone[bar.metric].spearman or 0) for bar in told] + [1e-9])
    figure.update_xaxes(range=[-1.42 * reach, 1.42 * reach], zeroline=True, zerolinecolor=light("muted"), nticks=5)
    names = [_bar_name(bar) for bar in drawn]
    told_weights = [f"{name}  {bar.weight:+.2f}".replace("-", "−") for name, bar in zip(names, drawn, strict=True)]
    figure.update_yaxes(
        showgrid=False,
        ticks="",
        type="category",
        categoryorder="array",
        categoryarray=names,
        tickvals=names,
        ticktext=told_weights,
        tickfont={"size": 13 if widest < 16 else 10},
    )
    figure.update_layout(bargap=0.4, barmode="overlay", showlegend=bool(told))
    return figure


def _kind_of(bar: Weight) -> str:
    return "dead metric" if bar.dead else "weight" if bar.weight >= 0 else "negative weight"


def _bar_name(bar: Weight) -> str:
    return plain_text(bar.metric) + (" (dead)" if bar.dead else "")


def agreement_chart(points: Agreement, phases: Sequence[str], value_name: str, best: int | None) -> go.Figure:
    """Draw the combined score against the value of the completed queries, the winner starred.

    Args:
        points: Points to draw.
        phases: Phase of each point.
        value_name: Title of the vertical axis.
        best: Number of the winning query.
    """
    figure = empty_figure(height=360)
    for phase in dict.fromkeys(phases):
        own = np.array([name == phase for name in phases], dtype=np.bool_) & (points.numbers != (best or 0))
        if own.any():
            figure.add_trace(
                _dots(points, own, plain_text(phase), {"color": phase_colour(phase), "size": 8, "opacity": 0.9})
            )
    winner = points.numbers == (best or 0)
    if winner.any():
        figure.add_trace(_dots(points, winner, "winner", {"color": light("winner"), "size": 15, "symbol": "star"}))
    figure.update_xaxes(title_text="combined score")
    name_values(figure, value_name)
    return figure


def _dots(points: Agreement, own: NDArray[np.bool_], name: str, marker: dict[str, Any]) -> go.Scatter:
    """Return some of the points as one trace."""
    return go.Scatter(
        x=points.combined[own],
        y=points.values[own],
        customdata=points.numbers[own],
        mode="markers",
        name=name,
        marker={**marker, "line": {"color": light("surface"), "width": 1}},
        hovertemplate="query %{customdata}<br>combined %{x:.4g}<br>value %{y:.5g}<extra></extra>",
    )


def curves_chart(lines: Sequence[Curve], value_name: str) -> go.Figure:
    """Draw the learning curves of all trainings: the winner bold, pruned ones dashed, failures dotted with a cross."""
    figure = empty_figure(height=380)
    shown: set[str] = set()
    for line in lines:
        kind = "winner" if line.is_best else "failed" if line.failed else "pruned" if line.pruned else "others"
        colour = {"winner": light("winner"), "failed": light("failure"), "pruned": light("muted")}.get(
            kind, light("baseline")
        )
        figure.add_trace(
            go.Scatter(
                x=line.steps,
                y=[value if np.isfinite(value) else None for value in line.values],
                mode="lines+markers" if len(line.steps) == 1 or line.failed else "lines",
                name=f"query {line.number} (winner)" if line.is_best else kind,
                legendgroup=kind,
                showlegend=kind not in shown,
                line={
                    "color": colour,
                    "width": 3.5 if line.is_best else 1.5,
                    "dash": "dot" if line.failed else "dash" if line.pruned else "solid",
                },
                marker={
                    "color": colour,
                    "symbol": [
                        "x" if line.failed and place == len(line.steps) - 1 else "circle"
                        for place in range(len(line.steps))
                    ],
                    "size": [
                        7 if not line.failed or place == len(line.steps) - 1 else 0 for place in range(len(line.steps))
                    ],
                },
                opacity=1.0 if line.is_best or line.failed else 0.55,
                hovertemplate=f"query {line.number}, epoch %{{x}}<br>%{{y:.5g}}<extra></extra>",
            )
        )
        shown.add(kind)
    longest = max((line.steps[-1] for line in lines), default=1)
    figure.update_xaxes(title_text="epoch", tickformat="d", **({"dtick": 1} if longest <= 12 else {}))
    name_values(figure, value_name)
    return figure


def size_chart(points: SizePoints, value_name: str, best: int | None) -> go.Figure:
    """Draw the value of each network against its size, with a step line through those that no other one beats.

    Args:
        points: The completed queries.
        value_name: Title of the vertical axis.
        best: Number of the winning query.
    """
    figure = empty_figure(height=360)
    front = np.flatnonzero(points.front)
    front = front[np.argsort(points.sizes[front], kind="stable")]
    winner = points.numbers == (best or 0)
    figure.add_trace(
        go.Scatter(
            x=points.sizes[front],
            y=points.values[front],
            mode="lines",
            name="best up to this size",
            line={"color": light("ink"), "width": 1.5, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    for name, own, marker in (
        ("beaten by a smaller one", ~points.front & ~winner, {"color": light("baseline"), "size": 8}),
        ("not beaten", points.front & ~winner, {"color": light("exploit"), "size": 9}),
        ("winner", winner, {"color": light("winner"), "size": 15, "symbol": "star"}),
    ):
        if own.any():
            figure.add_trace(
                go.Scatter(
                    x=points.sizes[own],
                    y=points.values[own],
                    customdata=points.numbers[own],
                    mode="markers",
                    name=name,
                    marker={**marker, "line": {"color": light("surface"), "width": 1}},
                    hovertemplate=f"query %{{customdata}}<br>%{{x:,}} {points.what}<br>%{{y:.5g}}<extra></extra>",
                )
            )
    wide = points.sizes.max() > 30 * points.sizes.min()
    figure.update_xaxes(title_text=points.what, type="log" if wide else "linear", nticks=5, tickformat="~s")
    name_values(figure, value_name)
    return figure


def phase_colour(phase: str) -> str:
    """Return the colour of exploration, exploitation, or anything else."""
    return light({"explore": "explore", "exploit": "exploit"}.get(phase, "option-4"))
