"""`robonas experiment`: strategies compared on recorded benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from robonas.cli.completion import names_of
from robonas.cli.groups import takes_groups
from robonas.cli.help import PLAN, RESULTS
from robonas.cli.options import Jobs, Json, output_folder
from robonas.cli.parallel_options import Executor
from robonas.cli.reading import split
from robonas.cli.tables import Format, TaskName, records
from robonas.common.defaults import STRATEGY
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.experiments import Contender, Results, Task


_NAMES = {
    "rank": "rank by the objective",
    "final": "final measure of the winner",
    "hypervolume_regret": "share of the front's volume that is missing",
}
"""Words for the quantity of a table in the form of a paper's."""


@dataclass
class TaskOptions:
    """The options of a task that is written down on the command line, and not in a suite."""

    HEADING: ClassVar[str] = "Benchmark table"

    table: Annotated[Path | None, typer.Option(help="Benchmark table, in any format of 'robonas tables formats'.")] = (
        None
    )
    objective: Annotated[str | None, typer.Option(help="Column with the value that a query returns.")] = None
    final: Annotated[
        str | None, typer.Option(help="Column with the value by which the winner is judged; no search sees it.")
    ] = None
    metrics: Annotated[
        list[str], typer.Option("--metrics", "-m", help="Metric columns, separated by commas.  [default: all]")
    ] = field(default_factory=list)
    cost: Annotated[str | None, typer.Option(help="Column with the recorded seconds of a query.")] = None
    against: Annotated[
        list[str],
        typer.Option(
            help="Column with a cost to trade the objective off against, such as params; lower is better. May be "
            "given twice."
        ),
    ] = field(default_factory=list)
    minimize: Annotated[bool, typer.Option(help="A smaller objective is better.")] = False
    allow_test: Annotated[bool, typer.Option(help="Allow a test measure, or a final one, as the objective.")] = False
    table_format: Format = None
    task: TaskName = None

    @property
    def given(self) -> bool:
        """True where an option is given that a suite would set too."""
        named = (self.table, self.objective, self.final, self.cost, self.table_format, self.task)
        return bool(self.metrics or self.against) or any(option is not None for option in named)

    def made(self) -> Task:
        """Read the table, and make the task.

        Raises:
            ConfigError: No table or no objective is given.
        """
        from robonas.experiments import Task
        from robonas.tables import read_table

        if self.table is None or self.objective is None:
            raise ConfigError("An experiment needs a suite, or --table and --objective.")
        return Task.from_table(
            read_table(self.table, format=self.table_format, task=self.task),
            objective=self.objective,
            final=self.final,
            metrics=split("--metrics", self.metrics) or None,
            cost=self.cost,
            against=split("--against", self.against),
            higher_is_better=False if self.minimize else None,
            allow_test=self.allow_test,
        )


@takes_groups
def experiment(
    *,
    suite: Annotated[
        Path | None,
        typer.Argument(metavar="[SUITE.toml]", help="File with tasks and strategies, instead of options."),
    ] = None,
    task: TaskOptions,
    strategy: Annotated[
        list[str],
        typer.Option(
            help="Strategy, or several with commas, in place of those of a suite; see 'robonas list strategies'.  "
            "[default: auto]",
            autocompletion=names_of("strategies"),
            rich_help_panel=PLAN,
        ),
    ] = [],  # noqa: B006
    budget: Annotated[
        int | None,
        typer.Option("--budget", "-T", help="Number of queries in a search.  [default: 20]", rich_help_panel=PLAN),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of searches by each strategy.  [default: 10]", rich_help_panel=PLAN)
    ] = None,
    half_pools: Annotated[
        bool | None,
        typer.Option(
            "--half-pools/--whole-pools",
            help="Search a random half of the table, another for each seed.",
            rich_help_panel=PLAN,
        ),
    ] = None,
    jobs: Jobs = -1,
    executor: Executor = None,
    folder: Annotated[Path, output_folder("Folder for finished runs, results.parquet, report.html and tables.")] = Path(
        "robonas-experiment"
    ),
    report: Annotated[bool, typer.Option(help="Write report.html into the folder.", rich_help_panel=RESULTS)] = True,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            metavar="[latex|csv|markdown]",
            help="Print the tables in this form, for a paper or a program, and write each to a file in FOLDER/tables.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare strategies on recorded benchmarks: every strategy, task and seed, and each metric alone.

    If it is stopped, the same command continues where it was.
    """
    from robonas.cli.console import Counter, say, warn
    from robonas.experiments import Contender, load_suite, run_experiment
    from robonas.experiments.formats import format_of

    if format is not None:
        if as_json:
            raise ConfigError("`--format` and `--json` are two forms of the same tables; give one of them.")
        format_of(format)  # an unknown one is told now, not after the runs
    given = {"budget": budget, "seeds": seeds, "half_pools": half_pools}
    settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if suite is not None:
        if task.given:
            raise ConfigError("A suite names its own tables and columns; give either a suite or --table.")
        if suite.is_file() and suite.suffix.lower() != ".toml":
            raise ConfigError(f"A suite must be a .toml file; got '{suite}'. Name a benchmark table by `--table`.")
        written = load_suite(suite, split("--strategy", strategy))
        tasks: Sequence[Task] = written.tasks
        contenders: Sequence[Contender] = written.contenders
        settings = {**written.settings, **settings}
    else:
        tasks = [task.made()]
        contenders = [Contender(name) for name in split("--strategy", strategy or [STRATEGY])]
    for each in tasks:
        if each.left_out:
            lacked = " or ".join((each.objective_name, *each.against_names))
            warn(f"{each.left_out:,} rows of {each.name} have no {lacked}; they are no candidates.")
    with Counter("runs", quiet=as_json) as progress:
        results = run_experiment(
            tasks, contenders, folder=folder, n_jobs=jobs, executor=executor, progress=progress, **settings
        )
    results.write(folder / "results.parquet")
    if report:
        from robonas.report.experiment import write_experiment

        write_experiment(results, folder / "report.html", tasks=tasks)
    if format is not None:
        _write_tables(tasks, results, folder / "tables", format)
        return
    _tell(tasks, results, folder, as_json=as_json)
    if report and not as_json:
        say(f"Report: {folder / 'report.html'}")


def _write_tables(tasks: Sequence[Task], results: Results, folder: Path, name: str) -> None:
    """Print every table in a format, and write each to a file of its own."""
    from robonas.cli.console import say
    from robonas.common.files import check_folder, write_text
    from robonas.experiments import all_tables
    from robonas.experiments.formats import format_of

    ending, written = format_of(name)
    check_folder(folder)
    tables = [table for table in all_tables(results, tasks) if name == "csv" or not table.wide]
    texts = {table.name: written(table.frame, table.title, table.name) for table in tables}
    for key, text in texts.items():
        write_text(folder / f"{key}{ending}", text)
    say(f"Tables: {folder}")
    typer.echo("\n".join(texts.values()), nl=False)


def _tell(tasks: Sequence[Task], results: Results, folder: Path, *, as_json: bool) -> None:
    """Print tables of the results, or one JSON document with all of them."""
    from robonas.cli.console import print_json, say, warn
    from robonas.cli.layout import print_table
    from robonas.experiments import (
        across_tasks,
        cautions,
        compare,
        critical_difference,
        metric_quality,
        paper_table,
        summarise,
    )
    from robonas.experiments.formats import carried_on

    summary, first = summarise(results), results.strategies[0]
    quality = [metric_quality(task, task.budget or results.settings["budget"]) for task in tasks]
    pairs = compare(results, first)
    overall = across_tasks(results)
    papers = {"rank": paper_table(results, "rank")}
    if any(task.final is not None for task in tasks):
        papers["final"] = paper_table(results, "final")
    if any(task.against is not None for task in tasks):
        papers["hypervolume_regret"] = paper_table(results, "hypervolume_regret")
    contending = [name for name in results.strategies if results.kind(name) != "single"]
    over = critical_difference(results, reference=first) if len(tasks) > 1 and len(contending) > 1 else None
    if as_json:
        document: dict[str, Any] = {
            "settings": dict(results.settings),
            "results": str(folder / "results.parquet"),
            "summary": records(summary),
            "across_tasks": {str(name): row.to_dict() for name, row in overall.iterrows()},
            "comparison": {"reference": first, "pairs": records(pairs)},
            "metrics": [row for frame in quality for row in records(frame)],
            "tables": {measure: table.to_dict(orient="index") for measure, table in papers.items()},
        }
        if over is not None:
            document["over_tasks"] = {
                "average_ranks": over.average_ranks.to_dict(),
                "friedman_p": over.friedman_p,
                "critical_difference": over.difference,
                "groups": over.groups,
                "against": None if over.against is None else records(over.against),
            }
        print_json(document)
        return
    for measure, table in papers.items():
        print_table(f"Mean ± deviation over seeds: {_NAMES[measure]}", records(table.reset_index(names="strategy")))
    progress = overall.rename(columns=lambda queries: f"after {queries}").reset_index(names="strategy")
    told = f"Rank by the objective, by number of queries (geometric mean over tasks{carried_on(results)})"
    print_table(told, records(progress))
    for task in results.tasks:
        rows = [_brief(pair) for pair in records(pairs) if pair["task"] == task]
        print_table(f"{first} against the others on {task}, seed by seed (rank; above 0 it is better)", rows)
    for sentence in cautions(results, first):
        warn(sentence)
    for frame in quality:
        rows = [{key: value for key, value in row.items() if key != "task"} for row in records(frame)]
        told = f"Each metric on {frame['task'].iloc[0]}" if len(frame) else "No metrics"
        print_table(told, rows, spare=("kendall", "defined"))
    if over is not None:
        ranks = [{"strategy": name, "average rank": rank} for name, rank in over.average_ranks.items()]
        told = "–" if over.friedman_p is None else f"{over.friedman_p:.2g}"
        print_table(f"Over {over.n_tasks} tasks: critical difference {over.difference:.2f}, Friedman's p {told}", ranks)
    say(f"Results: {folder / 'results.parquet'}")


def _brief(pair: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison in few columns."""
    from robonas.cli.layout import cell_text

    no_spread = pair["low"] is None and pair["seeds"] > 1
    interval = None if pair["low"] is None else f"{cell_text(pair['low'])} to {cell_text(pair['high'])}"
    return {
        "other": pair["other"],
        "advantage": pair["advantage"],
        "95 % interval": interval,
        "won/drawn/lost": f"{pair['wins']}/{pair['ties']}/{pair['losses']}",
        "p (Holm)": "same run" if pair["deterministic"] else "no spread" if no_spread else pair["p_holm"],
    }
