"""The way from an image to an input of a data set; light, so that it can be told without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["L", "RGB"]
"""Grey images with one channel, or colour images with three."""


@dataclass(frozen=True)
class ImageReading:
    """The way from an image file, or a Pillow image, to a stored input; see `robonas.datasets.images.read_image`."""

    mode: Mode
    """Kind that every image is converted to."""
    size: tuple[int, int]
    """(height, width): the largest part in the middle with this aspect ratio, resized bilinearly."""
    values: tuple[float, float] | None = None
    """Stored numbers for black and for white; None where the image's bytes, 0 to 255, are stored."""


def reading_of(shape: tuple[int, ...], values: tuple[float, float] | None = None) -> ImageReading | None:
    """Return how images are read for inputs of a shape: (1, height, width) or (3, height, width); None for others.

    Args:
        shape: Shape of one input.
        values: Stored numbers for black and for white; None for bytes.
    """
    if len(shape) != 3 or shape[0] not in {1, 3}:
        return None
    return ImageReading("L" if shape[0] == 1 else "RGB", (shape[1], shape[2]), values)
