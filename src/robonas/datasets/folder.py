"""`folder`: images in class folders, ``PATH/class/…/image.png``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.datasets.from_torch import from_dataset
from robonas.datasets.images import Mode, Pictures, check_size, name_of
from robonas.datasets.samples import MEMORY_LIMIT
from robonas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from robonas.datasets.data import LabelledData

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with these endings, in any case, are images; others are ignored."""


def load_folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> LabelledData:
    """Images in class folders: every direct subfolder is a class, in the order of the names, with all images below it.

    Hidden files and folders are ignored; of an animation the first frame is taken.

    Args:
        path: The folder that holds the class folders.
        size: (height, width), or the side of a square: cropped in the middle to that aspect ratio, then resized
            bilinearly. None if all have one size.
        mode: ``"RGB"`` or ``"L"`` to convert all; None if all are of one kind.
        memory_limit: Bytes above which images stay on disk and are read when they are needed.

    Raises:
        DataError: No such folder, no permission, fewer than two classes, a class without images, an image that cannot
            be read (named), images of different sizes or kinds.
    """
    root = Path(path).expanduser()
    files, labels, class_names = _list_images(root)
    pictures = Pictures(
        functools.partial(_open, files, labels),
        len(files),
        labels=labels,
        describe=functools.partial(_describe, files, root),
        mode=mode,
        size=check_size(size),
    )
    return from_dataset(pictures, class_names=class_names, name=f"folder:{path}", memory_limit=memory_limit)


def _open(files: list[Path], labels: list[int], row: int) -> tuple[Image, int]:
    from PIL import Image as Images

    return Images.open(files[row]), labels[row]


def _describe(files: list[Path], root: Path, row: int) -> str:
    return name_of(files[row], root)


def _list_images(root: Path) -> tuple[list[Path], list[int], list[str]]:
    if not root.exists():
        raise DataError(f"There is no folder '{root}'. Give the folder that holds one folder a class.")
    if not root.is_dir():
        raise DataError(f"'{root}' must be a folder that holds one folder a class; it is a file.")
    try:
        folders = sorted(
            (entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")), key=_by_name
        )
        if len(folders) < 2:
            found = f"it has one, {folders[0].name!r}" if folders else "it has none"
            raise DataError(f"'{root}' must hold a folder of images for each of at least 2 classes; {found}.")
        files: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            found_here = sorted(_images_below(folder))
            if not found_here:
                raise DataError(
                    f"Class folder {folder.name!r} of '{root}' must hold images ({', '.join(sorted(SUFFIXES))}); "
                    "it has none."
                )
            files += found_here
            labels += [label] * len(found_here)
    except PermissionError as error:
        raise DataError(f"Cannot read folder '{error.filename or root}': no permission.") from error
    return files, labels, [folder.name for folder in folders]


def _images_below(folder: Path) -> Any:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _images_below(entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


def _by_name(path: Path) -> str:
    return path.name
