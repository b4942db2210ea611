"""The tables of an experiment, and the forms in which papers and programs take them: LaTeX, CSV and Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robonas.errors import ConfigError
from robonas.experiments.ranking import metric_correlations, metric_quality
from robonas.experiments.statistics import compare, critical_difference
from robonas.experiments.summary import across_tasks, paper_table, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.experiments.results import Results
    from robonas.experiments.tasks import Task


_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""LaTeX that keeps the width of a box, or shrinks it to that of the line."""
_READ_AS = {"cost_s": "cost (s)", "p_holm": "p (Holm)", "first_rank": "first rank", "best_rank": "best rank"}
"""Columns with another name where people read them."""


@dataclass(frozen=True, eq=False)
class NamedTable:
    """A table with what it is called."""

    name: str
    """Name of its file, without an ending."""
    title: str
    """One line on what it shows."""
    frame: pd.DataFrame
    """Its rows; the index is the first column."""
    wide: bool = False
    """Whether it has too many columns for a page."""


def all_tables(results: Results, tasks: Sequence[Task] = (), reference: str | None = None) -> list[NamedTable]:
    """Return the tables of an experiment, those of the paper first.

    Args:
        results: The runs.
        tasks: The tasks, for how well each metric does alone; none leaves that out.
        reference: Strategy that the others are compared with; None for the first.
    """
    first = reference or results.strategies[0]
    found = []
    if results.frame["final"].notna().any():
        title = "Final measure of the winner, mean ± deviation over seeds"
        found.append(NamedTable("final", title, _named(paper_table(results, "final"), "strategy")))
    title = "Rank by the objective (1 is best), mean ± deviation over seeds"
    found.append(NamedTable("rank", title, _named(paper_table(results, "rank"), "strategy")))
    if "hypervolume_regret" in results.frame and results.frame["hypervolume_regret"].notna().any():
        title = "Share of the true front's hypervolume that is missing, mean ± deviation over seeds"
        found.append(NamedTable("front", title, _named(paper_table(results, "hypervolume_regret"), "strategy")))
    progress = across_tasks(results).rename(columns=lambda queries: f"after {queries}")
    title = "Rank by the objective (1 is best) by number of queries, geometric mean over tasks" + carried_on(results)
    found.append(NamedTable("progress", title, _named(progress, "strategy")))
    pairs = compare(results, first).drop(columns=["deterministic"]).set_index("task")
    title = f"{first} against the others, seed by seed: mean advantage in rank, above 0 where {first} is better"
    found.append(NamedTable("comparison", title, pairs))
    quality = [metric_quality(task, task.budget or results.settings["budget"]) for task in tasks]
    if any(map(len, quality)):
        joined = pd.concat([frame for frame in quality if len(frame)])
        found.append(NamedTable("metrics", "Each metric alone, where all answers are known", joined.set_index("task")))
    for task in tasks:
        if len(task.metrics):
            name = "correlations" if len(tasks) == 1 else f"correlations-{_file_name(task.name)}"
            title = f"Rank correlation (Spearman) of metrics and objective on {task.name}"
            found.append(NamedTable(name, title, _named(metric_correlations(task), "metric"), wide=True))
    contending = [name for name in results.strategies if results.kind(name) != "single"]
    if len(results.tasks) > 1 and len(contending) > 1:
        over = critical_difference(results, reference=first)
        told = "" if over.friedman_p is None else f", Friedman's p {over.friedman_p:.2g}"
        title = (
            f"Average rank among strategies over {over.n_tasks} tasks; critical difference {over.difference:.2f}{told}"
        )
        found.append(NamedTable("over-tasks", title, _named(over.average_ranks.to_frame("average rank"), "strategy")))
    summary = summarise(results).set_index("task")
    return [*found, NamedTable("summary", "Means, deviations and medians over seeds", summary, wide=True)]


def carried_on(results: Results) -> str:
    """Return, for a title, that a task whose runs are over counts with its end; nothing where all have one length."""
    ends = results.frame.groupby("task")["query"].max()
    return "; a task with fewer queries counts with its last" if ends.min() < ends.max() else ""


def _file_name(text: str) -> str:
    """Return a name in letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "task"


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame.rename_axis(index=name, columns=None)


def to_markdown(table: pd.DataFrame, title: str = "", name: str = "") -> str:
    """Return a table in Markdown, with its title above it."""
    del name
    texts = _texts(table)
    rows = [[str(key), *entries] for key, entries in zip(texts.index, texts.to_numpy().tolist(), strict=True)]
    lines = [[str(table.index.name or ""), *map(str, texts.columns)], ["---"] * (1 + table.shape[1]), *rows]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
    return f"**{title}**\n\n{body}" if title else body


def to_latex(table: pd.DataFrame, title: str = "", name: str = "") -> str:
    """Return a table in LaTeX, for the package ``booktabs``: a float with caption and label where it has a title.

    A table in a float that is wider than the line is made smaller, by the package ``graphicx``.
    """
    texts = _texts(table).reset_index(names=table.index.name or "")
    styled = texts.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    columns = "l" + "".join("r" if _numeric(table[column]) else "l" for column in table.columns)
    about: dict[str, Any] = {"hrules": True, "column_format": columns}
    if title:
        about |= {"caption": _escaped(title), "label": f"tab:{name or 'table'}", "position": "t"}
        about |= {"position_float": "centering"}
    text: str = styled.to_latex(**about)
    if title:
        begin, end = r"\begin{tabular}", r"\end{tabular}"
        text = text.replace(begin, f"{_FITTED}{{%\n{begin}", 1).replace(end, f"{end}}}", 1)
    return text.replace("±", r"$\pm$").replace("–", "--")


def to_csv(table: pd.DataFrame, title: str = "", name: str = "") -> str:
    """Return a table as CSV, with whole numbers and nothing for what is undefined; a CSV file has no title."""
    del title, name
    return str(table.to_csv(float_format="%.12g"))


FORMATS: Mapping[str, tuple[str, Callable[[pd.DataFrame, str, str], str]]] = {
    "csv": (".csv", to_csv),
    "latex": (".tex", to_latex),
    "markdown": (".md", to_markdown),
}
"""The ending of a file in each format, and the function that writes a table in it."""


def format_of(name: str) -> tuple[str, Callable[[pd.DataFrame, str, str], str]]:
    """Return the ending and the writer of a format.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"A format of tables must be one of {', '.join(FORMATS)}; got {name!r}.")
    return FORMATS[name]


def _numeric(column: pd.Series[Any]) -> bool:
    """Return whether all are numbers: as such, as texts such as ``1.5 ± 0.2`` or ``2739``, or missing."""
    return all(
        isinstance(value, (int, float, np.number))
        or value in {None, "–"}
        or "±" in str(value)
        or str(value).isdecimal()
        for value in column
    )


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with every value as people read it."""
    cells = [[_cell(value) for value in row] for row in table.to_numpy(dtype=object).tolist()]
    names = [_READ_AS.get(str(name), str(name)) for name in table.columns]
    return pd.DataFrame(cells, columns=names, index=table.index, dtype=object)


def _cell(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return str(value)


_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    letter: rf"\text{name}{{}}" for letter, name in (("\\", "backslash"), ("~", "asciitilde"), ("^", "asciicircum"))
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
