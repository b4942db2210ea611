"""`robonas predict`: the answers of a trained network to images or arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from robonas.cli.front import At, read_at
from robonas.cli.groups import takes_groups
from robonas.cli.options import AnyFolder, Json, StudyOptions, output_file
from robonas.common.settings import count_of
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from robonas.prediction import Predictions

_WIDE = 8
"""Names up to which a table has a column for each."""


@takes_groups
def predict(
    folder: AnyFolder,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders of them, or one .npy or .npz file with an array of inputs as they are in the "
            "data."
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

    Images are cropped and resized as those that the network was trained with. Where they lie in folders that are named
    as the classes, or an .npz file has labels, the last line says how many answers are right.
    """
    from rich.text import Text

    from robonas.cli.console import out, print_json, say
    from robonas.retraining import is_training, load_trained

    if output is not None and output.suffix != ".npz":
        raise ConfigError(f"`--output` must end in .npz; got '{output}'.")
    count_of("top_k", top_k, "class")
    given, truth = _inputs(images)
    if is_training(folder):
        if at:
            raise ConfigError(f"`--at` chooses from the front of a search; '{folder}' is a full training.")
        found = load_trained(folder, space=study.space).predict(given)
    else:
        result = study.load(folder)
        found = result.predict(given, query=read_at(result, at))
    told = found.to_json(top_k)
    expected = truth.classes_of(found)
    for one, name in zip(told, expected, strict=True):
        if name is not None:
            one |= {"expected": name, "right": one["class"] == name}
    if as_json:
        print_json(told)
    else:
        _print(found, told)
        if sentence := truth.sentence(told):
            out.print(Text(sentence), soft_wrap=True)
    if output is not None:
        found.write(output)
        say(f"Written: {output}")


class _Truth(NamedTuple):
    """The right answers, as far as they are known."""

    folders: Sequence[tuple[str, ...]] = ()
    """Names of the folders in which each image lies, the nearest first."""
    labels: NDArray[Any] | None = None
    """Labels in the file of the inputs."""
    class_names: tuple[str, ...] | None = None
    """Names of these by index; None for those of the network."""
    file: Path | None = None
    """The file of the inputs."""

    def classes_of(self, found: Predictions) -> list[str | None]:
        """Return the name of the right class of each input, as far as it is known."""
        known = found.class_names
        if found.task != "classification":
            return [None] * len(found)
        if self.labels is None:
            named = [next((name for name in names if name in known), None) for names in self.folders]
            return named or [None] * len(found)
        labels, names = self.labels, self.class_names or known
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        whole = labels.shape == (len(found),) and labels.dtype.kind in "biuf" and bool((labels == labels // 1).all())
        if not whole or labels.min() < 0 or labels.max() >= len(names):
            from robonas.cli.console import warn

            warn(
                f"How many answers are right is not told: the labels in '{self.file}' must be class indices from 0 to "
                f"{len(names) - 1}, one an input."
            )
            return [None] * len(found)
        return [names[int(label)] for label in labels.tolist()]

    def sentence(self, told: list[dict[str, Any]]) -> str:
        """Return how many answers are right; nothing where that is not known."""
        right = [one["right"] for one in told if "right" in one]
        if not right:
            return ""
        place = "in the folder of their class" if self.labels is None else "of the class that the file says"
        others = len(told) - len(right)
        rest = f"; the class of {others} more is not known" if others else ""
        return f"{sum(right):,} of {len(right):,} are {place} ({sum(right) / len(right):.4f}){rest}"


def _inputs(paths: list[Path]) -> tuple[Any, _Truth]:
    """Return the array in a file, or the paths of all images that were named, and what is known of the answers.

    Raises:
        DataError: A place is not there, a folder has no image, or the array cannot be read.
        ConfigError: An array stands beside other files.
    """
    from robonas.datasets.npz import is_array_file, load_rows

    arrays = [path for path in paths if is_array_file(path)]
    if not arrays:
        images = [(image, path) for path in paths for image in _images(path)]
        return [image for image, _ in images], _Truth([_folders(*each) for each in images])
    if len(paths) > 1:
        raise ConfigError(f"An array of inputs must be given alone; got {len(paths)} files, '{arrays[0]}' among them.")
    inputs, labels, class_names = load_rows(arrays[0])
    return inputs, _Truth((), labels, class_names, arrays[0])


def _folders(image: Path, given: Path) -> tuple[str, ...]:
    """Return the names of the folders in which an image lies, the nearest first, up to the folder that was given."""
    above = image.absolute().parents
    n = 1 if image == given else len(image.parents) - len(given.parents)
    return tuple(folder.name for folder in above[:n])


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
