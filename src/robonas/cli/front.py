"""Trade-offs on the command line: which costs to trade off, which network of a front to take, and what the front is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from robonas.cli.help import PLAN, RESULTS
from robonas.cli.reading import split
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

Against = Annotated[
    list[str],
    typer.Option(
        help="Cost to trade the value off against: params, macs, latency, memory or a metric; lower is better. May be "
        "given twice.",
        rich_help_panel=PLAN,
    ),
]
At = Annotated[
    list[str],
    typer.Option(
        metavar="COST=VALUE",
        help="Take the best network whose cost is at most this, from a search with --against. May be repeated.",
        rich_help_panel=RESULTS,
    ),
]
All = Annotated[
    bool,
    typer.Option("--all", help="Write every network of the front, each to a file of its own.", rich_help_panel=RESULTS),
]


def read_against(names: list[str]) -> list[str] | None:
    """Return the costs that were named; None for none."""
    return split("--against", names) or None


def read_at(result: SearchResult, entries: list[str]) -> Query | None:
    """Return the best query within bounds that were given as COST=VALUE; None where there are none.

    Raises:
        ConfigError: One does not read COST=VALUE, a cost has two, or the search traded nothing off.
        UnknownNameError: The search has no such cost.
        StudyError: No query keeps the bounds.
    """
    if not entries:
        return None
    bounds: dict[str, float] = {}
    for entry in entries:
        name, _, text = entry.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not name or value != value:  # noqa: PLR0124  # NaN
            raise ConfigError(f"`--at` must read COST=VALUE, such as latency=5; got {entry!r}.")
        if name in bounds:
            raise ConfigError(f"`--at` must bound each cost once; got {name!r} twice.")
        bounds[name] = value
    return result.best_under(bounds)


def print_front(result: SearchResult) -> None:
    """Print the queries on the front as a table, the best value first."""
    from robonas.cli.layout import print_table

    rows = [
        {
            "query": query.number,
            result.value_name: query.value,
            **{axis.name: axis.told(cost) for axis, cost in zip(result.axes, query.costs, strict=True)},
            "": "knee" if query.number == result.knee.number else "",
            "architecture": query.architecture,
        }
        for query in result.front
    ]
    print_table(f"Front against {' and '.join(axis.name for axis in result.axes)}", rows, long="architecture")


def write_front(result: SearchResult, output: Path) -> list[Path]:
    """Write every network of the front to a file of its own, such as ``net-7.pt2`` for query 7.

    Args:
        result: A search with trade-offs.
        output: File after which the others are called.

    Raises:
        ConfigError: The search traded nothing off, or the file's ending is that of a history.
    """
    from robonas.report.export import HOLD_ONE_NETWORK, export

    if output.suffix not in HOLD_ONE_NETWORK:
        raise ConfigError(
            f"`--all` writes networks, to files that end in {' or '.join(HOLD_ONE_NETWORK)}; got '{output}'."
        )
    return [
        export(result, output.with_name(f"{output.stem}-{query.number}{output.suffix}"), query=query)
        for query in result.front
    ]
