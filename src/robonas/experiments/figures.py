"""Figures of results, as Plotly's: progress by queries as in the paper's figure 2, and critical differences."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from robonas.errors import ConfigError
from robonas.experiments.summary import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.experiments.results import Results
    from robonas.experiments.statistics import CriticalDifference

_COLOURS = ("#5a52c7", "#0a7770", "#b3501f", "#a8327d", "#3a6ea5", "#5f7a16", "#8a5a2b", "#4d5966")
_GREY = "#858b94"
_TITLES = {
    "rank": "rank by objective",
    "regret": "regret",
    "final": "final measure",
    "final_rank": "rank by final measure",
    "hypervolume_regret": "share of the front's volume that is missing",
    "front_share": "share of the front that was evaluated",
    "best_value": "best objective",
    "cost_s": "seconds",
}


def progress_figure(
    results: Results, quantity: str = "rank", *, strategies: Sequence[str] | None = None, columns: int = 3
) -> go.Figure:
    """Return the best so far by number of queries, mean over seeds with its standard error as a band, a panel a task.

    Ranks have a logarithmic axis. A dotted line stands where a strategy's mean T0 is. Metrics alone are drawn grey.

    Args:
        results: The runs.
        quantity: ``rank``, ``regret``, ``final``, ``final_rank``, ``best_value`` or ``cost_s``.
        strategies: Strategies to draw; None for all.
        columns: Panels side by side.

    Raises:
        ConfigError: No such quantity or strategy.
    """
    if quantity not in QUANTITIES:
        raise ConfigError(f"A quantity must be one of {', '.join(QUANTITIES)}; got {quantity!r}.")
    for name in strategies or ():
        if name not in results.strategies:
            raise ConfigError(f"There is no strategy {name!r}; there are {', '.join(results.strategies)}.")
    chosen = list(results.strategies if strategies is None else strategies)
    tasks = results.tasks
    width = max(1, min(columns, len(tasks)))
    figure = make_subplots(rows=-(-len(tasks) // width), cols=width, subplot_titles=[escape(task) for task in tasks])
    colours = _colours(results, chosen)
    for place, task in enumerate(tasks):
        cell = {"row": place // width + 1, "col": place % width + 1}
        for name in chosen:
            runs = results.frame[(results.frame["task"] == task) & (results.frame["strategy"] == name)]
            if runs.empty or runs[quantity].isna().all():
                continue
            groups = runs.groupby("query")[quantity]
            mean, error = groups.mean(), groups.sem(ddof=1).fillna(0.0)
            style = {"legendgroup": name, "name": escape(name)}
            figure.add_trace(
                go.Scatter(
                    x=np.concatenate([mean.index, mean.index[::-1]]),
                    y=np.concatenate([mean + error, (mean - error)[::-1]]),
                    fill="toself",
                    fillcolor=colours[name],
                    opacity=0.15,
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                    **style,
                ),
                **cell,
            )
            single = results.kind(name) == "single"
            figure.add_trace(
                go.Scatter(
                    x=mean.index,
                    y=mean,
                    mode="lines",
                    line={"color": colours[name], "width": 1 if single else 2.5, "dash": "dot" if single else "solid"},
                    showlegend=place == 0,
                    hovertemplate=f"{escape(name)}<br>query %{{x}}: %{{y:.4g}}<extra></extra>",
                    **style,
                ),
                **cell,
            )
            explored = runs["n_explored"].mean()
            if results.kind(name) == "strategy" and 0 < explored < runs["query"].max():
                figure.add_vline(x=explored, line={"color": colours[name], "width": 1, "dash": "dot"}, **cell)
        figure.update_yaxes(title_text=_TITLES[quantity], **cell)
        figure.update_xaxes(title_text="queries", **cell)
    if quantity in {"rank", "final_rank"}:
        figure.update_yaxes(type="log")
    figure.update_layout(template="plotly_white", height=120 + 340 * -(-len(tasks) // width))
    return figure


def critical_difference_figure(found: CriticalDifference) -> go.Figure:
    """Average ranks over tasks on a line, best at the left; bars join strategies that the test cannot tell apart."""
    names = [str(name) for name in found.average_ranks.index]
    ranks = found.average_ranks.to_numpy()
    heights = np.arange(len(names))[::-1]
    figure = go.Figure()
    for place, group in enumerate(found.groups):
        members = [names.index(name) for name in group]
        figure.add_trace(
            go.Scatter(
                x=[ranks[members[0]], ranks[members[-1]]],
                y=[len(names) + 0.4 * place] * 2,
                mode="lines",
                line={"color": _GREY, "width": 6},
                hovertext=", ".join(map(escape, group)),
                showlegend=False,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=ranks,
            y=heights,
            mode="markers+text",
            text=[f"{escape(name)} {rank:.2f}" for name, rank in zip(names, ranks, strict=True)],
            textposition="middle right",
            marker={"color": _COLOURS[0], "size": 10},
            showlegend=False,
        )
    )
    figure.update_xaxes(
        title_text=f"average rank over {found.n_tasks} tasks (critical difference {found.difference:.2f})"
    )
    figure.update_yaxes(visible=False)
    figure.update_layout(template="plotly_white", height=160 + 30 * len(names))
    return figure


def _colours(results: Results, names: Sequence[str]) -> dict[str, str]:
    told = [name for name in names if results.kind(name) != "single"]
    return {name: _COLOURS[told.index(name) % len(_COLOURS)] if name in told else _GREY for name in names}
