"""Where a search came from, and whether another process is still at it."""

from __future__ import annotations

import sys
import time

import pytest

from robonas.study import provenance
from robonas.study.events import ScoringProgress
from robonas.study.loop import load_result, search
from tests.fakes import CHEAP, CountParameters, small_space
from tests.study.sharing import FORK, Logged, run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/opt/bin/robonas", "search", "--data", "my photos"], "robonas search --data 'my photos'"),
        (["/x/robonas/__main__.py", "score"], "python -m robonas score"),
        (["run me.py", "1"], "python 'run me.py' 1"),
        (["robonas", "--storage", "postgresql://me:secret@host/db"], "robonas --storage 'postgresql://me:***@host/db'"),
        (["-c"], None),
        (["/lib/ipykernel_launcher.py", "-f", "x.json"], None),
        ([], None),
        (["robonas", "a\udcffb"], "robonas 'a\\\\udcffb'"),
    ],
    ids=str,
)
def test_the_command_line_is_as_typed_and_without_passwords(monkeypatch, words, told) -> None:
    monkeypatch.setattr(sys, "argv", words)
    found = provenance.command_line()
    assert found == told or found == told.replace("\\\\", "\\")


def test_a_search_notes_where_it_came_from(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["robonas", "search"])
    monkeypatch.chdir(tmp_path)
    result = run(folder=tmp_path / "run", budget=3)
    first = result.provenance["first"]
    assert first["command"] == "robonas search"
    assert first["folder"] == str(tmp_path)
    assert first["versions"]["robonas"]
    assert first["machine"]["cores"] >= 1
    assert result.provenance["sessions"] == 1
    assert result.provenance["data"] == {}
    monkeypatch.setattr(sys, "argv", ["robonas", "search", "--budget", "5"])
    run(folder=tmp_path / "run", budget=3)
    assert load_result(tmp_path / "run", space=result.space).provenance == result.provenance, "nothing was left to do"
    more = run(folder=tmp_path / "run", budget=5)
    assert more.provenance["sessions"] == 2
    assert more.provenance["first"] == first
    assert more.provenance["latest"]["command"] == "robonas search --budget 5"
    assert more.to_json()["provenance"] == more.provenance


def test_a_search_is_begun_when_it_is_called_and_not_when_its_scores_are_there(monkeypatch) -> None:
    times = iter(["2026-01-02 03:04 UTC"])
    monkeypatch.setattr("robonas.study.loop.date", lambda: next(times, "later"))
    told = []

    def scored(event) -> None:
        if isinstance(event, ScoringProgress):
            told.append(next(times, None))  # whoever asks from now on is told another time

    result = search(
        small_space(), CountParameters(), metrics=CHEAP, pool=12, budget=2, n_jobs=0, folder=None, callbacks=[scored]
    )
    assert told
    assert result.provenance["first"]["date"] == result.provenance["latest"]["date"] == "2026-01-02 03:04 UTC"


def test_provenance_changes_nothing(tmp_path, monkeypatch) -> None:
    found = []
    for name in ("one", "two"):
        monkeypatch.setattr(sys, "argv", ["robonas", name])
        result = run(folder=tmp_path / name, budget=4)
        found.append([(query.architecture, query.value) for query in result.queries])
    assert found[0] == found[1]


def _slow(folder) -> None:
    run(folder=folder, objective=Logged(delay=0.2, steps=40), budget=2)


def test_a_search_that_another_process_is_at_is_running_and_then_interrupted(tmp_path) -> None:
    folder = tmp_path / "run"
    child = FORK.Process(target=_slow, args=(folder,))
    child.start()
    try:
        deadline = time.monotonic() + 60
        result = None
        while time.monotonic() < deadline and (result is None or result.stop_reason != "running"):
            time.sleep(0.05)
            if (folder / "search.scores.parquet").exists() and (folder / "study.db").exists():
                result = load_result(folder, space=run(budget=1).space)
        assert result.stop_reason == "running"
        assert result.queries[0].state == "running"
        with pytest.raises(Exception, match="Another process is still at it"):
            _ = result.best
    finally:
        child.kill()
        child.join()
    assert load_result(folder, space=result.space).stop_reason == "interrupted"


def test_a_search_that_ended_is_not_running(tmp_path) -> None:
    search(small_space(), CountParameters(), metrics=CHEAP, pool=12, budget=3, folder=tmp_path)
    assert load_result(tmp_path).stop_reason == "budget spent"
