"""The one batch of inputs and targets that all metrics of a run see."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from robonas.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Task: TypeAlias = Literal["classification", "multilabel", "regression"]
"""What the targets mean: class indices, several yes-or-no labels a sample, or real values."""


@dataclass(frozen=True, eq=False)
class Batch:
    """`n` samples for the metrics; checked when made, so that no metric meets a batch on which it is undefined.

    Raises:
        DataError: Fewer than two samples, all samples identical, a value that is not finite, an unknown task, targets
            of another length, or targets that do not fit the task: for classification, integers from 0 to
            `n_classes` - 1, one a sample, of any integer type (stored as int64).
    """

    inputs: Tensor
    """Floating point, (n, ...): for images (n, channels, height, width)."""
    targets: Tensor
    """Classification: int64, (n,). Multilabel: float in [0, 1], (n, n_classes). Regression: float, (n, n_outputs)."""
    n_classes: int
    """How many numbers the network returns for a sample."""
    task: Task = "classification"
    """Chooses the loss: cross-entropy, binary cross-entropy with logits, or mean squared error."""

    def __post_init__(self) -> None:
        import torch

        inputs, targets = self.inputs, self.targets
        if self.task not in get_args(Task):
            raise DataError(f"The task of a batch must be one of {', '.join(get_args(Task))}; got {self.task!r}.")
        if inputs.ndim < 2:
            raise DataError(f"Inputs of a batch must be (samples, ...); got shape {tuple(inputs.shape)}.")
        if not inputs.is_floating_point():
            raise DataError(
                f"Inputs of a batch must be floating point; got {inputs.dtype}. Scale images to floats first."
            )
        n = len(inputs)
        if n < 2:
            raise DataError(
                f"A batch must have at least 2 samples; got {n}. Metrics compare samples with each other; 64 is usual."
            )
        if not torch.isfinite(inputs).all():
            raise DataError("Inputs of a batch must be finite; got NaN or infinity. Check the data and its scaling.")
        if bool((inputs == inputs[:1]).all()):
            raise DataError(f"Samples of a batch must differ; all {n} are identical. Check how the data are read.")
        if targets.ndim == 0 or len(targets) != n:
            raise DataError(
                f"A batch must have one target a sample ({n}); got targets of shape {tuple(targets.shape)}."
            )
        if self.task == "classification":
            check_labels(targets, self.n_classes)
            object.__setattr__(self, "targets", targets.long())  # what cross-entropy takes
            return
        if targets.ndim != 2 or targets.shape[1] != self.n_classes or not targets.is_floating_point():
            raise DataError(
                f"Targets for {self.task} must be floating point of shape ({n}, {self.n_classes}); "
                f"got {targets.dtype} of shape {tuple(targets.shape)}."
            )
        if not torch.isfinite(targets).all():
            raise DataError(f"Targets for {self.task} must be finite; got NaN or infinity. Check the data.")
        if self.task == "multilabel" and (float(targets.min()) < 0 or float(targets.max()) > 1):
            raise DataError(
                f"Targets for multilabel must be from 0 to 1; got {float(targets.min()):g} to {float(targets.max()):g}."
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, such as (3, 32, 32)."""
        return tuple(self.inputs.shape[1:])

    def resized(self, shape: tuple[int, ...]) -> Batch:
        """The same samples at another size; see `resize`. Itself where the shape is its own."""
        if shape == self.input_shape:
            return self
        return dataclasses.replace(self, inputs=resize(self.inputs, shape))

    def fingerprint(self) -> str:
        """A short hash of all values, shapes and types: the same on every machine."""
        import torch

        digest = hashlib.blake2b(digest_size=16)
        for tensor in (self.inputs, self.targets):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            # Bytes, since NumPy does not have all of PyTorch's types.
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        digest.update(f"{self.n_classes}{self.task}".encode())
        return digest.hexdigest()


def resize(inputs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Samples of another size, by interpolation: linear or bilinear, smoothed where it shrinks images.

    Args:
        inputs: (n, channels, …).
        shape: Wanted of one sample, with as many channels.

    Raises:
        DataError: Another number of channels or of dimensions.
    """
    from torch.nn.functional import interpolate

    if tuple(inputs.shape[1:]) == shape:
        return inputs
    if len(shape) != inputs.ndim - 1 or shape[0] != inputs.shape[1] or len(shape) not in {2, 3}:
        raise DataError(
            f"Samples of shape {tuple(inputs.shape[1:])} cannot be resized to {shape}; only their size can change."
        )
    if len(shape) == 2:
        return interpolate(inputs, size=shape[1:], mode="linear")
    return interpolate(inputs, size=shape[1:], mode="bilinear", antialias=True)


def check_labels(labels: Tensor, n_classes: int) -> None:
    """Raise unless the labels are integers from 0 to `n_classes` - 1, shape (n,).

    Raises:
        DataError: They are not; the message shows the first offender.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"Labels must be integers, one a sample; got {labels.dtype} of shape {tuple(labels.shape)}. "
            "Convert class names or floats to class indices first."
        )
    if len(labels) == 0:
        raise DataError("There must be at least one label; got none. Check how the data are read.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        wrong = low if low < 0 else high
        raise DataError(f"Labels must be from 0 to {n_classes - 1} for {n_classes} classes; got {wrong}.")
