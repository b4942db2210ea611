"""Image files and Pillow images as arrays of bytes, of one size and one kind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from robonas.common.settings import whole
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL.Image import Image

    from robonas.datasets.image_reading import ImageReading, Mode

_GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV"})
_NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Formats that Pillow recognises and cannot read itself; for EPS, alone or in IPTC, it would start another program."""


def check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) from one side of a square, or from both.

    Raises:
        ConfigError: It is not one or two whole numbers, or a side is not positive.
    """
    if size is None:
        return None
    try:
        height, width = (whole("size", side) for side in (size if isinstance(size, tuple | list) else (size, size)))
    except ValueError as error:  # one of them is no whole number, or they are not two
        raise ConfigError(f"The size of images must be a whole number, or (height, width); got {size!r}.") from error
    if height < 1 or width < 1:
        raise ConfigError(f"The size of images must be positive; got {size}.")
    return height, width


def check_mode(mode: Mode | None) -> None:
    """Raise unless a mode is one to convert images to, or None.

    Raises:
        ConfigError: It is another one.
    """
    if mode not in {None, "L", "RGB"}:
        raise ConfigError(f"`mode` of images must be 'L' for grey or 'RGB' for colour; got {mode!r}.")


def formats() -> tuple[str, ...]:
    """Return names of the formats that the installed Pillow reads, with those that other packages have added to it."""
    from PIL import Image as Images

    Images.init()
    return tuple(name for name in Images.ID if name not in _NO_PICTURES)


def suffixes() -> frozenset[str]:
    """Return the endings of the files that the installed Pillow reads as images, in lower case, such as ``".png"``."""
    from PIL import Image as Images

    # An .mpo file is a JPEG file with more images behind the first: one reader for both.
    readable = {*formats(), "MPO"}
    return frozenset(suffix for suffix, name in Images.registered_extensions().items() if name in readable)


def kind_of(image: Image) -> Mode:
    """Return whether an image is grey or in colour, by its mode; a palette counts as colour.

    Raises:
        DataError: A mode that has no one meaning as bytes, such as 32-bit grey, whose range nobody knows.
    """
    if image.mode in _GREY_MODES:
        return "L"
    if image.mode in _COLOUR_MODES:
        return "RGB"
    raise DataError(f"an image must be grey or in colour, of 8 or 16 bits; got mode {image.mode!r}. Convert it first.")


def to_bytes(image: Image, mode: Mode | None = None, size: tuple[int, int] | None = None) -> Tensor:
    """Return an image as uint8, (channels, height, width); without a mode, grey or in colour as it is.

    Turned upright as its EXIF data say; 16-bit grey is cut to its upper 8; transparency is dropped. With a size: the
    largest part in the middle with the size's aspect ratio, resized bilinearly.

    Raises:
        DataError: See `kind_of`.
    """
    from PIL import Image as Images, ImageOps

    mode = mode or kind_of(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Images.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns of the transparency that is dropped
    image = image.convert(mode)
    if size is not None:
        image = ImageOps.fit(image, (size[1], size[0]), method=Images.Resampling.BILINEAR)
    array = np.array(image)
    return torch.from_numpy(array[None] if mode == "L" else np.ascontiguousarray(array.transpose(2, 0, 1)))


def read_image(image: Any, how: ImageReading, place: str) -> Tensor:
    """Return an image as a stored input: bytes, or float32 where the data hold real numbers.

    Args:
        image: Path of an image file, or a Pillow image.
        how: Kind, size and numbers that the data have.
        place: Place of the image, for messages.

    Raises:
        DataError: It is gone, damaged, no image, or of a mode that has no one meaning as bytes.
    """
    from PIL import Image as Images

    with reading(place):
        if hasattr(image, "getbands"):
            kind_of(image)
            values = to_bytes(image, how.mode, how.size)
        else:
            with Images.open(image, formats=formats()) as opened:
                kind_of(opened)
                values = to_bytes(opened, how.mode, how.size)
    if how.values is None:
        return values
    black, white = how.values
    return black + values.to(torch.float32) * ((white - black) / 255)


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn whatever goes wrong while an image is opened and decoded into one sentence that names its place.

    Raises:
        DataError: The image is gone, damaged, of a mode that has no meaning as bytes, or may not be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"Cannot read image {place}: it is gone.") from error
    except PermissionError as error:
        raise DataError(f"Cannot read image {place}: no permission.") from error
    except DataError as error:
        raise DataError(f"Cannot use image {place}: {error}") from error
    except Exception as error:  # decoders raise errors of any kind on damaged files
        told = f"Cannot read image {place}: it is damaged or not an image ({error}). Repair or remove it."
        raise DataError(told) from error


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures and labels, opened one by one.

    Args:
        open_item: Function from a row to an open Pillow image and its label.
        labels: All labels where they are known before.
        describe: Function from a row to its place, for messages, such as a file's path.
        mode: Convert to this kind; None if all are of one kind, that of the first.
        size: (height, width) to crop and resize to; None if all are of one size.
    """

    def __init__(
        self,
        open_item: Callable[[int], tuple[Any, Any]],
        n: int,
        *,
        labels: list[int] | None,
        describe: Callable[[int], str],
        mode: Mode | None,
        size: tuple[int, int] | None,
    ) -> None:
        check_mode(mode)
        self.open_item, self.n, self.describe, self.size = open_item, n, describe, size
        if labels is not None:
            self.targets = labels
        self.fixed_mode = mode
        self._first: tuple[Mode, tuple[int, int]] | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        if self._first is None and row != 0:
            self[0]
        place = self.describe(row)
        with reading(place):
            image, label = self.open_item(row)
            try:
                kind = kind_of(image)
                mode = self.fixed_mode or (self._first[0] if self._first else kind)
                value = to_bytes(image, mode, self.size)
            finally:
                image.close()
        shape = (value.shape[1], value.shape[2])
        if self._first is None:
            self._first = kind, shape
        if self.fixed_mode is None and kind != self._first[0]:
            grey, colour = (place, self.describe(0)) if kind == "L" else (self.describe(0), place)
            raise DataError(
                f"Images must be all grey or all in colour; {grey} is grey and {colour} is not. "
                "Choose with mode='RGB' or mode='L' (--image-mode on the command line)."
            )
        if shape != self._first[1]:
            raise DataError(
                "Images must have one size; "
                f"{self.describe(0)} has {self._first[1][0]}x{self._first[1][1]} and {place} has "
                f"{shape[0]}x{shape[1]} (height x width). Give the size to crop and resize them to, such as size=32 "
                "(--image-size on the command line)."
            )
        return value, label


def name_of(path: Path, root: Path) -> str:
    """Return a file's path within a folder, quoted, for messages."""
    return repr(path.relative_to(root).as_posix())
