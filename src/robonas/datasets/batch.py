"""The one batch of inputs and targets that all metrics of a run see."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.datasets.targets import NUMBERS, check_targets, output_shape
from robonas.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.datasets.targets import Task


@dataclass(frozen=True, eq=False)
class Batch:
    """`n` samples for the metrics; checked when made, so that no metric meets a batch on which it is undefined.

    Raises:
        DataError: Fewer than two samples, all samples identical, a value that is not finite, an unknown task, targets
            of another length, or targets that do not fit the task; see `robonas.datasets.targets`.
    """

    inputs: Tensor
    """Floating point, (n, ...): for images (n, channels, height, width)."""
    targets: Tensor
    """One a sample: for classification, class indices, int64, (n,); of other tasks see `robonas.datasets.targets`."""
    n_classes: int
    """Number of values, or of maps, that the network returns for a sample."""
    task: Task = "classification"
    """Kind of the targets; it chooses the loss."""

    def __post_init__(self) -> None:
        import torch

        inputs, targets = self.inputs, self.targets
        for what, tensor in (("Inputs", inputs), ("Targets", targets)):
            if not isinstance(tensor, torch.Tensor):
                raise DataError(f"{what} of a batch must be a tensor; got a {type(tensor).__name__}.")
            if tensor.layout != torch.strided or tensor.is_nested:
                raise DataError(
                    f"{what} of a batch must be a dense tensor; got one of layout {tensor.layout}. "
                    "Convert it by `to_dense()`, or pad what is nested."
                )
        if isinstance(self.n_classes, bool) or not isinstance(self.n_classes, int) or self.n_classes < 1:
            raise DataError(f"`n_classes` of a batch must be a whole number of at least 1; got {self.n_classes!r}.")
        if inputs.ndim < 2:
            raise DataError(f"Inputs of a batch must be (samples, ...); got shape {tuple(inputs.shape)}.")
        if not inputs.is_floating_point():
            raise DataError(
                f"Inputs of a batch must be floating point; got {inputs.dtype}. Scale images to floats first."
            )
        if inputs.is_meta or targets.is_meta:
            raise DataError("A batch must hold values; got a tensor on the device 'meta', which has none.")
        if 0 in inputs.shape[1:]:
            raise DataError(f"Samples of a batch must hold numbers; got inputs of shape {tuple(inputs.shape)}.")
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
        object.__setattr__(self, "targets", check_targets(targets, self.n_classes, self.task))

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, such as (3, 32, 32)."""
        return tuple(self.inputs.shape[1:])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what the network shall return for one sample: (n_classes,), or (n_classes, height, width)."""
        return output_shape(self.task, self.n_classes, self.targets)

    def resized(self, shape: tuple[int, ...]) -> Batch:
        """Return the same samples at another size; see `resize`. Itself where the shape is its own.

        Raises:
            DataError: Another number of channels or of dimensions, or targets that are maps of the old size.
        """
        if shape == self.input_shape:
            return self
        if self.task not in NUMBERS:
            raise DataError(
                f"Samples of shape {self.input_shape} cannot be resized to {shape}: their targets for {self.task} are "
                "maps of a size of their own."
            )
        return dataclasses.replace(self, inputs=resize(self.inputs, shape))

    def fingerprint(self) -> str:
        """Return a short hash of all values, shapes and types: the same on every machine."""
        import torch

        digest = hashlib.blake2b(digest_size=16)
        for tensor in (self.inputs, self.targets):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            # Bytes, since NumPy does not have all of PyTorch's types.
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        digest.update(f"{self.n_classes}{self.task}".encode())
        return digest.hexdigest()


def resize(inputs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Resize samples by interpolation: linear or bilinear, with smoothing where images shrink.

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


def middle(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the middle of each image, of the network's input shape (channels, height, width)."""
    top, left = (images.shape[-2] - shape[-2]) // 2, (images.shape[-1] - shape[-1]) // 2
    return images[..., top : top + shape[-2], left : left + shape[-1]]
