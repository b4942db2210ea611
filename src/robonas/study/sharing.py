"""Turns and signs of life of the workers of one study.

What a worker reads and then writes, such as "nobody is at this trial, so it is mine", is done in a turn: no other
worker of the study has one meanwhile. And each worker shows that it is alive, so that others take up what a dead one
left.

    storage                 turn                                  sign of life
    memory                  not needed: one process has it        being in this process
    a file                  a lock of a file beside it            a locked file of the worker's own beside it
    PostgreSQL, MySQL       an advisory lock of the server        Optuna's heartbeat of the trial, by the server's clock

A lock ends with the process that holds it, on any host. Host names and process numbers are not used: two containers can
have the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
import uuid
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna
    from sqlalchemy import Connection, Engine

HEARTBEAT_S = 5
"""Seconds between two signs of life on a server."""
GRACE_S = 30
"""Seconds without a sign of life after which a worker on a server is taken for dead."""
_POLL_S = (0.002, 0.05)
"""The shortest and the longest wait before a server is asked again for a turn."""


class Sharing:
    """The workers of a study in memory: there is one, so there is nothing to share."""

    beats: float | None = None
    """Seconds between two calls of `beat` while a worker evaluates; None where none are needed."""
    seen_between_trials: bool = False
    """Whether a worker shows that it is alive while it is at no trial too."""

    def turn(self) -> contextlib.AbstractContextManager[Any]:
        """Keep every other worker of this study from its turn until the block ends."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def present(self) -> Iterator[str]:
        """Yield the name by which all others see that this worker is alive, until the block ends."""
        yield uuid.uuid4().hex

    def beat(self, trial_id: int) -> None:
        """Give a sign of life of the worker that evaluates a trial."""

    def gone(self, worker: str, trial_id: int) -> bool:  # noqa: ARG002
        """Return whether the worker that began a trial, another process, has ended; to be called in a turn."""
        return True

    def alive(self, worker: str, trial_id: int) -> bool:  # noqa: ARG002
        """Return whether the worker that began a trial, another process, is at work; nothing is changed."""
        return False


class FileSharing(Sharing):
    """The workers of a study in a file.

    Args:
        file: The storage's.
    """

    seen_between_trials = True

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = lock_of(file)

    def turn(self) -> contextlib.AbstractContextManager[Any]:
        """Hold the lock beside the file until the block ends."""
        return self._lock

    @contextlib.contextmanager
    def present(self) -> Iterator[str]:
        """Lock a file of the worker's own until the block ends; files that dead workers left are removed."""
        worker = uuid.uuid4().hex
        with self._lock:  # so that no other worker finds the file before it is locked
            for left in self._file.parent.glob(f".{escape(self._file.name)}.lock-*.lock"):
                self._freed(FileLock(left))
            presence = self._presence(worker)
            presence.acquire()
        try:
            yield worker
        finally:
            self._end(presence)

    def gone(self, worker: str, trial_id: int) -> bool:  # noqa: ARG002
        """Return whether the worker's file is locked no more."""
        return self._freed(self._presence(worker))

    def alive(self, worker: str, trial_id: int) -> bool:  # noqa: ARG002
        """Return whether the worker's file is there and locked."""
        presence = self._presence(worker)
        if not Path(presence.lock_file).is_file():
            return False
        try:
            presence.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a folder that may only be read tells nothing
            return False
        presence.release()
        return False

    def _presence(self, worker: str) -> FileLock:
        return lock_of(self._file, f".lock-{worker}")

    @staticmethod
    def _freed(presence: FileLock) -> bool:
        """Remove the file of a worker that is gone; False, and nothing is done, where it is alive."""
        try:
            presence.acquire(timeout=0)
        except Timeout:
            return False
        FileSharing._end(presence)
        return True

    @staticmethod
    def _end(presence: FileLock) -> None:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            Path(presence.lock_file).unlink(missing_ok=True)
        presence.release()


class ServerSharing(Sharing):
    """The workers of a study on a database server.

    Args:
        storage: Optuna's, with a heartbeat.
        engine: Its connections.
        study: The study's name.
    """

    def __init__(self, storage: optuna.storages.BaseStorage, engine: Engine, study: str) -> None:
        self._storage: Any = storage
        self._engine = engine
        self._study = study
        self.beats = storage.get_heartbeat_interval()  # type: ignore[attr-defined]  # of those with a heartbeat

    def turn(self) -> contextlib.AbstractContextManager[Any]:
        """Hold the server's advisory lock of this study until the block ends."""
        return server_turn(self._engine, f"study {self._study}")

    def beat(self, trial_id: int) -> None:
        """Note the server's time with the trial."""
        self._storage.record_heartbeat(trial_id)

    def alive(self, worker: str, trial_id: int) -> bool:
        """Return whether the trial's heartbeat is fresh."""
        return not self.gone(worker, trial_id)

    def gone(self, worker: str, trial_id: int) -> bool:  # noqa: ARG002
        """Return whether the trial's heartbeat is too old."""
        study_id = self._storage.get_study_id_from_name(self._study)
        return trial_id in self._storage._get_stale_trial_ids(study_id)  # noqa: SLF001


def sharing_of(storage: optuna.storages.BaseStorage, file: Path | None, study: str) -> Sharing:
    """Return how the workers of a study share it.

    Args:
        storage: Storage as `open_storage` returns it.
        file: File of the storage; None for a server or memory.
        study: The study's name.
    """
    if file is not None:
        return FileSharing(file)
    engine = getattr(getattr(storage, "_backend", storage), "engine", None)
    if engine is None or engine.dialect.name not in SERVERS:
        return Sharing()
    return ServerSharing(storage, engine, study)


def lock_of(file: Path, suffix: str = "") -> FileLock:
    """Return the lock beside a file by which those who write it take turns, or one of them shows that it is alive."""
    return FileLock(file.with_name(f".{file.name}{suffix}.lock"))


# ── turns on a server ──


@contextlib.contextmanager
def server_turn(engine: Engine, name: str) -> Iterator[None]:
    """Hold the server's advisory lock of that name until the block ends.

    It ends with the connection at the latest, whatever becomes of this process. It is asked for again and again rather
    than waited for, so that a stop is heeded at once.
    """
    begin, end = SERVERS[engine.dialect.name]
    key = hashlib.blake2b(f"robonas {name}".encode(), digest_size=8)
    keys = {"number": int.from_bytes(key.digest(), "big", signed=True), "name": key.hexdigest()}
    with engine.connect() as connection:
        wait, longest = _POLL_S
        while not _ask(connection, begin, keys):
            connection.rollback()
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, longest)
        try:
            yield
        finally:
            if end:
                _ask(connection, end, keys)


def _ask(connection: Connection, statement: str, keys: dict[str, Any]) -> bool:
    from sqlalchemy import text

    return bool(connection.execute(text(statement), keys).scalar())


SERVERS: dict[str, tuple[str, str]] = {
    # Of a transaction, not of a session, so that it is right behind a connection pooler too.
    "postgresql": ("SELECT pg_try_advisory_xact_lock(:number)", ""),
    "mysql": ("SELECT GET_LOCK(:name, 0)", "SELECT RELEASE_LOCK(:name)"),
    "mariadb": ("SELECT GET_LOCK(:name, 0)", "SELECT RELEASE_LOCK(:name)"),
}
"""The kinds of server that a study can lie on, and how each gives and takes back a turn."""
