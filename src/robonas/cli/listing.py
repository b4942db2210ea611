"""`robonas list`: the catalogues as rows of facts, for the terminal and for the documentation."""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Any

import typer

from robonas.cli.options import Json  # noqa: TC001  # read by Typer
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]


def metrics() -> Sequence[Row]:
    """Return every metric's card."""
    from robonas.metrics import METRICS

    return [metric.card() for metric in METRICS.values()]


def spaces() -> Sequence[Row]:
    """Return every search space."""
    from robonas.spaces import SPACES

    return [
        {"name": name, "about": _first_line(entry), "settings": _parameters(entry)} for name, entry in SPACES.items()
    ]


def strategies() -> Sequence[Row]:
    """Return every strategy."""
    from robonas.strategies import STRATEGIES

    return [
        {
            "name": name,
            "about": _first_line(entry),
            "reads scores": "yes" if entry.uses_scores else "no",
            "settings": _parameters(entry),
        }
        for name, entry in STRATEGIES.items()
    ]


def datasets() -> Sequence[Row]:
    """Return every kind of data."""
    from robonas.datasets import DATASETS

    return [
        {"name": f"{name}:{entry.place}" if entry.place else name, "about": entry.meaning}
        for name, entry in DATASETS.items()
    ]


def own_entry(what: str, reference: str) -> Row:
    """Return what there is to know of an object of the user's own code, which is imported and not called.

    Args:
        what: One of `LISTINGS`.
        reference: Its ``package.module:NAME``, or ``path/to/file.py:NAME``.

    Raises:
        UnknownNameError: There is no such module or name.
        ConfigError: It is none of this kind.
    """
    from robonas.common.registry import import_object

    if what == "metrics":
        from robonas.metrics import resolve_metrics

        return resolve_metrics([reference])[0].card()
    found: Any = import_object(KINDS[what], reference)
    row = {"name": reference, "about": _first_line(found if callable(found) else type(found))}
    if what == "strategies" and hasattr(found, "uses_scores"):
        row["reads scores"] = "yes" if found.uses_scores else "no"
    if callable(found):
        return row | {"settings": _parameters(found)}
    settings = getattr(found, "settings", None)
    if what == "datasets":
        return row | {"made": repr(found)}
    if not isinstance(settings, dict):
        raise ConfigError(f"A {KINDS[what]} must be one, or make one; got {reference!r}, a {type(found).__name__}.")
    return row | {"settings": ", ".join(f"{name}={value!r}" for name, value in settings.items())}


def _first_line(entry: object) -> str:
    return (inspect.getdoc(entry) or "").split("\n\n")[0].replace("\n", " ")


def _parameters(entry: Callable[..., object]) -> str:
    parameters = inspect.signature(entry).parameters.values()
    told = [
        f"{p.name}={p.default!r}" if p.default is not p.empty else p.name
        for p in parameters
        if p.kind is not p.VAR_KEYWORD
    ]
    return ", ".join(told)


WIDTH = 80
"""Columns of what is printed, whatever the terminal has: a list is read in columns, and piped into files."""
_COSTS = {"double backward": "backward twice", "a pass for each sample or class": "pass a sample"}


def as_lines(what: str) -> str:
    """Return a line for each entry; metrics with their costs, others with what they are, folded under itself."""
    if what == "metrics":
        return _metric_lines()
    rows = LISTINGS[what]()
    width = 2 + max(len(row["name"]) for row in rows)
    return "\n".join(folded(row["name"], _about(row), width) for row in rows)


def as_card(row: Row) -> str:
    """Return all that is to know about one entry, a heading a fact."""
    facts = {key: value for key, value in row.items() if key != "name" and value not in {None, ""}}
    width = 4 + max(len(key) for key in facts)
    return "\n".join([row["name"], *(folded(f"  {key}", str(value), width) for key, value in facts.items())])


def _metric_lines() -> str:
    from robonas.metrics import METRICS

    lines = []
    for name, metric in METRICS.items():
        told = metric.brief if metric.higher_is_better else f"{metric.brief}; lower is better"
        lines.append(f"{name:<16}  {told:<46}  {_COSTS.get(metric.cost, metric.cost)}".rstrip())
    return "\n".join(lines)


def _about(row: Row) -> str:
    return str(row["about"]) + (" Reads no scores." if row.get("reads scores") == "no" else "")


def folded(head: str, text: str, width: int) -> str:
    """Return a head, and beside it a text whose further lines begin under its first."""
    return textwrap.fill(
        text, WIDTH, initial_indent=head.ljust(width), subsequent_indent=" " * width, break_on_hyphens=False
    )


LISTINGS: Mapping[str, Callable[[], Sequence[Row]]] = {
    "datasets": datasets,
    "metrics": metrics,
    "spaces": spaces,
    "strategies": strategies,
}
"""Functions that find what can be listed, by name."""
KINDS: Mapping[str, str] = {
    "datasets": "data set",
    "metrics": "metric",
    "spaces": "search space",
    "strategies": "strategy",
}
"""Kinds of their entries, in the singular."""
USAGE: Mapping[str, Any] = {
    "context_settings": {"allow_extra_args": True},
    "options_metavar": "WHAT [NAME] [OPTIONS]",
}
"""Settings of the command's call: its words are taken as they are, so that nothing heavy is loaded to read them."""


def list_entries(ctx: typer.Context, as_json: Json = False) -> None:
    """List metrics, spaces, strategies or data sets, or show all about one of them.

    WHAT is metrics, spaces, strategies or datasets; NAME is one of these, or package.module:NAME, to be shown in full.
    """
    from robonas.common.registry import lookup
    from robonas.common.streams import json_text

    if not 1 <= len(ctx.args) <= 2:
        raise ConfigError(
            f"`robonas list` must be told what to list ({', '.join(LISTINGS)}) and at most one name; "
            f"got {' '.join(ctx.args) or 'nothing'}."
        )
    what, *names = ctx.args
    find = lookup("listing", what, LISTINGS)
    if names:
        rows = {row["name"].partition(":")[0]: row for row in find()}
        name = names[0].partition(":")[0] if what == "datasets" and names[0].partition(":")[0] in rows else names[0]
        row = own_entry(what, name) if ":" in name else lookup(KINDS[what], name, rows)
        text = json_text(row) if as_json else as_card(row)
    else:
        text = json_text(find()) if as_json else as_lines(what)
    typer.echo(text)
