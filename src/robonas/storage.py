"""Opening the Optuna study beneath a search, and telling a user's trouble with it in one sentence."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from robonas.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

PATIENCE_S = 10.0
"""How long to wait for another program that writes to a SQLite file."""
DATABASE = "study.db"
"""Name of the SQLite file in a search's folder."""


def storage_url(folder: str | os.PathLike[str]) -> str:
    """The Optuna storage URL of the SQLite file in a search's folder; the one to give to ``optuna-dashboard``.

    Raises:
        StudyError: The folder's name has a character that ends a path in an URL.
    """
    if any(mark in str(folder) for mark in "?#%"):
        raise StudyError(f"The name of a search's folder must not contain '?', '#' or '%'; got '{folder}'.")
    return f"sqlite:///{Path(folder) / DATABASE}"


def open_storage(url: str | None) -> optuna.storages.BaseStorage:
    """The storage of an URL; one in memory for None.

    Args:
        url: Anything that Optuna takes: ``sqlite:///FILE``, ``postgresql://…``, ``redis://…``, the path of a journal.

    Raises:
        StudyError: The storage is locked, damaged, of something else, or cannot be reached or written.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if url is None:
        return optuna.storages.InMemoryStorage()
    try:
        with storage_errors(url), _turn(storage_file(url)):
            if "://" not in url:
                return optuna.storages.JournalStorage(JournalFileBackend(url))
            file = storage_file(url)
            if file is not None:
                _check_sqlite(file)
            return optuna.storages.get_storage(url)
    except ImportError as error:
        raise StudyError(
            f"Storage '{_shown(url)}' needs a database driver that is not installed ({error}). Install it with pip."
        ) from error
    except (ValueError, RuntimeError) as error:  # an URL that is none, or a study of another version of Optuna
        raise error if isinstance(error, StudyError) else StudyError(_sentence(url, str(error))) from error


def storage_file(url: str | None) -> Path | None:
    """The file in which a storage lies; None for a server or memory.

    Raises:
        StudyError: An URL that cannot be read, or a path that SQLite's URLs cannot hold.
    """
    import sqlalchemy.exc
    from sqlalchemy.engine import make_url

    if url is None:
        return None
    if "://" not in url:
        return Path(url)
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        return None  # told when it is opened
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    if "%" in url:
        raise StudyError(f"The path of a study must not contain '%'; got '{url}'. Choose another folder.")
    return Path(str(parsed.database))


@contextlib.contextmanager
def _turn(file: Path | None) -> Iterator[None]:
    """One process at a time on a storage that is a file."""
    if file is None:
        yield
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_of(file)
        lock.acquire()
    except OSError as error:
        raise StudyError(
            f"Cannot write the study '{file}': {error.strerror}. Name a folder that you may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()


def lock_of(file: Path, suffix: str = "") -> FileLock:
    """The lock beside a storage's file by which its workers take turns, or one of them shows that it is alive."""
    return FileLock(file.with_name(f".{file.name}{suffix}.lock"))


def _check_sqlite(path: Path) -> None:
    """Refuse a file that is not an Optuna study before Optuna adds its own tables to it."""
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise StudyError(
                f"Cannot write the study '{path}': {error.strerror}. Name a folder that you may write to."
            ) from error
    if not os.access(path, os.R_OK | os.W_OK):
        raise StudyError(
            f"Cannot write the study '{path}': permission denied. Change its permissions, or name another folder."
        )
    if path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_S)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            n_studies = connection.execute("SELECT count(*) FROM studies").fetchone()[0] if "studies" in tables else 0
            connection.execute("BEGIN IMMEDIATE")  # fails while another program holds the file
            connection.rollback()
    except sqlite3.OperationalError as error:
        raise StudyError(_sentence(str(path), str(error))) from error
    except sqlite3.DatabaseError as error:
        raise StudyError(f"Study '{path}' is damaged or not a SQLite file ({error}). {_RESTORE}") from error
    if verdict != "ok":
        raise StudyError(f"Study '{path}' is damaged ({' '.join(verdict.split())}). {_RESTORE}")
    if tables and tables <= _OPTUNA_TABLES and n_studies == 0:
        path.unlink()  # begun and never finished by a process that was stopped: nothing is in it
    elif tables and not {"studies", "trials"} <= tables:
        raise StudyError(f"'{path}' is a SQLite file, but not an Optuna study. Name another file or folder.")


_OPTUNA_TABLES = {
    *("studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials", "trial_params"),
    *("trial_values", "trial_intermediate_values", "trial_user_attributes", "trial_system_attributes"),
    *("trial_heartbeats", "version_info", "alembic_version"),
}
_RESTORE = "Restore it from a copy, or name another folder to start again; scores are kept in their own file."


def _shown(url: str) -> str:
    """An URL as it may be printed: without its password."""
    import sqlalchemy.exc
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string(hide_password=True) if "://" in url else url
    except sqlalchemy.exc.ArgumentError:
        return url


def _sentence(place: str, trouble: str) -> str:
    place, low = _shown(place), trouble.lower()
    if "locked" in low:
        return f"Study '{place}' is locked by another program. Close the program that writes to it, and run again."
    if "full" in low or "no space" in low:
        return f"No room for study '{place}': the disk is full. Make room and run again; finished evaluations are kept."
    if "readonly" in low or "read-only" in low or "permission" in low or "unable to open" in low:
        return f"Cannot write study '{place}' ({trouble}). Change its permissions, or name another folder."
    return (
        f"Study '{place}' cannot be used ({trouble}). "
        "Check that it is reachable and not damaged; finished evaluations are kept."
    )


@contextlib.contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Within: trouble of the database becomes one clear `StudyError`."""
    import optuna
    import sqlalchemy.exc

    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        cause = error.__cause__ or error
        origin = getattr(cause, "orig", None) or cause
        raise StudyError(_sentence(place, str(origin).splitlines()[0])) from error
    except OSError as error:
        raise StudyError(_sentence(place, str(error))) from error


# ── who works on a trial ──


def worker_token(pid: int | None = None) -> str | None:
    """A text that names one running process: host, process number and start time.

    The time tells it from a later process with the same number.

    Returns:
        None where there is no such process on this host.
    """
    number = os.getpid() if pid is None else pid
    started = _started(number)
    return None if started is None else f"{socket.gethostname()}:{number}:{started}"


def worker_is_gone(token: str | None) -> bool:
    """Whether the process of a token runs no more. A process of another host is taken to be alive."""
    if token is None:
        return True
    host, number, _ = token.rsplit(":", 2)
    return host == socket.gethostname() and worker_token(int(number)) != token


def _started(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        try:
            content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        state, *rest = content.rpartition(")")[2].split()
        return None if state in {"Z", "X"} else rest[18]
    answer = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip().replace(":", "-") or None
