"""`robonas show`, `report` and `export`: what a search or a full training has come to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robonas.cli.front import All, At, print_front, read_at, write_front
from robonas.cli.groups import takes_groups
from robonas.cli.options import AnyFolder, Folder, Json, StudyOptions, output_file
from robonas.cli.reading import split
from robonas.errors import ConfigError, NasError, StudyError

if TYPE_CHECKING:
    from robonas.study.result import SearchResult


@takes_groups
def show(
    folder: AnyFolder,
    study: StudyOptions,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the trainings that run, again and again, until the search ends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a search has found so far, finished or not, or the result of a full training."""
    if watch:
        from robonas.cli.watch import watch as look

        look(folder, study)
    from robonas.cli.console import print_json, print_result, print_trained
    from robonas.cli.layout import print_table
    from robonas.retraining import is_training, load_trained

    if is_training(folder):
        trained = load_trained(folder, space=study.space)
        if as_json:
            print_json(trained.to_json())
        else:
            print_trained(trained)
        return
    result = study.load(folder)
    if as_json:
        print_json(result.to_json())
        return
    print_result(result)
    if result.axes:
        print_front(result)
    history = result.history().drop(columns=["failure"] if result.n_pruned else ["failure", "partial"])
    print_table(
        "Queries",
        history.to_dict("records"),
        long="architecture",
        spare=("hypervolume", "steps", "best", "seconds", "partial"),
    )


@takes_groups
def report(
    folder: Folder,
    study: StudyOptions,
    output: Annotated[Path | None, output_file("HTML file to write.  [default: report.html in the folder]")] = None,
    compare: Annotated[
        list[str],
        typer.Option(
            help="Strategy that it was compared with, such as random, or name of another study in the folder; none for "
            "no comparison. May be repeated.  [default: those that it was compared with before]"
        ),
    ] = [],  # noqa: B006
) -> None:
    """Write the report of a search as one HTML page that works offline."""
    from robonas.cli.console import say
    from robonas.report import write_report
    from robonas.study.comparison import remember_comparison

    result = study.load(folder)
    named = [other for other in split("--compare", compare) if other != "none"]
    baselines = [_compared(folder, study, other) for other in named] if compare else remembered(folder, study)
    target = output or folder / "report.html"
    write_report(result, target, baselines=baselines)
    if compare and output is None:
        remember_comparison(folder, study.name, [baseline.study for baseline in baselines])
    say(f"Report: {target}")


@takes_groups
def export(
    folder: AnyFolder,
    study: StudyOptions,
    output: Annotated[
        Path,
        output_file(
            "File to write. Its ending chooses the content: .json the result, .csv the queries, .safetensors the "
            "trained parameters, .pt2 the trained network, which PyTorch loads without robonas, .onnx the same for "
            "ONNX Runtime and others (needs the extra 'onnx')."
        ),
    ],
    at: At = [],  # noqa: B006
    every: All = False,
) -> None:
    """Export the winner of a search or the network of a full training, or their history, for use elsewhere."""
    from robonas.cli.console import say
    from robonas.report.export import export as write
    from robonas.retraining import is_training, load_trained

    if is_training(folder):
        if at or every:
            raise ConfigError(f"`--at` and `--all` choose from the front of a search; '{folder}' is a full training.")
        write(load_trained(folder, space=study.space), output)
        say(f"Written: {output}")
        return
    if at and every:
        raise ConfigError("`--all` writes the whole front; leave out `--at`.")
    found = study.load(folder)
    for path in write_front(found, output) if every else [write(found, output, query=read_at(found, at))]:
        say(f"Written: {path}")


def _compared(folder: Path, study: StudyOptions, word: str) -> SearchResult:
    """Return the study of a strategy that the search was compared with, as `search --compare` calls it, or of a name.

    Raises:
        StudyError: There is neither.
    """
    try:
        return _beside(study, f"{study.name}-{word}").load(folder)
    except StudyError:
        return _beside(study, word).load(folder)


def remembered(folder: Path, study: StudyOptions) -> list[SearchResult]:
    """Return the searches that this one was compared with before, as far as they are there."""
    from robonas.cli.console import warn
    from robonas.study.comparison import compared_with

    found = []
    for other in compared_with(folder, study.name):
        try:
            found.append(_beside(study, other).load(folder))
        except NasError as error:
            warn(f"The report leaves out study {other!r}, which this search was compared with before: {error}")
    return found


def _beside(study: StudyOptions, name: str) -> StudyOptions:
    """Return the options for another study in the same storage, which has another strategy."""
    return dataclasses.replace(study, name=name, strategy=None)
