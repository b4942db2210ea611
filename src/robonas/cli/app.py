"""The command line: parse, build, call, print."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli import spaces as cli_spaces, tables as cli_tables, train as cli_train
from robonas.cli.help import QuickCommand, QuickGroup
from robonas.cli.options import (
    PAPER,
    USAGE_ERROR,
    AnyFolder,
    AtLeast,
    AtMost,
    BatchSize,
    Config,
    Data,
    DataRoot,
    Device,
    Folder,
    Grow,
    ImageMode,
    ImageSize,
    Jobs,
    Json,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParams,
    Measure,
    Metrics,
    Name,
    OwnSpace,
    OwnStrategy,
    Pool,
    Precision,
    Prune,
    Seed,
    Space,
    SpaceSetting,
    Storage,
    Threads,
    Workers,
    output_file,
    output_folder,
    read_data,
    read_limits,
    read_lines,
    read_precision,
    read_space,
    read_strategy,
    split,
    usage_in_words,
)
from robonas.cli.recipe_options import takes_recipe
from robonas.common.registry import fault_of_own_code
from robonas.common.settings import count_of
from robonas.errors import ConfigError, NasError
from robonas.processes import stops

if TYPE_CHECKING:
    from robonas.objectives import TrainingObjective
    from robonas.strategies import Strategy
    from robonas.study.result import SearchResult


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    from robonas.cli.console import warn

    warn(str(message))


class _Group(QuickGroup):
    """Turns a user's mistake into one line and exit code 2, and a stop into a word on how to go on."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        warnings.showwarning = _warn
        try:
            return super().invoke(ctx)
        except BaseException as error:
            # Code that is stopped may raise anything, such as a broken pipe for its own child.
            if stops.received() is not None or isinstance(error, KeyboardInterrupt):
                from robonas.cli.console import say

                raise typer.Exit(stops.tell(say)) from None
            if isinstance(error, NasError):
                from robonas.cli.console import complain

                complain(str(error))
                raise typer.Exit(2) from None
            if isinstance(error, USAGE_ERROR):
                from robonas.cli.console import complain

                complain(usage_in_words(error))
                raise typer.Exit(2) from None
            fault = fault_of_own_code(error) if isinstance(error, Exception | SystemExit) else None
            if fault is None:
                raise
            from robonas.cli.console import complain

            complain(f"Your own code failed: {fault}. Mend it there, and run the same command again.")
            raise typer.Exit(2) from None


app = typer.Typer(
    name="robonas",
    cls=_Group,
    help="Find a good network by training a few of many: training-free metrics, combined as it suits your task.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes at once
)


app.add_typer(cli_spaces.app, name="space")
app.add_typer(cli_tables.app, name="tables")
app.command()(cli_tables.experiment)


@app.command()
@takes_recipe
def search(
    config: Config = None,  # noqa: ARG001  # read by its callback
    data: Data = "digits",
    data_root: DataRoot = None,
    image_size: ImageSize = None,
    image_mode: ImageMode = None,
    space: Space = "nasbench201",
    space_set: SpaceSetting = [],  # noqa: B006
    metrics: Metrics = PAPER,
    strategy: Annotated[str, typer.Option(help="See 'robonas list strategies'.")] = "auto",
    strategy_set: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="Setting of the strategy. May be repeated.")
    ] = [],  # noqa: B006
    budget: Annotated[int, typer.Option("--budget", "-T", help="How many networks to train.")] = 20,
    pool: Pool = 1000,
    grow: Grow = 0,
    prune: Prune = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_latency_ms: MaxLatency = None,
    max_memory: MaxMemory = None,
    at_least: AtLeast = [],  # noqa: B006
    at_most: AtMost = [],  # noqa: B006
    seed: Seed = 0,
    batch_size: BatchSize = 64,
    jobs: Jobs = -1,
    recipe: dict[str, Any] = {},  # noqa: B006  # an option each
    validation_fraction: Annotated[float, typer.Option(help="Part of the data held out to judge networks.")] = 0.25,
    training_fraction: Annotated[
        float | None, typer.Option(help="Part of the data trained with; None for all that is not held out.")
    ] = None,
    measure: Measure = None,
    device: Device = "auto",
    mixed_precision: Precision = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    folder: Annotated[Path, output_folder("Where to keep the study, scores, network and report.")] = Path(
        "robonas-run"
    ),
    storage: Storage = None,
    name: Name = "search",
    compare: Annotated[
        list[str],
        typer.Option(help="Strategy to run as well, with as many evaluations, such as random. May be repeated."),
    ] = [],  # noqa: B006
    report: Annotated[bool, typer.Option(help="Write report.html into the folder.")] = True,
    as_json: Json = False,
) -> None:
    """Search: score a pool without training, then train the candidates that the strategy asks for.

    Stopped at any moment, the same command goes on where it was.
    """
    from robonas.cli.console import SearchProgress, print_json, print_result, say, warn
    from robonas.objectives import TrainingObjective
    from robonas.report import write_report
    from robonas.study import loop as study
    from robonas.training.descent import check_space

    _quiet_optuna()
    images = read_data(data, data_root, image_size, image_mode)
    objective: TrainingObjective = TrainingObjective(
        images,
        validation_fraction=validation_fraction,
        training_fraction=training_fraction,
        measure=measure,
        device=device,
        mixed_precision=read_precision(mixed_precision),
        threads=threads,
        n_workers=workers,
        **recipe,
    )
    where = read_space(space, space_set, images, smaller=bool(objective.recipe.resized_crop))
    check_space(where, images, objective.recipe)
    limits = read_limits(max_params, max_macs, max_latency_ms, max_memory, at_least, at_most)
    chosen_metrics, others = split("--metrics", metrics), split("--compare", compare)
    chosen = read_strategy(strategy, strategy_set)
    rivals = [read_strategy(other, []) for other in others]  # an unknown name is told now, not after the trainings
    for rival in rivals:
        if (rival.name, rival.settings) == (chosen.name, chosen.settings):
            raise ConfigError(f"`--compare` must name another strategy than the search's own; got {rival.name!r}.")

    def run(which: Strategy, title: str) -> SearchResult:
        with SearchProgress(which.name, quiet=as_json) as progress:
            return study.search(
                where,
                objective,
                metrics=chosen_metrics,
                pool=pool,
                limits=limits,
                strategy=which,
                budget=budget,
                seed=seed,
                grow=grow,
                pruner=prune,
                batch_size=batch_size,
                n_jobs=jobs,
                folder=folder,
                storage=storage,
                name=title,
                callbacks=[progress],
            )

    result = run(chosen, name)
    baselines = [run(rival, f"{name}-{rival.name}") for rival in rivals]
    if as_json:  # told before anything is written, so that a full disk does not swallow it
        print_json({**result.to_json(), "baselines": [other.to_json() for other in baselines]})
    else:
        print_result(result, baselines)
        for sentence in result.scores.warnings():
            warn(sentence)
    result.write_json(folder / "result.json")
    if baselines:
        from robonas.study.comparison import remember_comparison

        remember_comparison(folder, name, [other.study for other in baselines])
    if report:
        shown = baselines or _remembered(folder, name, storage, space if ":" in space else None)
        page = write_report(result, folder / "report.html", baselines=shown)
        if not as_json:
            say(f"Report: {page}")


app.command()(cli_train.train)


@app.command()
def score(
    config: Config = None,  # noqa: ARG001  # read by its callback
    data: Data = "digits",
    data_root: DataRoot = None,
    image_size: ImageSize = None,
    image_mode: ImageMode = None,
    space: Space = "nasbench201",
    space_set: SpaceSetting = [],  # noqa: B006
    metrics: Metrics = PAPER,
    pool: Pool = 1000,
    architectures: Annotated[
        Path | None, typer.Option(help="Text file with an architecture a line, instead of a sample.")
    ] = None,
    seed: Seed = 0,
    batch_size: BatchSize = 64,
    jobs: Jobs = -1,
    output: Annotated[Path, output_file("Parquet file to write, and to go on with.")] = Path("scores.parquet"),
    as_json: Json = False,
) -> None:
    """Score architectures without training; stopped at any moment, the same command goes on where it was."""
    from robonas.cli.console import SearchProgress, print_json, print_scores, say
    from robonas.scores.scoring import score as score_pool

    images = read_data(data, data_root, image_size, image_mode)
    where = read_space(space, space_set, images)
    size, pool = where.size(), count_of("pool", pool, "architecture")
    chosen = (
        where.sample(pool if size is None else min(pool, size), seed)
        if architectures is None
        else read_lines(architectures)
    )
    with SearchProgress("scoring", quiet=as_json) as progress:
        table = score_pool(
            where,
            chosen,
            split("--metrics", metrics),
            images.batch(batch_size, seed),
            seed=seed,
            n_jobs=jobs,
            cache=output,
            progress=progress.scoring,
        )
    if as_json:
        print_json(json.loads(table.summary().reset_index().to_json(orient="records")))
        return
    print_scores(table)
    say(f"Scores: {output}")


@app.command()
def show(
    folder: AnyFolder,
    name: Name = "search",
    storage: Storage = None,
    space: OwnSpace = None,
    strategy: OwnStrategy = None,
    as_json: Json = False,
) -> None:
    """Show what a search has found so far, finished or not, or what a full training has come to."""
    from robonas.cli.console import print_json, print_result, print_table, print_trained
    from robonas.retraining import is_training, load_trained

    if is_training(folder):
        trained = load_trained(folder, space=space)
        print_json(trained.to_json()) if as_json else print_trained(trained)
        return
    result = _result(folder, name, storage, space, strategy)
    if as_json:
        print_json(result.to_json())
        return
    print_result(result)
    history = result.history().drop(columns=["failure"] if result.n_pruned else ["failure", "partial"])
    print_table("Queries", history.to_dict("records"))


@app.command()
def report(
    folder: Folder,
    name: Name = "search",
    output: Annotated[Path | None, output_file("[default: report.html in the folder]")] = None,
    compare: Annotated[
        list[str],
        typer.Option(
            help="Name of another study in the folder to show beside it, or none. May be repeated.  [default: those "
            "that it was compared with before]"
        ),
    ] = [],  # noqa: B006
    storage: Storage = None,
    space: OwnSpace = None,
    strategy: OwnStrategy = None,
) -> None:
    """Write the report of a search as one HTML page that works offline."""
    from robonas.cli.console import say
    from robonas.report import write_report
    from robonas.study.comparison import remember_comparison

    result = _result(folder, name, storage, space, strategy)
    others = [other for other in split("--compare", compare) if other != "none"]
    baselines = (
        [_result(folder, other, storage, space) for other in others]
        if compare
        else _remembered(folder, name, storage, space)
    )
    target = output or folder / "report.html"
    write_report(result, target, baselines=baselines)
    if compare and output is None:
        remember_comparison(folder, name, others)
    say(f"Report: {target}")


@app.command()
def export(
    folder: AnyFolder,
    output: Annotated[
        Path,
        output_file(
            "File to write; its ending chooses: .json result, .csv queries, .safetensors trained parameters, "
            ".pt2 trained network that PyTorch loads without robonas."
        ),
    ],
    name: Name = "search",
    storage: Storage = None,
    space: OwnSpace = None,
    strategy: OwnStrategy = None,
) -> None:
    """Export the winner of a search or the network of a full training, or their history, for use elsewhere."""
    from robonas.cli.console import say
    from robonas.report.export import export as write
    from robonas.retraining import is_training, load_trained

    found = (
        load_trained(folder, space=space) if is_training(folder) else _result(folder, name, storage, space, strategy)
    )
    write(found, output)
    say(f"Written: {output}")


@app.command(
    "list",
    cls=QuickCommand,
    context_settings={"allow_extra_args": True},
    options_metavar="WHAT [NAME] [OPTIONS]",
)
def list_entries(ctx: typer.Context, as_json: Json = False) -> None:
    """List what there is, or all that is to know about one of them.

    WHAT is metrics, spaces, strategies or datasets; NAME is one of them, to see its whole card.
    """
    from robonas.cli.listing import LISTINGS, as_card, as_lines
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
        row = lookup(what.removesuffix("s"), names[0], {row["name"].partition(":")[0]: row for row in find()})
        typer.echo(json_text(row) if as_json else as_card(row))
    else:
        typer.echo(json_text(find()) if as_json else as_lines(what))


def _result(
    folder: Path, name: str, storage: str | None, space: str | None = None, strategy: str | None = None
) -> SearchResult:
    from robonas.study.loop import load_result

    return load_result(folder, name, storage=storage, space=space, strategy=strategy)


def _remembered(folder: Path, name: str, storage: str | None, space: str | None = None) -> list[SearchResult]:
    """Return the searches that this one was compared with before, as far as they are there."""
    from robonas.cli.console import warn
    from robonas.study.comparison import compared_with

    found = []
    for other in compared_with(folder, name):
        try:
            found.append(_result(folder, other, storage, space))
        except NasError as error:
            warn(f"The report leaves out study {other!r}, which this search was compared with before: {error}")
    return found


def _quiet_optuna() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def main() -> None:
    """Entry point of the `robonas` command."""
    from robonas.common.streams import close_streams, drop_output, open_streams

    open_streams()
    try:
        with stops.stopping():
            try:
                app()
            except (SystemExit, KeyboardInterrupt):
                if stops.received() is not None:
                    stops.leave()
                raise
            finally:
                close_streams()
    except BrokenPipeError:  # `robonas … | head`
        drop_output()
        sys.exit(1)
    except NasError as error:  # the output, full before a command or after it
        from robonas.cli.console import complain

        drop_output()
        complain(str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
