"""The samples that a `torch.utils.data.DataLoader` loads, as a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    default_collate,
)

from robonas.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable


def loaded_by(loader: DataLoader[Any]) -> Dataset[Any]:
    """Return the data set of a loader, with the rows that its sampler takes and what its `collate_fn` makes of them.

    The order of the data set is kept, whatever the loader shuffles. Nothing is drawn from any random generator.

    Raises:
        DataError: The sampler repeats, weights or leaves out samples in a way that is no list of rows.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        return dataset
    sampler = loader.sampler
    every = isinstance(sampler, SequentialSampler) or (
        isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == _length(dataset)
    )
    if loader.batch_sampler is None and loader.batch_size is None:
        collate: Callable[[Any], Any] | None = None  # items, one by one
    else:
        collate = None if loader.collate_fn is default_collate else loader.collate_fn
    if not every and isinstance(sampler, SubsetRandomSampler):
        dataset = Subset(dataset, sorted(int(row) for row in sampler.indices))
    elif not every:
        raise DataError(
            f"Data are taken from a DataLoader that loads each sample of its data set once, or a subset of them; this "
            f"one's sampler is a {type(sampler).__name__}. Give the data set itself, `loader.dataset`."
        )
    return dataset if collate is None else _Collated(dataset, collate)


def _length(dataset: Any) -> int | None:
    return len(dataset) if hasattr(dataset, "__len__") else None


class _Collated(Dataset[Any]):
    """Items as a loader's `collate_fn` makes them, each a batch of one.

    Args:
        dataset: The items.
        collate: Function from a list of items to a batch of inputs and a batch of targets.
    """

    def __init__(self, dataset: Dataset[Any], collate: Callable[[Any], Any]) -> None:
        self.dataset, self.collate = dataset, collate
        if hasattr(dataset, "classes"):
            self.classes = dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, row: int) -> Any:
        batch = self.collate([self.dataset[row]])
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            return batch  # no pair, of which the reader complains
        return batch[0][0], batch[1][0]
