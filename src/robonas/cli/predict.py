"""`robonas predict`: the answers of a trained network to images or arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.cli.front import At, read_at
from robonas.cli.groups import takes_groups
from robonas.cli.options import AnyFolder, Json, StudyOptions, output_file
from robonas.common.settings import count_of
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.prediction import Predictions

_WIDE = 8
"""Names up to which a table has a column for each."""


@takes_groups
def predict(
    folder: AnyFolder,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders of them, or one .npy file with an array of inputs as they are in the data."
        ),
    ],
    study: StudyOptions,
    at: At = [],  # noqa: B006
    top_k: Annotated[int, typer.Option(help="Number of classes to name for each input, the likeliest first.")] = 3,
    output: Annotated[
        Path | None,
        output_file("Write the whole answers, such as maps, to this .npz file of NumPy too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict with the winner of a search, or the network of a full training, for new images.

    Images are cropped and resized as those that the network was trained with.
    """
    from robonas.cli.console import print_json, say
    from robonas.retraining import is_training, load_trained

    if output is not None and output.suffix != ".npz":
        raise ConfigError(f"`--output` must end in .npz; got '{output}'.")
    count_of("top_k", top_k, "class")
    given = _inputs(images)
    if is_training(folder):
        if at:
            raise ConfigError(f"`--at` chooses from the front of a search; '{folder}' is a full training.")
        found = load_trained(folder, space=study.space).predict(given)
    else:
        result = study.load(folder)
        found = result.predict(given, query=read_at(result, at))
    told = found.to_json(top_k)
    if as_json:
        print_json(told)
    else:
        _print(found, told)
    if output is not None:
        found.write(output)
        say(f"Written: {output}")


def _inputs(paths: list[Path]) -> Any:
    """Return the array in a file, or the paths of all images that were named.

    Raises:
        DataError: A place is not there, a folder has no image, or the array cannot be read.
        ConfigError: An array stands beside other files.
    """
    arrays = [path for path in paths if path.suffix == ".npy"]
    if not arrays:
        return [image for path in paths for image in _images(path)]
    if len(paths) > 1:
        raise ConfigError(f"An array of inputs must be given alone; got {len(paths)} files, '{arrays[0]}' among them.")
    from robonas.datasets.npz import load_npy

    return load_npy(arrays[0])


def _images(path: Path) -> Iterator[Path]:
    """Yield a file itself, or the images below a folder by their names; links to folders are not followed."""
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"There is no image '{path}'.")
        yield path
        return
    from robonas.datasets.images import suffixes

    known, n = suffixes(), 0
    for here, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in known:
                n += 1
                yield Path(here) / name
    if n == 0:
        raise DataError(f"Folder '{path}' must hold images that Pillow reads; it has none.")


def _print(found: Predictions, told: list[dict[str, Any]]) -> None:
    """Print a table with a line an input."""
    from robonas.cli.layout import print_table

    n = len(found)
    title = f"{n:,} prediction{'s' if n > 1 else ''}"
    print_table(title, [_row(found, one) for one in told])


def _row(found: Predictions, one: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of an input."""
    key = found.number.replace(" ", "_")
    best = [(entry["name"], entry[key]) for entry in one["top"]]
    row: dict[str, Any] = {"input": one["input"]}
    if found.task == "classification":
        (name, number), *others = best
        row |= {"class": name, "probability": f"{number:.3f}"}
        return row | ({"next": _listed(others)} if others else {})
    if found.task == "multilabel":
        return row | {"classes": ", ".join(one["classes"]) or "none", "probabilities": _listed(best)}
    if found.task == "segmentation" or len(best) > _WIDE:
        return row | {f"{found.number} by name": _listed(best)}
    return row | {name: float(number) for name, number in best}


def _listed(entries: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {number:.3f}" for name, number in entries)
