"""Opening the Optuna study beneath a search, and telling a user's trouble with it in one sentence."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import sqlite3
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote

from robonas.errors import OutputError, StudyError, installing
from robonas.study.journal import journal_backend
from robonas.study.sharing import GRACE_S, HEARTBEAT_S, SERVERS, lock_of, server_turn
from robonas.study.trials import is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import optuna
    import sqlalchemy

Direction: TypeAlias = Literal["maximize", "minimize"]
PATIENCE_S = 10.0
"""Seconds to wait for another program that writes to a SQLite file."""
BUSY_S = 60.0
"""Seconds for which an open study waits for other workers that write to the same SQLite file."""
REACH_S = 2.0
"""Seconds that a server may take to accept a connection before it counts as out of reach."""
CONNECT_S = 10
"""Seconds that a server in reach may take to begin a session."""
DATABASE = "study.db"
"""Name of the SQLite file in a search's folder."""
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
_DRIVERS = {
    "postgresql": ("psycopg2", "psycopg", "pg8000"),
    "mysql": ("MySQLdb", "pymysql", "mariadbconnector"),
    "mariadb": ("MySQLdb", "pymysql", "mariadbconnector"),
}
"""Modules that speak to each kind of server, in SQLAlchemy's order of choice."""
_DIALECTS = {"MySQLdb": "mysqldb"}
"""SQLAlchemy's name of a driver, where that is not its module's name."""


def storage_url(folder: str | os.PathLike[str]) -> str:
    """Return the Optuna storage URL of the SQLite file in a search's folder; the one to give to ``optuna-dashboard``.

    Raises:
        StudyError: The folder's name has a character that ends a path in an URL.
    """
    if any(mark in str(folder) for mark in "?#%"):
        raise StudyError(f"The name of a search's folder must not contain '?', '#' or '%'; got '{folder}'.")
    return f"sqlite:///{Path(folder) / DATABASE}"


def open_storage(url: str | None, *, existing: bool = False) -> optuna.storages.BaseStorage:
    """Return the storage of an URL; one in memory for None.

    Args:
        url: ``sqlite:///FILE``, ``postgresql://…``, ``mysql://…``, or the path of a journal.
        existing: Only read what is there. Nothing is made, locked or repaired.

    Raises:
        StudyError: The storage is locked, damaged, of something else, or cannot be reached or written. With
            `existing`, also that there is none.
    """
    import optuna

    if url is None:
        return optuna.storages.InMemoryStorage()
    check_reachable(url)
    file = storage_file(url)
    if existing and file is not None and not file.is_file():
        raise StudyError(f"There is no study in '{file}': there is no such file. Check the name given as storage.")
    try:
        with storage_errors(url):
            if "://" not in url:
                return _open_journal(Path(url), existing=existing)
            if file is not None:
                return _open_sqlite(url, file, existing=existing)
            return _open_server(url, existing=existing)
    except (ValueError, RuntimeError) as error:  # an URL that is none, or a study of another version of Optuna
        raise error if isinstance(error, StudyError) else StudyError(_sentence(url, str(error))) from error


def find_study(
    storage: optuna.storages.BaseStorage, name: str, directions: Sequence[Direction], metric_names: Sequence[str]
) -> optuna.Study:
    """Return the study of a name, made where there is none; in a turn.

    Args:
        storage: Optuna's.
        name: Name of the study.
        directions: ``"maximize"`` or ``"minimize"`` for the value and each cost. One of robonas's that has no trials
            yet is made again where its directions are others.
        metric_names: Names of the value and the costs of a new study in Optuna's dashboard.
    """
    import optuna

    with contextlib.suppress(KeyError):
        found = optuna.load_study(study_name=name, storage=storage)
        same = [way.name.lower() for way in found.directions] == list(directions)
        if is_foreign(found.user_attrs) or found.get_trials(deepcopy=False):
            return found
        if not same:
            optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if study.metric_names != list(metric_names):
            study.set_metric_names(list(metric_names))
    return study


def storage_file(url: str | None) -> Path | None:
    """Return the file in which a storage lies; None for a server or memory.

    Raises:
        StudyError: An URL that cannot be read, or a path that SQLite's URLs cannot hold.
    """
    if url is None:
        return None
    if "://" not in url:
        return Path(url)
    parsed = _parsed(url)
    if parsed is None or parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    if "%" in url:
        raise StudyError(f"The path of a study must not contain '%'; got '{url}'. Choose another folder.")
    return Path(str(parsed.database))


def _parsed(url: str) -> sqlalchemy.URL | None:
    """Return none where it is no URL, which is told when it is opened."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        return None


# ── servers ──


def check_reachable(url: str | None) -> None:
    """Tell trouble with a server before anything is computed: no driver, no such host, or nobody who answers there.

    Nothing is made or changed. Storages that are no servers pass.

    Raises:
        StudyError: The server cannot be used, or studies cannot be kept on one of its kind.
    """
    if url is None or "://" not in url:
        return
    parsed = _parsed(url)
    kind = url.partition("://")[0].partition("+")[0]
    if kind == "sqlite":
        return
    if parsed is None:
        raise StudyError(f"Storage '{shown(url)}' cannot be read as an URL. {_LIKE}")
    if kind not in {*SERVERS, "postgres"}:
        raise StudyError(f"A study cannot be kept in '{shown(url)}'. {_LIKE}")
    server = _server(url)
    if server.host is None or server.host.startswith("/") or "," in server.host:  # a socket's file, several servers
        return
    try:
        port = server.port or _PORTS[server.get_backend_name()]
        socket.create_connection((server.host, port), timeout=REACH_S).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise StudyError(
            f"Storage '{shown(url)}' cannot be reached ({why}). Check the host and the port, and that the server runs."
        ) from error


_LIKE = "Use postgresql://…, mysql://…, sqlite:///FILE, or the path of a file for a journal."


def _server(url: str) -> sqlalchemy.URL:
    """Return the URL with a driver that is installed.

    Raises:
        StudyError: None is.
    """
    parsed = _parsed(re.sub(r"^postgres(\+|://)", r"postgresql\1", url))
    assert parsed is not None
    kind = parsed.get_backend_name()
    drivers = _DRIVERS[kind]
    if parsed.drivername == kind:
        named = [driver for driver in drivers if importlib.util.find_spec(driver)][:1]
    else:
        asked = parsed.drivername.partition("+")[2]
        module = {dialect: module for module, dialect in _DIALECTS.items()}.get(asked, asked)
        named = [module] if importlib.util.find_spec(module) else []
    if not named:
        remedy = f"{installing(kind)}, which brings psycopg" if kind == "postgresql" else "pip install pymysql"
        raise StudyError(
            f"Storage '{shown(url)}' needs a database driver that is not installed. Install one: {remedy}."
        )
    return parsed.set(drivername=f"{kind}+{_DIALECTS.get(named[0], named[0])}")


def _open_server(url: str, *, existing: bool) -> optuna.storages.BaseStorage:
    import optuna
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.pool import NullPool

    if url.startswith("sqlite"):  # in memory
        return optuna.storages.get_storage(url)
    server = _server(url)
    text = server.render_as_string(hide_password=False)
    connect: dict[str, Any] = {"connect_timeout": CONNECT_S}
    if server.get_driver_name() in {"psycopg2", "psycopg"}:
        # Of a database without an encoding, psycopg would hand over bytes.
        connect |= {
            "client_encoding": "utf8",
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }
    elif server.get_driver_name() == "pg8000":
        connect = {"timeout": CONNECT_S}
    engine = create_engine(server, poolclass=NullPool, connect_args=connect)
    if existing:
        if not inspect(engine).has_table("studies"):
            raise StudyError(f"There is no study in '{shown(url)}': it has no tables of Optuna. Check its name.")
        turn: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    else:
        turn = server_turn(engine, "tables")  # those who begin at once would make the same tables
    with turn, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _closing(
            optuna.storages.RDBStorage(
                text,
                # A connection that was idle during a long training may have been ended by the server.
                {"connect_args": connect, "pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                skip_table_creation=existing,
            )
        )


def _closing(backend: optuna.storages.RDBStorage) -> optuna.storages.BaseStorage:
    """Return the storage over a database, whose connections end with it."""
    import optuna

    storage = optuna.storages.get_storage(backend)
    weakref.finalize(storage, backend.engine.dispose)
    return storage


# ── files ──


def _open_sqlite(url: str, file: Path, *, existing: bool) -> optuna.storages.BaseStorage:
    import optuna

    if existing:
        check_file(file)

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(file_address(file), uri=True, timeout=BUSY_S, check_same_thread=False)

        return _closing(optuna.storages.RDBStorage(url, {"creator": connect}, skip_table_creation=True))
    with _turn(file):
        _make(file)
        check_file(file)
        return _closing(optuna.storages.RDBStorage(url, {"connect_args": {"timeout": BUSY_S}}))


def _open_journal(file: Path, *, existing: bool) -> optuna.storages.BaseStorage:
    import optuna

    if existing:
        return optuna.storages.JournalStorage(journal_backend(file, repaired=False))
    with _turn(file):
        _make(file)
        return optuna.storages.JournalStorage(journal_backend(file, repaired=True))


@contextlib.contextmanager
def _turn(file: Path) -> Iterator[None]:
    """Let one process at a time use a storage that is a file."""
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


def _make(file: Path) -> None:
    """Make an empty file where there is none, and see that it may be written."""
    try:
        file.touch()
    except OSError as error:
        raise StudyError(
            f"Cannot write the study '{file}': {error.strerror}. Change its permissions, or name another folder."
        ) from error


def _writable(file: Path) -> bool:
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def file_address(file: Path) -> str:
    """Return what SQLite opens where there is a file and nowhere else.

    Where it may be written, SQLite undoes first what a killed process left half written; else it only reads.
    """
    return f"file:{quote(os.fsencode(file.absolute()))}?mode={'rw' if _writable(file) else 'ro'}"


def check_file(path: Path) -> None:
    """Refuse a file that is not an Optuna study, before Optuna adds its own tables to it.

    Raises:
        StudyError: It is not one, is damaged, or is locked.
    """
    if path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(sqlite3.connect(file_address(path), uri=True, timeout=PATIENCE_S)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if _writable(path):
                connection.execute("BEGIN IMMEDIATE")  # fails while another program holds the file
                connection.rollback()
    except sqlite3.OperationalError as error:
        raise StudyError(_sentence(str(path), str(error))) from error
    except sqlite3.DatabaseError as error:
        raise StudyError(f"Study '{path}' is damaged or not a SQLite file ({error}). {_RESTORE}") from error
    if verdict != "ok":
        raise StudyError(f"Study '{path}' is damaged ({' '.join(verdict.split())}). {_RESTORE}")
    # A file with some of Optuna's tables was begun by a process that was stopped; Optuna makes the others.
    if tables and not tables <= _OPTUNA_TABLES and not {"studies", "trials"} <= tables:
        raise StudyError(f"'{path}' is a SQLite file, but not an Optuna study. Name another file or folder.")


_OPTUNA_TABLES = {
    *("studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials", "trial_params"),
    *("trial_values", "trial_intermediate_values", "trial_user_attributes", "trial_system_attributes"),
    *("trial_heartbeats", "version_info", "alembic_version"),
}
_RESTORE = "Restore it from a copy, or name another folder to start again; scores are kept in their own file."


def shown(url: str) -> str:
    """Return an URL as it may be printed: without its password."""
    hidden = re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&](?:\w*password|passwd|passfile|pwd)=)[^&]*", r"\1***", hidden)


def _sentence(place: str, trouble: str) -> str:
    place, low = shown(place), trouble.lower()
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
    """Turn errors of the database into one clear `StudyError`; an `OutputError` tells its file, and stays."""
    import optuna
    import sqlalchemy.exc

    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        cause = error.__cause__ or error
        origin = getattr(cause, "orig", None) or cause
        raise StudyError(_sentence(place, str(origin).splitlines()[0])) from error
    except OutputError:
        raise
    except OSError as error:  # its reason alone: a path may hold any word
        raise StudyError(_sentence(place, error.strerror or str(error))) from error
