"""Studies in a journal: a file to which Optuna appends a line an operation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from robonas.errors import StudyError

if TYPE_CHECKING:
    from pathlib import Path

    import optuna


def journal_backend(file: Path, *, repaired: bool) -> optuna.storages.journal.JournalFileBackend:
    """Return Optuna's backend of a journal in a file, which never writes behind a line that was cut.

    A process that is killed while it writes leaves a part of a line, and so does a disk that is full. What Optuna
    writes next would be added to it, and nobody could read the journal again.
    """
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    path = str(file.absolute())  # Optuna's lock is a link to it, and a relative one would lead elsewhere

    class Lock(JournalFileSymlinkLock):
        def acquire(self) -> bool:
            held = super().acquire()
            try:
                cut_torn_line(file)
            except BaseException:
                self.release()
                raise
            return held

    lock = Lock(path)
    if repaired:
        lock.acquire()
        lock.release()
    return JournalFileBackend(path, lock)


def cut_torn_line(file: Path) -> None:
    """End a journal with its last whole line; its lock must be held.

    The process that wrote the torn one was stopped before it went on, so that nothing depends on it.

    Raises:
        StudyError: The file is not a journal of Optuna.
    """
    with file.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        if size == 0 or stream.read(1) == b"\n":
            return
        stream.seek(0)
        if stream.read(11) != b'{"op_code":'[: min(11, size)]:
            raise StudyError(f"'{file}' is not a journal of Optuna. Name another file, or another kind of storage.")
        keep = size
        while keep > 0:  # backwards, since a journal can be large
            block = min(keep, 1 << 16)
            stream.seek(keep - block)
            at = stream.read(block).rfind(b"\n")
            keep -= block
            if at >= 0:
                keep += at + 1
                break
        stream.truncate(keep)
        stream.flush()
        os.fsync(stream.fileno())
