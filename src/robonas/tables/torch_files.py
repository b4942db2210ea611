"""Reading files of `torch.save` without PyTorch: containers, numbers, texts and tensors, nothing else.

The pickle inside is read by our own reader, tensors from their bytes, with a type from a short list and only where
shape, steps and length agree. `torch.load`, even with ``weights_only``, is not used on files of others: its list of
what may be called can be lengthened by any program, and it builds what the pickle says.
"""

from __future__ import annotations

import io
import math
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from robonas.common.reading import open_zip
from robonas.errors import TableError
from robonas.tables.unpickling import SafeUnpickler, load_one

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
"""First object of a file of `torch.save` before the zip format."""
BFLOAT16 = "bfloat16"
"""Type of tensors that NumPy has not: their bytes come as unsigned numbers."""
_TYPES = {
    "BFloat16Storage": BFLOAT16,
    "BoolStorage": "bool",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "IntStorage": "i4",
    "LongStorage": "i8",
    "ShortStorage": "i2",
}
_BIG_ENDIAN = "big"


@dataclass(frozen=True, slots=True)
class _Type:
    """The type of a storage's numbers."""

    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("<u2" if self.name == BFLOAT16 else "u1" if self.name == "bool" else f"<{self.name}")


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers that lie beside the pickle."""

    type: _Type
    key: str
    size: int


def is_zip(path: Path) -> bool:
    """Return whether a file of `torch.save` is in the newer of its two formats, a zip archive."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_torch(
    path: Path,
    make: Callable[[NDArray[Any], str], object] | None = None,
    *,
    steps: int | None = None,
    containers: int | None = None,
) -> Any:
    """Return what a file of `torch.save` holds.

    Args:
        path: The file, in either format.
        make: Makes of an array and the name of its type what stands for a tensor; None for the array, where numbers in
            bfloat16 become float32.
        steps: Instructions that the pickle may have; None as usual.
        containers: Containers that the pickle may have; None as usual.

    Raises:
        UnsafePickleError: It asks for more than data.
        TableError: It is damaged, or states sizes that it does not have.
    """
    reader = _Tensors(make or _plain, 4 * path.stat().st_size + 2**20, steps, containers)
    if is_zip(path):
        with _archive(path) as archive:
            return reader.from_zip(archive, path)
    with path.open("rb") as file:
        return reader.from_legacy(file, path)


@contextmanager
def pickle_of(path: Path) -> Iterator[BinaryIO]:
    """Yield the stream of the one large pickle in a file of `torch.save`, in either format."""
    if is_zip(path):
        with _archive(path) as archive, archive.open(_data_of(archive, path)) as stream:
            yield io.BufferedReader(stream, 2**20)  # type: ignore[type-var]
        return
    with path.open("rb", buffering=2**20) as file:
        _skip_head(file, path)
        yield file


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    import zipfile
    import zlib

    with path.open("rb") as file:
        try:
            with open_zip(file) as archive:
                _check_stored(archive)
                yield archive
        except TableError:
            raise
        except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise TableError(f"'{path}' is not a readable file of torch.save ({str(error)[:200]}).") from error


def _check_stored(archive: zipfile.ZipFile) -> None:
    """Raise unless every member has its own size in the file, as `torch.save` writes it.

    Raises:
        ValueError: One is compressed.
    """
    for member in archive.infolist():
        if member.compress_type != 0 or member.file_size != member.compress_size:
            raise ValueError(f"its part {member.filename[:100]!r} is compressed, as torch.save never does")


def _data_of(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the member with the pickle."""
    found = [member for member in archive.infolist() if member.filename.split("/")[-1] == "data.pkl"]
    if len(found) != 1:
        raise TableError(f"'{path}' must be a file of torch.save; it is a zip archive without one data.pkl.")
    return found[0]


def _skip_head(file: BinaryIO, path: Path) -> None:
    """Read what stands before the large pickle in the older format."""
    if load_one(SafeUnpickler(file), path) != MAGIC:
        raise TableError(f"'{path}' must be a file of torch.save; it does not begin like one.")
    for _ in ("protocol", "system"):
        load_one(SafeUnpickler(file), path)


class _Tensors:
    """Reads the pickle of a file, and the numbers beside it."""

    def __init__(
        self, make: Callable[[NDArray[Any], str], object], most: int, steps: int | None, containers: int | None
    ) -> None:
        self._make, self._steps, self._containers = make, steps, containers
        self._left = most  # bytes that all tensors together may have, since many may lie in one storage
        self._numbers: Callable[[_Storage], NDArray[Any] | None] = lambda _: None
        self._wanted: dict[str, _Storage] = {}
        self._all_read = False

    def _load(self, file: BinaryIO, path: Path) -> Any:
        reader = _Referring(file, self)
        reader.steps = self._steps or reader.steps
        reader.containers = self._containers or reader.containers
        return load_one(reader, path)

    def from_zip(self, archive: zipfile.ZipFile, path: Path) -> Any:
        """Return what the newer format holds; a storage is a member of the archive."""
        data = _data_of(archive, path)
        folder = data.filename.removesuffix("data.pkl")
        members = {member.filename: member for member in archive.infolist()}
        order = members.get(f"{folder}byteorder")
        if order is not None and order.file_size < 16 and archive.read(order).decode("latin1") == _BIG_ENDIAN:
            raise TableError(f"'{path}' has its numbers in the order of a big-endian machine, which is not read.")

        def numbers(storage: _Storage) -> NDArray[Any]:
            member = members.get(f"{folder}data/{storage.key}")
            wanted = storage.size * storage.type.dtype.itemsize
            if member is None or member.file_size != wanted:
                has = "none" if member is None else f"{member.file_size:,}"
                raise TableError(f"A tensor's storage states {wanted:,} bytes; the file has {has}.")
            if storage.key not in found:
                found[storage.key] = np.frombuffer(archive.read(member), dtype=storage.type.dtype)
            return found[storage.key]

        found: dict[str, NDArray[Any]] = {}
        self._numbers = numbers
        with archive.open(data) as stream:
            return self._load(io.BufferedReader(stream), path)  # type: ignore[type-var]

    def from_legacy(self, file: BinaryIO, path: Path) -> Any:
        """Read the older format, in which storages stand behind the pickle; with storages, it is read twice."""
        _skip_head(file, path)
        start = file.tell()
        made = self._load(file, path)
        if not self._wanted:
            return made
        found = {}
        keys = load_one(SafeUnpickler(file), path)
        for key in keys if isinstance(keys, list) else ():
            storage = self._wanted.get(key) if isinstance(key, str) else None
            size = file.read(8)
            if storage is None or len(size) != 8 or struct.unpack("<q", size)[0] != storage.size:
                raise TableError(f"'{path}' cannot be read. The storage of a tensor is not what the pickle says.")
            data = file.read(storage.size * storage.type.dtype.itemsize)
            if len(data) != storage.size * storage.type.dtype.itemsize:
                raise TableError(f"'{path}' cannot be read. It ends inside a tensor.")
            found[storage.key] = np.frombuffer(data, dtype=storage.type.dtype)
        self._numbers, self._all_read = (lambda storage: found.get(storage.key)), True
        file.seek(start)
        return self._load(file, path)

    def refer(self, pid: object) -> _Storage:
        """Return the storage that a pickle refers to."""
        if not isinstance(pid, tuple) or len(pid) not in {5, 6} or pid[0] != "storage" or pid[5:] not in ((), (None,)):
            raise TableError("A file of torch.save may refer to the numbers of tensors alone.")
        name, key, size = getattr(pid[1], "text", None), pid[2], pid[4]
        kind = _TYPES.get(str(name).removeprefix("torch."))
        if kind is None or not isinstance(key, str) or type(size) is not int or size < 0:
            raise TableError("A tensor's storage must have a type that is known, a key and a size.")
        storage = _Storage(_Type(kind), key, size)
        if self._wanted.setdefault(key, storage) != storage:
            raise TableError("A tensor's storage must have one type and size.")
        return storage

    def tensor(self, storage: object, offset: object, shape: object, steps: object, *_: object) -> object:
        """Return a tensor that is a part of a storage."""
        if (
            not isinstance(storage, _Storage)
            or type(offset) is not int
            or not isinstance(shape, tuple)
            or not isinstance(steps, tuple)
            or len(shape) != len(steps)
            or len(shape) > 32
            or not all(type(side) is int and 0 <= side < 2**40 for side in (offset, *shape, *steps))
        ):
            raise TableError("A tensor must have a storage, an offset, a shape and steps.")
        n = math.prod(shape)
        last = offset + sum((side - 1) * step for side, step in zip(shape, steps, strict=True))
        if n > storage.size or (n and last >= storage.size):
            raise TableError(
                f"A tensor of shape {shape} must lie within its storage; it has {storage.size:,} numbers. The file is "
                "damaged or hostile."
            )
        numbers = self._numbers(storage)
        if numbers is None:
            if self._all_read:
                raise TableError("A tensor's storage is not in the file.")
            return None  # the first time through the older format
        item = numbers.itemsize
        self._left -= n * item
        if self._left < 0:
            raise TableError("The tensors are many times larger than the file. The file is damaged or hostile.")
        if n:
            view = np.lib.stride_tricks.as_strided(
                numbers[offset:], shape, tuple(step * item for step in steps), writeable=False
            )
        else:
            view = np.zeros(shape, dtype=numbers.dtype)
        array = np.asarray(view != 0) if storage.type.name == "bool" else view.copy()
        return self._make(array, storage.type.name)


class _Referring(SafeUnpickler):
    """Knows what `torch.save` names."""

    def __init__(self, file: BinaryIO, tensors: _Tensors) -> None:
        names: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): tensors.tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch", "Size"): lambda *parts: tuple(parts[0]) if parts and isinstance(parts[0], (list, tuple)) else (),
        }
        names |= {("torch", name): _never for name in _TYPES}
        super().__init__(file, names)
        self._tensors = tensors

    def do_refer(self) -> None:
        """Take a tensor's storage from beside the pickle."""
        self.stack[-1] = self._tensors.refer(self.stack[-1])


def _never(*_: object) -> Any:
    """Raise, in the place of a class that a pickle names and never calls."""
    raise TableError("A pickle must not call a type of storage.")


def _plain(array: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return a tensor as an array, with numbers in bfloat16 as float32."""
    return np.asarray(array.astype(np.uint32) << 16).view(np.float32) if kind == BFLOAT16 else array
