"""`robonas tables`: benchmark tables that others publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli.help import QuickGroup
from robonas.cli.options import Json, not_empty, output_file

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(cls=QuickGroup, help="Benchmark tables that others publish.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="File, or folder of NATS-Bench.")]
Format = Annotated[
    str | None,
    typer.Option(
        help="Format of the file, if it cannot be seen from the file; see 'robonas tables formats'.", callback=not_empty
    ),
]
TaskName = Annotated[str | None, typer.Option(help="Task whose columns are kept, without its name in theirs.")]


@app.callback()
def tables() -> None:
    """Benchmark tables that others publish."""


@app.command("import")
def import_(
    file: File,
    output: Annotated[Path, output_file("Parquet file to write.")],
    format: Format = None,  # noqa: A002
    task: TaskName = None,
    as_json: Json = False,
) -> None:
    """Turn a published file into one Parquet form; pickles are read without running them."""
    from robonas.cli.console import Counter, say
    from robonas.tables import read_table

    with Counter("architectures", quiet=as_json) as progress:
        table = read_table(file, format=format, task=task, progress=progress)
    table.write(output)
    _show(table, as_json=as_json)
    say(f"Table: {output}")


@app.command()
def info(file: File, format: Format = None, task: TaskName = None, as_json: Json = False) -> None:  # noqa: A002
    """Show a table's columns, what they are for, and how much of each is undefined."""
    from robonas.tables import read_table

    _show(read_table(file, format=format, task=task), as_json=as_json)


@app.command()
def formats(as_json: Json = False) -> None:
    """List the formats that can be read, and what each reader was checked against."""
    from robonas.cli.console import print_json
    from robonas.cli.listing import folded
    from robonas.tables import TABLE_FORMATS

    rows = [
        {"name": name, "reads": reader.description, "checked against": reader.verified}
        for name, reader in TABLE_FORMATS.items()
    ]
    if as_json:
        print_json(rows)
        return
    width = 2 + max(len(row["name"]) for row in rows)
    for row in rows:
        typer.echo(folded(row["name"], f"{row['reads']}; checked against {row['checked against']}", width))


def _show(table: Any, *, as_json: bool) -> None:
    from robonas.cli.console import print_json, warn
    from robonas.cli.layout import print_table

    rows = records(table.summary().reset_index())
    if as_json:
        print_json({"architectures": len(table), "provenance": dict(table.provenance), "columns": rows})
        return
    hidden = {"why", *(name for name in ("task", "epochs") if all(row[name] is None for row in rows))}
    shown = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
    print_table(
        f"{len(table):,} architectures, from {table.provenance.get('source', 'a table')}",
        shown,
        spare=("minimum", "maximum", "defined", "epochs", "task"),
    )
    for sentence in table.warnings():
        warn(sentence)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with plain values, and None for what is undefined."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows
