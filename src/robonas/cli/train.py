"""`robonas train`: the winner of a search, trained in full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli.options import (
    Config,
    Data,
    DataRoot,
    Device,
    ImageMode,
    ImageSize,
    Json,
    Measure,
    Name,
    OwnStrategy,
    Precision,
    Seed,
    SpaceSetting,
    Storage,
    Threads,
    Workers,
    not_empty,
    output_folder,
    read_data,
    read_precision,
    read_settings,
    read_space,
)
from robonas.cli.recipe_options import takes_recipe

if TYPE_CHECKING:
    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace
    from robonas.study.result import SearchResult


@takes_recipe
def train(
    config: Config = None,  # noqa: ARG001  # read by its callback
    search: Annotated[Path, typer.Option(help="Folder of the search whose winner is trained.")] = Path("robonas-run"),
    name: Name = "search",
    storage: Storage = None,
    architecture: Annotated[
        str | None, typer.Option(help="Text of an architecture to train, instead of a winner.")
    ] = None,
    data: Data = "digits",
    data_root: DataRoot = None,
    image_size: ImageSize = None,
    image_mode: ImageMode = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            help="Test set, seen once at the end; of a torchvision name, its test part is taken.", callback=not_empty
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Name, or package.module:NAME.  [default: the search's, in its size unless --space-set]"),
    ] = None,
    space_set: SpaceSetting = [],  # noqa: B006
    strategy: OwnStrategy = None,
    recipe: dict[str, Any] = {},  # noqa: B006  # an option each
    validation_fraction: Annotated[
        float, typer.Option(help="Part of the data held out to choose the best epoch; 0 to train with all.")
    ] = 0.1,
    measure: Measure = None,
    seed: Seed = 0,
    device: Device = "auto",
    mixed_precision: Precision = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    folder: Annotated[Path, output_folder("Where to keep checkpoints, log and trained network.")] = Path(
        "robonas-train"
    ),
    as_json: Json = False,
) -> None:
    """Train the winner of a search in full, with a checkpoint after every epoch.

    Stopped at any moment, the same command goes on where it was. On several devices: torchrun --nproc-per-node N -m
    robonas train …
    """
    from robonas.cli.console import TrainingProgress, print_json, print_trained
    from robonas.retraining import train as train_in_full

    images = read_data(data, data_root, image_size, image_mode)
    tested = None if test_data is None else read_data(test_data, data_root, image_size, image_mode, part="test")
    winner = architecture if architecture is not None else _winner(search, name, storage, space, strategy)
    where = _space(winner, space, space_set, images, recipe)
    first = os.environ.get("RANK", "0") == "0"
    with TrainingProgress(quiet=as_json or not first) as progress:
        result = train_in_full(
            winner,
            images,
            space=where,
            test=tested,
            folder=folder,
            validation_fraction=validation_fraction,
            measure=measure,
            seed=seed,
            device=device,
            mixed_precision=read_precision(mixed_precision),
            threads=threads,
            n_workers=workers,
            callbacks=[progress],
            **recipe,
        )
    if first:
        print_json(result.to_json()) if as_json else print_trained(result)


def _winner(folder: Path, name: str, storage: str | None, space: str | None, strategy: str | None) -> SearchResult:
    import optuna

    from robonas.cli.console import warn
    from robonas.study.loop import load_result

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A name of ours is no reference; a settings file may have it for the search.
    own = {key: text for key, text in (("space", space), ("strategy", strategy)) if text is not None and ":" in text}
    found = load_result(folder, name, storage=storage, **own)
    if found.stop_reason == "interrupted":
        warn(f"The search in '{folder}' is not finished: what is trained is its best so far.")
    return found


def _space(
    winner: SearchResult | str, name: str | None, settings: list[str], data: LabelledData, recipe: dict[str, Any]
) -> SearchSpace:
    """Return the space that was named, or the winner's own with other settings; made for the data."""
    from robonas.spaces import make_space

    if name is not None or isinstance(winner, str):
        return read_space("nasbench201" if name is None else name, settings, data, smaller=bool(recipe["resized_crop"]))
    own = winner.space
    given = {"input_shape": data.input_shape, "n_classes": data.n_classes, **read_settings("space", settings)}
    return make_space(own.reference, **{**own.settings, **given})
