"""Pages of one file each: templates, charts as JSON, and the part of Plotly's JavaScript that draws them.

The library is `plotly-basic.min.js`, Plotly's own partial bundle with lines, points, bars and pies, as npm distributes
it (package ``plotly.js-basic-dist-min``, MIT licence, beside it). It is a third of the file that the package ``plotly``
brings, and the same whichever version of that package is installed.
"""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.common.words import plural
from robonas.report import palette, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2
    import pandas as pd
    import plotly.graph_objects as go

LIBRARY = "plotly-basic.min.js"
"""Name of the file with the chart library."""
SHORT_TEXT = 160
"""Longer architecture texts are folded outside of tables."""
_BREAKS = re.compile(r"(?<=[|+,;:\]})/])(?=[^|+])")
"""Places where a long architecture text may be broken: after its own separators."""


def page(template: str, content: Mapping[str, Any], figures: Mapping[str, go.Figure]) -> str:
    """Return a page as text.

    Args:
        template: Name of its template.
        content: Names and values for the template.
        figures: Its charts by name.
    """
    common = {
        "short": SHORT_TEXT,
        "figures": sorted(figures),
        "colours": palette.css(),
        "figures_json": script_json({name: _figure_json(figure) for name, figure in figures.items()}),
        "dark_json": script_json(palette.to_dark()),
        "plotly_js": script_text(library()) if figures else "",
    }
    text = environment().get_template(template).render({**common, **content})
    # Names of files may hold bytes that are no text here; shown as question marks.
    return text.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def library() -> str:
    """Return the chart library's code."""
    return files("robonas.report").joinpath(LIBRARY).read_text(encoding="utf-8")


def heat_map(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of correlations for the page: a name, and for each column its text, sign and strength.

    The matrix is symmetric, so each row ends before its own column, and the first name has none.
    """
    values = table.to_numpy(np.float64)
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(table.index):
        cells = []
        for column in range(place):
            value = float(values[place, column])
            known = bool(np.isfinite(value))
            text = f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".", 1).replace("-", "−") if known else "–"
            sign = "none" if not known else "plus" if value >= 0 else "minus"
            cells.append({"text": text, "sign": sign, "strength": round(100 * abs(value)) if known else 0})
        rows.append({"name": str(name), "cells": cells})
    return rows


def _figure_json(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as plain JSON values, with null for what is not finite."""
    content: dict[str, Any] = json.loads(figure.to_json())
    return {"data": content["data"], "layout": content["layout"]}


def script_json(value: object) -> Any:
    """Return JSON that is safe inside a script element."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  escaped above


def script_text(script: str) -> Any:
    """Return a trusted script, which must not end its own element."""
    from markupsafe import Markup

    return Markup(script.replace("</script", "<\\/script"))  # noqa: S704  plotly's own file


def breakable(text: str) -> Any:
    """Return a text, escaped, that may be broken after its separators; copying it gives the text itself."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in _BREAKS.split(text))


def marked(sentence: str) -> Any:
    """Return a sentence, escaped, whose parts between backticks are code."""
    from markupsafe import Markup, escape

    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        return escape(sentence)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def command(text: str) -> Any:
    """Return a command, escaped, that is broken between its words and not within one."""
    from markupsafe import Markup

    return Markup(" ").join(Markup('<span class="word">{}</span>').format(word) for word in text.split(" "))


def percent(share: float | None) -> str:
    """Return a share for people, such as ``12.5 %``; a dash for none."""
    return "–" if share is None else f"{100 * share:.{0 if share in {0, 1} else 1}f} %"


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates of this package; every expression is escaped."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("robonas.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": words.number,
        "duration": words.duration,
        "plural": plural,
        "breakable": breakable,
        "marked": marked,
        "command": command,
        "percent": percent,
        "count": lambda value: "–" if value is None else f"{value:,.0f}",
        "amount": words.amount,
    }
    made.tests["finite"] = lambda value: value is not None and bool(np.isfinite(value))
    return made
