"""The facts of a search in words, and the picture of its queries for a notebook.

`SearchResult` uses these functions, so that they cannot import it: a result is ``Any`` here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from robonas.common.notebook import COLOURS, Picture
from robonas.common.words import plural
from robonas.costs.size import size_in_words
from robonas.study.certainty import in_rows, value_with_noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.study.query import Query


def title_of(result: Any) -> str:
    """Return what was searched, by what, and how far it came, in one line."""
    n = len(result.queries)
    return (
        f"SearchResult '{result.study}': {result.strategy} on {result.space.name}, "
        f"{n} of {result.budget} evaluations, {result.stop_reason}"
    )


def facts_of(result: Any, size: Mapping[str, float | None] | None) -> dict[str, str]:
    """Return the winner, what it cost to find it, and what was learned, each in words.

    Args:
        result: The search, finished or stopped.
        size: ``parameters`` and ``macs`` of the winner; None to leave them out.
    """
    n = len(result.queries)
    rows: dict[str, str] = {}
    best = result.best if any(query.value is not None for query in result.queries) else None
    if best is not None:
        rows["architecture"] = best.architecture
        rows[result.value_name] = f"{value_with_noise(result)}  (query {best.number} of {n}, {best.phase})"
        rows |= in_rows(result)
    if size is not None:
        rows["size"] = size_in_words(size)
    rows["cost"] = f"{plural(n, 'evaluation')} in {result.seconds:.1f} s; {pool_in_words(result.scores)}"
    if result.n_grown and best is not None:
        after = result.joined_after(best)
        origin = "was in the sample" if after is None else f"joined after {plural(after, 'query')}"
        rows["pool"] = f"{len(result.scores) - result.n_grown:,} sampled, {result.n_grown:,} grown; the winner {origin}"
    if result.weights is not None:
        ordered = sorted(result.weights.items(), key=lambda entry: -abs(entry[1]))
        rows["learned weights"] = "  ".join(f"{name} {weight:+.2f}" for name, weight in ordered)
    if result.left_out:
        rows["left out"] = left_out_in_words(result.left_out, len(result.scores) - result.n_grown)
    if result.n_explored is not None:
        rows["explored"] = (
            f"{result.n_explored} queries to learn the weights, {len(result.queries) - result.n_explored} to use them"
        )
    if result.n_pruned:
        rows["pruned"] = (
            f"{result.n_pruned} of {n} evaluations ended early; "
            f"{result.steps_saved:,} of {result.steps + result.steps_saved:,} epochs saved"
        )
    failed = [query for query in result.queries if query.failure is not None]
    if failed:
        rows["failed"] = f"{len(failed)} of {n} evaluations, the first because: {failed[0].failure}"
    if result.axes and result.front:
        names = ", ".join(axis.name for axis in result.axes)
        rows["front"] = f"{len(result.front)} networks that no other one beats in {result.value_name} and {names}"
    if result.stop_reason == "running":
        running = sum(query.state == "running" for query in result.queries)
        rows["running"] = f"another process is still at it; {plural(running, 'evaluation')} not answered yet"
    elif result.stop_reason != "budget spent":
        rows["stopped"] = result.stop_reason
    if result.parameters_file is not None:
        rows["trained network"] = str(result.parameters_file)
    return rows


def pool_in_words(table: Any) -> str:
    """Return how many candidates a table of scores has, how many of them are distinct, and what scoring them took.

    Isomorphic candidates are one distinct candidate; one network is scored for all of a scoring class.
    """
    words = plural(len(table), "candidate")
    if len(table.distinct) != len(table):
        words += f", {len(table.distinct):,} of them distinct"
    if not table.metrics:
        return words
    as_networks = "" if table.n_networks == len(table.distinct) else f" as {plural(table.n_networks, 'network')}"
    return f"{words}, scored{as_networks} in {table.seconds:.1f} CPU s"


def left_out_in_words(counts: Mapping[str, int], left: int) -> str:
    """Return what limits did to a pool, in one sentence without its full stop."""
    n = sum(counts.values())
    why = "; ".join(f"{count:,} with {fault}" for fault, count in counts.items())
    return f"{n:,} of {n + left:,} candidates were left out before they were scored: {why}"


def picture_of(result: Any) -> str:
    """Return the value of each query, and the best so far, as SVG; empty where there is no query."""
    queries = [query for query in result.queries if query.state != "running"]
    if not queries:
        return ""
    values = {query.number: _drawn_value(query) for query in queries}
    picture = Picture((1, max(len(result.queries), 2)), values.values(), ("query", result.value_name))
    better = max if result.direction == "maximize" else min
    best, line = math.nan, []
    for query in queries:
        if query.value is not None:
            best = query.value if math.isnan(best) else better(best, query.value)
        line.append((float(query.number), best))
    picture.line(line, "best so far", COLOURS["muted"], steps=True)
    for phase in dict.fromkeys(query.phase for query in queries if query.state == "complete"):
        points = [(float(q.number), values[q.number]) for q in queries if q.state == "complete" and q.phase == phase]
        picture.points(points, phase, COLOURS.get(phase, COLOURS["other"]))
    for state in ("pruned", "failed"):
        points = [(float(query.number), values[query.number]) for query in queries if query.state == state]
        if points:
            picture.points(points, state, COLOURS["muted" if state == "pruned" else "failure"])
    if not math.isnan(best):
        winner = result.best
        picture.points([(float(winner.number), values[winner.number])], "winner", COLOURS["best"], size=6.5)
    return str(picture)


def _drawn_value(query: Query) -> float:
    """Return the value, or what a pruned query had come to; NaN for a failure."""
    value = query.partial if query.value is None else query.value
    return math.nan if value is None else value
