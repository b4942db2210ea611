"""One self-contained HTML page about a search, which works without a network."""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.errors import ArchitectureError, ConfigError
from robonas.report import cell, numbers, trust, words
from robonas.report.palette import N_OPTIONS

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import jinja2
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from robonas.study.result import SearchResult

_SHORT_TEXT = 160
"""Longer architecture texts are folded in the table."""
_SHORT_STRIP = 16
"""Architectures of more choices get no strip of colours, nor do those whose choices have different options."""
_BREAKS = re.compile(r"(?<=[|+,;:\]})/])(?=[^|+])")
"""Where a long architecture text may be broken: after its own separators."""


def write_report(
    result: SearchResult,
    path: str | os.PathLike[str],
    *,
    baselines: Sequence[SearchResult] = (),
    wall_seconds: float | None = None,
    known_values: NDArray[np.float64] | None = None,
) -> Path:
    """Write the page about a search.

    One HTML file with everything in it: styles, scripts, charts and numbers. It asks for nothing from any network,
    and the same result gives the same file. Failed evaluations are shown, and so is a baseline that won.

    Args:
        result: The search, finished or stopped; it may have no completed query.
        path: File to write; its folder is made, and an old file is replaced as a whole.
        baselines: Other searches on the same objective, such as random search with the same budget.
        wall_seconds: Wall-clock seconds of the whole search; None leaves them out of the page.
        known_values: Objective of every row of the table of scores, for benchmarks, in its own direction, NaN
            where unknown. It judges the search afterwards, by true ranks and Precision@T.

    Returns:
        The path.

    Raises:
        ConfigError: A baseline measures something else, or `known_values` has another length than the table of scores.
    """
    from robonas.common.files import write_text

    page = render(result, baselines=baselines, wall_seconds=wall_seconds, known_values=known_values)
    write_text(path, page)
    return Path(path)


def render(
    result: SearchResult,
    *,
    baselines: Sequence[SearchResult] = (),
    wall_seconds: float | None = None,
    known_values: NDArray[np.float64] | None = None,
) -> str:
    """Return the page as text; arguments as for `write_report`.

    Raises:
        ConfigError: A baseline measures something else, or `known_values` has another length than the table of scores.
    """
    from plotly.offline import get_plotlyjs

    from robonas.report import palette

    _check_comparable(result, baselines)
    size, size_failure = _size(result)
    names = numbers.labels([result, *baselines])
    best = numbers.best_query(result)
    figures = _figures(result, baselines, names)
    picks = _choices(result, best.architecture) if best else ()
    rows = _rows(result)
    content = {
        "result": result,
        "best": best,
        "word": words.evaluation_word(result),
        "digits": _digits([query.value for each in (result, *baselines) for query in each.queries]),
        "short": _SHORT_TEXT,
        "headline": words.headline(result, baselines, size),
        "failures": sum(query.state == "failed" for query in result.queries),
        "any_pruned": any(each.n_pruned for each in (result, *baselines)),
        "standings": [numbers.standing(each, name) for each, name in zip([result, *baselines], names, strict=True)],
        "figures": sorted(figures),
        "size": size,
        "size_failure": size_failure,
        "picks": picks,
        "front": _front(result),
        "drawing": cell.draw(picks) if picks else None,
        "legend": _legend(picks),
        "bars": numbers.weights(result),
        "points": numbers.agreement(result),
        "lines": numbers.curves(result),
        "rows": rows,
        "key": _legend([pick for row in rows for pick in row["picks"]]),
        "parameter_scores": _parameter_scores(result),
        "pool": len(result.scores),
        "distinct": numbers.pool_size(result),
        "metric_rows": numbers.metric_rows(result),
        "score_warnings": result.scores.warnings() if result.scores.metrics else [],
        "trust": trust.trust(result, known_values),
        "scoring_seconds": result.scores.seconds if result.scores.metrics else 0.0,
        "wall_seconds": wall_seconds,
        "settings": _settings(result),
        "versions": result.scores.provenance.get("versions", {}),
        "colours": palette.css(),
        "figures_json": _script_json({name: _figure_json(figure) for name, figure in figures.items()}),
        "dark_json": _script_json(palette.to_dark()),
        "plotly_js": _script_text(get_plotlyjs()) if figures else "",
    }
    return _environment().get_template("page.html.j2").render(content)


def _figures(result: SearchResult, baselines: Sequence[SearchResult], names: Sequence[str]) -> dict[str, go.Figure]:
    """Return the charts that this search has something for, by name."""
    from robonas.report import charts

    figures: dict[str, go.Figure] = {}
    best = numbers.best_query(result)
    if result.axes and best:
        from robonas.report import front

        figures["front"] = front.front_chart(result)
        alike = [each for each in zip(baselines, names[1:], strict=True) if front.comparable(result, each[0])]
        figures["hypervolume"] = front.hypervolume_chart(
            [result, *(other for other, _ in alike)], [names[0], *(name for _, name in alike)]
        )
    if result.queries:
        main = numbers.progress(result, names[0])
        others = [numbers.progress(other, name) for other, name in zip(baselines, names[1:], strict=True)]
        reasons = [query.failure for query in result.queries]
        figures["progress"] = charts.progress_chart(main, others, result.value_name, reasons)
    if bars := numbers.weights(result):
        figures["weights"] = charts.weights_chart(bars)
    points = numbers.agreement(result)
    if points is not None and len(points.numbers):
        phase_of = {query.number: query.phase for query in result.queries}
        phases = [phase_of[int(number)] for number in points.numbers]
        figures["agreement"] = charts.agreement_chart(points, phases, result.value_name, best.number if best else None)
    if lines := numbers.curves(result):
        figures["curves"] = charts.curves_chart(lines, result.value_name)
    return figures


def _check_comparable(result: SearchResult, baselines: Sequence[SearchResult]) -> None:
    """Raise unless all searches measure the same thing."""
    for other in baselines:
        for field in ("objective", "value_name", "direction"):
            ours, theirs = getattr(result, field), getattr(other, field)
            if ours != theirs:
                raise ConfigError(
                    f"A baseline must have the search's {field.replace('_', ' ')} ({ours!r}); got {theirs!r} of study "
                    f"{other.study!r}. Leave it out of `baselines`."
                )


def _size(result: SearchResult) -> tuple[dict[str, int | None] | None, str | None]:
    """Return the winner's parameters and MACs, or why they are unknown, which must not cost the report."""
    if numbers.best_query(result) is None:
        return None, None
    try:
        return result.size, None
    except Exception as error:  # noqa: BLE001  any space may fail in its own way
        return None, f"{type(error).__name__}: {error}"


def _choices(result: SearchResult, text: str) -> tuple[cell.Choice, ...]:
    """Return the choices of an architecture's text; none where this space cannot read it."""
    try:
        return cell.choices(result.space, result.space.parse(text))
    except ArchitectureError:
        return ()


def _rows(result: SearchResult) -> list[dict[str, Any]]:
    """Return the queries and what their choices look like."""
    options = {tuple(map(str, options)) for options in result.space.choices.values()}
    alike = len(options) == 1 and len(result.space.choices) <= _SHORT_STRIP and len(next(iter(options))) <= N_OPTIONS
    rows = []
    for query in result.queries:
        picks = _choices(result, query.architecture)
        rows.append({"query": query, "picks": picks if alike else ()})
    return rows


def _front(result: SearchResult) -> dict[str, Any] | None:
    """Return what the page tells of the front; None where there is none."""
    if not result.axes or numbers.best_query(result) is None:
        return None
    reference = dict(result.trade_off.reference)
    members: list[dict[str, Any]] = []
    for query in result.front:
        picks = _choices(result, query.architecture)
        members.append(
            {
                "query": query,
                "costs": [axis.told(cost) for axis, cost in zip(result.axes, query.costs, strict=True)],
                "knee": query.number == result.knee.number,
                "drawing": cell.draw(picks) if picks else None,
                "legend": _legend(picks),
            }
        )
    # What the slider shows: the best at most at each cost, which with two costs not every member is.
    steps: list[dict[str, Any]] = []
    sign = 1.0 if result.direction == "maximize" else -1.0
    for member in sorted(members, key=lambda member: (member["query"].costs[0], -sign * member["query"].value)):
        if not steps or sign * member["query"].value > sign * steps[-1]["query"].value:
            steps.append(member)
    start = next((place for place, member in enumerate(steps) if member["knee"]), len(steps) - 1)
    point = [f"{result.value_name} {words.number(reference['value'])}"]
    point += [f"{axis.name} {axis.told(reference[axis.name])}" for axis in result.axes]
    volume = float(result.hypervolume()[-1])
    return {"members": members, "steps": steps, "start": start, "reference": " and ".join(point), "volume": volume}


def _parameter_scores(result: SearchResult) -> list[float | None] | None:
    """Return the ``params`` score of each query; None where that metric was not computed."""
    if "params" not in result.scores.metrics:
        return None
    column = result.scores.scores[:, result.scores.metrics.index("params")]
    return [float(column[query.row]) if math.isfinite(column[query.row]) else None for query in result.queries]


def _digits(values: Sequence[float | None]) -> int:
    """Significant digits, from 4 to 7, that keep different values different."""
    known = {value for value in values if value is not None}
    return next((d for d in range(4, 7) if len({words.number(value, d) for value in known}) == len(known)), 7)


def _breakable(text: str) -> Any:
    """Return a text, escaped, that may be broken after its separators; copying it gives the text itself."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in _BREAKS.split(text))


def _legend(picks: Sequence[cell.Choice]) -> list[cell.Choice]:
    """Return one choice for each option that occurs."""
    return list({pick.option: pick for pick in picks}.values())


def _settings(result: SearchResult) -> str:
    """Return all that it takes to run the search again, as JSON."""
    return json.dumps(
        {
            "study": result.study,
            "strategy": result.strategy,
            "objective": result.objective,
            "budget": result.budget,
            "seed": result.seed,
            "space": {"name": result.space.name, **result.space.settings},
            "settings": dict(result.settings),
            "scores": dict(result.scores.provenance),
        },
        indent=2,
        ensure_ascii=False,
        default=str,
    )


def _figure_json(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as plain JSON values, with null for what is not finite."""
    content: dict[str, Any] = json.loads(figure.to_json())
    return {"data": content["data"], "layout": content["layout"]}


def _script_json(value: object) -> Any:
    """JSON that is safe inside a script element."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  escaped above


def _script_text(script: str) -> Any:
    """Return a trusted script, which must not end its own element."""
    from markupsafe import Markup

    return Markup(script.replace("</script", "<\\/script"))  # noqa: S704  plotly's own file


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates of this package; every expression is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robonas.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "duration": words.duration,
        "plural": numbers.plural,
        "breakable": _breakable,
        "percent": lambda share: "–" if share is None else f"{100 * share:.{0 if share in {0, 1} else 1}f} %",
        "count": lambda value: f"{value:,.0f}",
    }
    environment.tests["finite"] = lambda value: value is not None and bool(np.isfinite(value))
    return environment
