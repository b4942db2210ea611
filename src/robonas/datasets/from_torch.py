"""Data from any `torch.utils.data.Dataset`, in memory where it fits."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset

from robonas.datasets.data import LabelledData, bytes_read
from robonas.datasets.samples import MEMORY_LIMIT, InMemory, Lazy, Samples, as_label, read_item
from robonas.datasets.targets import check_classes
from robonas.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


def from_dataset(
    dataset: Dataset[Any],
    n_classes: int | None = None,
    *,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> LabelledData:
    """Data from a map-style PyTorch data set whose items are (input, label).

    Inputs of up to `memory_limit` bytes are read once, and the transforms of the data set with them; bytes stay bytes.
    Larger data stay on disk: items are read each time, by `DataLoader`, with random transforms seeded by row and epoch.

    Pillow images become bytes as those of a folder do: grey or in colour, whatever their mode.

    Labels are taken from ``dataset.targets`` or ``dataset.labels`` where there is such a list, and each item is checked
    against it when it is read; else every item is read once.

    Args:
        dataset: Items by index from 0; labels are integers.
        n_classes: Number of classes; by default that of `class_names`, of ``dataset.classes``, or from the largest
            label and one.
        class_names: A name a class; else ``dataset.classes``, else the indices.
        name: Name of the data set; by default the name of its class.
        memory_limit: Bytes above which data are read lazily; 0 for always.

    Raises:
        ConfigError: `n_classes` is no number of classes, or not that of `class_names`.
        DataError: It has no length, is empty, fails to give an item, its items are not such pairs, labels are out of
            range, or inputs differ in shape.
    """
    name = name if name is not None else type(dataset).__name__
    if not hasattr(dataset, "__getitem__"):
        raise DataError(f"Data set {name!r} must be a torch.utils.data.Dataset; got a {type(dataset).__name__}.")
    n = _length(dataset)
    if n is None:
        raise DataError(
            f"Data set {name!r} must have a length and items by index; a stream has not. Collect it into a list first."
        )
    if n == 0:
        raise DataError(f"Data set {name!r} must hold samples; it is empty.")
    first, _ = read_item(dataset, 0)
    labels = _listed_labels(dataset)
    samples: Samples
    if n * first.nbytes <= memory_limit:
        values, labels = _read_all(dataset, n, first)
        samples = InMemory(values)
    else:
        if labels is None:
            labels = torch.tensor([read_item(dataset, row)[1] for row in range(n)])
        samples = Lazy(dataset, labels, tuple(first.shape), first.dtype)
    if class_names is None:
        listed = getattr(dataset, "classes", None)
        if isinstance(listed, Collection) and n_classes in {None, len(listed)}:
            class_names = tuple(map(str, listed))
    names, labels = check_classes(name, labels, class_names, n_classes)
    return LabelledData(name, samples, labels, names, torch.arange(n), images=bytes_read(first))


def _length(dataset: Any) -> int | None:
    """Return how many items there are; None where the data set is a stream, or cannot tell."""
    if isinstance(dataset, IterableDataset):
        return None
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _read_all(dataset: Any, n: int, first: Tensor) -> tuple[Tensor, Tensor]:
    values = torch.empty((n, *first.shape), dtype=first.dtype)
    labels = torch.empty(n, dtype=torch.int64)
    for row in range(n):
        value, label = read_item(dataset, row)
        if value.shape != first.shape or value.dtype != first.dtype:
            raise DataError(
                f"All inputs must have one shape and type, {first.dtype} {tuple(first.shape)} as the first; "
                f"got {value.dtype} "
                f"{tuple(value.shape)} at item {row}. "
                "Resize or crop them to one size, and convert grey or colour images to one kind."
            )
        values[row], labels[row] = value, label
    return values, labels


def _listed_labels(dataset: Any) -> Tensor | None:
    """Return the labels that the data set lists, int64, or None where it does not list integers."""
    if isinstance(dataset, Subset):
        whole = _listed_labels(dataset.dataset)
        return None if whole is None else whole[torch.as_tensor(dataset.indices)]
    for attribute in ("targets", "labels"):
        listed: Any = getattr(dataset, attribute, None)
        if not isinstance(listed, Collection) or len(listed) != len(dataset):
            continue
        try:
            return torch.tensor([as_label(label, attribute) for label in listed])
        except DataError:
            continue
    return None
