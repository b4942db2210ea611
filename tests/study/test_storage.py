"""Opening studies: every trouble is one sentence, and nothing of the user's is touched."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import sqlite3
import tempfile
from pathlib import Path

import optuna
import pytest

from robonas.common.files import unwritable
from robonas.errors import OutputError, StudyError
from robonas.study.loop import load_result
from robonas.study.sharing import FileSharing
from robonas.study.storage import open_storage, shown, storage_errors, storage_url
from tests.study.sharing import FORK, Logged, Workers, begun, run, told, toy_space, wait_until


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
    monkeypatch.setattr("robonas.study.storage.PATIENCE_S", 0.1)
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


def test_two_that_begin_at_once_make_one_study(tmp_path) -> None:
    """The second used to delete the file that the first had just made."""
    first, second = open_storage(storage_url(tmp_path)), open_storage(storage_url(tmp_path))
    optuna.create_study(storage=first, study_name="x")
    assert [study.study_name for study in optuna.get_all_study_summaries(second)] == ["x"]


@pytest.mark.parametrize("tables", [1, 5, 12])
def test_a_file_whose_making_was_stopped_is_finished(tmp_path, tables) -> None:
    with sqlite3.connect(tmp_path / "whole.db") as whole:
        optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/whole.db").engine.dispose()
        made = [row[0] for row in whole.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND sql != ''")]
    whole.close()
    with sqlite3.connect(tmp_path / "study.db") as half:
        for statement in made[:tables]:
            half.execute(statement)
    half.close()
    optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="x")


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a#b"])
def test_a_folder_that_an_url_cannot_name_is_refused(tmp_path, name) -> None:
    with pytest.raises(StudyError, match="must not contain"):
        run(None, tmp_path / name)


def test_a_storage_url_with_a_query_is_opened_where_it_says(tmp_path) -> None:
    run(f"sqlite:///{tmp_path}/q.db?timeout=30")
    assert (tmp_path / "q.db").stat().st_size > 0
    assert not list(tmp_path.glob("*timeout*"))


def test_errors_of_files_are_told_by_their_reason() -> None:
    with pytest.raises(OutputError, match=r"Cannot write 'a\.safetensors': No space left"), storage_errors("runs"):
        raise unwritable("a.safetensors", OSError(28, "No space left on device"))
    with pytest.raises(StudyError, match="Cannot write study 'runs'"), storage_errors("runs"):
        raise PermissionError(13, "Permission denied", "/full/locked.db")  # its path is no reason


# ── journals ──


def _journal(tmp_path):
    path = tmp_path / "journal.log"
    study = optuna.create_study(storage=open_storage(str(path)), study_name="x")
    study.enqueue_trial({"a": 1})
    return path


@pytest.mark.parametrize("lost", [1, 7, 100])
def test_a_journal_whose_last_line_was_cut_goes_on(tmp_path, lost) -> None:
    path = _journal(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    study = optuna.load_study(storage=open_storage(str(path)), study_name="x")
    assert path.read_bytes() == whole[: whole.rindex(b"\n", 0, len(whole) - 1) + 1]
    study.enqueue_trial({"a": 2})
    again = optuna.load_study(storage=open_storage(str(path)), study_name="x")
    assert [trial.system_attrs["fixed_params"] for trial in again.trials] == [{"a": 2}]


def test_a_line_that_is_cut_while_a_study_is_open_is_repaired_before_the_next(tmp_path) -> None:
    path = _journal(tmp_path)
    study = optuna.load_study(storage=open_storage(str(path)), study_name="x")
    with path.open("ab") as stream:
        stream.write(b'{"op_code":4,"worker_id":"killed')
    study.enqueue_trial({"a": 2})
    assert len(optuna.load_study(storage=open_storage(str(path)), study_name="x").trials) == 2


def test_what_is_no_journal_is_left_alone(tmp_path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, no line ends here")
    with pytest.raises(StudyError, match="is not a journal of Optuna"):
        open_storage(str(path))
    assert path.read_text() == "dear diary, no line ends here"


# ── servers ──


def test_a_server_that_does_not_run_is_told_and_no_password_is_printed(monkeypatch) -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening, so connections are refused
        port = closed.getsockname()[1]
        with pytest.raises(StudyError, match=r"cannot be reached \(.*refused\)") as caught:
            open_storage(f"postgresql://me:secret@127.0.0.1:{port}/db")
    assert "secret" not in str(caught.value)

    def silent(address, timeout):
        assert address == ("silent", 5432)
        assert timeout <= 2
        raise TimeoutError

    monkeypatch.setattr("socket.create_connection", silent)
    with pytest.raises(StudyError, match=r"cannot be reached \(no answer\)"):
        open_storage("postgresql://silent/db")


def test_a_missing_driver_is_told_with_the_package(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        StudyError, match=r"pip install 'robonas\[postgresql\]' \(in a clone: .*\), which brings psycopg"
    ):
        open_storage("postgresql://host/db")


def test_an_unreachable_server_is_told_before_anything_is_computed(monkeypatch) -> None:
    monkeypatch.setattr("robonas.study.loop.draw_pool", lambda *_: pytest.fail("a pool was drawn"))
    with pytest.raises(StudyError, match=r"cannot be reached|not installed"):
        run("postgresql://me:secret@127.0.0.1:1/db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush@host/db",
        "postgresql://me:hush@host:port/db",
        "postgresql+psycopg://me:h:u@hush@host/db",
        "postgresql://host/db?user=me&password=hush&x=1",
        "mysql://me:hush@host/db?ssl_password=hush",
    ],
)
def test_passwords_are_never_shown(url) -> None:
    assert "hush" not in shown(url)
    with pytest.raises(StudyError) as caught:
        open_storage(url)
    assert "hush" not in str(caught.value)


# ── reading only ──


def test_reading_makes_no_file(tmp_path) -> None:
    for name in ("typo.log", "sqlite:///{}/typo.db"):
        with pytest.raises(StudyError, match=r"There is no study in '.*typo.*no such file"):
            open_storage(name.format(tmp_path) if "{" in name else str(tmp_path / name), existing=True)
    assert not list(tmp_path.iterdir())


def test_a_search_s_own_storage_is_asked_for(tmp_path) -> None:
    whole = run(str(tmp_path / "journal.log"), tmp_path / "run", budget=3)
    with pytest.raises(StudyError, match=r"run with a storage of its own. Give the same one, by `--storage`"):
        load_result(tmp_path / "run")
    result = load_result(tmp_path / "run", storage=str(tmp_path / "journal.log"), space=toy_space())
    assert result.text == whole.text


@pytest.fixture
def open_folder():
    """A folder that any user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="robonas-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_search_in_a_folder_that_may_only_be_read_is_shown(open_folder, kind) -> None:
    folder = open_folder / "run"
    storage = str(folder / "journal.log") if kind == "journal" else None
    whole = run(storage, folder, budget=3)
    before = sorted(path.name for path in folder.iterdir())

    def read() -> None:
        if os.geteuid() == 0:  # who may write everywhere
            os.setuid(65534)
        assert not os.access(folder, os.W_OK)
        assert load_result(folder, storage=storage, space=toy_space()).text == whole.text

    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    child = FORK.Process(target=read)
    child.start()
    child.join(60)
    folder.chmod(0o755)
    assert child.exitcode == 0
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_a_kill_left_half_written_is_undone_before_it_is_shown(tmp_path) -> None:
    """A copy of a database in the middle of a large write, with its journal: what a kill leaves."""
    whole = run(None, tmp_path / "a b", budget=3)
    (tmp_path / "killed").mkdir()
    with sqlite3.connect(tmp_path / "a b" / "study.db") as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("UPDATE trials SET number = number + 100")
        connection.execute("CREATE TABLE large AS SELECT randomblob(1000000) AS bytes")
        for path in (tmp_path / "a b").iterdir():
            shutil.copy(path, tmp_path / "killed" / path.name)
        connection.rollback()
    connection.close()
    assert (tmp_path / "killed" / "study.db-journal").stat().st_size > 0
    for folder in ("a b", "killed"):
        assert told(load_result(tmp_path / folder, space=toy_space())) == told(whole)


# ── workers that share a file ──


def test_dead_workers_leave_no_files(tmp_path) -> None:
    (tmp_path / f".study.db.lock-{'0' * 32}.lock").touch()
    run(None, tmp_path, budget=2)
    assert not [path.name for path in tmp_path.iterdir() if ".lock-" in path.name]
    (tmp_path / f".a[1].db.lock-{'0' * 32}.lock").touch()
    with FileSharing(tmp_path / "a[1].db").present():
        pass
    assert not [path.name for path in tmp_path.iterdir() if ".lock-" in path.name]


def test_a_worker_that_lives_keeps_its_file(tmp_path) -> None:
    alive, other = FileSharing(tmp_path / "study.db"), FileSharing(tmp_path / "study.db")
    with alive.present() as worker:
        with other.present():
            assert not other.gone(worker, 0)
        assert [path.name for path in tmp_path.iterdir() if ".lock-" in path.name]
    assert other.gone(worker, 0)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize(
    "killed", [pytest.param(False, id="all live", marks=pytest.mark.slow), pytest.param(True, id="one killed")]
)
def test_workers_share_a_file(tmp_path, kind, killed) -> None:
    """Forked, so that they have the same host name; which of them lives is not told by process numbers."""
    log = tmp_path / "log"
    storage = str(tmp_path / "journal.log") if kind == "journal" else None
    call = lambda _: told(run(storage, tmp_path / "run", Logged(log, delay=0.01)))
    workers = Workers(3, tmp_path / "answers", call)
    if killed:
        wait_until(lambda: len(begun(log)) >= 5)
        workers.kill(0)
    answers = [answer for answer in workers.join() if answer]
    assert len(answers) >= 3 - killed
    assert len(set(answers)) == 1
    assert 16 <= len(begun(log)) <= 16 + killed
    assert len({text for _, text in begun(log)}) == 16
    result = load_result(tmp_path / "run", storage=storage, space=toy_space())
    assert float(result.load_parameters()["full"]) == result.value


def _work(url: str) -> int:
    return len(run(url, objective=Logged(delay=0.01), budget=6).queries)


def test_workers_without_a_folder_share_a_study_in_a_file(tmp_path) -> None:
    """Spawned, so that each makes the storage, the study and its tables itself."""
    url = f"sqlite:///{tmp_path}/shared.db"
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        assert max(workers.map(_work, [url] * 2)) == 6
    result = run(url, budget=6)
    assert len({query.architecture for query in result.queries}) == 6
    assert all(query.state == "complete" for query in result.queries)


# ── the winner's parameters ──


def test_parameters_that_were_cut_are_noticed(tmp_path) -> None:
    result = run(None, tmp_path, budget=4)
    path = result.parameters_file
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StudyError, match=r"winner's trained parameters, cannot be read.*delete it and train"):
        run(None, tmp_path, budget=4)
    with pytest.raises(StudyError, match=r"Cannot read .*train the winner again"):
        load_result(tmp_path, space=toy_space()).load_parameters()
    path.unlink()
    assert run(None, tmp_path, budget=4).parameters_file is None


def test_parameters_in_another_worker_s_folder_are_found_or_said_where(tmp_path) -> None:
    storage = str(tmp_path / "journal.log")
    first = run(storage, tmp_path / "one", budget=4)
    second = run(storage, tmp_path / "two", budget=4)  # trains nothing
    assert float(second.load_parameters()["full"]) == first.value
    (tmp_path / "one" / "search.safetensors").rename(tmp_path / "moved")
    with pytest.raises(StudyError, match=r"a worker on host '.*' wrote them to '.*one/search.safetensors'\. Copy"):
        second.load_parameters()
    (tmp_path / "moved").rename(tmp_path / "two" / "search.safetensors")
    assert float(second.load_parameters()["full"]) == first.value


def test_a_stop_between_the_winner_s_record_and_its_file_loses_neither(tmp_path) -> None:
    result = run(None, tmp_path, budget=4)
    number = result.best.number - 1
    (tmp_path / "search.safetensors").rename(tmp_path / f".search.{number}.safetensors")
    (tmp_path / ".search.77.safetensors").write_bytes(b"of a trial that was stopped before its record")
    assert float(load_result(tmp_path, space=toy_space()).load_parameters()["full"]) == result.value
    again = run(None, tmp_path, budget=4)
    assert again.parameters_file == tmp_path / "search.safetensors"
    assert float(again.load_parameters()["full"]) == result.value
    assert not list(tmp_path.glob(".search.*.safetensors"))
