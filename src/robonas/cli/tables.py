"""`robonas tables` and `robonas experiment`: benchmarks that others publish, and strategies compared on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from robonas.cli.help import QuickGroup
from robonas.cli.options import Jobs, Json, not_empty, output_file, output_folder, split
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from robonas.experiments import Contender, Results, Task

app = typer.Typer(cls=QuickGroup, help="Benchmark tables that others publish.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="File, or folder of NATS-Bench.")]
Format = Annotated[
    str | None,
    typer.Option(help="Format, where the file does not tell; see 'robonas tables formats'.", callback=not_empty),
]
TaskName = Annotated[str | None, typer.Option(help="Keep only this task's columns, named without it.")]


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
    from robonas.cli.console import say
    from robonas.tables import read_table

    with _Counter("architectures", quiet=as_json) as progress:
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
    from robonas.cli.console import print_json, print_table
    from robonas.tables import TABLE_FORMATS

    rows = [
        {"name": name, "reads": reader.description, "checked against": reader.verified}
        for name, reader in TABLE_FORMATS.items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table("formats", rows)


def _show(table: Any, *, as_json: bool) -> None:
    from robonas.cli.console import print_json, print_table, warn

    rows = _records(table.summary().reset_index())
    if as_json:
        print_json({"architectures": len(table), "provenance": dict(table.provenance), "columns": rows})
        return
    hidden = {"why", *(name for name in ("task", "epochs") if all(row[name] is None for row in rows))}
    shown = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
    print_table(f"{len(table):,} architectures, from {table.provenance.get('source', 'a table')}", shown)
    for sentence in table.warnings():
        warn(sentence)


def experiment(
    suite: Annotated[
        Path | None,
        typer.Argument(metavar="[SUITE.toml]", help="Tasks and strategies written down, instead of options."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Benchmark table, in any format of 'robonas tables formats'.")
    ] = None,
    objective: Annotated[str | None, typer.Option(help="Column that a query answers with.")] = None,
    final: Annotated[str | None, typer.Option(help="Column that judges the winner; no search sees it.")] = None,
    metrics: Annotated[
        list[str], typer.Option("--metrics", "-m", help="Metric columns, with commas.  [default: all]")
    ] = [],  # noqa: B006
    cost: Annotated[str | None, typer.Option(help="Column of a query's recorded seconds.")] = None,
    strategy: Annotated[
        list[str], typer.Option(help="Strategy, or several with commas; see 'robonas list strategies'.")
    ] = ["robot"],  # noqa: B006
    budget: Annotated[int | None, typer.Option("--budget", "-T", help="Queries of a search.  [default: 20]")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many searches by each strategy.  [default: 10]")] = None,
    half_pools: Annotated[
        bool | None, typer.Option("--half-pools/--whole-pools", help="Each seed draws a random half of the table.")
    ] = None,
    minimize: Annotated[bool, typer.Option(help="A smaller objective is better.")] = False,
    allow_test: Annotated[bool, typer.Option(help="Let the objective be a test or final measure.")] = False,
    format: Format = None,  # noqa: A002
    task: TaskName = None,
    jobs: Jobs = -1,
    folder: Annotated[Path, output_folder("Where to keep finished runs, results.parquet and figure.html.")] = Path(
        "robonas-experiment"
    ),
    figure: Annotated[bool, typer.Option(help="Write figure.html into the folder.")] = True,
    as_json: Json = False,
) -> None:
    """Compare strategies on recorded benchmarks: every strategy, task and seed, and each metric alone.

    Stopped at any moment, the same command goes on where it was.
    """
    from robonas.cli.console import warn
    from robonas.experiments import Contender, Task, load_suite, run_experiment
    from robonas.tables import read_table

    settings: dict[str, Any] = {"budget": budget, "seeds": seeds, "half_pools": half_pools}
    if suite is not None:
        if table is not None or objective is not None or metrics or final is not None:
            raise ConfigError("A suite names its own tables and columns; give either a suite or --table.")
        written = load_suite(suite)
        tasks: Sequence[Task] = written.tasks
        contenders: Sequence[Contender] = written.contenders
        settings = {**written.settings, **{key: value for key, value in settings.items() if value is not None}}
    else:
        if table is None or objective is None:
            raise ConfigError("An experiment needs a suite, or --table and --objective.")
        tasks = [
            Task.from_table(
                read_table(table, format=format, task=task),
                objective=objective,
                final=final,
                metrics=split("--metrics", metrics) or None,
                cost=cost,
                higher_is_better=False if minimize else None,
                allow_test=allow_test,
            )
        ]
        contenders = [Contender(name) for name in split("--strategy", strategy)]
        settings = {key: value for key, value in settings.items() if value is not None}
    for each in tasks:
        if each.left_out:
            warn(f"{each.left_out:,} rows of {each.name} have no {each.objective_name}; they are no candidates.")
    with _Counter("runs", quiet=as_json) as progress:
        results = run_experiment(tasks, contenders, folder=folder, n_jobs=jobs, progress=progress, **settings)
    results.write(folder / "results.parquet")
    if figure:
        from robonas.common.files import write_text
        from robonas.experiments.figures import progress_figure

        write_text(folder / "figure.html", progress_figure(results).to_html(include_plotlyjs=True))
    _tell(tasks, results, folder, as_json=as_json)


def _tell(tasks: Sequence[Task], results: Results, folder: Path, *, as_json: bool) -> None:
    """Tables of the results, or one JSON document with all of them."""
    from robonas.cli.console import print_json, print_table, say
    from robonas.experiments import across_tasks, compare, critical_difference, metric_quality, paper_table, summarise

    summary, first = summarise(results), results.strategies[0]
    quality = [metric_quality(task, task.budget or results.settings["budget"]) for task in tasks]
    pairs = compare(results, first)
    overall = across_tasks(results)
    papers = {"rank": paper_table(results, "rank")}
    if any(task.final is not None for task in tasks):
        papers["final"] = paper_table(results, "final")
    contending = [name for name in results.strategies if results.kind(name) != "single"]
    over = critical_difference(results, reference=first) if len(tasks) > 1 and len(contending) > 1 else None
    if as_json:
        document: dict[str, Any] = {
            "settings": dict(results.settings),
            "results": str(folder / "results.parquet"),
            "summary": _records(summary),
            "across_tasks": {str(name): row.to_dict() for name, row in overall.iterrows()},
            "comparison": {"reference": first, "pairs": _records(pairs)},
            "metrics": [row for frame in quality for row in _records(frame)],
            "tables": {measure: table.to_dict(orient="index") for measure, table in papers.items()},
        }
        if over is not None:
            document["over_tasks"] = {
                "average_ranks": over.average_ranks.to_dict(),
                "friedman_p": over.friedman_p,
                "critical_difference": over.difference,
                "groups": over.groups,
                "against": None if over.against is None else _records(over.against),
            }
        print_json(document)
        return
    for measure, table in papers.items():
        named = "rank by the objective" if measure == "rank" else "final measure of the winner"
        print_table(f"Mean ± deviation over seeds: {named}", _records(table.reset_index(names="strategy")))
    progress = overall.rename(columns=lambda queries: f"after {queries}").reset_index(names="strategy")
    print_table("Rank by the objective, by number of queries (geometric mean over tasks)", _records(progress))
    print_table(
        f"{first} against the others, seed by seed (rank; above 0 it is better)", [*map(_brief, _records(pairs))]
    )
    for frame in quality:
        rows = [{key: value for key, value in row.items() if key != "task"} for row in _records(frame)]
        print_table(f"Each metric on {frame['task'].iloc[0]}" if len(frame) else "No metrics", rows)
    if over is not None:
        ranks = [{"strategy": name, "average rank": rank} for name, rank in over.average_ranks.items()]
        told = "–" if over.friedman_p is None else f"{over.friedman_p:.2g}"
        print_table(f"Over {over.n_tasks} tasks: critical difference {over.difference:.2f}, Friedman's p {told}", ranks)
    say(f"Results: {folder / 'results.parquet'}")


def _brief(pair: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison in few columns."""
    interval = None if pair["low"] is None else f"{pair['low']:.4g} to {pair['high']:.4g}"
    return {
        "task": pair["task"],
        "other": pair["other"],
        "advantage": pair["advantage"],
        "95 % interval": interval,
        "won/drawn/lost": f"{pair['wins']}/{pair['ties']}/{pair['losses']}",
        "p (Holm)": pair["p_holm"],
    }


class _Counter:
    """A bar that counts, on a terminal; nothing elsewhere."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from robonas.cli.console import err

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=quiet or not err.is_terminal,
        )
        self._bar = self._bars.add_task(title, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, done: int, total: int) -> None:
        """So many are done, of so many or, where the file does not tell, 0."""
        self._bars.update(self._bar, completed=done, total=total or None)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of plain values, what is undefined as None."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows
