"""Image files and Pillow images as arrays of bytes, of one size and one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

Mode: TypeAlias = Literal["L", "RGB"]
"""Grey images with one channel, or colour images with three."""
_GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "La", "RGBa"})


def check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) from one side of a square, or from both.

    Raises:
        ConfigError: A side is not positive.
    """
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ConfigError(f"The size of images must be positive; got {size}.")
    return height, width


def kind_of(image: Image) -> Mode:
    """Whether an image is grey or in colour, by its file's mode; a palette counts as colour.

    Raises:
        DataError: 32-bit grey, whose range nobody knows.
    """
    if image.mode in _GREY_MODES:
        return "L"
    if image.mode in _COLOUR_MODES:
        return "RGB"
    raise DataError(f"an image must be grey or in colour, of 8 or 16 bits; got mode {image.mode!r}. Convert it first.")


def to_bytes(image: Image, mode: Mode, size: tuple[int, int] | None) -> Tensor:
    """An image as uint8, (channels, height, width).

    Turned upright as its EXIF data say; 16-bit grey is cut to its upper 8; transparency is dropped. With a size: the
    largest part in the middle with the size's aspect ratio, resized bilinearly.
    """
    from PIL import Image as Images, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Images.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert(mode)
    if size is not None:
        image = ImageOps.fit(image, (size[1], size[0]), method=Images.Resampling.BILINEAR)
    array = np.array(image)
    return torch.from_numpy(array[None] if mode == "L" else np.ascontiguousarray(array.transpose(2, 0, 1)))


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures and labels, opened one by one.

    Args:
        open_item: From a row to an open Pillow image and its label.
        labels: All labels where they are known before.
        describe: From a row to a place for messages, such as a file's path.
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
        if mode not in {None, "L", "RGB"}:
            raise ConfigError(f"`mode` of images must be 'L' for grey or 'RGB' for colour; got {mode!r}.")
        self.open_item, self.n, self.describe, self.size = open_item, n, describe, size
        if labels is not None:
            self.targets = labels
        self.fixed_mode = mode
        self._first: tuple[Mode, tuple[int, int]] | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        from PIL import UnidentifiedImageError
        from PIL.Image import DecompressionBombError

        if self._first is None and row != 0:
            self[0]
        place = self.describe(row)
        try:
            image, label = self.open_item(row)
            try:
                kind = kind_of(image)
                mode = self.fixed_mode or (self._first[0] if self._first else kind)
                value = to_bytes(image, mode, self.size)
            finally:
                image.close()
        except FileNotFoundError as error:
            raise DataError(f"Cannot read image {place}: it is gone.") from error
        except PermissionError as error:
            raise DataError(f"Cannot read image {place}: no permission.") from error
        except DataError as error:
            raise DataError(f"Cannot use image {place}: {error}") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, DecompressionBombError) as error:
            raise DataError(
                f"Cannot read image {place}: it is damaged or not an image ({error}). Repair or remove it."
            ) from error
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
    """A file's path within a folder, quoted, for messages."""
    return repr(path.relative_to(root).as_posix())
