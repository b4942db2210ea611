"""Inputs of a data set: in memory, or read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from robonas.common.randomness import numpy_generator, seeded
from robonas.datasets.images import reading, to_bytes
from robonas.errors import DataError, NasError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from robonas.datasets.targets import Task

MEMORY_LIMIT = 2 * 1024**3
"""Bytes of inputs, as they are stored, up to which a data set is read into memory."""
_LAZY_FINGERPRINT_SAMPLES = 256


class Samples(Protocol):
    """Inputs by row number, all of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the stored inputs: `torch.uint8`, or `torch.float32`."""
        ...

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """Return the inputs of each list of rows, (k, *shape), as they are stored: uint8, or float32."""
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

    @property
    def dtype(self) -> torch.dtype:
        """Type of the inputs."""
        return self.values.dtype

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """Return the inputs of each list of rows; the seed and the workers have nothing to do here."""
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
        dataset: Items are (input, label), or (input, target).
        labels: The label that each item must have, int64, (n,), or the targets of another task.
        shape: The shape that each input must have.
        task: Kind of the labels.
        dtype: The type that each input must have.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        labels: Tensor,
        shape: tuple[int, ...],
        task: Task = "classification",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dataset = dataset
        self.labels = labels
        self.shape = shape
        self.task = task
        self.dtype = dtype

    def batches(self, rows: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[Tensor]:
        """Return the inputs of each list of rows, through PyTorch's `DataLoader`.

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
        """Return one input, checked."""
        value, label = read_item(self.dataset, row, self.task)
        if tuple(value.shape) != self.shape:
            raise DataError(
                f"All inputs must have one shape, {self.shape} as the first; got {tuple(value.shape)} at item {row}. "
                "Resize or crop them to one size, and convert grey or colour images to one kind."
            )
        if value.dtype != self.dtype:
            raise DataError(
                f"All inputs must have one type, {self.dtype} as the first; got {value.dtype} at item {row}. "
                "Convert them all to bytes, or all to real numbers."
            )
        if self.task != "classification" and not torch.equal(label, self.labels[row]):
            raise DataError(
                f"The target of item {row} must be what it was when the data set was read first; it has changed. "
                "A random transform must not change targets: give it to the inputs alone."
            )
        if self.task == "classification" and int(label) != int(self.labels[row]):
            raise DataError(
                f"Item {row} must have the label that the data set lists for it, {int(self.labels[row])}; got "
                f"{int(label)}. A `target_transform` may differ from the data set's `targets`."
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


def read_item(dataset: Dataset[Any], row: int, task: Task = "classification") -> tuple[Tensor, Tensor]:
    """Return item `row` as a uint8 or float32 tensor, with its label (int64) or its target of another task.

    Raises:
        DataError: The data set cannot give it, or it is not such a pair; the message says what it is.
    """
    try:
        item = dataset[row]
    except NasError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DataError(f"The data set cannot give item {row} of {_length(dataset)}: {told}.") from error
    if not isinstance(item, tuple | list) or len(item) != 2:
        held = f" of {len(item)}" if isinstance(item, tuple | list | dict) else ""
        raise DataError(
            f"Items of a data set must be (input, label); got a {type(item).__name__}{held} at item {row}. "
            "Wrap the data set in one that returns these two."
        )
    value, label = item
    if task == "classification":
        target = torch.tensor(as_label(label, f"item {row}"))
    else:
        target = as_target(label, task, f"item {row}")
    return as_input(value, f"item {row}"), target


def _length(dataset: Any) -> str:
    return f"{len(dataset):,}" if hasattr(dataset, "__len__") else "a stream"


def as_input(value: Any, place: str) -> Tensor:
    """Return an image, an array or a tensor as a uint8 or float32 tensor; images become (channels, height, width).

    Pillow images are converted as those of a folder are: see `images.to_bytes`.

    Raises:
        DataError: It is not numeric, not finite, has no dimension, or is an image that cannot be read.
    """
    if hasattr(value, "getbands"):  # a Pillow image, known by its method so that Pillow need not be imported here
        with reading(f"at {place}"):
            return to_bytes(value)
    tensor = as_tensor(value, f"input at {place}")
    if tensor.ndim == 0 or tensor.numel() == 0:
        raise DataError(f"Inputs must be arrays that hold numbers; got shape {tuple(tensor.shape)} at {place}.")
    return as_numbers(tensor, f"at {place}")


def as_tensor(value: Any, what: str) -> Tensor:
    """Return an array, a tensor or nested lists of numbers as a dense tensor in this machine's memory.

    Raises:
        DataError: It is something else, is ragged, masked or sparse, or has no values.
    """
    if isinstance(value, Tensor):
        if value.is_nested or value.layout is not torch.strided or value.is_quantized:
            kind = "nested" if value.is_nested else "quantized" if value.is_quantized else f"of layout {value.layout}"
            raise DataError(f"The {what} must be a dense tensor; got one that is {kind}. Convert it first.")
        if value.is_meta:
            raise DataError(f"The {what} must hold values; got a tensor on the device 'meta', which has none.")
        return value.detach().cpu()
    if np.ma.is_masked(value):
        raise DataError(f"The {what} must hold a number everywhere; got a masked array. Fill its gaps first.")
    try:
        array = np.asarray(native(np.asarray(value)), order="C")
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"The {what} must be an array of numbers, all rows of one shape; got a {type(value).__name__} ({error})."
        ) from error


def as_numbers(values: Tensor, place: str | None = None) -> Tensor:
    """Return inputs as bytes, where they are bytes, or as float32.

    Args:
        values: One input, or all of them.
        place: Place of the sample, for messages; None for all samples, of which the message names the first wrong one.

    Raises:
        DataError: Complex numbers, or numbers that are not finite.
    """
    if values.is_complex():
        raise DataError(f"Inputs must be real numbers; got {values.dtype}{f' {place}' if place else ''}.")
    if values.dtype == torch.uint8:
        return values
    numbers = values.to(torch.float32)
    finite = torch.isfinite(numbers)
    if not bool(finite.all()):
        place = place or f"in sample {int((~finite).flatten(1).any(dim=1).nonzero()[0])}"
        large = ", as a number of 32 bits" if bool(torch.isfinite(values).all()) else ""
        raise DataError(
            f"Inputs must be finite; got NaN or infinity {place}{large}. Check how the data are read and scaled."
        )
    return numbers


def as_label(label: Any, place: str) -> int:
    """Return a label as an integer.

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
    if abs(value) >= 2**63:
        raise DataError(f"Labels must be class indices from 0; got {value} at {place}.")
    return int(value)


def as_target(target: Any, task: Task, place: str) -> Tensor:
    """Return the target of one sample as the losses take it, for any task but classification.

    A Pillow image is a map of class indices for ``segmentation``, and for ``image`` bytes that become numbers from -1
    to 1, as bytes of an array do.

    Raises:
        DataError: It is not numeric, or has another number of dimensions than the task's.
    """
    if hasattr(target, "getbands"):
        with reading(f"at {place}"):
            values = torch.from_numpy(np.array(target)) if task == "segmentation" else to_bytes(target)
    else:
        values = as_tensor(target, f"target at {place}")
    if task == "segmentation":
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        dimensions = 2
    else:
        values = as_numbers(values, f"in the target at {place}")
        values = values.to(torch.float32) / 127.5 - 1 if task == "image" and values.dtype == torch.uint8 else values
        values = values.to(torch.float32)
        values = values.reshape(1) if values.ndim == 0 else values
        dimensions = 3 if task == "image" else 1
    if values.ndim != dimensions or (task == "segmentation" and (values.is_floating_point() or values.is_complex())):
        shapes = {
            1: "a number or a list of them",
            2: "whole numbers, (height, width)",
            3: "(channels, height, width)",
        }
        raise DataError(
            f"Targets for {task} must be {shapes[dimensions]}; got {values.dtype} of shape {tuple(values.shape)} at "
            f"{place}."
        )
    return values.long() if task == "segmentation" else values


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in a type that PyTorch computes with: this machine's byte order, signed integers."""
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        beyond = array.dtype.itemsize == 8 and array.size > 0 and int(array.max()) >= 2**63
        return array.astype(np.float64 if beyond else np.int64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
