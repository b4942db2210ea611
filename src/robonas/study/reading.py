"""Reading the record of a search from its study, without writing to it.

The file in a search's folder is read by `sqlite3`, since Optuna imports SQLAlchemy and Alembic for it, which takes
longer than all else that ``robonas show`` does. A file of another version of Optuna's tables, or with anything in it
that is not expected, is read by Optuna, which also tells what is wrong.
"""

from __future__ import annotations

import contextlib
import enum
import json
import math
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from robonas.errors import NasError, StudyError
from robonas.study.claims import somebody_works
from robonas.study.confirmation import CONFIRMED, TESTED
from robonas.study.provenance import PROVENANCE
from robonas.study.sharing import FileSharing, sharing_of
from robonas.study.storage import PATIENCE_S, check_file, file_address, open_storage, storage_errors, storage_file
from robonas.study.trials import SETTINGS, STOPPED, as_queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from robonas.study.query import Query

SCHEMA = ("v3.2.0.a",)
"""Versions of Optuna's tables, as Alembic names them, that are read without Optuna."""


@dataclass(frozen=True)
class Record:
    """The contents of a study at one moment."""

    name: str
    """Name of the study."""
    settings: Mapping[str, Any]
    """Settings of the search that must be equal to go on with it; JSON values."""
    budget: int
    """The budget of the latest search on this study; 0 before the first."""
    left_out: Mapping[str, int]
    """Number of candidates that broke each limit when the pool was drawn."""
    queries: tuple[Query, ...]
    """Every query, in the order of asking."""
    stopped: str | None = None
    """Reason why the latest search ended before its budget was spent, where it could say so."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Data, command line, machine, versions and dates, as far as they were noted; JSON values."""
    at_work: bool = False
    """Whether another process was at the search when this was read."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts on the whole search, by name, such as its test; JSON values."""

    @classmethod
    def of(cls, name: str, notes: Mapping[str, Any], queries: tuple[Query, ...], *, at_work: bool = False) -> Record:
        """Return the record of a study with these user attributes."""
        budget, left_out = int(notes.get("budget") or 0), dict(notes.get("left_out") or {})
        return cls(
            name,
            notes[SETTINGS],
            budget,
            left_out,
            queries,
            provenance=dict(notes.get(PROVENANCE) or {}),
            at_work=at_work,
            stopped=notes.get(STOPPED),
            notes={key: notes[key] for key in (CONFIRMED, TESTED) if notes.get(key)},
        )


def read_record(url: str, file: Path | None, name: str, place: str) -> Record:
    """Return what a study holds.

    Args:
        url: Its storage.
        file: The SQLite file of the storage, where it is one in a search's folder.
        name: Name of the study.
        place: Place of the study, for messages.

    Raises:
        StudyError: There is none of that name, robonas did not make it, or it cannot be read.
    """
    if file is not None and file.is_file():
        check_file(file)
        found = record_in_file(file, name)
        if found is not None:
            return found
    return record_by_optuna(url, name, place)


def record_by_optuna(url: str, name: str, place: str) -> Record:
    """Return what a study in any storage holds, as Optuna reads it.

    Raises:
        StudyError: There is none of that name, robonas did not make it, or it cannot be read or is damaged.
    """
    try:
        return _record_by_optuna(url, name, place)
    except NasError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"Study '{name}' in '{place}' is damaged ({type(error).__name__}: {error}). Restore it from a copy."
        ) from error


def _record_by_optuna(url: str, name: str, place: str) -> Record:
    import optuna

    storage = open_storage(url, existing=True)
    with storage_errors(place):
        known = optuna.get_all_study_summaries(storage)
        names = [summary.study_name for summary in known]
        if name not in names:
            listed = ", ".join(map(repr, names)) or "none"
            raise StudyError(f"There is no study '{name}' in '{place}'; it has {listed}.")
        notes = known[names.index(name)].user_attrs
        if notes.get(SETTINGS) is None:
            raise StudyError(f"Study '{name}' in '{place}' was not made by robonas.")
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        numbered = [(trial._trial_id, trial) for trial in trials]  # noqa: SLF001
        at_work = somebody_works(numbered, sharing_of(storage, storage_file(url), name))
        return Record.of(name, notes, as_queries(trials), at_work=at_work)


# ── without Optuna ──


class _State(enum.Enum):
    """State of a trial, by the names of Optuna."""

    WAITING = enum.auto()
    RUNNING = enum.auto()
    COMPLETE = enum.auto()
    PRUNED = enum.auto()
    FAIL = enum.auto()


@dataclass(frozen=True)
class _Trial:
    """A row of the table of trials, with the names of Optuna."""

    number: int
    state: _State
    values: list[float] | None
    user_attrs: dict[str, Any]
    intermediate_values: dict[int, float]


def record_in_file(file: Path, name: str) -> Record | None:
    """Return what a study in a SQLite file holds; None where it is not as expected, for whatever reason."""
    try:
        with contextlib.closing(sqlite3.connect(file_address(file), uri=True, timeout=PATIENCE_S)) as connection:
            connection.execute("BEGIN")  # all from one moment
            if connection.execute("SELECT version_num FROM alembic_version").fetchall() not in [[(v,)] for v in SCHEMA]:
                return None
            study = connection.execute("SELECT study_id FROM studies WHERE study_name = ?", (name,)).fetchone()
            notes = _notes(connection, "SELECT 0, key, value_json FROM study_user_attributes WHERE study_id = ?", study)
            trials = _trials(connection, study)
        at_work = somebody_works([(trial.number, trial) for trial in trials], FileSharing(file))
        return Record.of(name, notes[0], as_queries(trials), at_work=at_work)
    except (sqlite3.Error, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _trials(connection: sqlite3.Connection, study: tuple[int]) -> list[_Trial]:
    notes = _notes(
        connection,
        "SELECT trial_id, key, value_json FROM trial_user_attributes JOIN trials USING (trial_id) WHERE study_id = ?",
        study,
    )
    values: dict[int, list[float]] = {}
    for trial, objective, value, kind in connection.execute(
        "SELECT trial_id, objective, value, value_type FROM trial_values JOIN trials USING (trial_id) "
        "WHERE study_id = ? ORDER BY objective",
        study,
    ):
        told = values.setdefault(trial, [])
        if objective != len(told):
            raise ValueError(objective)
        told.append(float(value) if kind == "FINITE" else {"INF_POS": math.inf, "INF_NEG": -math.inf}[kind])
    steps: dict[int, dict[int, float]] = {}
    for trial, step, value in connection.execute(
        "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values JOIN trials USING (trial_id) "
        "WHERE study_id = ? AND state = 'RUNNING' AND intermediate_value_type = 'FINITE'",
        study,
    ):
        steps.setdefault(trial, {})[step] = float(value)
    return [
        _Trial(number, _State[state], values.get(trial), notes.get(trial, {}), steps.get(trial, {}))
        for trial, number, state in connection.execute(
            "SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number", study
        )
    ]


def _notes(connection: sqlite3.Connection, query: str, study: tuple[int]) -> dict[int, dict[str, Any]]:
    """Return user attributes by whose they are."""
    found: dict[int, dict[str, Any]] = {}
    for owner, key, text in connection.execute(query, study):
        found.setdefault(owner, {})[key] = json.loads(text)
    return found
