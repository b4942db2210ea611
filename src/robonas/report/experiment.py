"""One self-contained HTML page about an experiment, in the design of a search's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.common.words import plural
from robonas.report import html, words

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from robonas.experiments import Results, Task

_AT_MOST = 4
"""Columns of the tables beside the charts."""
_LINES = 7
"""Lines that a reader can tell apart in one chart."""


def write_experiment(results: Results, path: str | os.PathLike[str], *, tasks: Sequence[Task] = ()) -> Path:
    """Write the page about an experiment: charts of the progress with their tables, comparisons, and the metrics.

    One HTML file with everything in it, which asks for nothing from any network. The same results give the same file.

    Args:
        results: The runs.
        path: File to write; its folder is made, and an old file is replaced as a whole.
        tasks: The tasks, for how well each metric does alone and how alike the metrics are; none leaves that out.

    Returns:
        The path.
    """
    from robonas.common.files import write_text

    write_text(path, render_experiment(results, tasks=tasks))
    return Path(path)


def render_experiment(results: Results, *, tasks: Sequence[Task] = ()) -> str:
    """Return the page as text; arguments as for `write_experiment`."""
    from robonas.experiments import all_tables, cautions
    from robonas.experiments.statistics import compare, critical_difference
    from robonas.report.experiment_charts import critical_difference_figure, progress_figure

    first = results.strategies[0]
    tables = {table.name: table for table in all_tables(results, tasks)}
    about_tasks = [_task(results, place, name) for place, name in enumerate(results.tasks)]
    figures: dict[str, go.Figure] = {
        task["chart"]: progress_figure(results, "rank", tasks=[task["name"]], hidden=task["hidden"])
        for task in about_tasks
    }
    over = None
    contending = [name for name in results.strategies if results.kind(name) != "single"]
    if len(results.tasks) > 1 and len(contending) > 1:
        over = critical_difference(results, reference=first)
        figures["over"] = critical_difference_figure(over)
    pairs = compare(results, first)
    settings = results.settings
    content = {
        "first": first,
        "tasks": about_tasks,
        "strategies": [name for name in results.strategies if results.kind(name) == "strategy"],
        "headline": _headline(results, tables["progress"].frame),
        "facts": _facts(results),
        "cautions": cautions(results, first),
        "papers": [_plain(tables[name]) for name in ("final", "rank", "front") if name in tables],
        "pairs": {task: pairs[pairs["task"] == task].to_dict("records") for task in results.tasks},
        "over": over,
        "metrics": [_metrics(task, tables) for task in tasks if task.metrics],
        "settings": json.dumps(dict(settings), indent=2, ensure_ascii=False, default=str),
    }
    return html.page("experiment.html.j2", content, figures)


def _headline(results: Results, progress: pd.DataFrame) -> str:
    """Return the result of the experiment in one sentence."""
    column, n = str(progress.columns[-1]), len(results.tasks)
    ends = sorted({int(last) for last in results.frame.groupby("task")["query"].max()})
    queries = f"{ends[-1]:,} queries" if len(ends) == 1 else f"all queries ({ends[0]:,} to {ends[-1]:,} by task)"
    over = f" (geometric mean over {n} tasks)" if n > 1 else ""
    ranks = {
        str(name): words.number(round(float(rank), 9), 3)  # a mean of logarithms makes 4.999999999999 of 5
        for name, rank in zip(progress.index, progress[column].to_numpy(np.float64), strict=True)
    }
    told = [f"{name} {rank}" for name, rank in ranks.items() if results.kind(name) != "single"]
    alone = [rank for name, rank in ranks.items() if results.kind(name) == "single"]
    told += [f"in hindsight the best metric alone {alone[0]}"] if alone else []
    return f"Mean rank after {queries}, where 1 is best: {', '.join(told)}{over}."


def _facts(results: Results) -> list[tuple[str, str]]:
    candidates = [int(n) for n in results.frame.groupby("task", sort=False)["candidates"].max()]
    span = " to ".join(f"{n:,}" for n in dict.fromkeys((min(candidates), max(candidates))))
    kinds = [results.kind(name) for name in results.strategies]
    return [
        ("Tasks", str(len(results.tasks))),
        ("Strategies", str(kinds.count("strategy"))),
        ("Metrics alone", str(kinds.count("single"))),
        ("Seeds", str(results.frame["seed"].nunique())),
        ("Queries at most", str(int(results.frame["query"].max()))),
        ("Candidates in a run", span),
    ]


def _task(results: Results, place: int, name: str) -> dict[str, Any]:
    """Return one task: its chart's name, what it is about, and the mean rank of each strategy by number of queries."""
    from robonas.experiments.summary import checkpoints

    runs = results.frame[results.frame["task"] == name]
    at = [queries for queries in checkpoints(results) if queries <= int(runs["query"].max())][-_AT_MOST:]
    ranks: dict[str, list[float]] = {}
    for queries in at:
        state = results.at(queries)
        for strategy, mean in state[state["task"] == name].groupby("strategy", sort=False)["rank"].mean().items():
            ranks.setdefault(str(strategy), []).append(float(mean))
    names = sorted(ranks, key=lambda strategy: ranks[strategy][-1])
    rows = [{"strategy": name, "kind": results.kind(name), "ranks": ranks[name]} for name in names]
    about: dict[str, Any] = next((task for task in results.settings.get("tasks", ()) if task["name"] == name), {})
    return {
        "name": name,
        "chart": f"progress-{place}",
        "at": at,
        "rows": rows,
        "hidden": _hidden(results, names),
        "objective": about.get("objective"),
        "candidates": int(runs["candidates"].max()),
    }


def _hidden(results: Results, names: Sequence[str]) -> list[str]:
    """Return the strategies that the chart of a task leaves out at first, where all would be too many.

    Drawn are the first strategy, with which the others are compared, random search, the best metric alone, and the best
    others.

    Args:
        results: The runs.
        names: The strategies of the task, best first.
    """
    if len(names) <= _LINES:
        return []
    alone = [name for name in names if results.kind(name) == "single"]
    others = [name for name in names if name not in alone]
    first = [name for name in others if name in {results.strategies[0], "random"}]
    drawn = list(dict.fromkeys([*first, *alone[:1], *others]))[:_LINES]
    return [name for name in names if name not in drawn]


def _plain(table: Any) -> dict[str, Any]:
    """Return a table as names, columns and rows of texts."""
    return {
        "title": table.title,
        "columns": [str(column) for column in table.frame.columns],
        "rows": [
            (str(name), [str(value) for value in row])
            for name, row in zip(table.frame.index, table.frame.to_numpy().tolist(), strict=True)
        ],
    }


def _metrics(task: Task, tables: dict[str, Any]) -> dict[str, Any]:
    """Return how well each metric of a task does alone, and how alike they are."""
    from robonas.experiments import metric_correlations

    quality = tables["metrics"].frame
    table = metric_correlations(task)
    return {
        "name": task.name,
        "objective": task.objective_name,
        "turned": not task.higher_is_better,
        "rows": quality[quality.index == task.name].to_dict("records"),
        "heat_map": html.heat_map(table) if len(table) > 1 else None,
        "candidates": plural(len(task), "candidate"),
    }
