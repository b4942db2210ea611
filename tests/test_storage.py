"""Opening studies: every trouble is one sentence, and nothing of the user's is touched."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import optuna
import pytest

from robonas.errors import StudyError
from robonas.storage import open_storage, storage_url


def test_memory_sqlite_and_journal_storages_open(tmp_path) -> None:
    for url in (None, storage_url(tmp_path / "new" / "folder"), str(tmp_path / "journal.log")):
        storage = open_storage(url)
        optuna.create_study(storage=storage, study_name="x")
        assert optuna.load_study(storage=storage, study_name="x").trials == []


def test_optuna_itself_opens_the_same_file(tmp_path) -> None:
    optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="x")
    assert optuna.load_study(storage=f"sqlite:///{tmp_path}/study.db", study_name="x").study_name == "x"


def test_a_file_that_is_not_sqlite_is_refused(tmp_path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database, but long enough to be one " * 200)
    with pytest.raises(StudyError, match="damaged or not a SQLite file"):
        open_storage(storage_url(tmp_path))


def test_a_truncated_database_is_refused(tmp_path) -> None:
    optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="x")
    content = (tmp_path / "study.db").read_bytes()
    (tmp_path / "study.db").write_bytes(content[: len(content) // 2])
    with pytest.raises(StudyError, match=r"damaged.*Restore it"):
        open_storage(storage_url(tmp_path))


def test_another_program_s_database_is_refused_and_left_alone(tmp_path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    with pytest.raises(StudyError, match="not an Optuna study"):
        open_storage(storage_url(tmp_path))
    with sqlite3.connect(tmp_path / "study.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    connection.close()


def test_a_locked_database_is_told(tmp_path, monkeypatch) -> None:
    optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="x")
    monkeypatch.setattr("robonas.storage.PATIENCE_S", 0.1)
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StudyError, match="locked by another program"):
            open_storage(storage_url(tmp_path))
    finally:
        other.rollback()
        other.close()


def test_a_place_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="Cannot write the study"):
        open_storage(storage_url(tmp_path / "file"))


def test_an_url_without_driver_or_sense_is_told() -> None:
    with pytest.raises(StudyError, match=r"driver that is not installed.*pip install pymysql"):
        open_storage("mysql://host/db")
    with pytest.raises(StudyError, match="A study cannot be kept in 'nonsense://host/db'"):
        open_storage("nonsense://host/db")
