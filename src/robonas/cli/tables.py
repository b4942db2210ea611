"""`robonas tables`: benchmark tables that others publish, and your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli.groups import takes_groups
from robonas.cli.help import DATA, TRAINING, Commands, QuickGroup
from robonas.cli.options import (
    Data,
    Json,
    Metrics,
    Pool,
    ReadingOptions,
    ScoringOptions,
    SpaceSetting,
    TrainingOptions,
    not_empty,
    output_file,
    output_folder,
)
from robonas.cli.parallel_options import ParallelOptions
from robonas.cli.reading import read_space, split
from robonas.cli.recipe_options import RecipeOptions
from robonas.common.defaults import AUTO_METRICS, PAPER_METRICS
from robonas.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from robonas.experiments import Noise

app = Commands(cls=QuickGroup, help="Benchmark tables that others publish, and your own.", no_args_is_help=True)

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
    """Group the commands for benchmark tables."""


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
@takes_groups
def build(
    space: Annotated[str, typer.Argument(help="Search space: a name, or package.module:NAME.")],
    *,
    output: Annotated[Path, output_file("Parquet file to write.")],
    data: Data = "digits",
    reading: ReadingOptions,
    space_set: SpaceSetting = [],  # noqa: B006
    metrics: Metrics = [*PAPER_METRICS, *AUTO_METRICS],  # noqa: B006
    pool: Pool = 1000,
    seeds: Annotated[
        int,
        typer.Option(help="Number of trainings of each architecture, with seeds 0, 1, ….", rich_help_panel=TRAINING),
    ] = 3,
    scoring: ScoringOptions,
    recipe: RecipeOptions,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the data that is held out.", rich_help_panel=DATA)
    ] = 0.25,
    training_fraction: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the data that networks are trained with; None for all the rest.", rich_help_panel=DATA
        ),
    ] = None,
    training: TrainingOptions,
    parallel: ParallelOptions,
    folder: Annotated[
        Path | None,
        output_folder("Folder for the studies and the scores.  [default: the table's name without .parquet]", short=()),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train every architecture of a sample, and write a table of your own.

    If it is stopped, the same command continues where it was.
    """
    from robonas.cli.console import say
    from robonas.experiments import build_table
    from robonas.objectives import TrainingObjective
    from robonas.training.descent import check_space

    if parallel.timeout is not None:
        raise ConfigError("A table needs all of its trainings; leave out `--timeout`, and stop it by Ctrl-C.")
    images = reading.read(data)
    objective = TrainingObjective(
        images,
        validation_fraction=validation_fraction,
        training_fraction=training_fraction,
        **training.settings(threads=1),
        **recipe.settings(),
    )
    where = read_space(space, space_set, images, smaller=bool(objective.recipe.resized_crop))
    check_space(where, images, objective.recipe)
    settings = parallel.settings()
    del settings["timeout"]
    table = build_table(
        where,
        objective,
        split("--metrics", metrics),
        pool=pool,
        folder=folder or output.with_suffix(""),
        seeds=seeds,
        seed=scoring.seed,
        batch_size=scoring.batch_size,
        n_jobs=scoring.jobs,
        score_device=scoring.score_device,
        progress=not as_json,
        **settings,
    )
    table.write(output)
    _show(table, as_json=as_json)
    say(f"Table: {output}")


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
    from robonas.cli.console import out, print_json, warn
    from robonas.cli.layout import print_table
    from robonas.experiments.own_table import noise_of

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
    noise = noise_of(table)
    if noise is not None:
        from rich.text import Text

        out.print(Text(noise_in_words(noise)), soft_wrap=True)


def noise_in_words(noise: Noise) -> str:
    """Return what the noise of a table means for who predicts its values."""
    return (
        f"Noise: the value of one training deviates by {noise.within:.4g} between seeds, that of candidates by "
        f"{noise.between:.4g}. No prediction can correlate more than {noise.ceiling():.2f} with the value of one seed, "
        f"or {noise.ceiling(noise.n_seeds):.2f} with the mean of {noise.n_seeds}."
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with plain values, and None for what is undefined."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows
