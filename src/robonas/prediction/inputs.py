"""The inputs of a prediction, in whatever form they are given, in batches as a network takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from robonas.datasets.data import LabelledData
from robonas.datasets.images import read_image
from robonas.datasets.samples import as_numbers, as_tensor
from robonas.datasets.standardising import is_standardised
from robonas.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.prediction.preprocessing import Preprocessing

TWICE = (
    "Inputs are standardised already, and the network does that itself. Give them as they are stored, such as "
    "`data.raw`, or give them to the network within, `network.network`."
)
"""Sentence on inputs that would be standardised twice."""


class Inputs:
    """Inputs that were given, and the names that their answers get.

    Args:
        given: Path of an image, a Pillow image, a list of them; an array or a tensor of one input or several, or the
            path of an ``.npy`` or ``.npz`` file with one; or `LabelledData`, whose stored inputs are taken.
        how: The preprocessing of the network.

    Raises:
        DataError: There is no input, it does not have the network's shape, is standardised already, or is an image
            where nobody knows how images become inputs.

    Attributes:
        names: A name for each input: its path, or its number from 0.
    """

    def __init__(self, given: Any, how: Preprocessing) -> None:
        self._how = how
        given = _read_file(given)
        self._source: LabelledData | list[Any] | Tensor
        if isinstance(given, LabelledData):
            _check_data(given, how)
            self._source = given
        elif (images := _images(given)) is not None:
            if how.images is None:
                raise DataError(_no_images(how))
            self._source = images
        else:
            self._source = _array(given, how)
        n = len(self._source)
        if n == 0:
            raise DataError(f"There must be at least one input to predict for; got an empty {type(given).__name__}.")
        listed = self._source if isinstance(self._source, list) else range(n)
        self.names = tuple(str(one) if isinstance(one, str | Path) else str(row) for row, one in enumerate(listed))

    def __len__(self) -> int:
        return len(self.names)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield the inputs as they are stored, (at most `size`, *data_shape); images are opened when they are needed.

        Raises:
            DataError: An image cannot be read.
        """
        if isinstance(self._source, Tensor):
            yield from self._source.split(size)  # type: ignore[no-untyped-call]
        elif isinstance(self._source, LabelledData):
            places = torch.arange(len(self)).split(size)  # type: ignore[no-untyped-call]
            yield from (stored for stored, _ in self._source.batches(places))
        else:
            how = self._how.images
            assert how is not None
            for start in range(0, len(self), size):
                rows = range(start, min(start + size, len(self)))
                yield torch.stack([read_image(self._source[row], how, _place(self._source[row], row)) for row in rows])


def _place(image: Any, row: int) -> str:
    """Return where an image is, for messages."""
    return f"'{image}'" if isinstance(image, str | Path) else f"{row} of those given"


def _read_file(given: Any) -> Any:
    """Return the inputs in a file of NumPy; anything else as it is."""
    from robonas.datasets.npz import is_array_file, load_rows

    return load_rows(given).inputs if isinstance(given, str | Path) and is_array_file(given) else given


def _is_image(one: Any) -> bool:
    return isinstance(one, str | Path) or hasattr(one, "getbands")


def _images(given: Any) -> list[Any] | None:
    """Return paths and Pillow images as a list; None where the inputs are something else."""
    if _is_image(given):
        return [given]
    if isinstance(given, Sequence) and len(given) > 0 and all(map(_is_image, given)):
        return list(given)
    return None


def _no_images(how: Preprocessing) -> str:
    return (
        f"The network was trained with {how.stored} inputs of shape {how.data_shape} of data set {how.data!r}, and "
        "nobody knows how an image becomes one of these. Give arrays that were made as the data were."
    )


def _check_data(data: LabelledData, how: Preprocessing) -> None:
    """Raise unless the stored inputs of some data are such as the network was trained with."""
    if (data.input_shape, data.stored) != (how.data_shape, how.stored):
        raise DataError(
            f"Data must hold {how.stored} inputs of shape {how.data_shape}, as those that the network was trained "
            f"with; {data.name!r} holds {data.stored} of shape {data.input_shape}."
        )


def _array(given: Any, how: Preprocessing) -> Tensor:
    """Return inputs from an array, ``(n, *data_shape)``."""
    if isinstance(given, Mapping):
        raise DataError("Inputs must be images, paths or arrays; got a mapping. Give one of its values.")
    if isinstance(given, Tensor) and is_standardised(given):
        raise DataError(TWICE)
    if isinstance(given, Sequence) and len(given) == 0:
        return torch.empty(0)
    listed = isinstance(given, Sequence) and all(hasattr(one, "shape") for one in given)
    if listed:
        one_by_one = [as_tensor(one, f"input {row}") for row, one in enumerate(given)]
        shapes = {tuple(one.shape): row for row, one in reversed(list(enumerate(one_by_one)))}
        if len(shapes) > 1:
            (first, _), (other, row), *_ = sorted(shapes.items(), key=lambda entry: entry[1])
            raise DataError(f"All inputs of a list must have one shape; got {first} at 0 and {other} at {row}.")
        given = torch.stack(one_by_one)
    values = as_tensor(given, "inputs")
    whole = not values.is_floating_point()
    values = _shaped(as_numbers(values, "in the inputs"), how.data_shape)
    if how.stored == "float32":
        return values.to(torch.float32)
    return values if values.dtype == torch.uint8 or values.numel() == 0 else _pixels(values, whole=whole)


def _shaped(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return values as ``(n, *shape)``: several inputs or one; of images also with the channels last, or left out."""
    forms = {shape: values}
    if len(shape) == 3:
        if values.ndim >= 3:
            forms[(*shape[1:], shape[0])] = values.movedim(-1, -3)
        if shape[0] == 1 and values.ndim >= 2:
            forms[shape[1:]] = values.unsqueeze(-3)
    for form, found in forms.items():
        if tuple(values.shape) == form:
            return found[None]
        if values.ndim == len(form) + 1 and tuple(values.shape[1:]) == form:
            return found
    several = f"(n, {', '.join(map(str, shape))})"
    raise DataError(
        f"An input must have shape {shape}, as those that the network was trained with, and several {several}; "
        f"got {tuple(values.shape)}."
    )


def _pixels(values: Tensor, *, whole: bool) -> Tensor:
    """Return pixels that are no bytes: whole numbers from 0 to 255 become bytes, real ones from 0 to 1 stay.

    Raises:
        DataError: They are out of that range.
    """
    low, high = float(values.min()), float(values.max())
    if whole and low >= 0 and high <= 255:
        return values.to(torch.uint8)
    if not whole and low >= 0 and high <= 1:
        return values
    kind = "whole numbers from 0 to 255" if whole else "bytes, or real numbers from 0 to 1 (bytes divided by 255)"
    raise DataError(f"Pixels must be {kind}; got {low:g} to {high:g}.")
