"""`robonas train`: the winner of a search, trained in full."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robonas.cli.completion import names_of
from robonas.cli.front import At, read_at
from robonas.cli.groups import takes_groups
from robonas.cli.help import DATA, SPACE
from robonas.cli.options import (
    Data,
    Json,
    Logs,
    Name,
    OwnStrategy,
    ReadingOptions,
    Seed,
    SpaceSetting,
    Storage,
    StudyOptions,
    TrainingOptions,
    not_empty,
    output_folder,
)
from robonas.cli.reading import read_settings, read_space, split, told_of_default
from robonas.cli.recipe_options import RecipeOptions
from robonas.cli.settings_file import Config
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace
    from robonas.study.result import SearchResult

WHICH = "Which network to train"
"""Heading of the options that name it."""


@takes_groups
def train(
    *,
    config: Config = None,  # noqa: ARG001  # read by its callback
    search: Annotated[
        Path, typer.Option(help="Folder of the search whose winner is trained.", rich_help_panel=WHICH)
    ] = Path("robonas-run"),
    name: Name = "search",
    storage: Storage = None,
    architecture: Annotated[
        str | None, typer.Option(help="Architecture to train, as text, instead of a winner.", rich_help_panel=WHICH)
    ] = None,
    at: At = [],  # noqa: B006
    data: Data = "digits",
    reading: ReadingOptions,
    test_data: Annotated[
        str | None,
        typer.Option(
            help="Test set, used once, at the end; of a data set of torchvision or Hugging Face, its test part.",
            callback=not_empty,
            rich_help_panel=DATA,
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="Search space: a name, or package.module:NAME.  [default: the search's; --space-set changes its size]",
            autocompletion=names_of("spaces"),
            rich_help_panel=SPACE,
        ),
    ] = None,
    space_set: SpaceSetting = [],  # noqa: B006
    strategy: OwnStrategy = None,
    recipe: RecipeOptions,
    validation_fraction: Annotated[
        float,
        typer.Option(
            help="Fraction of the data that is held out to choose the best epoch; 0 to train with all.",
            rich_help_panel=DATA,
        ),
    ] = 0.1,
    test_fraction: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the data that is held out of everything, and used once, at the end.  [default: that of "
            "the search, if the data are the same and there is no --test-data; else 0]",
            rich_help_panel=DATA,
        ),
    ] = None,
    seed: Seed = 0,
    training: TrainingOptions,
    folder: Annotated[
        Path | None,
        output_folder(
            "Folder for checkpoints, log and trained network.  [default: the search's with -train after it; "
            "robonas-train for an architecture]"
        ),
    ] = None,
    log: Logs = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Train the winner of a search in full, with a checkpoint after every epoch.

    If it is stopped, the same command continues where it was. On several devices: torchrun --nproc-per-node N -m
    robonas train …
    """
    from robonas.callbacks import make_log
    from robonas.cli.console import print_json, print_trained, tell_next
    from robonas.retraining import train as train_in_full
    from robonas.retraining.places import folder_after
    from robonas.retraining.run import held_out_by

    images = reading.read(data)
    tested = None if test_data is None else reading.read(test_data, part="test")
    winner = architecture if architecture is not None else _winner(search, name, storage, space, strategy)
    if at and isinstance(winner, str):
        raise ConfigError("`--at` chooses from the front of a search; leave it out, or `--architecture`.")
    query = None if isinstance(winner, str) else read_at(winner, at)
    with told_of_default(data):
        where = _space(winner, space, space_set, images, smaller=bool(recipe.settings()["resized_crop"]))
    if query is not None and test_fraction is None and tested is None:
        test_fraction, _ = held_out_by(winner, images)  # which an architecture's text does not say
    home = folder_after(winner) if folder is None else folder
    first = os.environ.get("RANK", "0") == "0"
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(make_log(each, home)) for each in split("--log", log) if first]
        stack.enter_context(told_of_default(data))
        result = train_in_full(
            winner if query is None else query.architecture,
            images,
            space=where,
            test=tested,
            folder=home,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            seed=seed,
            callbacks=logs,
            progress=not as_json and first,
            **training.settings(threads=None),
            **recipe.settings(),
        )
    if not first:
        return
    if as_json:
        print_json(result.to_json())
    else:
        print_trained(result)
        tell_next(result.folder, result.preprocessing, result.space)


def _winner(folder: Path, name: str, storage: str | None, space: str | None, strategy: str | None) -> SearchResult:
    from robonas.cli.console import warn
    from robonas.common.registry import lookup
    from robonas.strategies import STRATEGIES

    if strategy is not None and ":" not in strategy:
        lookup("strategy", strategy, STRATEGIES)
    # A name of ours is no reference; a settings file may have it for the search.
    own = {key: text for key, text in (("space", space), ("strategy", strategy)) if text is not None and ":" in text}
    found = StudyOptions(name=name, storage=storage, **own).load(folder)
    if found.stop_reason in {"interrupted", "running"}:
        warn(f"The search in '{folder}' is not finished: what is trained is its best so far.")
    return found


def _space(
    winner: SearchResult | str, name: str | None, settings: list[str], data: LabelledData, *, smaller: bool
) -> SearchSpace:
    """Return the space that was named, or the winner's own with other settings; made for the data.

    A space of the user's own must be named again, so that is no wish for its default settings.
    """
    from robonas.common.registry import lasting_reference
    from robonas.spaces import make_space

    own = None if isinstance(winner, str) else winner.space
    named_again = own is not None and name is not None and ":" in name and lasting_reference(name) == own.reference
    if own is None or (name is not None and not named_again):
        return read_space("nasbench201" if name is None else name, settings, data, smaller=smaller)
    given = {"input_shape": data.input_shape, "n_classes": data.n_classes, **read_settings("space", settings)}
    return make_space(own.reference, **{**(own.arguments if named_again else own.settings), **given})
