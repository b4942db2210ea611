"""`torchvision`: its data sets, by the name of their class."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robonas.common.registry import unknown_name
from robonas.datasets.from_torch import from_dataset
from robonas.datasets.images import Pictures, check_size
from robonas.datasets.samples import MEMORY_LIMIT
from robonas.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from robonas.datasets.data import LabelledData
    from robonas.datasets.image_reading import Mode


def load_torchvision(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = False,
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    part: Literal["train", "test"] = "train",
    memory_limit: int = MEMORY_LIMIT,
    **options: Any,
) -> LabelledData:
    """Read the training part of a data set of torchvision, or its test part: only one of them is read.

    Args:
        name: The class, such as ``"CIFAR10"``.
        root: The folder in which it lies, or is downloaded to.
        download: True to allow a download.
        size: (height, width), or the side of a square, to crop and resize to; None if all images have one size.
        mode: ``"RGB"`` or ``"L"`` to convert all images; None if all are of one kind.
        part: Part of the data set; a search must see the training part alone.
        memory_limit: Bytes above which images stay on disk and are read when they are needed.
        options: Further arguments of the class, such as ``split="letters"``.

    Raises:
        MissingExtraError: torchvision is not installed.
        UnknownNameError: It has no such data set.
        ConfigError: `root` is missing, the class does not take the options, or `part` and `split` contradict.
        DataError: It is not there, or is not for classification.
    """
    if part not in {"train", "test"}:
        raise ConfigError(f"`part` must be 'train' or 'test'; got {part!r}.")
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError("A data set of torchvision", "vision") from error
    classes = {
        entry: getattr(datasets, entry)
        for entry in datasets.__all__
        if inspect.isclass(getattr(datasets, entry)) and entry not in {"DatasetFolder", "ImageFolder", "VisionDataset"}
    }
    make = _find(name, classes)
    accepted = _arguments(make)
    arguments: dict[str, Any] = {}
    if "root" in accepted:
        if root is None:
            raise ConfigError(
                f"Data set 'torchvision:{name}' needs `root`, the folder in which it lies or is downloaded to."
            )
        arguments["root"] = str(Path(root).expanduser())
    if "train" in accepted:
        arguments["train"] = part == "train"
    elif "split" in accepted:
        if part == "test" and options.get("split", part) != part:
            raise ConfigError(
                f"Data set 'torchvision:{name}' has a test part of its own, so part 'test' and "
                f"split={options['split']!r} contradict each other. Leave one of them out."
            )
        arguments["split"] = part
    elif part == "test":
        raise ConfigError(f"Data set 'torchvision:{name}' has no test part; it takes {', '.join(accepted)}.")
    if "download" in accepted:
        arguments["download"] = download
    unknown = sorted(options.keys() - set(accepted))
    if unknown:
        raise ConfigError(f"Data set 'torchvision:{name}' has no option {unknown[0]!r}; it has {', '.join(accepted)}.")
    try:
        dataset = make(**{**arguments, **options})
    except PermissionError as error:
        raise DataError(
            f"Cannot read data set 'torchvision:{name}' in '{root}': no permission for '{error.filename}'."
        ) from error
    except (RuntimeError, OSError) as error:
        remedy = "" if download else " Check the folder, or allow the download."
        raise DataError(f"Cannot load data set 'torchvision:{name}' from '{root}': {error}.{remedy}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"Data set 'torchvision:{name}' does not take these options: {error}.") from error
    pictures = Pictures(
        functools.partial(_open, dataset),
        len(dataset),
        labels=None,
        describe=functools.partial(_describe, name),
        mode=mode,
        size=check_size(size),
    )
    for attribute in ("targets", "labels"):
        if getattr(dataset, attribute, None) is not None:
            setattr(pictures, attribute, getattr(dataset, attribute))
    names = getattr(dataset, "classes", None)
    return from_dataset(
        pictures,
        class_names=names,
        name=f"torchvision:{name}",
        memory_limit=memory_limit,
    )


def _find(name: str, classes: dict[str, Any]) -> Any:
    """Return the class of that name."""
    if name in classes:
        return classes[name]
    raise unknown_name("torchvision data set", name, sorted(classes), f"torchvision has no data set {name!r}")


def _arguments(make: type) -> list[str]:
    """Return the names of a class's arguments, and of those that it passes on to the class it is made from."""
    names: dict[str, None] = {}
    for owner in make.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]  # without `self`
        several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        names |= dict.fromkeys(each.name for each in parameters if each.kind not in several)
        if all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters):
            break
    return list(names)


def _describe(name: str, row: int) -> str:
    return f"{row} of 'torchvision:{name}'"


def _open(dataset: Any, row: int) -> tuple[Any, Any]:
    item = dataset[row]
    if not isinstance(item, tuple) or len(item) != 2 or not hasattr(item[0], "getbands"):
        raise DataError("a data set for classification must have an image and a label.")
    return item
