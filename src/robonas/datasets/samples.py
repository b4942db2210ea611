"""Where the inputs of a data set are: in memory, or read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from robonas.errors import DataError
from robonas.randomness import numpy_generator, seeded

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MEMORY_LIMIT = 2 * 1024**3
"""Bytes of inputs, as they are stored, up to which a data set is read into memory."""
_LAZY_FINGERPRINT_SAMPLES = 256


class Samples(Protocol):
    """Inputs by row number, all of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """The inputs of each list of rows, (k, *shape), as they are stored: uint8, or float32."""
        ...

    def hash_into(self, digest: hashlib.blake2b, rows: Tensor) -> None:
        """Feed the inputs of these rows to a hash."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Inputs as one tensor, (n, *shape), uint8 or float32."""

    values: Tensor
    """The inputs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.values.shape[1:])

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """The inputs of each list of rows; the seed and the workers have nothing to do here."""
        del seed, n_workers
        return (self.values[part] for part in rows)

    def hash_into(self, digest: hashlib.blake2b, rows: Tensor) -> None:
        """Feed every value to the hash, in blocks, so that no second copy is made."""
        digest.update(f"{self.values.dtype}{self.shape}".encode())
        for part in torch.split(rows, 4096):
            array = self.values[part].contiguous().numpy()
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


class Lazy:
    """Inputs that a `torch.utils.data.Dataset` reads, each time anew.

    Reading an item is seeded by its row and the batch's seed, so that random transforms give the same inputs in any
    order and with any number of workers.

    Args:
        dataset: Items are (input, label).
        labels: The label that each item must have, int64, (n,).
        shape: The shape that each input must have.
    """

    def __init__(self, dataset: Dataset[Any], labels: Tensor, shape: tuple[int, ...]) -> None:
        self.dataset = dataset
        self.labels = labels
        self.shape = shape

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """The inputs of each list of rows, through PyTorch's `DataLoader`.

        Raises:
            DataError: An item has another shape or label than the first pass over the data saw, or values that are not
                finite.
        """
        loader: DataLoader[Tensor] = DataLoader(
            _SeededItems(self, seed),
            batch_sampler=[part.tolist() for part in rows],
            num_workers=n_workers,
            collate_fn=torch.stack,
            generator=torch.Generator().manual_seed(0),  # else the loader draws from the global one
        )
        return iter(loader)

    def item(self, row: int) -> Tensor:
        """One input, checked."""
        value, label = read_item(self.dataset, row)
        if tuple(value.shape) != self.shape:
            raise DataError(
                f"All inputs must have one shape, {self.shape} as the first; got {tuple(value.shape)} at item {row}. "
                "Resize or crop them to one size, and convert grey or colour images to one kind."
            )
        if label != int(self.labels[row]):
            raise DataError(
                f"Item {row} must have the label that the data set lists for it, {int(self.labels[row])}; got {label}. "
                "A `target_transform` may differ from the data set's `targets`."
            )
        return value

    def hash_into(self, digest: hashlib.blake2b, rows: Tensor) -> None:
        """Feed some inputs to the hash, since reading all would take as long as an epoch."""
        chosen = rows
        if len(rows) > _LAZY_FINGERPRINT_SAMPLES:
            places = numpy_generator("fingerprint", len(rows)).choice(
                len(rows), _LAZY_FINGERPRINT_SAMPLES, replace=False
            )
            chosen = rows[torch.from_numpy(np.sort(places))]
        digest.update(f"lazy{self.shape}{len(rows)}".encode())
        for value in self.batches([chosen[i : i + 1] for i in range(len(chosen))]):
            array = value.contiguous().numpy()
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


class _SeededItems(Dataset[Tensor]):
    """Items whose random transforms depend on the row and the seed alone."""

    def __init__(self, samples: Lazy, seed: int) -> None:
        self.samples = samples
        self.seed = seed

    def __getitem__(self, row: int) -> Tensor:
        with seeded("item", self.seed, row):
            return self.samples.item(row)


def read_item(dataset: Dataset[Any], row: int) -> tuple[Tensor, int]:
    """Item `row` as a uint8 or float32 tensor and an integer label.

    Raises:
        DataError: It is not such a pair; the message says what it is.
    """
    item = dataset[row]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(f"Items of a data set must be (input, label); got a {type(item).__name__} at item {row}.")
    value, label = item
    return as_input(value, f"item {row}"), as_label(label, f"item {row}")


def as_input(value: Any, place: str) -> Tensor:
    """An image, an array or a tensor as a uint8 or float32 tensor; images become (channels, height, width).

    Raises:
        DataError: It is not numeric, or not finite.
    """
    if hasattr(value, "getbands"):  # a Pillow image, known by its method so that Pillow need not be imported here
        array = np.asarray(value)
        value = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    try:
        tensor = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(native(np.array(value)))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Inputs must be images, arrays or tensors of numbers; got a {type(value).__name__} at {place}."
        ) from error
    if tensor.is_complex():
        raise DataError(f"Inputs must be real numbers; got {tensor.dtype} at {place}.")
    if tensor.dtype != torch.uint8:
        tensor = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensor).all()):
            raise DataError(
                f"Inputs must be finite; got NaN or infinity at {place}. Check how the data are read and scaled."
            )
    return tensor


def as_label(label: Any, place: str) -> int:
    """A label as an integer.

    Raises:
        DataError: It is not an integer.
    """
    try:
        value = label.item() if hasattr(label, "item") else label
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"Labels must be integers, one a sample; got {type(label).__name__} of several at {place}."
        ) from error
    if not isinstance(value, int):
        raise DataError(
            f"Labels must be integers, one a sample; got {value!r} that is a {type(value).__name__} at {place}."
        )
    return int(value)


def native(array: NDArray[Any]) -> NDArray[Any]:
    """The array in types that PyTorch computes with: this machine's byte order, unsigned integers as signed ones."""
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        return array.astype(np.int64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
