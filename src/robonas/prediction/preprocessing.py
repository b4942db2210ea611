"""`Preprocessing`: how inputs become what a network was trained with, and what its answers mean; plain data.

Light, so that the result of a search can be shown without PyTorch.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from robonas.common.reading import parse_json
from robonas.datasets.image_reading import ImageReading
from robonas.datasets.targets import MOST_CLASSES, TASKS, Task
from robonas.errors import DataError
from robonas.prediction.files import read_note

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from robonas.datasets.data import LabelledData

Stored: TypeAlias = Literal["uint8", "float32"]
"""Type of the inputs: bytes, or real numbers."""
_FORMAT = 1
_MOST_SIDES, _LARGEST_SIDE = 8, 10**6
MEANINGS: dict[Task, str] = {
    "classification": "logits of the classes; their softmax is the probabilities",
    "multilabel": "logits of the classes; the sigmoid of each is its probability",
    "regression": "numbers in the unit of the data",
    "segmentation": "logits of the classes for every pixel; their softmax over the classes is the probabilities",
    "image": "an image in [-1, 1]",
}
"""Meaning of the values that a network with its preparation returns, for each kind of task."""


@dataclass(frozen=True)
class Preprocessing:
    """The way from an input, as it comes, to what a network was trained with, and the names of its answers.

    A network sees (x - `mean`) / `std`, channel by channel, where x is the input, divided by 255 where inputs are
    bytes; then, where `crop` is true, the middle of the image; then the image resized bilinearly to `input_shape`. The
    answers of a regression are multiplied by `target_std`, and `target_mean` is added.

    It travels with the trained parameters: in the folder of a search or a training, and in exported ``.safetensors``,
    ``.pt2``, ``.onnx`` and ``.json`` files, as JSON that `read` reads.
    """

    task: Task
    """Kind of the answers."""
    class_names: tuple[str, ...]
    """Names of the classes by index; without classes, of the numbers or channels of an answer."""
    data_shape: tuple[int, ...]
    """Shape of one input as it comes, such as (3, 32, 32) for channels, height and width."""
    input_shape: tuple[int, ...]
    """Shape of one input as the network sees it."""
    stored: Stored
    """``"uint8"``: inputs are bytes, or bytes divided by 255; ``"float32"``: real numbers, taken as they are."""
    mean: tuple[float, ...]
    """Mean of each channel over the samples that it was trained with."""
    std: tuple[float, ...]
    """Standard deviation of each channel, likewise."""
    crop: bool = False
    """Whether the middle of an image of `data_shape` is taken, rather than the whole image resized."""
    images: ImageReading | None = None
    """The way from an image file to an input; None where the inputs are no images, or nobody knows their range."""
    target_mean: tuple[float, ...] | None = None
    """Mean of each number that a regression predicts; None for other tasks."""
    target_std: tuple[float, ...] | None = None
    """Standard deviation of each such number."""
    data: str = ""
    """Name of the data."""

    @classmethod
    def of(cls, data: LabelledData, input_shape: tuple[int, ...] | None = None, *, crop: bool = False) -> Preprocessing:
        """Return the preprocessing of a training.

        Args:
            data: The part that was trained with, as `split` or `standardised` returns it.
            input_shape: Shape of one input as the network sees it; None for that of the data.
            crop: True where the network is judged on the middle of larger images.

        Raises:
            DataError: The data are not standardised, so that nobody knows their mean and deviation.
        """
        if data.mean is None or data.std is None:
            raise DataError(
                f"Data set {data.name!r} has no mean and deviation yet. Give the training part of `split`, or what "
                "`standardised` returns."
            )
        return cls(
            data.task,
            data.class_names,
            data.input_shape,
            data.input_shape if input_shape is None else tuple(input_shape),
            data.stored,
            data.mean,
            data.std,
            crop,
            data.images,
            data.label_mean,
            data.label_std,
            data.name,
        )

    # ── what it does ──

    def prepare(self, inputs: Tensor) -> Tensor:
        """Return inputs as the network was trained with them, float32, ``(n, *input_shape)``.

        Args:
            inputs: Inputs as they come, ``(n, *data_shape)``, on any device.
        """
        from robonas.datasets.standardising import by_channel

        mean, std = (by_channel(numbers, self.data_shape, inputs.device) for numbers in (self.mean, self.std))
        return self.prepare_by(inputs, mean, std)

    def prepare_by(self, inputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Return the same with a mean and a deviation that are on the inputs' device already, as `by_channel` gives.

        Args:
            inputs: Inputs as they come, ``(n, *data_shape)``.
            mean: `mean`, as a tensor.
            std: `std`, as a tensor.
        """
        import torch

        from robonas.datasets.batch import middle, resize
        from robonas.datasets.standardising import standardised

        if self.stored == "float32" or inputs.dtype != torch.uint8:
            inputs = inputs.to(torch.float32)
        values = standardised(inputs, mean, std)
        return resize(middle(values, self.input_shape) if self.crop else values, self.input_shape)

    # ── as plain data ──

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, with a sentence on what the network returns."""
        images = self.images
        return {
            "format": _FORMAT,
            "data": self.data,
            "task": self.task,
            "class_names": list(self.class_names),
            "data_shape": list(self.data_shape),
            "stored": self.stored,
            "divide_by": 255 if self.stored == "uint8" else 1,
            "mean": list(self.mean),
            "std": list(self.std),
            "crop": self.crop,
            "input_shape": list(self.input_shape),
            "images": None
            if images is None
            else {
                "mode": images.mode,
                "size": list(images.size),
                "values": None if images.values is None else list(images.values),
            },
            "target_mean": None if self.target_mean is None else list(self.target_mean),
            "target_std": None if self.target_std is None else list(self.target_std),
            "answers": MEANINGS[self.task],
        }

    def to_text(self) -> str:
        """Return `to_json` as a text."""
        return json.dumps(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> Preprocessing:
        """Return what `to_json` said; nothing that the values name is imported or called.

        Raises:
            ValueError: It is of another format, or damaged; with the fault in a few words.
        """
        if not isinstance(value, dict):
            raise ValueError(f"it must be an object; got a {type(value).__name__}")  # noqa: TRY004  # one kind of error
        if value.get("format") != _FORMAT:
            raise ValueError(f"it must be of format {_FORMAT}; got {str(value.get('format'))[:20]!r}")
        try:
            found = cls(
                value["task"],
                _texts(value["class_names"]),
                _shape(value["data_shape"]),
                _shape(value["input_shape"]),
                value["stored"],
                _numbers(value["mean"]),
                _numbers(value["std"]),
                value["crop"],
                None if value["images"] is None else _images(value["images"]),
                None if value["target_mean"] is None else _numbers(value["target_mean"]),
                None if value["target_std"] is None else _numbers(value["target_std"]),
                str(value["data"]),
            )
        except (KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"it lacks a part, or one is of another kind ({type(error).__name__}: {error})") from error
        _check(found)
        return found

    @classmethod
    def from_text(cls, text: str) -> Preprocessing:
        """Return what `to_text` said.

        Raises:
            ValueError: It is no such text.
        """
        return cls.from_json(parse_json(text))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Preprocessing:
        """Return the preprocessing that an exported file holds: ``.safetensors``, ``.pt2``, ``.onnx`` or ``.json``.

        Read as data: nothing else of the file is loaded.

        Raises:
            ConfigError: The file has another ending.
            DataError: There is no such file, it is damaged, or it holds no preprocessing.
            MissingExtraError: An ``.onnx`` file is read, and the package for it is not installed.
        """
        place = Path(path)
        text = read_note(place)
        try:
            return cls.from_text(text)
        except ValueError as error:
            raise DataError(
                f"The preprocessing in '{place}' cannot be read: {error}. Export the network again."
            ) from error


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("names must be texts")
    return tuple(values)


def _shape(values: Any) -> tuple[int, ...]:
    whole = isinstance(values, list) and all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in values)
    if not whole or not 1 <= len(values) <= _MOST_SIDES:
        raise TypeError("a shape must be a few positive whole numbers")
    return tuple(values)


def _numbers(values: Any) -> tuple[float, ...]:
    numeric = isinstance(values, list) and all(type(value) in {int, float} for value in values)
    if not numeric or not all(map(math.isfinite, values)):
        raise TypeError("numbers must be finite")
    return tuple(map(float, values))


def _images(value: Any) -> ImageReading:
    mode, size, values = value["mode"], _shape(value["size"]), value["values"]
    if mode not in ("L", "RGB") or len(size) != 2:
        raise TypeError(f"images must be 'L' or 'RGB', of a height and a width; got {mode!r} and {size}")
    if values is None:
        return ImageReading(mode, (size[0], size[1]))
    black, white = _numbers(values)
    return ImageReading(mode, (size[0], size[1]), (black, white))


def _check(found: Preprocessing) -> None:
    """Raise unless the parts fit each other.

    Raises:
        ValueError: They do not.
    """
    channels, n = found.data_shape[0], len(found.class_names)
    images, targets = found.images, (found.target_mean, found.target_std)
    shape = None if images is None else (1 if images.mode == "L" else 3, *images.size)
    faults = {
        f"its task must be one of {', '.join(TASKS)}": found.task not in TASKS,
        "inputs must be 'uint8' or 'float32'": found.stored not in ("uint8", "float32"),  # of any kind
        "`crop` must be true or false": type(found.crop) is not bool,
        "there must be a mean and a positive deviation for each channel": len(found.mean) != channels
        or len(found.std) != channels
        or min(found.std) <= 0,
        "the network's input must have the channels and dimensions of the data": len(found.input_shape)
        != len(found.data_shape)
        or found.input_shape[0] != channels,
        "the middle can be taken of larger images only": bool(found.crop)
        and (len(found.data_shape) != 3 or any(map(int.__lt__, found.data_shape, found.input_shape))),
        "there must be names of the answers": not 1 <= n <= MOST_CLASSES,
        "images must have the shape of the inputs": shape is not None and shape != found.data_shape,
        "numbers have a mean and a positive deviation, other answers have none": (
            any(part is None or len(part) != n for part in targets) or min(found.target_std or (0.0,)) <= 0
            if found.task == "regression"
            else targets != (None, None)
        ),
    }
    for fault, found_it in faults.items():
        if found_it:
            raise ValueError(fault)
