"""Tables of the command line that fit the terminal: whole where there is room, in fewer columns where there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from robonas.cli.console import out, say
from robonas.study.shown import pool_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from robonas.scores.table import ScoreTable

    Rows = Sequence[Mapping[Any, Any]]

_ANY_WIDTH = 100_000


def print_table(
    title: str,
    rows: Rows,
    *,
    columns: Iterable[str] | None = None,
    long: str | None = None,
    spare: Sequence[str] = (),
) -> None:
    """Print rows of equal keys as a table on stdout.

    Into a file or a pipe, the table is as wide as it needs to be. On a narrow terminal, the long column moves to a line
    of its own below each row; then spare columns are left out, which is told; then the rest goes into several tables
    below each other, each with the first column.

    Args:
        title: Title of the table.
        rows: The rows.
        columns: Names of the columns to show; None for all.
        long: Name of a column of long texts, such as architectures.
        spare: Names of columns that can be left out, the first one first.
    """
    names = [str(name) for name in columns or (rows[0] if rows else ())]
    room = out.width if out.is_terminal else _ANY_WIDTH
    below, left_out = None, []
    if long in names and _width(rows, names) > room:
        below = long
        names.remove(long)
    for name in spare:
        if name in names and _width(rows, names) > room:
            names.remove(name)
            left_out.append(name)
    blocks = _blocks(rows, names, room)
    for place, block in enumerate(blocks):
        heading = title if len(blocks) == 1 else f"{title} ({place + 1} of {len(blocks)})"
        _print(heading, rows, block, below if place == 0 else None)
    if left_out:
        say(f"Left out, since the terminal is narrow: {', '.join(left_out)}. A file or a pipe gets every column.")


def _blocks(rows: Rows, names: list[str], room: int) -> list[list[str]]:
    """Return the columns of each table: the first one, and as many others as there is room for."""
    if len(names) < 3 or _width(rows, names) <= room:
        return [names]
    blocks = [[names[0], names[1]]]
    for name in names[2:]:
        if _width(rows, [*blocks[-1], name]) <= room:
            blocks[-1].append(name)
        else:
            blocks.append([names[0], name])
    return blocks


def _table(rows: Rows, names: Sequence[str]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(row[name])) for name in names))
    return table


def _width(rows: Rows, names: Sequence[str]) -> int:
    """Return how many letters wide a table is that folds nothing."""
    wide = out.options.update(width=_ANY_WIDTH, max_width=_ANY_WIDTH)
    return Measurement.get(out, wide, _table(rows, names)).maximum


def _print(title: str, rows: Rows, names: Sequence[str], below: str | None) -> None:
    """Print one table, with a text below each row where a column has moved there."""
    out.print(Text(title, style="bold"), soft_wrap=True)
    table = _table(rows, names)
    width = _width(rows, names)
    if out.is_terminal and width > out.width:
        out.print(table)
        return
    lines = out.render_lines(table, out.options.update(width=width, max_width=width), pad=False)
    first = len(lines) - len(rows)
    for place, line in enumerate(lines):
        out.print(Segments([*line, Segment.line()]), end="", soft_wrap=True)
        if below is not None and place >= first:
            out.print(Text(f"  {cell_text(rows[place - first][below])}", style="dim"), soft_wrap=True)


def cell_text(value: object) -> str:
    """Return a value as a table shows it: four digits or whole, thousands separated, and a dash for what is missing."""
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def print_scores(table: ScoreTable) -> None:
    """Print the summary of a table of scores, with what a user should know before trusting it."""
    from robonas.cli.console import warn

    summary = table.summary().reset_index()
    if not summary["undefined"].any():
        summary = summary.drop(columns=["undefined", "reason"])
    print_table(
        f"Scores: {pool_in_words(table)}",
        summary.to_dict("records"),
        long="reason",
        spare=("defined", "seconds"),
    )
    for sentence in table.warnings():
        warn(sentence)
