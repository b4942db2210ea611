"""Data sets: inputs and labels, or other targets, to score with and to train on.

Adding one: a file beside this one with a function that returns `LabelledData`, and a line in `DATASETS`, which names
both: what can be read is listed without PyTorch.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robonas.common.registry import import_object, lookup
from robonas.errors import ConfigError, DataError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.datasets.data import LabelledData, from_arrays
    from robonas.datasets.from_torch import from_dataset
else:

    def __getattr__(name: str) -> Any:
        home = {"LabelledData": ".data", "from_arrays": ".data", "from_dataset": ".from_torch"}.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home, __name__), name)  # with PyTorch, so on first use


T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A kind of data and its card."""

    name: str
    """The name in the catalogue, before the colon."""
    reader: tuple[str, str]
    """The module beside this one and its function that reads the data; imported on first use."""
    place: str | None
    """Name of the part after the colon; None where there is no such part."""
    meaning: str
    """Description in one sentence."""

    @property
    def load(self) -> Callable[..., LabelledData]:
        """Reads the data; what stands after the colon is its first argument, where it takes one."""
        module, function = self.reader
        found: Callable[..., LabelledData] = getattr(importlib.import_module(f".{module}", __name__), function)
        return found


DATASETS: Mapping[str, Source] = {
    "digits": Source(
        "digits",
        ("digits", "load_digits"),
        None,
        "1,797 handwritten digits of 8x8 pixels, 10 classes; ships with scikit-learn.",
    ),
    "digits_autoencoder": Source(
        "digits_autoencoder",
        ("digits_tasks", "digits_autoencoder"),
        None,
        "The digits, enlarged (--image-size); the target is the image.",
    ),
    "digits_jigsaw": Source(
        "digits_jigsaw",
        ("digits_tasks", "digits_jigsaw"),
        None,
        "The digits in nine tiles, in one of 24 orders; the target is which.",
    ),
    "digits_moments": Source(
        "digits_moments",
        ("digits_tasks", "digits_moments"),
        None,
        "The digits; the targets are five numbers on where their ink lies.",
    ),
    "digits_normal": Source(
        "digits_normal",
        ("digits_tasks", "digits_normal"),
        None,
        "The digits, enlarged (--image-size), as reliefs; the target is the direction of the surface: synthetic.",
    ),
    "digits_segment": Source(
        "digits_segment",
        ("digits_tasks", "digits_segment"),
        None,
        "The digits, enlarged (--image-size); the target is every pixel's class: paper, or ink of a digit.",
    ),
    "digits_signal": Source(
        "digits_signal",
        ("digits_tasks", "digits_signal"),
        None,
        "The digits as signals of eight channels and eight steps, 10 classes.",
    ),
    "folder": Source(
        "folder", ("folder", "load_folder"), "PATH", "Images in a folder with one folder a class, read with Pillow."
    ),
    "hf": Source(
        "hf",
        ("huggingface", "load_huggingface"),
        "NAME",
        "A data set of the Hugging Face Hub, such as cifar10, or a folder with one; needs the extra datasets.",
    ),
    "npz": Source("npz", ("npz", "load_npz"), "PATH.npz", "Arrays x and y (or images and labels, …) in a NumPy file."),
    "sklearn": Source(
        "sklearn",
        ("sklearn", "load_sklearn"),
        "NAME",
        "A table that ships with scikit-learn: breast_cancer, iris, wine (classes), diabetes, linnerud (numbers).",
    ),
    "torchvision": Source(
        "torchvision",
        ("torchvision", "load_torchvision"),
        "NAME",
        "A data set of torchvision, such as CIFAR10, from a root folder.",
    ),
}
"""Every kind of data by name."""


def load_dataset(data: Any, **settings: Any) -> LabelledData:
    """Load data by one text, or take a data set that is there.

    ``digits``, ``digits_segment`` and others of its kind, ``folder:PATH``, ``npz:PATH.npz``, ``sklearn:diabetes``,
    ``torchvision:CIFAR10``, ``hf:NAME``, ``package.module:NAME``, or a path alone.

    Args:
        data: The text or the path. `NAME` is a `LabelledData`, a `torch.utils.data.Dataset`, or a function that makes
            one of them. Or such an object itself, a `torch.utils.data.DataLoader`, a `datasets.Dataset` of Hugging
            Face, or a list of (input, label).
        settings: Settings of the kind of data: `size`, `mode` and `memory_limit` for `folder`, `torchvision` and `hf`;
            `size` for the digits of other tasks; `root`, `download`, `part` and options of the class for
            `torchvision`; `part`, `config`, `input`, `target` and `task` for `hf`; those of `from_dataset`, such as
            `n_classes` and `task`, for a Dataset of one's own. Those that are None are left out.

    Raises:
        UnknownNameError: There is no such kind, module or name.
        ConfigError: The kind does not take these settings.
        DataError: The data cannot be read or used.
        MissingExtraError: torchvision, or datasets, is not installed.

    Example:
        >>> load_dataset("digits")
        LabelledData('digits', n=1797, input_shape=(1, 8, 8), n_classes=10)
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    if not isinstance(data, str | Path):
        return _given(data, settings)
    name_or_path = data
    text = str(name_or_path)
    name, colon, place = text.partition(":")
    if name in DATASETS:
        source = DATASETS[name]
        if source.place is None and colon:
            raise DataError(f"Data set {name!r} takes nothing after its name; got {text!r}.")
        if source.place is not None and not place:
            raise DataError(f"Data set {name!r} must be given as '{name}:{source.place}'; got {text!r}.")
        return _call(source.load, text, [place] if source.place is not None else [], settings)
    path = Path(name_or_path).expanduser()
    if path.suffix == ".npz" and not colon:
        return _call(DATASETS["npz"].load, text, [path], settings)
    if path.is_dir():
        return _call(DATASETS["folder"].load, text, [path], settings)
    if path.is_file():
        raise DataError(f"'{text}' must be a folder of images or an .npz file.")
    if colon:
        return _own(text, settings)
    if "/" in text or text.startswith(("~", ".")):
        raise DataError(f"There is no '{text}'. Give a folder with one folder a class, or an .npz file.")
    try:
        lookup("data set", text, DATASETS)
    except UnknownNameError as error:
        hint = str(error).removeprefix(f"Unknown data set {text!r}. ")
        told = f"There is no folder or file '{text}' in '{Path.cwd()}', and no data set of that name. {hint}"
        raise UnknownNameError(told, kind=error.kind, name=error.name, known=error.known) from None
    raise AssertionError("unreachable: `lookup` has raised")


def _given(data: Any, settings: dict[str, Any]) -> LabelledData:
    """Return data that somebody holds as `LabelledData`."""
    from torch.utils.data import DataLoader, Dataset

    from robonas.datasets.data import LabelledData
    from robonas.datasets.from_torch import from_dataset

    kind = type(data)
    if isinstance(data, LabelledData):
        if settings:
            raise ConfigError(f"Data {data.name!r} are ready made and take no {next(iter(settings))!r}.")
        return data
    if kind.__module__.startswith("datasets."):  # of Hugging Face, which need not be imported to be known
        from robonas.datasets.huggingface import from_table

        return _call(from_table, f"a {kind.__name__} of Hugging Face", [data], settings)
    if isinstance(data, Dataset | DataLoader | list | tuple):
        return _call(from_dataset, f"a {kind.__name__}", [data], settings)
    raise DataError(
        f"Data must be a text, a path, a torch.utils.data.Dataset or a DataLoader; got a {kind.__name__}. "
        "Use `from_arrays` for arrays."
    )


def _own(reference: str, settings: dict[str, Any]) -> LabelledData:
    """Return the user's own data by ``package.module:NAME``."""
    from torch.utils.data import Dataset

    from robonas.datasets.data import LabelledData
    from robonas.datasets.from_torch import from_dataset

    found: Any = import_object("data set", reference)
    if callable(found) and not isinstance(found, LabelledData | Dataset):
        found = _call(found, reference, [], settings)
        settings = {}
    if isinstance(found, LabelledData):
        if settings:
            raise ConfigError(f"Data set {reference!r} is ready made and takes no {next(iter(settings))!r}.")
        return found
    if isinstance(found, Dataset):
        return _call(from_dataset, reference, [found], {"name": reference, **settings})
    raise DataError(
        f"Data set {reference!r} must be a LabelledData, a torch.utils.data.Dataset, or a function that makes one; "
        f"got a {type(found).__name__}."
    )


def _call(function: Callable[..., T], text: str, arguments: list[Any], settings: dict[str, Any]) -> T:
    try:
        inspect.signature(function).bind(*arguments, **settings)
    except TypeError as error:
        raise ConfigError(f"Data set {text!r} does not take these settings: {error}.") from error
    return function(*arguments, **settings)


__all__ = ["DATASETS", "LabelledData", "Source", "from_arrays", "from_dataset", "load_dataset"]
