"""Charts of an experiment: progress by queries as in the paper's figure 2, and critical differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from robonas.errors import ConfigError
from robonas.experiments.summary import check_quantity
from robonas.report.palette import N_OPTIONS, light
from robonas.report.style import empty_figure, name_values, plain_text, template_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from robonas.experiments.results import Results
    from robonas.experiments.statistics import CriticalDifference

_TITLES = {
    "rank": "rank by objective, 1 is best",
    "regret": "regret, 0 is best",
    "final": "final measure",
    "final_rank": "rank by final measure, 1 is best",
    "hypervolume_regret": "share of the front's volume that is missing",
    "front_share": "share of the front that was evaluated",
    "best_value": "best objective",
    "cost_s": "seconds",
}


_RANKS = [step * 10**power for power in range(7) for step in (1, 2, 5)]
"""Ranks that are named on an axis."""
_DASHES = ("dot", "dash", "dashdot", "longdash", "longdashdot")
"""Lines of metrics alone, which are thin; of other contenders they are solid."""


def progress_figure(
    results: Results,
    quantity: str = "rank",
    *,
    strategies: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    columns: int = 3,
    hidden: Collection[str] = (),
) -> go.Figure:
    """Return the best so far by number of queries, mean over seeds with its standard error as a band, a panel a task.

    Ranks have a logarithmic axis. A dotted line stands where a strategy's mean T0 is. Metrics alone are thin lines.

    Args:
        results: The runs.
        quantity: ``rank``, ``regret``, ``final``, ``final_rank``, ``best_value`` or ``cost_s``.
        strategies: Strategies to draw; None for all.
        tasks: Tasks to draw; None for all.
        columns: Panels side by side.
        hidden: Strategies whose lines are not drawn until their name in the legend is clicked.

    Raises:
        ConfigError: No such quantity, strategy or task.
    """
    check_quantity(quantity)
    for what, asked, known in (("strategy", strategies, results.strategies), ("task", tasks, results.tasks)):
        for name in asked or ():
            if name not in known:
                raise ConfigError(f"There is no {what} {name!r}; there are {', '.join(known)}.")
    chosen = list(results.strategies if strategies is None else strategies)
    shown = list(results.tasks if tasks is None else tasks)
    width = max(1, min(columns, len(shown)))
    heights = -(-len(shown) // width)
    titles = [plain_text(task) for task in shown] if len(shown) > 1 else None
    figure = make_subplots(rows=heights, cols=width, subplot_titles=titles)
    styles = _styles(results, chosen)
    for place, task in enumerate(shown):
        cell = {"row": place // width + 1, "col": place % width + 1}
        for name in chosen:
            hides, named = name in hidden, place == 0
            _add_line(figure, results, task, name, quantity, styles[name], cell, hides=hides, named=named)
    height = 90 + 320 * heights + 22 * -(-len(chosen) // 3)
    style = empty_figure(height).layout
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor=style.paper_bgcolor,
        plot_bgcolor=style.plot_bgcolor,
        font=style.font,
        hoverlabel=style.hoverlabel,
        margin={"l": 10, "r": 12, "t": 40, "b": 10},
        legend={"orientation": "h", "x": 0, "y": -70 / (320 * heights), "yanchor": "top", "font": {"size": 12}},
    )
    figure.update_xaxes(style.xaxis.to_plotly_json() | {"title": {"text": "queries", "font": {"size": 12}}})
    figure.update_yaxes(style.yaxis.to_plotly_json())
    if len(shown) == 1:
        name_values(figure, _TITLES[quantity])  # above the axis, where long ranks do not reach
    else:
        figure.update_yaxes(title={"text": _TITLES[quantity], "font": {"size": 12}, "standoff": 12})
    if quantity in {"rank", "final_rank"}:
        figure.update_yaxes(type="log", tickvals=_RANKS, ticktext=[f"{rank:,}" for rank in _RANKS])
    return figure


def _add_line(
    figure: go.Figure,
    results: Results,
    task: str,
    name: str,
    quantity: str,
    style: dict[str, Any],
    cell: dict[str, int],
    *,
    hides: bool,
    named: bool,
) -> None:
    """Add the line of one strategy on one task with its band, and a dotted line at its mean T0."""
    runs = results.frame[(results.frame["task"] == task) & (results.frame["strategy"] == name)]
    if runs.empty or runs[quantity].isna().all():
        return
    groups = runs.groupby("query")[quantity]
    mean, error = groups.mean(), groups.sem(ddof=1).fillna(0.0)
    about = {"legendgroup": name, "name": plain_text(name), "visible": "legendonly" if hides else True}
    if (error > 0).any():
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([mean.index, mean.index[::-1]]),
                y=np.concatenate([mean + error, (mean - error)[::-1]]),
                fill="toself",
                fillcolor=style["color"],
                opacity=0.15,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                **about,
            ),
            **cell,
        )
    figure.add_trace(
        go.Scatter(
            x=mean.index,
            y=mean,
            mode="lines",
            line=style,
            showlegend=named,
            hovertemplate=f"{template_text(name)}<br>query %{{x}}: %{{y:.4g}}<extra></extra>",
            **about,
        ),
        **cell,
    )
    explored = runs["n_explored"].mean()
    if not hides and results.kind(name) == "strategy" and 0 < explored < runs["query"].max():
        figure.add_vline(x=explored, line={"color": style["color"], "width": 1, "dash": "dot"}, **cell)


def _styles(results: Results, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how each strategy is drawn: no two alike, those that contend solid, metrics alone thin and dashed."""
    contending = [name for name in names if results.kind(name) == "strategy"]
    alone = [name for name in names if results.kind(name) == "single"]
    found: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(contending):
        dash = ("solid", "dash", "dashdot")[place // N_OPTIONS % 3]
        found[name] = {"color": light(f"option-{(place + 2) % N_OPTIONS}"), "width": 2.5, "dash": dash}
    for place, name in enumerate(alone):
        turn = place // N_OPTIONS
        dash = _DASHES[(place + turn) % len(_DASHES)]
        found[name] = {"color": light(f"option-{place % N_OPTIONS}"), "width": 1.25, "dash": dash}
    for name in names:
        found.setdefault(name, {"color": light("ink"), "width": 2, "dash": "dash"})
    return found


def critical_difference_figure(found: CriticalDifference) -> go.Figure:
    """Draw average ranks over tasks on a line, best at the left; bars join what the test cannot tell apart."""
    names = [str(name) for name in found.average_ranks.index]
    ranks = found.average_ranks.to_numpy()
    heights = np.arange(len(names))[::-1]
    figure = empty_figure(160 + 30 * len(names))
    for place, group in enumerate(found.groups):
        members = [names.index(name) for name in group]
        figure.add_trace(
            go.Scatter(
                x=[ranks[members[0]], ranks[members[-1]]],
                y=[len(names) + 0.4 * place] * 2,
                mode="lines",
                line={"color": light("baseline"), "width": 6},
                hovertext=", ".join(map(plain_text, group)),
                showlegend=False,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=ranks,
            y=heights,
            mode="markers+text",
            text=[f"{plain_text(name)} {rank:.2f}" for name, rank in zip(names, ranks, strict=True)],
            textposition="middle right",
            marker={"color": light("explore"), "size": 10},
            cliponaxis=False,
            showlegend=False,
        )
    )
    figure.update_xaxes(
        title_text=f"average rank over {found.n_tasks} tasks, 1 is best (critical difference {found.difference:.2f})",
        range=[float(ranks[0]) - 0.2, float(ranks[-1]) + 0.45 * max(1.0, float(ranks[-1] - ranks[0]))],
    )
    figure.update_yaxes(visible=False)
    return figure
