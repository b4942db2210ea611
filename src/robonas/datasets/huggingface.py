"""`hf`: data sets of the Hugging Face Hub, or of a folder that `datasets` reads, by its columns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from robonas.common.registry import unknown_name
from robonas.datasets.from_torch import from_dataset
from robonas.datasets.images import check_mode, check_size, formats, reading, to_bytes
from robonas.datasets.samples import MEMORY_LIMIT
from robonas.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.datasets.data import LabelledData
    from robonas.datasets.image_reading import Mode
    from robonas.datasets.targets import Task

_SAVED = ("state.json", "dataset_dict.json")
"""A folder with one of these was written by `save_to_disk`."""


def load_huggingface(
    name: str,
    *,
    part: str = "train",
    config: str | None = None,
    input: str | Sequence[str] | None = None,  # noqa: A002  # the word for it
    target: str | Sequence[str] | None = None,
    task: Task = "classification",
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    memory_limit: int = MEMORY_LIMIT,
    **options: Any,
) -> LabelledData:
    """Read one part of a data set of the Hugging Face Hub, or of a folder.

    A data set of the Hub is downloaded once and then read from the cache of `datasets`, where it is found without a
    network too. A folder is one that `save_to_disk` wrote, or that holds files which `datasets` reads: images in
    class folders, Parquet, CSV or JSON files.

    Args:
        name: The name on the Hub, such as ``"cifar10"``, or the path of a folder.
        part: Name of the part, such as ``"train"`` or ``"validation"``; a search must see the training part alone.
        config: Name of the configuration, of data sets that have several.
        input: Column of the inputs, or several columns of numbers. By default the only column of images, or of arrays,
            or else all columns of numbers but the target's.
        target: Column of the labels, or of the targets of another task; several columns of numbers for a regression. By
            default the only column of class labels.
        task: Kind of the targets; see `from_dataset`.
        size: (height, width), or the side of a square, to crop and resize images to; None if all have one size.
        mode: ``"RGB"`` or ``"L"`` to convert all images; None if all are of one kind.
        memory_limit: Bytes above which inputs stay on disk and are read when they are needed.
        options: Further arguments of `datasets.load_dataset`, such as ``revision`` or ``data_files``.

    Raises:
        MissingExtraError: `datasets` is not installed.
        UnknownNameError: It has no such part or column.
        ConfigError: Several columns could be meant, or `datasets` does not take the options.
        DataError: The data set is not there, cannot be reached, or cannot be read.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("A data set of Hugging Face", "datasets") from error
    folder = Path(name).expanduser()
    saved = folder.is_dir() and any((folder / mark).is_file() for mark in _SAVED)
    path = str(folder) if folder.is_dir() else name
    if saved and (options or config is not None):
        raise ConfigError(f"A folder that `save_to_disk` wrote takes no options; got {', '.join(options) or 'config'}.")
    try:
        found = datasets.load_from_disk(path) if saved else datasets.load_dataset(path, config, split=None, **options)
    except (FileNotFoundError, ConnectionError) as error:
        raise DataError(
            f"Cannot find data set 'hf:{name}': it is no folder here, and the Hub does not give it ({_told(error)})."
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Cannot load data set 'hf:{name}' with these settings: {_told(error)}.") from error
    except Exception as error:  # readers of many formats raise errors of any kind on damaged files
        raise DataError(f"Cannot read data set 'hf:{name}': {_told(error)}.") from error
    if isinstance(found, dict):
        if part not in found:
            raise unknown_name("part of a data set", part, found, f"Data set 'hf:{name}' has no part {part!r}")
        found = found[part]
    return from_table(
        found, input=input, target=target, task=task, size=size, mode=mode, name=f"hf:{name}", memory_limit=memory_limit
    )


def from_table(
    table: Any,
    *,
    input: str | Sequence[str] | None = None,  # noqa: A002
    target: str | Sequence[str] | None = None,
    task: Task = "classification",
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    name: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> LabelledData:
    """Make data from the columns of a `datasets.Dataset`.

    Args:
        table: The data set: one part, not a `DatasetDict` and no stream.
        input: Column of the inputs; see `load_huggingface`.
        target: Column of the targets.
        task: Kind of the targets.
        size: Size of the images.
        mode: Kind of the images.
        name: Name of the data; by default that which the data set has.
        memory_limit: Bytes above which inputs stay on disk.

    Raises:
        UnknownNameError: It has no such column.
        ConfigError: Several columns could be meant.
        DataError: It is a stream or several parts, or its columns do not fit the task.
    """
    if not hasattr(table, "with_format") or isinstance(table, dict) or not hasattr(table, "__len__"):
        raise DataError(
            f"Data of Hugging Face must be a `datasets.Dataset`; got a {type(table).__name__}. "
            "Give one part of it, such as data['train'], and no stream."
        )
    name = name if name is not None else f"hf:{table.info.dataset_name or 'table'}"
    features = dict(table.features)
    targets = _columns(target, features, name) or [_the_target(features, name, task)]
    inputs = _columns(input, features, name) or _the_inputs(features, targets, name)
    rows = _Rows(table, inputs, targets, task, check_size(size), mode)
    return from_dataset(
        rows, task=task, class_names=rows.class_names, n_classes=rows.n_outputs, name=name, memory_limit=memory_limit
    )


def _told(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()).removesuffix(".")[:300] or type(error).__name__


def _kind(feature: Any) -> str:
    """Return the kind of a column: ``image``, ``class``, ``array``, ``number``, ``text`` or ``other``."""
    kind = type(feature).__name__
    if kind == "Value":
        dtype = str(feature.dtype)
        return "number" if dtype.startswith(("int", "uint", "float", "bool", "double")) else "text"
    if kind in {"Image", "ClassLabel"}:
        return {"Image": "image", "ClassLabel": "class"}[kind]
    return "array" if kind.startswith(("Array", "Sequence", "List", "LargeList", "list")) else "other"


def _columns(names: str | Sequence[str] | None, features: dict[str, Any], data: str) -> list[str]:
    chosen = [names] if isinstance(names, str) else list(names or ())
    for name in chosen:
        if name not in features:
            raise unknown_name("column", name, features, f"Data set {data!r} has no column {name!r}")
    return chosen


def _the_target(features: dict[str, Any], data: str, task: Task) -> str:
    labels = [name for name, feature in features.items() if _kind(feature) == "class"]
    if task == "classification" and len(labels) == 1:
        return labels[0]
    raise ConfigError(
        f"Data set {data!r} has {len(labels) or 'no'} columns of class labels, so the one to learn must be named by "
        f"`target`, for task {task!r}. Its columns are {', '.join(features)}."
    )


def _the_inputs(features: dict[str, Any], targets: list[str], data: str) -> list[str]:
    rest = {name: _kind(feature) for name, feature in features.items() if name not in targets}
    for kind in ("image", "array"):
        found = [name for name, its in rest.items() if its == kind]
        if len(found) == 1:
            return found
        if found:
            raise ConfigError(
                f"Data set {data!r} has several columns of inputs, {', '.join(found)}. Name one: `input`."
            )
    numbers = [name for name, its in rest.items() if its == "number"]
    if not numbers:
        raise DataError(f"Data set {data!r} must have a column of images, arrays or numbers; it has {', '.join(rest)}.")
    return numbers


class _Rows(Dataset[tuple[Any, Any]]):
    """Rows of a table as (input, target); images are opened here, and only in formats that Pillow reads itself."""

    def __init__(
        self,
        table: Any,
        inputs: list[str],
        targets: list[str],
        task: Task,
        size: tuple[int, int] | None,
        mode: Mode | None,
    ) -> None:
        from datasets import Image

        check_mode(mode)
        self._pictures = {name for name in (*inputs, *targets) if _kind(table.features[name]) == "image"}
        if not self._pictures and (size is not None or mode is not None):
            raise ConfigError(f"`size` and `mode` are for images; column {inputs[0]!r} holds none.")
        for name in self._pictures:
            table = table.cast_column(name, Image(decode=False))
        self._table = table.select_columns(list(dict.fromkeys((*inputs, *targets)))).with_format(None)
        self._inputs, self._targets, self._task, self._size, self._mode = inputs, targets, task, size, mode
        self.class_names: Sequence[str] | None = None
        self.n_outputs: int | None = None
        self._indices: dict[Any, int] | None = None
        if task == "classification":
            self._read_labels(table.features[targets[0]])
        elif task == "regression":
            self.class_names = targets if len(targets) > 1 else None

    def _read_labels(self, feature: Any) -> None:
        """List the labels; texts become the indices of their sorted values."""
        labels = list(self._table[self._targets[0]])
        if None in labels:
            raise DataError(
                f"Column {self._targets[0]!r} has no label in row {labels.index(None)}, and every sample needs one. "
                "Leave out such rows, with the data set's `filter`."
            )
        if _kind(feature) == "class":
            self.class_names = tuple(feature.names)
        elif _kind(feature) == "text":
            self.class_names = tuple(sorted(set(map(str, labels))))
            self._indices = {name: place for place, name in enumerate(self.class_names)}
            labels = [self._indices[str(label)] for label in labels]
        self.targets = labels

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        values = self._table[int(row)]
        return self._input(values, row), self._target(values, row)

    def _input(self, values: dict[str, Any], row: int) -> Any:
        if len(self._inputs) == 1:
            name = self._inputs[0]
            value = values[name]
            if name in self._pictures:
                return self._picture(value, row, mode=self._mode)
            return np.array([value], dtype=np.float32) if isinstance(value, int | float) else value
        return np.array([values[name] for name in self._inputs], dtype=np.float32)

    def _target(self, values: dict[str, Any], row: int) -> Any:
        if self._task == "classification":
            return self.targets[row]
        if len(self._targets) > 1:
            return np.array([values[name] for name in self._targets], dtype=np.float32)
        value = values[self._targets[0]]
        if self._targets[0] not in self._pictures:
            return value
        if self._task == "segmentation":
            return self._classes(value, row)
        return self._picture(value, row, mode=self._mode)

    def _picture(self, cell: Any, row: int, *, mode: Mode | None) -> Any:
        with reading(f"of row {row}"), self._opened(cell) as image:
            return to_bytes(image, mode, self._size)

    def _classes(self, cell: Any, row: int) -> Any:
        """Return a map of class indices: resized without mixing them."""
        from PIL import Image as Images, ImageOps

        with reading(f"of row {row}"), self._opened(cell) as image:
            if self._size is not None:
                size = self._size[1], self._size[0]
                return torch.from_numpy(np.array(ImageOps.fit(image, size, method=Images.Resampling.NEAREST)))
            return torch.from_numpy(np.array(image))

    @staticmethod
    def _opened(cell: Any) -> Any:
        """Open the image of a cell: bytes, or a file of this machine."""
        from PIL import Image as Images

        if not isinstance(cell, dict) or (cell.get("bytes") is None and cell.get("path") is None):
            raise DataError("it is empty.")
        source: Any = io.BytesIO(cell["bytes"]) if cell.get("bytes") is not None else Path(str(cell["path"]))
        return Images.open(source, formats=formats())
