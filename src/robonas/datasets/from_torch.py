"""Data from any `torch.utils.data.Dataset` or `DataLoader`, in memory where it fits."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from robonas.datasets.data import LabelledData, bytes_read
from robonas.datasets.loader import loaded_by
from robonas.datasets.samples import MEMORY_LIMIT, InMemory, Lazy, Samples, as_label, read_item
from robonas.datasets.targets import TASKS, Task, check_classes
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


def from_dataset(
    dataset: Dataset[Any] | DataLoader[Any],
    n_classes: int | None = None,
    *,
    task: Task = "classification",
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> LabelledData:
    """Make data from a map-style PyTorch data set of pairs (input, label), or (input, target) for other tasks.

    Inputs of up to `memory_limit` bytes are read once, and the transforms of the data set with them; bytes stay bytes.
    Larger data stay on disk: items are read each time, by `DataLoader`, with random transforms seeded by row and epoch.

    Pillow images become bytes as those of a folder do: grey or in colour, whatever their mode.

    Labels are taken from ``dataset.targets`` or ``dataset.labels`` where there is such a list, and each item is checked
    against it when it is read; else every item is read once. Targets of other tasks are kept in memory.

    Of a `DataLoader` the samples that it loads are taken, in the data set's order, as its `collate_fn` makes them;
    batches are made anew.

    Args:
        dataset: Items by index from 0; labels are integers. Or a loader of such a data set.
        n_classes: Number of classes; by default that of `class_names`, of ``dataset.classes``, or from the largest
            label and one.
        task: Kind of the targets. ``"multilabel"``: a number from 0 to 1 a class. ``"regression"``: a number, or a list
            of them. ``"segmentation"``: a map of class indices, (height, width), or such a Pillow image. ``"image"``:
            numbers from -1 to 1, (channels, height, width), or a Pillow image or bytes, which are scaled to them.
        class_names: A name a class, or an output; else ``dataset.classes``, else the indices.
        name: Name of the data set; by default the name of its class.
        memory_limit: Bytes above which data are read lazily; 0 for always.

    Raises:
        ConfigError: There is no such task, `n_classes` is no number of classes, or not that of `class_names`.
        DataError: It has no length, is empty, fails to give an item, its items are not such pairs, labels are out of
            range, or inputs or targets differ in shape; or a loader that weights, repeats or batches in its own way.
    """
    if task not in TASKS:
        raise ConfigError(f"`task` must be one of {', '.join(TASKS)}; got {task!r}.")
    if isinstance(dataset, DataLoader):
        name = name if name is not None else type(dataset.dataset).__name__
        dataset = loaded_by(dataset)
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
    first, target = read_item(dataset, 0, task)
    labels = _listed_labels(dataset) if task == "classification" else None
    samples: Samples
    if n * first.nbytes <= memory_limit:
        values, labels = _read_all(dataset, n, first, target, task)
        samples = InMemory(values)
    else:
        if labels is None:
            labels = _all_equal([read_item(dataset, row, task)[1] for row in range(n)])
        samples = Lazy(dataset, labels, tuple(first.shape), task, first.dtype)
    if class_names is None and task not in {"regression", "image"}:
        listed = getattr(dataset, "classes", None)
        if isinstance(listed, Collection) and n_classes in {None, len(listed)}:
            class_names = tuple(map(str, listed))
    names, labels = check_classes(name, labels, class_names, n_classes, task)
    return LabelledData(name, samples, labels, names, torch.arange(n), task=task, images=bytes_read(first))


def _all_equal(targets: Sequence[Tensor]) -> Tensor:
    """Return targets of one shape as one tensor.

    Raises:
        DataError: One has another shape than the first.
    """
    for row, target in enumerate(targets):
        _check_shape(target, targets[0], row)
    return torch.stack(list(targets))


def _check_shape(target: Tensor, first: Tensor, row: int) -> None:
    if target.shape != first.shape:
        raise DataError(
            f"All targets must have one shape, {tuple(first.shape)} as the first; got {tuple(target.shape)} "
            f"at item {row}."
        )


def _length(dataset: Any) -> int | None:
    """Return how many items there are; None where the data set is a stream, or cannot tell."""
    if isinstance(dataset, IterableDataset):
        return None
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return None


def _read_all(dataset: Any, n: int, first: Tensor, target: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    values = torch.empty((n, *first.shape), dtype=first.dtype)
    targets = torch.empty((n, *target.shape), dtype=target.dtype)
    for row in range(n):
        value, found = read_item(dataset, row, task)
        if value.shape != first.shape or value.dtype != first.dtype:
            raise DataError(
                f"All inputs must have one shape and type, {first.dtype} {tuple(first.shape)} as the first; "
                f"got {value.dtype} "
                f"{tuple(value.shape)} at item {row}. "
                "Resize or crop them to one size, and convert grey or colour images to one kind."
            )
        _check_shape(found, target, row)
        values[row], targets[row] = value, found
    return values, targets


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
