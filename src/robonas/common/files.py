"""Files that are whole or absent: written beside their place, then moved there."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from robonas.errors import NasError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from torch import Tensor


_HALF = ".robonas.tmp"
"""Ending of files that are being written."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to; it replaces `path` when the block ends well, and is removed otherwise.

    The folder is made if there is none. A crash, a kill or a full disk leaves the old file as it was; what a kill
    leaves of the new one is removed by the next `check_file` or `check_folder`.

    Raises:
        OutputError: The disk is full, or the place cannot be written: any `OSError` of the block.
    """
    target = Path(path)
    _check_kind(target)
    # Named before it is made: a signal that comes as soon as it is there finds it removed all the same.
    temporary = target.parent / f".{target.name[:100]}.{uuid.uuid4().hex}{_HALF}"
    alive: int | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if _lock(handle):
            alive = handle
        else:
            os.close(handle)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except NasError:
        raise
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if alive is not None:
            os.close(alive)


def _lock(handle: int) -> bool:
    """Lock an open file for as long as it is open; False where another process has it, or the system has no locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove_left(folder: Path) -> None:
    """Remove files that killed processes were writing to a folder, which are locked no more."""
    for path in folder.glob(f".*{_HALF}"):
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                if _lock(handle):
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)


def unwritable(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Return the error for a file or folder whose writing failed."""
    return OutputError(
        f"Cannot write '{path}': {error.strerror or error}. Finished work is kept: free some space or "
        "name a place that can be written, then run the same again."
    )


def check_file(path: str | os.PathLike[str]) -> Path:
    """Return the path if a file can be written there, to be checked before long work; nothing is left there.

    Raises:
        OutputError: The disk is full, or the place is a folder or a device, lies under a file, or may not be written.
    """
    target = Path(path)
    _check_kind(target)
    _try_writing(target, target.parent)
    return target


def check_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path, if files can be written to such a folder; else as `check_file`.

    Raises:
        OutputError: They cannot.
    """
    target = Path(path)
    _try_writing(target, target)
    return target


def _check_kind(target: Path) -> None:
    """Raise where what is there is no file, or one that may not be changed."""
    try:
        fault = (
            "it is a folder. Name a file"
            if target.is_dir()
            else "it is a device or the like. Name a file"
            if target.exists() and not target.is_file()
            else "the file there may not be changed. Name another one"
            if target.exists() and not os.access(target, os.W_OK)
            else None
        )
    except OSError as error:  # a name that no file can have
        raise unwritable(target, error) from error
    if fault is not None:
        raise OutputError(f"Cannot write '{target}': {fault}.")


def _try_writing(target: Path, folder: Path) -> None:
    """Raise unless a file can be written to a folder, or to the nearest one above it that is there."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        is_folder = folder.is_dir()
        if is_folder:
            with tempfile.TemporaryFile(dir=folder) as trial:
                trial.write(b"x")
            _remove_left(folder)
    except OSError as error:
        raise unwritable(target, error) from error
    if not is_folder:
        raise OutputError(f"Cannot write '{target}': '{folder}' is not a folder. Name another place.")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_parquet(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary, temporary.open("wb") as stream:  # PyArrow takes paths in UTF-8 only
        pq.write_table(table, stream)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and notes about them as safetensors, whole or not at all."""
    from safetensors.torch import save

    # Copies, since tensors that share memory are not taken.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(whole, metadata=dict(notes)))  # its own writing to files hides what went wrong


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors in a safetensors file, and the notes about them.

    Raises:
        ValueError: The file is damaged.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, dict(stream.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"damaged: {error}") from error


def read_notes(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the notes in a safetensors file, without its tensors.

    Raises:
        ValueError: The file is damaged, such as cut.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stream:
            return dict(stream.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"damaged: {error}") from error
