"""`npz`: arrays of inputs and labels, or other targets, in a NumPy file."""

from __future__ import annotations

import math
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from numpy.lib.format import MAGIC_PREFIX, read_array, read_array_header_1_0, read_array_header_2_0, read_magic

from robonas.common.reading import check_member, open_zip
from robonas.datasets.data import LabelledData, from_arrays
from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PAIRS = (
    ("x", "y"),
    ("X", "y"),
    ("images", "labels"),
    ("inputs", "labels"),
    ("data", "labels"),
    ("x_train", "y_train"),
    ("X_train", "y_train"),
    ("train_images", "train_labels"),
)
"""Names of the two arrays; the first pair that a file has is taken. Test arrays beside them are never read."""

KINDS = ("images", "signals")
"""Kinds of inputs of three dimensions: (n, height, width), or (n, channels, length)."""


def load_npz(path: str | Path, kind: str | None = None, **settings: Any) -> LabelledData:
    """Load images, signals or tables with their labels from an ``.npz`` file, read without pickle.

    The arrays are one of `PAIRS`; ``class_names``, an array of texts, may stand beside them, and ``task``, a text,
    where the labels are the targets of another task than classification (see `robonas.datasets.targets`). Inputs
    are bytes or numbers of shape (n, channels, height, width); (n, height, width, channels), taken where the last
    side is at most 4 and the second is not; or (n, height, width) for grey images. Signals are (n, channels, length),
    and say so by `kind`. Two-dimensional inputs are (n, features). Labels are integers, (n,) or (n, 1), or what the
    task wants.

    Args:
        path: The file.
        kind: Kind of inputs of three dimensions, ``"images"`` or ``"signals"``; None for the text ``kind`` in the
            file, or else images.
        settings: None; arrays have a size and a number of channels of their own.

    Raises:
        ConfigError: Other settings were given, or an unknown kind.
        DataError: No such file, no permission, damaged, other arrays, pickled objects, or arrays that do not fit each
            other.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"There is no file '{file}'. Give an .npz file with arrays 'x' and 'y'.")
    if settings:
        raise ConfigError(
            "Data of an .npz file have their own size and channels and take no setting but `kind`; got "
            f"{', '.join(settings)} for '{file}'. Resize or convert the arrays before they are saved, "
            "or give a folder of images."
        )
    with ExitStack() as stack:
        archive = _open(file, stack)
        names = list(archive)
        pair = next((pair for pair in PAIRS if set(pair) <= set(names)), None)
        if pair is None:
            known = "; ".join(f"'{inputs}' and '{labels}'" for inputs, labels in PAIRS)
            held = ", ".join(map(repr, names)) or "nothing"
            raise DataError(f"'{file}' must hold inputs and labels as one of: {known}. It holds {held}.")
        inputs, labels = (_read(archive, name, file) for name in pair)
        class_names = _read(archive, "class_names", file) if "class_names" in names else None
        task: Any = str(_read(archive, "task", file)) if "task" in names else "classification"
        if kind is None:
            kind = str(_read(archive, "kind", file)) if "kind" in names else "images"
    kind = _checked_kind(kind, file)
    if task == "classification" and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return from_arrays(
        inputs if kind == "signals" else _channels_first(inputs),
        labels,
        class_names=None if class_names is None else [str(name) for name in class_names.ravel()],
        name=f"npz:{path}",
        task=task,
    )


class Rows(NamedTuple):
    """The inputs in a file of NumPy, for a network that is trained already."""

    inputs: NDArray[Any]
    """The inputs, as they are in the file."""
    labels: NDArray[Any] | None
    """Their labels or other targets; None where the file has none."""
    class_names: tuple[str, ...] | None
    """Names of the classes by label; None where the file has none."""


def is_array_file(path: str | Path) -> bool:
    """Return whether a path names a file of NumPy, by its ending."""
    return Path(path).suffix.lower() in {".npy", ".npz"}


def load_rows(path: str | Path) -> Rows:
    """Return the inputs in an ``.npy`` or ``.npz`` file, and their labels where it has some, read without pickle.

    The arrays of an ``.npz`` file are one of `PAIRS`, or its inputs alone. Where it says by ``kind`` that its inputs of
    three dimensions are images, they are (n, 1, height, width).

    Raises:
        ConfigError: An unknown ``kind`` in the file.
        DataError: No such file, no permission, damaged, other arrays, or pickled objects.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() == ".npy":
        return Rows(load_npy(file), None, None)
    if not file.is_file():
        raise DataError(f"There is no file '{file}'. Give an .npz file with an array of inputs, such as 'x'.")
    with ExitStack() as stack:
        archive = _open(file, stack)
        whole = [pair for pair in PAIRS if set(pair) <= set(archive)]
        pair = next((pair for pair in (*whole, *PAIRS) if pair[0] in archive), None)
        if pair is None:
            known = ", ".join(dict.fromkeys(repr(inputs) for inputs, _ in PAIRS))
            held = ", ".join(map(repr, archive)) or "nothing"
            raise DataError(f"'{file}' must hold inputs as one of: {known}. It holds {held}.")
        inputs = _read(archive, pair[0], file)
        labels = _read(archive, pair[1], file) if pair[1] in archive else None
        names = _read(archive, "class_names", file) if "class_names" in archive else None
        kind = str(_read(archive, "kind", file)) if "kind" in archive else None
    if kind is not None and _checked_kind(kind, file) == "images":
        inputs = _channels_first(inputs)
    return Rows(inputs, labels, None if names is None else tuple(str(name) for name in names.ravel()))


def _checked_kind(kind: str, file: Path) -> str:
    """Return a kind of inputs that there is."""
    if kind not in KINDS:
        raise ConfigError(f"`kind` of the inputs in '{file}' must be one of {', '.join(KINDS)}; got {kind!r}.")
    return kind


def load_npy(path: str | Path) -> NDArray[Any]:
    """Return the array in an ``.npy`` file, read without pickle, after its header was compared with the file's size.

    Raises:
        DataError: No such file, no permission, damaged, or Python objects.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            objects = _holds_objects(stream, file.stat().st_size)
            stream.seek(0)
            array: NDArray[Any] | None = None if objects else read_array(stream, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"There is no file '{file}'. Give an .npy file.") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"Cannot read the array in '{file}': {error}. Save it with numpy.save.") from error
    if array is None:
        raise DataError(f"'{file}' must hold numbers; it holds Python objects, which could run code when loaded.")
    return array


def _open(file: Path, stack: ExitStack) -> dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]]:
    """Return the arrays by name; the stack closes the file."""
    try:
        stream = stack.enter_context(file.open("rb"))
        single = stream.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX
        archive = None if single else stack.enter_context(open_zip(stream))
    except PermissionError as error:
        raise DataError(f"Cannot read '{file}': no permission.") from error
    except (ValueError, OSError) as error:
        raise DataError(f"Cannot read '{file}': it is damaged or not an .npz file ({error}).") from error
    if archive is None:
        raise DataError(
            f"'{file}' must be an .npz file with arrays 'x' and 'y'; it is a single array. Save both with numpy.savez."
        )
    return {member.filename.removesuffix(".npy"): (archive, member) for member in archive.infolist()}


def _read(arrays: Mapping[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]], name: str, file: Path) -> NDArray[Any]:
    """Read one array, after its header was compared with its size in the archive."""
    archive, member = arrays[name]
    try:
        check_member(member)
        with archive.open(member) as stream:
            objects = _holds_objects(stream, member.file_size)
        with archive.open(member) as stream:
            array: NDArray[Any] | None = None if objects else read_array(stream, allow_pickle=False)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"Array {name!r} of '{file}' is damaged: {error}.") from error
    if array is None:
        raise DataError(
            f"Array {name!r} of '{file}' must hold numbers; it holds Python objects, which could run code when loaded. "
            "Save it again as one numeric array."
        )
    return array


def _holds_objects(stream: IO[bytes], size: int) -> bool:
    """Return whether an array holds Python objects; else its header is checked.

    Raises:
        ValueError: It has another size, or holds neither numbers nor texts.
    """
    version = read_magic(stream)
    readers = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"it is of version {version}")
    try:
        shape, _, dtype = readers[version](stream)
    except Exception as error:  # NumPy reads it as Python's tokens, which can go wrong in any way
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from error
    if dtype.hasobject:
        return True
    if dtype.kind not in "biufcSU":
        raise ValueError(f"it holds values of type {dtype}, not numbers")
    stated = stream.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or stated != size:
        raise ValueError(f"its header states an array of shape {shape}, {stated:,} bytes; it has {size:,}")
    return False


def _channels_first(inputs: NDArray[Any]) -> NDArray[Any]:
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4 and inputs.shape[3] <= 4 < inputs.shape[1]:
        return inputs.transpose(0, 3, 1, 2)
    return inputs
