"""`LabelledData`: inputs and class labels or other targets, checked, with a split that leaks nothing."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from robonas.common.randomness import numpy_generator
from robonas.common.settings import real, seed_of, whole
from robonas.datasets.batch import Batch
from robonas.datasets.image_reading import ImageReading, reading_of
from robonas.datasets.moments import moments
from robonas.datasets.samples import InMemory, Samples, as_numbers, as_tensor
from robonas.datasets.splitting import SingleError, divide
from robonas.datasets.standardising import by_channel, is_standardised, noted, standardised
from robonas.datasets.targets import Task, check_classes, check_targets, output_shape
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

_STATISTICS_SAMPLES = 4096
_BLOCK_NUMBERS = 2**24


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Inputs and their class labels, or other targets.

    Inputs are kept as they came, images as bytes or as floats. `split` standardises both of its parts, channel by
    channel, by the mean and the standard deviation of the training part, so that the validation part shapes nothing
    that a network is trained with. So it does with the targets of a regression: a network learns, and answers, how many
    deviations (`label_std`) they are above the mean (`label_mean`).

    Made by `load_dataset`, `from_arrays` or `from_dataset`; not by hand.

    Raises:
        DataError: Fewer than two classes are present, or targets do not fit the task.
    """

    name: str
    """Name of the data set, such as ``"digits"``."""
    samples: Samples
    """Source of the inputs."""
    labels: Tensor
    """Class indices, int64, (n,), or the targets of another task; see `robonas.datasets.targets`."""
    class_names: tuple[str, ...]
    """Names of the classes, by index; without classes, of the numbers or channels of an answer."""
    rows: Tensor
    """Which rows of `samples` belong to this part, int64, (n,)."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel over the training part; None before a split."""
    std: tuple[float, ...] | None = None
    """Standard deviation of each channel over the training part, 1 where it is 0; None before a split."""
    task: Task = "classification"
    """Kind of the labels."""
    label_mean: tuple[float, ...] | None = None
    """Mean of each target of a regression over the training part; None before a split and for other tasks."""
    label_std: tuple[float, ...] | None = None
    """Standard deviation of each target of a regression over the training part, 1 where it is 0."""
    images: ImageReading | None = None
    """The way from an image to an input; None where the inputs are no images, or nobody knows their range."""

    def __post_init__(self) -> None:
        check_targets(self.labels, self.n_classes, self.task)
        if self.task != "classification":
            return
        present = torch.unique(self.labels)
        if len(present) < 2:
            raise DataError(
                f"Data set {self.name!r} must have samples of at least 2 classes; all {len(self)} are of class "
                f"{self.class_names[int(present[0])]!r}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = "" if self.task == "classification" else f", task={self.task!r}"
        shape = f"input_shape={self.input_shape}, n_classes={self.n_classes}"
        return f"LabelledData({self.name!r}, n={len(self)}, {shape}{kind})"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as (3, 32, 32) for channels, height and width."""
        return self.samples.shape

    @property
    def n_classes(self) -> int:
        """Number of classes, of which some may have no sample; for other tasks, the number of values or channels."""
        return len(self.class_names)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what a network shall return for one sample: (n_classes,), or (n_classes, height, width)."""
        return output_shape(self.task, self.n_classes, self.labels)

    @property
    def inputs(self) -> Tensor:
        """All inputs as `standardise` gives them, float32, ``(n, *input_shape)``: a new tensor.

        For large data, walk `batches`.
        """
        found = torch.cat([self.standardise(raw) for raw in self.samples.batches(self._blocks(self.rows))])
        return found if self.mean is None else noted(found)

    @property
    def raw(self) -> Tensor:
        """All inputs as they are stored, bytes or float32, ``(n, *input_shape)``, as a trained network takes them.

        A new tensor; for large data, walk `batches`.
        """
        return torch.cat(list(self.samples.batches(self._blocks(self.rows))))

    @property
    def stored(self) -> Literal["uint8", "float32"]:
        """Type of the stored inputs: bytes or real numbers."""
        return "uint8" if self.samples.dtype == torch.uint8 else "float32"

    def standardise(self, raw: Tensor) -> Tensor:
        """Return inputs as networks see them: float32, bytes divided by 255, each channel (x - mean) / std.

        Without a mean and a deviation, before a split, values stay as they are.

        Args:
            raw: ``(k, *input_shape)``, on any device.

        Raises:
            DataError: They are standardised already.
        """
        if self.mean is None or self.std is None:
            return raw.to(torch.float32) / 255 if raw.dtype == torch.uint8 else raw
        if is_standardised(raw) or (self.stored == "uint8" and raw.is_floating_point()):
            raise DataError(
                f"Inputs of {self.name!r} are standardised already; doing it twice would change them. "
                "Give them as they are stored: see `raw`."
            )
        mean, std = (by_channel(numbers, self.input_shape, raw.device) for numbers in (self.mean, self.std))
        return noted(standardised(raw, mean, std))

    def batches(self, order: Sequence[Tensor], *, seed: int = 0, n_workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield stored inputs (not yet standardised) and labels for each list of places.

        Args:
            order: One tensor of places in [0, n) a batch.
            seed: Seed of random transforms, where the data are read lazily.
            n_workers: Processes that read ahead, where the data are read lazily; changes no value.
        """
        raw = self.samples.batches([self.rows[places] for places in order], seed=seed, n_workers=n_workers)
        return ((values, self.labels[places]) for values, places in zip(raw, order, strict=True))

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        self.samples.hash_into(digest, self.rows)
        labels = self.labels.numpy()
        digest.update(labels.astype("<i8" if labels.dtype.kind == "i" else "<f4").tobytes())
        kind = () if self.task == "classification" else (self.task, self.output_shape)
        digest.update(repr((self.n_classes, self.mean, self.std, *kind)).encode())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """Return a short hash of inputs, labels and number of classes, whatever their names: the same on every machine.

        Of data that are read lazily, 256 inputs and all labels are hashed.
        """
        return self._fingerprint

    def split(
        self, fraction: float = 0.25, seed: int = 0, *, training_fraction: float | None = None
    ) -> tuple[LabelledData, LabelledData]:
        """Return a training and a validation part, both standardised by the statistics of the training part.

        Every class is divided apart: `fraction` of its samples, rounded, at least one and never all, go to validation.
        For tasks without one class a sample, the split is over all samples.
        With the same seed, a larger fraction holds out the same samples and some more.

        Args:
            fraction: Share of every class to hold out, in (0, 1).
            seed: Seed of the split.
            training_fraction: Share of every class to train with, rounded, at least one sample; None for all that is
                not held out.

        Raises:
            ConfigError: The fraction is not in (0, 1), or both are more than 1 together.
            DataError: A class has a single sample, or the data are a part of a split already.
        """
        seed = seed_of(seed)
        if not 0 < real("validation_fraction", fraction) < 1:
            raise ConfigError(f"The validation fraction must be between 0 and 1; got {fraction}.")
        if training_fraction is not None and not (
            0 < real("training_fraction", training_fraction) <= 1 - fraction + 1e-9
        ):
            raise ConfigError(
                f"The training fraction must be above 0, and at most what is not held out, {1 - fraction:g}; "
                f"got {training_fraction}."
            )
        left, held_out = self._divided("split", seed, fraction, training_fraction)
        training = self._part(left).standardised()
        return training, self._part(held_out).standardised(training)

    def hold_out(self, fraction: float, seed: int = 0) -> tuple[LabelledData, LabelledData]:
        """Return the samples to work with, and a test part that nobody looks at before the end; neither standardised.

        Divided as by `split`, class by class, with draws of its own.

        Args:
            fraction: Share of every class to hold out, in (0, 1).
            seed: Seed of the split.

        Raises:
            ConfigError: The fraction is not in (0, 1).
            DataError: A class has a single sample.
        """
        seed = seed_of(seed)
        if not 0 < real("test_fraction", fraction) < 1:
            raise ConfigError(f"The test fraction must be between 0 and 1; got {fraction}.")
        left, held_out = self._divided("test", seed, fraction)
        return self._part(left), self._part(held_out)

    def _divided(
        self, purpose: str, seed: int, fraction: float, rest: float | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places that are left, and those that are held out."""
        whole = self.task != "classification"
        groups = np.zeros(len(self), dtype=np.int64) if whole else self.labels.numpy()
        try:
            return divide(groups, fraction, numpy_generator(purpose, seed), rest)
        except SingleError as error:
            name = "all" if whole else self.class_names[error.group]
            raise DataError(
                f"Every class of {self.name!r} must have at least 2 samples, to train and to "
                f"{'test' if purpose == 'test' else 'validate'} with; class {name!r} has 1. "
                "Add samples, or leave the class out."
            ) from error

    def standardised(self, like: LabelledData | None = None) -> LabelledData:
        """Return all samples, standardised by their own statistics, or as another part of the same data is.

        Raises:
            DataError: They are standardised already.
        """
        if self.mean is not None:
            raise DataError(
                f"Data set {self.name!r} is standardised already, as both parts of a split are; twice would change it. "
                "Give the data as they were before the split."
            )
        mean, std = self.statistics() if like is None else (like.mean, like.std)
        part = replace(self, mean=mean, std=std)
        if self.task != "regression":
            return part
        centre, scale = moments([self.labels.double().T]) if like is None else (like.label_mean, like.label_std)
        labels = (self.labels - torch.tensor(centre)) / torch.tensor(scale)
        return replace(part, labels=labels, label_mean=centre, label_std=scale)

    def batch(
        self,
        size: int = 64,
        seed: int = 0,
        *,
        fraction: float = 0.25,
        split_seed: int = 0,
        training_fraction: float | None = None,
    ) -> Batch:
        """Draw samples for the metrics from the training part of `split(fraction, split_seed)`, standardised as it is.

        Drawn without replacement. The defaults are those of `TrainingObjective`: no sample that a search is judged on
        is seen.

        Args:
            size: Number of samples.
            seed: Seed of the draw from the training part.
            fraction: Share that is held out.
            split_seed: Seed of the split into training and validation part.
            training_fraction: Share that is trained with; None for all that is not held out.

        Raises:
            DataError: The training part has fewer samples, or the drawn ones are a batch on which metrics are
                undefined.
        """
        size, seed = whole("batch_size", size), seed_of(seed)
        training, _ = self.split(fraction, split_seed, training_fraction=training_fraction)
        if size > len(training):
            raise DataError(
                f"A batch must be no larger than the training part of {self.name!r}, {len(training):,} samples; "
                f"got {size:,}. "
                "Ask for a smaller one by `batch_size` (--batch-size on the command line)."
            )
        places = torch.from_numpy(numpy_generator("batch", seed).choice(len(training), max(size, 0), replace=False))
        if size < 1:
            raise DataError(
                f"A batch must have at least 2 samples; got {size}. Metrics compare samples with each other; "
                "64 is usual."
            )
        ((raw, labels),) = training.batches([places], seed=seed)
        return Batch(training.standardise(raw), labels, self.n_classes, self.task)

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the rows in pieces of at most 2²⁴ numbers, so that large images do not fill the memory with floats."""
        return torch.split(rows, max(1, _BLOCK_NUMBERS // math.prod(self.input_shape)))

    def _part(self, places: NDArray[np.int64]) -> LabelledData:
        chosen = torch.from_numpy(places)
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and deviation of each channel, over all samples in memory, or 4,096 that are read lazily.

        Rounded to seven digits, so that sums in another order on another machine end in the same numbers.
        """
        rows = self.rows
        if not isinstance(self.samples, InMemory) and len(rows) > _STATISTICS_SAMPLES:
            chosen = numpy_generator("statistics", len(rows)).choice(len(rows), _STATISTICS_SAMPLES, replace=False)
            rows = rows[torch.from_numpy(np.sort(chosen))]
        return moments(
            (raw.to(torch.float64) / (255 if raw.dtype == torch.uint8 else 1)).transpose(0, 1).flatten(1)
            for raw in self.samples.batches(self._blocks(rows))
        )


def from_arrays(
    inputs: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    class_names: Sequence[str] | None = None,
    n_classes: int | None = None,
    name: str = "arrays",
    task: Task = "classification",
) -> LabelledData:
    """Make data from one array of inputs and one of labels or other targets.

    Args:
        inputs: (n, channels, ...): bytes for images, which are divided by 255, or real numbers, which are taken as they
            are.
        labels: Integers from 0, (n,), or the targets of another task: see `robonas.datasets.targets`.
        class_names: A name a class, or an output; the indices where none are given.
        n_classes: Number of classes, needed where some have no sample; else it is the largest label plus one.
        name: Name of the data set.
        task: Kind of the labels; ``"regression"`` for real numbers, which may also be a list of one a sample.

    Raises:
        ConfigError: `n_classes` is no number of classes, or not that of `class_names`.
        DataError: The arrays do not fit each other, are not numeric, not dense or not finite, or hold fewer than two
            classes.

    Example:
        >>> import numpy as np
        >>> from_arrays(np.zeros((4, 3, 8, 8), "uint8"), [0, 1, 0, 1])
        LabelledData('arrays', n=4, input_shape=(3, 8, 8), n_classes=2)
    """
    if isinstance(inputs, list | tuple) and any(hasattr(one, "getbands") for one in inputs):
        raise DataError(
            f"Inputs of {name!r} must be an array of numbers; got a {type(inputs).__name__} of images. "
            "Give a list of (image, label) to `from_dataset`."
        )
    values, targets = as_tensor(inputs, f"inputs of {name!r}"), as_tensor(labels, f"labels of {name!r}")
    if values.ndim < 2:
        raise DataError(f"Inputs of {name!r} must be an array (n, channels, ...); got shape {tuple(values.shape)}.")
    n_labels = len(targets) if targets.ndim else 0
    if len(values) != n_labels:
        raise DataError(
            f"Data set {name!r} must have one label an input; got {len(values)} inputs and {n_labels} labels."
        )
    if values.numel() == 0:
        raise DataError(f"Data set {name!r} must hold samples; it is empty: inputs of shape {tuple(values.shape)}.")
    try:
        values = as_numbers(values)
    except DataError as error:
        raise DataError(f"Data set {name!r}: {error}") from error
    if task not in {"classification", "segmentation"}:
        if not targets.is_complex():
            targets = targets.to(torch.float32)
        targets = targets[:, None] if targets.ndim == 1 else targets
    names, targets = check_classes(name, targets, class_names, n_classes, task)
    samples, rows = InMemory(values), torch.arange(len(targets))
    return LabelledData(name, samples, targets, names, rows, task=task, images=bytes_read(values[0]))


def bytes_read(one: Tensor) -> ImageReading | None:
    """Return how images are read for inputs like this one: as its bytes; None where it holds none or is no image."""
    return reading_of(tuple(one.shape)) if one.dtype == torch.uint8 else None
