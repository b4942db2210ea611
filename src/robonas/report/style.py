"""The style that all charts share: an empty figure, the name of its values, and texts that are never markup."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from robonas.report.palette import light

_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_CLEAR = "rgba(0,0,0,0)"


def empty_figure(height: int) -> go.Figure:
    """Return an empty figure in the page's own style: transparent, no template, thin grid."""
    axis = {
        "gridcolor": light("line"),
        "linecolor": light("line"),
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": light("line"),
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12, "color": light("muted")}},
        "fixedrange": True,
    }
    layout = go.Layout(
        template="none",
        height=height,
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        font={"family": _FONT, "size": 13, "color": light("ink")},
        margin={"l": 10, "r": 12, "t": 40, "b": 10},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 + 26 / (height - 90),
            "yanchor": "bottom",
            "font": {"color": light("muted"), "size": 12},
        },
        hoverlabel={
            "font": {"family": _FONT, "color": light("ink")},
            "bgcolor": light("surface"),
            "bordercolor": light("line"),
            "align": "left",
        },
        xaxis=axis,
        yaxis=axis,
    )
    return go.Figure(layout=layout)


def name_values(figure: go.Figure, value_name: str) -> None:
    """Name the vertical axis in a line above it, where it takes no width from the chart."""
    figure.add_annotation(
        x=0,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        yshift=4,
        text=plain_text(value_name),
        showarrow=False,
        font={"color": light("muted"), "size": 12},
    )


def plain_text(words: str) -> str:
    """Escape a text for Plotly, which reads HTML tags."""
    return escape(words, quote=False)


def template_text(words: str) -> str:
    """Escape a text for a hover template, which also reads %{...}."""
    return plain_text(words).replace("%{", "%&#123;")


def wrapped_text(words: str, width: int = 60) -> str:
    """Return an escaped text in lines that a hover box can hold."""
    import textwrap

    lines = textwrap.wrap(words, width, max_lines=6, placeholder=" …")
    return "<br>".join(lines)
