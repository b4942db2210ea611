"""One self-contained HTML page about a search, which works without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.common.words import plural
from robonas.errors import ArchitectureError, ConfigError
from robonas.report import cell, html, learned, next_steps, numbers, trust, words
from robonas.report.palette import N_OPTIONS
from robonas.study.certainty import certainty

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from robonas.study.result import SearchResult

_SHORT_STRIP = 16
"""Architectures of more choices get no strip of colours, nor do those whose choices have different options."""


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
    from robonas.report import timeline

    _check_comparable(result, baselines)
    size, size_failure = _size(result)
    names = numbers.labels([result, *baselines])
    best = numbers.best_query(result)
    picks = _choices(result, best.architecture) if best else ()
    rows = _rows(result)
    table = learned.correlations(result)
    content = {
        "result": result,
        "best": best,
        "word": words.evaluation_word(result),
        "digits": _digits([query.value for each in (result, *baselines) for query in each.queries]),
        "data": learned.data_of(result),
        "noise": learned.noise(result) if result.confirmation is None else None,
        "certain": certainty(result),
        "headline": words.headline(result, baselines, size),
        "steps": next_steps.steps(result),
        "files": next_steps.files(result),
        "failures": sum(query.state == "failed" for query in result.queries),
        "any_pruned": any(each.n_pruned for each in (result, *baselines)),
        "standings": [numbers.standing(each, name) for each, name in zip([result, *baselines], names, strict=True)],
        "size": size,
        "size_failure": size_failure,
        "picks": picks,
        "front": _front(result),
        "drawing": cell.draw(picks) if picks else None,
        "legend": _legend(picks),
        "bars": numbers.weights(result),
        "own": {own.metric: own for own in learned.own_correlations(result)},
        "points": numbers.agreement(result),
        "size_points": learned.size_points(result),
        "workers": timeline.timeline(result.queries),
        "lines": numbers.curves(result),
        "rows": rows,
        "any_sizes": [any(getattr(row["size"], key) for row in rows) for key in ("parameters", "macs")],
        "any_remarks": any(row["remarks"] for row in rows),
        "key": _legend([pick for row in rows for pick in row["picks"]]),
        "pool": len(result.scores),
        "distinct": numbers.pool_size(result),
        "n_networks": result.scores.n_networks,
        "metric_rows": numbers.metric_rows(result),
        "heat_map": None if table is None else html.heat_map(table),
        "fewest": numbers.FEWEST,
        "n_valued": sum(query.value is not None for query in result.queries),
        "score_warnings": result.scores.warnings() if result.scores.metrics else [],
        "trust": trust.trust(result, known_values),
        "scoring_seconds": result.scores.seconds if result.scores.metrics else 0.0,
        "wall_seconds": wall_seconds,
        "settings": _settings(result),
        "sessions": learned.sessions_of(result),
        "n_sessions": result.provenance.get("sessions"),
        "versions": result.scores.provenance.get("versions", {}),
    }
    return html.page("page.html.j2", content, _figures(result, baselines, names))


def _figures(result: SearchResult, baselines: Sequence[SearchResult], names: Sequence[str]) -> dict[str, go.Figure]:
    """Return the charts that this search has something for, by name."""
    from robonas.report import charts, timeline

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
        figures["weights"] = charts.weights_chart(bars, learned.own_correlations(result))
    sizes = learned.size_points(result)
    if sizes is not None:
        figures["size"] = charts.size_chart(sizes, result.value_name, best.number if best else None)
    points = numbers.agreement(result)
    if points is not None and len(points.numbers):
        phase_of = {query.number: query.phase for query in result.queries}
        phases = [phase_of[int(number)] for number in points.numbers]
        figures["agreement"] = charts.agreement_chart(points, phases, result.value_name, best.number if best else None)
    record = timeline.timeline(result.queries)
    if record is not None:
        figures["timeline"] = timeline.timeline_chart(record)
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
    """Return the queries, what their choices look like, how large their networks are, and what is to say of them."""
    options = {tuple(map(str, options)) for options in result.space.choices.values()}
    alike = len(options) == 1 and len(result.space.choices) <= _SHORT_STRIP and len(next(iter(options))) <= N_OPTIONS
    usual = _usual_reasons(result)
    rows = []
    for query, size in zip(result.queries, learned.sizes(result), strict=True):
        picks = _choices(result, query.architecture)
        joined = result.joined_after(query)
        remarks = [] if joined is None else [f"joined after {plural(joined, 'query')}"]
        if query.state == "pruned":
            remarks.append(f"after epoch {query.steps} of {query.steps + query.steps_saved}")
        if query.state == "failed":
            remarks.append(query.failure or "no reason given")
        elif query.phase in usual and query.reason not in {"", usual[query.phase]}:
            remarks.append(query.reason)
        rows.append({"query": query, "picks": picks if alike else (), "size": size, "remarks": remarks})
    return rows


def _usual_reasons(result: SearchResult) -> dict[str, str]:
    """Return the reason that most queries of a phase have, for each phase where there is one."""
    said: dict[str, list[str]] = {}
    for query in result.queries:
        said.setdefault(query.phase, []).append(query.reason)
    most = {phase: max(reasons, key=reasons.count) for phase, reasons in said.items()}
    return {phase: reason for phase, reason in most.items() if 2 * said[phase].count(reason) > len(said[phase])}


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


def _digits(values: Sequence[float | None]) -> int:
    """Return the significant digits, from 4 to 7, that keep different values different."""
    known = {value for value in values if value is not None}
    return next((d for d in range(4, 7) if len({words.number(value, d) for value in known}) == len(known)), 7)


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
