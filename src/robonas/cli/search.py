"""`robonas search` and `robonas score`: candidates scored without training, and the best of them trained."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli.completion import names_of
from robonas.cli.front import Against, print_front, read_against
from robonas.cli.groups import takes_groups
from robonas.cli.help import DATA, PLAN, RESULTS
from robonas.cli.limit_options import LimitOptions
from robonas.cli.objective_options import ObjectiveOptions
from robonas.cli.options import (
    Data,
    Json,
    Logs,
    Metrics,
    Name,
    PlanOptions,
    Pool,
    ReadingOptions,
    ScoringOptions,
    SearchMetrics,
    SpaceOptions,
    Storage,
    StrategyOptions,
    StudyOptions,
    TrainingOptions,
    output_file,
    output_folder,
)
from robonas.cli.parallel_options import ParallelOptions
from robonas.cli.reading import read_lines, read_strategy, split, told_of_default
from robonas.cli.recipe_options import RecipeOptions
from robonas.cli.results import remembered
from robonas.cli.settings_file import Config
from robonas.common.defaults import AUTO_METRICS
from robonas.common.settings import count_of
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from robonas.objectives import Objective
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.study.result import SearchResult


@takes_groups
def search(
    *,
    config: Config = None,  # noqa: ARG001  # read by its callback
    data: Data = "digits",
    reading: ReadingOptions,
    space: SpaceOptions,
    metrics: SearchMetrics = [],  # noqa: B006
    strategy: StrategyOptions,
    plan: PlanOptions,
    limits: LimitOptions,
    against: Against = [],  # noqa: B006
    scoring: ScoringOptions,
    objective: ObjectiveOptions,
    recipe: RecipeOptions,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the data that is held out to judge networks.", rich_help_panel=DATA)
    ] = 0.25,
    test_fraction: Annotated[
        float,
        typer.Option(
            help="Fraction of the data that is held out of everything, and used once: to judge the winner at the end.",
            rich_help_panel=DATA,
        ),
    ] = 0.0,
    training_fraction: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the data that networks are trained with; None for all that is not held out.",
            rich_help_panel=DATA,
        ),
    ] = None,
    training: TrainingOptions,
    parallel: ParallelOptions,
    folder: Annotated[Path, output_folder("Folder for the study, the scores, the network and the report.")] = Path(
        "robonas-run"
    ),
    storage: Storage = None,
    name: Name = "search",
    compare: Annotated[
        list[str],
        typer.Option(
            help="Another strategy to run with as many evaluations, such as random. May be repeated.",
            autocompletion=names_of("strategies"),
            rich_help_panel=PLAN,
        ),
    ] = [],  # noqa: B006
    report: Annotated[bool, typer.Option(help="Write report.html into the folder.", rich_help_panel=RESULTS)] = True,
    log: Logs = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Search for a good network: score many without training, then train those that the strategy chooses.

    If it is stopped, the same command continues where it was.
    """
    from robonas.callbacks import make_log
    from robonas.objectives import TrainingObjective
    from robonas.training.descent import check_space

    images = reading.read(data)
    judge = objective.made(recipe, training)
    batch = None
    if judge is None:
        judge = trained = TrainingObjective(
            images,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            training_fraction=training_fraction,
            **training.settings(threads=1),
            **recipe.settings(),
        )
        with told_of_default(data):
            where = space.made(images, smaller=bool(trained.recipe.resized_crop))
            check_space(where, images, trained.recipe)
    else:
        with told_of_default(data):
            where = space.made(images)
        batch = images.batch(
            scoring.batch_size, scoring.seed, fraction=validation_fraction, training_fraction=training_fraction
        )
    settings: dict[str, Any] = {
        "limits": limits.read(),
        "against": read_against(against),
        "metrics": split("--metrics", metrics) or None,
        "pool": plan.pool,
        "budget": plan.budget,
        "grow": plan.grow,
        "share": plan.share,
        "pruner": plan.prune,
        "seed": scoring.seed,
        "batch_size": scoring.batch_size,
        "batch": batch,
        "n_jobs": scoring.jobs,
        "score_device": scoring.score_device,
        "folder": folder,
        "storage": storage,
        "confirm": plan.confirm,
        "repeats": plan.repeats,
        **parallel.settings(),
    }
    others = split("--compare", compare)
    chosen = strategy.made()
    rivals = _rivals(chosen, others)  # an unknown name is told now, not after the trainings
    with contextlib.ExitStack() as stack:
        settings["callbacks"] = [stack.enter_context(make_log(each, folder)) for each in split("--log", log)]
        stack.enter_context(told_of_default(data))
        result = _run(where, judge, chosen, name, settings, quiet=as_json)
        baselines = [_run(where, judge, rival, f"{name}-{rival.name}", settings, quiet=as_json) for rival in rivals]
    _tell(result, baselines, as_json=as_json)  # before anything is written, so that a full disk does not swallow it
    result.write_json(folder / "result.json")
    if baselines:
        from robonas.study.comparison import remember_comparison

        remember_comparison(folder, name, [other.study for other in baselines])
    if report:
        shown = baselines or remembered(folder, StudyOptions(name=name, storage=storage, space=space.own))
        _write_report(result, folder / "report.html", shown, quiet=as_json)
    if not as_json:
        _tell_next(result)


def _tell_next(result: SearchResult) -> None:
    """Say what follows a search: the commands that train the winner in full, predict with it and export it."""
    from robonas.cli.console import say
    from robonas.report.next_steps import steps

    for number, step in enumerate(steps(result)):
        say(f"{'       ' if number else 'Next:  '}{step.command}   # {step.note}")


def _rivals(chosen: Strategy, names: list[str]) -> list[Strategy]:
    """Return the strategies to compare with.

    Raises:
        ConfigError: One is the search's own.
    """
    rivals = [read_strategy(other, []) for other in names]
    for rival in rivals:
        if (rival.name, rival.settings) == (chosen.name, chosen.settings):
            raise ConfigError(f"`--compare` must name another strategy than the search's own; got {rival.name!r}.")
    return rivals


def _run(
    space: SearchSpace,
    objective: Objective,
    strategy: Strategy,
    name: str,
    settings: dict[str, Any],
    *,
    quiet: bool,
) -> SearchResult:
    """Search with one strategy, and show the progress."""
    from robonas.study import loop as study

    return study.search(space, objective, strategy=strategy, name=name, progress=not quiet, **settings)


def _tell(result: SearchResult, baselines: list[SearchResult], *, as_json: bool) -> None:
    """Print what was found."""
    from robonas.cli.console import print_json, print_result, warn

    if as_json:
        print_json({**result.to_json(), "baselines": [other.to_json() for other in baselines]})
        return
    print_result(result, baselines)
    if result.axes:
        print_front(result)
    for sentence in result.scores.warnings():
        warn(sentence)


def _write_report(result: SearchResult, file: Path, baselines: list[SearchResult], *, quiet: bool) -> None:
    from robonas.cli.console import say
    from robonas.report import write_report

    page = write_report(result, file, baselines=baselines)
    if not quiet:
        say(f"Report: {page}")


@takes_groups
def score(
    *,
    config: Config = None,  # noqa: ARG001  # read by its callback
    data: Data = "digits",
    reading: ReadingOptions,
    space: SpaceOptions,
    metrics: Metrics = list(AUTO_METRICS),  # noqa: B006
    pool: Pool = 1000,
    architectures: Annotated[
        Path | None,
        typer.Option(help="Text file with one architecture on each line, instead of a sample.", rich_help_panel=PLAN),
    ] = None,
    scoring: ScoringOptions,
    output: Annotated[
        Path,
        output_file(
            "File to write, .parquet or .csv. Scores that a Parquet file already has are kept; beside a CSV file "
            "there is one with all of them."
        ),
    ] = Path("scores.parquet"),
    as_json: Json = False,
) -> None:
    """Score architectures without training them.

    If it is stopped, the same command continues where it was.
    """
    from robonas.cli.console import print_json, say
    from robonas.cli.layout import print_scores
    from robonas.scores.scoring import score as score_pool

    if output.suffix not in {".parquet", ".csv"}:
        raise ConfigError(f"`--output` must end in .parquet or .csv; got '{output}'.")
    kept = output.with_suffix(".parquet")
    images = reading.read(data)
    with told_of_default(data):
        where = space.made(images)
    size, pool = where.size, count_of("pool", pool, "architecture")
    chosen = (
        where.sample(pool if size is None else min(pool, size), scoring.seed)
        if architectures is None
        else read_lines(architectures)
    )
    with told_of_default(data):
        table = score_pool(
            where,
            chosen,
            split("--metrics", metrics),
            images.batch(scoring.batch_size, scoring.seed),
            seed=scoring.seed,
            n_jobs=scoring.jobs,
            cache=kept,
            progress=not as_json,
            device=scoring.score_device,
        )
    if output != kept:
        table.write_csv(output)
    if as_json:
        print_json(json.loads(table.summary().reset_index().to_json(orient="records")))
        return
    print_scores(table)
    say(f"Scores: {output}" + ("" if output == kept else f" (with reasons and times: {kept})"))
