"""Output of the command line: messages, tables and the final summary.

What is said while working goes to stderr, results to stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from robonas.common.bars import Bars, err as err, say as say  # noqa: PLC0414  # for the other commands
from robonas.common.streams import json_text
from robonas.study.shown import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from robonas.retraining import TrainedNetwork
    from robonas.scores.table import ScoreTable
    from robonas.study.result import SearchResult

out = Console(highlight=False)


def warn(sentence: str) -> None:
    """Write a warning to stderr."""
    err.print(Text.assemble(("Warning:", "yellow"), " ", sentence), soft_wrap=True)


def complain(sentence: str) -> None:
    """Write an error to stderr."""
    err.print(Text.assemble(("Error:", "bold red"), " ", sentence), soft_wrap=True)


class Counter(Bars):
    """A bar that counts, on a terminal; nothing elsewhere.

    Args:
        title: Name of what is counted.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        super().__init__(progress=False if quiet else None)
        self._bar = self.add(title)

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done, and of how many; 0 where that is not known."""
        self.update(self._bar, completed=done, total=total or None)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    out.out(json_text(value))


def print_table(title: str, rows: Sequence[Mapping[Any, Any]], *, columns: Iterable[str] | None = None) -> None:
    """Print rows of equal keys as a table on stdout."""
    names = list(columns or (rows[0] if rows else ()))
    table = Table(title=Text(title), title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) for row in rows)
        table.add_column(Text(str(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in names))
    out.print(table)


def _panel(title: str, rows: Mapping[str, object], *, style: str = "none") -> None:
    body = Table.grid(padding=(0, 2))
    body.add_column(style="dim")
    body.add_column(overflow="fold")
    for name, value in rows.items():
        body.add_row(Text(name), Text(str(value)))
    out.print(Panel(body, title=Text(title), title_align="left", border_style=style))


def _cell(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return str(value)


def print_scores(table: ScoreTable) -> None:
    """Print the summary of a table of scores, with what a user should know before trusting it."""
    summary = table.summary().reset_index()
    print_table(
        f"Scores of {len(table):,} architectures ({len(table.distinct):,} different networks)",
        summary.to_dict("records"),
    )
    for sentence in table.warnings():
        warn(sentence)


def print_result(result: SearchResult, baselines: Sequence[SearchResult] = ()) -> None:
    """Print the winner, what it is made of, what the search learned, and how it compares with the baselines."""
    rows = {"architecture": result.text, **facts_of(result, result.size)}
    _panel(f"{result.strategy} found", rows, style="green")
    for baseline in baselines:
        out.print(Text(verdict(result, baseline), style="bold"), soft_wrap=True)


def print_trained(result: TrainedNetwork) -> None:
    """Print the result of a full training."""
    from robonas.retraining.shown import facts_of as training_facts

    rows = training_facts(result, result.size)
    _panel("trained", rows, style="green")


def verdict(result: SearchResult, baseline: SearchResult) -> str:
    """Say in one sentence which strategy won."""
    ours, theirs = result.value, baseline.value
    gap = ours - theirs if result.direction == "maximize" else theirs - ours
    told = (
        f"{result.strategy} {ours:.4f}, {baseline.strategy} {theirs:.4f} "
        f"({result.value_name}, {len(baseline.queries)} evaluations each)"
    )
    if gap == 0:
        return f"A draw: {told}. One seed proves little either way."
    winner = result.strategy if gap > 0 else baseline.strategy
    return f"{winner} won by {abs(gap):.4f}: {told}. One seed proves little; repeat with --seed 1, 2, …"
