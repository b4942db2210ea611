"""`robonas show --watch`: a search seen from another terminal while it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from robonas.cli.console import err, out
from robonas.errors import StudyError
from robonas.study.loop import record_of

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.cli.options import StudyOptions
    from robonas.study.query import Query
    from robonas.study.reading import Record

EVERY_S = 1.0
"""Seconds between two looks."""
_ENDINGS = {"time over": "the time is over", "candidates exhausted": "no candidate is left"}
"""Words for each reason to end before the budget is spent."""


def watch(folder: Path, study: StudyOptions) -> None:
    """Show a search until it has ended, or until Ctrl-C, which does not stop the search.

    Raises:
        StudyError: There is no such search.
    """
    seen = None
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            record = record_of(folder, study.name, storage=study.storage)
            if out.is_terminal:
                live.update(picture(record, time.time()), refresh=True)
            elif record.queries != seen:
                out.print(picture(record, time.time()))
            seen = record.queries
            if is_over(record):
                break
            time.sleep(EVERY_S)
    if out.is_terminal:
        out.print(picture(record, time.time()))
    err.print(Text(f"{record.name}: {ending(record)}"))


def is_over(record: Record) -> bool:
    """Return whether no evaluation is left to do."""
    done = [query for query in record.queries if query.state != "running"]
    return record.stopped is not None or len(done) >= record.budget > 0


def ending(record: Record) -> str:
    """Return why a search that is over has ended."""
    return _ENDINGS.get(record.stopped or "", "the budget is spent")


def picture(record: Record, now: float) -> Table:
    """Return a table of the search as it stands: a line for each evaluation under way, and the best so far.

    Args:
        record: Record of the study.
        now: Seconds since 1970.

    Raises:
        StudyError: The study was damaged.
    """
    try:
        objective = record.settings["objective"]
        sign = 1.0 if objective["direction"] == "maximize" else -1.0
        strategy = record.settings["strategy"]["name"]
        value_name = str(objective["value_name"])
    except (KeyError, TypeError) as error:
        raise StudyError(f"Study '{record.name}' is damaged: its settings have no {error}.") from error
    done = [query for query in record.queries if query.value is not None]
    best = max(done, key=lambda query: (sign * (query.value or 0.0), -query.number), default=None)
    ended = sum(query.state != "running" for query in record.queries)
    table = Table(title=Text(f"{strategy}: {ended} of {record.budget} evaluations"), title_justify="left", expand=False)
    for name in ("query", "where", "step", value_name, "for", "left", "architecture"):
        right = name in {"query", "step", value_name, "for", "left"}
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for query in record.queries:
        if query.state == "running":
            table.add_row(*(Text(cell) for cell in _row(query, now)))
    if best is not None:
        told = ("best", "", "", f"{best.value:.4f}", f"{best.seconds:.0f} s", "", best.architecture)
        table.add_row(*(Text(cell, style="bold") for cell in told))
    return table


def _row(query: Query, now: float) -> tuple[str, ...]:
    point = query.curve[-1] if query.curve else None
    where, since = "waiting", None
    if query.work is not None:
        where = " ".join(filter(None, (query.work.host, query.work.device or f"#{query.work.slot + 1}")))
        since = max(0.0, now - query.work.began)
    left = "" if point is None or since is None else f"{since * (point.steps - point.step) / point.step:.0f} s"
    return (
        str(query.number),
        where,
        "" if point is None else f"{point.step}/{point.steps}",
        "" if point is None else f"{point.value:.4f}",
        "" if since is None else f"{since:.0f} s",
        left,
        query.architecture,
    )
