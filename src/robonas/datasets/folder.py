"""`folder`: images in class folders, ``PATH/class/…/image.png``."""

from __future__ import annotations

import functools
import os
import stat
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from robonas.datasets.from_torch import from_dataset
from robonas.datasets.images import Pictures, check_size, formats, name_of, suffixes
from robonas.datasets.samples import MEMORY_LIMIT
from robonas.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from robonas.datasets.data import LabelledData
    from robonas.datasets.image_reading import Mode

_Identity: TypeAlias = tuple[int, int] | str
_KNOWN_FOLDER = "to a folder that is read already, or that holds this one", "link"


def load_folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> LabelledData:
    """Load images in class folders: every direct subfolder is a class, by name, with all images below it.

    Images are the files with an ending that the installed Pillow reads. Hidden files and folders are ignored; of an
    animation the first frame is taken. A file that several names or links lead to is one image, and is taken once; a
    warning tells how many files were left out, and why.

    Args:
        path: The folder that holds the class folders.
        size: (height, width), or the side of a square: cropped in the middle to that aspect ratio, then resized
            bilinearly. None if all have one size.
        mode: ``"RGB"`` or ``"L"`` to convert all; None if all are of one kind.
        memory_limit: Bytes above which images stay on disk and are read when they are needed.

    Raises:
        DataError: No such folder, no permission, fewer than two classes, a class without images, an image that cannot
            be read (named), a file in two classes, images of different sizes or kinds.
    """
    root = Path(path).expanduser()
    walk = _list_images(root)
    files, labels = walk.files, walk.labels
    if walk.left_out:
        message = f"Left out of '{path}': {_told(walk.left_out)}."
        warnings.warn(message, stacklevel=4)  # whoever called `load_dataset`
    pictures = Pictures(
        functools.partial(_open, files, labels, formats()),
        len(files),
        labels=labels,
        describe=functools.partial(_describe, files, root),
        mode=mode,
        size=check_size(size),
    )
    return from_dataset(pictures, class_names=walk.class_names, name=f"folder:{path}", memory_limit=memory_limit)


def _open(files: list[Path], labels: list[int], readable: tuple[str, ...], row: int) -> tuple[Image, int]:
    from PIL import Image as Images

    return Images.open(files[row], formats=readable), labels[row]


def _describe(files: list[Path], root: Path, row: int) -> str:
    return name_of(files[row], root)


def _list_images(root: Path) -> _Walk:
    if not root.exists():
        raise DataError(f"There is no folder '{root}'. Give the folder that holds one folder a class.")
    if not root.is_dir():
        raise DataError(f"'{root}' must be a folder that holds one folder a class; it is a file.")
    try:
        return _Walk(root)
    except PermissionError as error:
        raise DataError(f"Cannot read folder '{error.filename or root}': no permission.") from error


class _Walk:
    """The files that one walk over the class folders finds, each once.

    Args:
        root: The folder that holds the class folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[Path] = []
        self.labels: list[int] = []
        self.left_out: Counter[tuple[str, str]] = Counter()
        self._suffixes = suffixes()
        self._taken: dict[_Identity, tuple[int, Path]] = {}
        whole = root.resolve()
        self._above = {_identity(folder, folder.stat()) for folder in (whole, *whole.parents)}
        folders = self._class_folders()
        if len(folders) < 2:
            found = f"it has one, {folders[0].name!r}" if folders else "it has none"
            raise DataError(f"'{root}' must hold a folder of images for each of at least 2 classes; {found}.")
        self.class_names = [folder.name for folder in folders]
        for label, folder in enumerate(folders):
            before = self.left_out.copy()
            here = sorted(self._images_below(folder, label))
            if not here:
                why = _told(self.left_out - before)
                raise DataError(
                    f"Class folder {folder.name!r} of '{root}' must hold images that Pillow reads; "
                    f"it has none{why and f': left out were {why}'}."
                )
            self.files += here
            self.labels += [label] * len(here)

    def _class_folders(self) -> list[Path]:
        folders = []
        for entry in sorted(self.root.iterdir(), key=lambda path: path.name):
            status = _status(entry)
            if entry.name.startswith(".") or status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                if entry.suffix.lower() in self._suffixes:
                    self.left_out["beside the class folders", entry.suffix.lower()] += 1
            elif _identity(entry, status) in self._above:
                self.left_out[_KNOWN_FOLDER] += 1
            else:
                folders.append(entry)
        return folders

    def _images_below(self, folder: Path, label: int) -> Iterator[Path]:
        """Yield the images of one class. Links come last, so that a file goes by its own name where it has one."""
        seen = set(self._above)
        waiting, links = [folder], list[Path]()
        while waiting or links:
            here = waiting.pop() if waiting else links.pop(0)
            status = _status(here)
            if status is not None and stat.S_ISDIR(status.st_mode):
                if _identity(here, status) in seen:
                    self.left_out[_KNOWN_FOLDER] += 1
                    continue
                seen.add(_identity(here, status))
                entries = sorted((entry for entry in here.iterdir() if not entry.name.startswith(".")), reverse=True)
                links += [entry for entry in reversed(entries) if entry.is_symlink()]
                waiting += [entry for entry in entries if not entry.is_symlink()]
            elif self._takes(here, status, label):
                yield here

    def _takes(self, file: Path, status: os.stat_result | None, label: int) -> bool:
        """Return whether a file is an image that has not been taken under another name; counts what is left out."""
        suffix = file.suffix.lower()
        if suffix not in self._suffixes:
            self.left_out["no image that this Pillow reads", suffix] += 1
            return False
        if status is None:  # a link to nothing: reading it will say so
            return True
        if not stat.S_ISREG(status.st_mode):
            self.left_out["no file", suffix] += 1
            return False
        other, name = self._taken.setdefault(_identity(file, status), (label, file))
        if other != label:
            raise DataError(
                f"An image must be in one class; {name_of(name, self.root)} and {name_of(file, self.root)} of "
                f"'{self.root}' are one file. Remove one of the two."
            )
        if name != file:
            self.left_out["another name of an image that is taken", suffix] += 1
        return name == file


def _told(left_out: Counter[tuple[str, str]]) -> str:
    """Return counts by ending, a reason at a time: ``"2 .heic, 1 .txt (no image that this Pillow reads)"``."""
    reasons: dict[str, list[str]] = {}
    for (reason, ending), n in sorted(left_out.items()):
        reasons.setdefault(reason, []).append(f"{n:,} {ending or 'without an ending'}")
    return "; ".join(f"{', '.join(counts)} ({reason})" for reason, counts in reasons.items())


def _status(path: Path) -> os.stat_result | None:
    """Return what the system says of the file that a name leads to; None where it leads nowhere."""
    try:
        return path.stat()
    except PermissionError:
        raise
    except OSError:
        return None


def _identity(path: Path, status: os.stat_result) -> _Identity:
    """Return a key that all names of one file or folder share: its number on the device, else the real path."""
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
