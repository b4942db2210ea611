"""Reading a search from its folder: equal to what Optuna reads and to what was computed, and never from damage."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import optuna
import pytest

from robonas.errors import ObjectiveError, StudyError
from robonas.strategies import STRATEGIES, make_strategy
from robonas.study import summary
from robonas.study.loop import load_result, search
from robonas.study.reading import SCHEMA, read_record, record_by_optuna, record_in_file
from robonas.study.storage import open_storage, storage_url
from tests.fakes import CHEAP, CountParameters, small_space

if TYPE_CHECKING:
    from robonas.objectives.base import Evaluation


class Moody(CountParameters):
    """Fails, is pruned or is well, by the number of parameters."""

    def evaluate(self, space, architecture, *, seed, report=None) -> Evaluation:
        count = space.count_parameters(architecture)
        if count % 3 == 0:
            raise ObjectiveError(f"It does not like {count}.")
        if count % 3 == 1:
            raise optuna.TrialPruned
        return super().evaluate(space, architecture, seed=seed, report=report)


def read_both(folder, name="search"):
    record = record_in_file(folder / "study.db", name)
    assert record is not None, "it was read by Optuna"
    assert record == record_by_optuna(storage_url(folder), name, "here")
    return record


@pytest.mark.parametrize("changes", [{}, {"grow": 3}, {"strategy": "robot"}, {"pruner": "median"}], ids=str)
def test_sqlite_reads_what_optuna_reads(tmp_path, changes) -> None:
    plan = {"metrics": CHEAP, "pool": 12, "budget": 6, "strategy": "auto", **changes}
    result = search(small_space(), Moody(), folder=tmp_path, **plan)
    record = read_both(tmp_path)
    assert len(record.queries) == 6
    assert len({query.state for query in record.queries}) > 1
    assert [replace(query, row=0) for query in record.queries] == [replace(query, row=0) for query in result.queries]


@pytest.mark.parametrize("value", [0.1, -1e300, math.inf, -math.inf, 0.0])
@pytest.mark.parametrize("state", ["COMPLETE", "FAIL", "RUNNING", "WAITING"])
def test_sqlite_reads_every_state_and_value_as_optuna_does(tmp_path, value, state) -> None:
    study = optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="a 'b' é", direction="maximize")
    optuna.create_study(storage=open_storage(storage_url(tmp_path)), study_name="other")
    study.set_user_attr("robonas", {"seed": 1, "text": "ü\n", "none": None})
    study.set_user_attr("left_out", {"size": 3})
    for number in range(3):
        study.enqueue_trial({}, user_attrs={"architecture": f"{number % 2}", "row": 0, "phase": "p", "reason": "r"})
    if state != "WAITING":
        trial = study.ask()
        trial.set_user_attr("curve", [[1, 2, math.nan, None, 0.5]])
        trial.set_user_attr("seconds", 1e-9)
        if state != "RUNNING":
            final = optuna.trial.TrialState[state]
            study.tell(trial, value if state == "COMPLETE" else None, state=final)
    ours = record_in_file(tmp_path / "study.db", "a 'b' é")
    assert ours is not None
    assert repr(ours) == repr(record_by_optuna(storage_url(tmp_path), "a 'b' é", "here"))
    assert len(ours.queries) == 2


DAMAGE = {
    "another version of the tables": "UPDATE alembic_version SET version_num = 'v9.0.0.a'",
    "a state that nobody knows": "UPDATE trials SET state = 'LOST'",
    "notes that are no JSON": "UPDATE trial_user_attributes SET value_json = '{'",
    "a value of an unknown kind": "UPDATE trial_values SET value_type = 'NEW'",
    "two objectives": "UPDATE trial_values SET objective = 1",
    "no such table": "DROP TABLE trial_values",
    "nothing of ours": "DELETE FROM study_user_attributes",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_not_expected_is_left_to_optuna(tmp_path, what) -> None:
    search(small_space(), CountParameters(), metrics=CHEAP, pool=6, budget=2, strategy="random", folder=tmp_path)
    assert read_both(tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(DAMAGE[what])
    connection.close()
    assert record_in_file(tmp_path / "study.db", "search") is None
    assert record_in_file(tmp_path / "study.db", "unknown") is None


@pytest.mark.parametrize("text", ["{", '"x"', "[null]"])
def test_notes_that_are_damaged_are_told(tmp_path, text) -> None:
    search(small_space(), CountParameters(), metrics=CHEAP, pool=6, budget=2, strategy="random", folder=tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = ? WHERE key = 'row'", (text,))
    connection.close()
    with pytest.raises(StudyError, match=r"Study 'search' in '.*' is damaged"):
        load_result(tmp_path)


def test_scores_of_another_search_are_told(tmp_path) -> None:
    for seed in (0, 1):
        plan = {"metrics": CHEAP, "pool": 6, "budget": 2, "strategy": "random", "seed": seed}
        search(small_space(), CountParameters(), folder=tmp_path / str(seed), **plan)
    shutil.copy(tmp_path / "1" / "search.scores.parquet", tmp_path / "0")
    with pytest.raises(StudyError, match=r"The file with the search's scores does not hold .* Restore it from a copy"):
        load_result(tmp_path / "0")


def test_the_version_of_the_tables_is_that_of_the_installed_optuna(tmp_path) -> None:
    storage = open_storage(storage_url(tmp_path))
    assert storage._backend.get_head_version() in SCHEMA  # with a newer one, `show` is slow


# ── the summary of the strategy ──


def same(one, other) -> bool:
    if one.combined is None or other.combined is None:
        return one == other
    equal = np.array_equal(one.combined, other.combined, equal_nan=True)
    return equal and replace(one, combined=None) == replace(other, combined=None)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_summary_that_was_kept_is_the_one_that_was_computed(tmp_path, monkeypatch, name) -> None:
    settings = {"metric": "snip"} if name == "single_metric" else {}
    strategy = make_strategy(name, **settings)
    found = search(
        small_space(), CountParameters(), metrics=CHEAP, pool=10, budget=4, strategy=strategy, folder=tmp_path
    )
    monkeypatch.setattr(type(strategy), "summarise", lambda *_: pytest.fail("computed anew"))
    kept = load_result(tmp_path)
    assert same(kept.summary, found.summary)
    assert kept.weights == found.weights
    assert json.dumps(kept.to_json()) == json.dumps(found.to_json())


@pytest.mark.parametrize("change", ["a query", "damage", "no file", "weights", "rows"])
def test_a_summary_of_something_else_is_not_taken(tmp_path, change) -> None:
    plan = {"metrics": CHEAP, "pool": 10, "strategy": "robot", "folder": tmp_path}
    first = search(small_space(), CountParameters(), budget=3, **plan)
    file = tmp_path / summary.summary_file("search")
    before = file.read_bytes()
    if change == "a query":
        last = search(small_space(), CountParameters(), budget=4, **plan)
        assert file.read_bytes() != before
        file.write_bytes(before)
        assert same(load_result(tmp_path).summary, last.summary)
        return
    if change == "damage":
        file.write_bytes(before[: len(before) // 2])
    elif change == "no file":
        file.unlink()
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(file)
        note = json.loads(table.schema.metadata[b"robonas.summary"])
        note["weights"] = note["weights"][:1] if change == "weights" else note["weights"]
        table = table.slice(0, 2) if change == "rows" else table
        assert isinstance(table, pa.Table)
        pq.write_table(table.replace_schema_metadata({b"robonas.summary": json.dumps(note).encode()}), file)
    assert same(load_result(tmp_path).summary, first.summary)


def test_a_summary_that_cannot_be_written_costs_nothing(tmp_path) -> None:
    (tmp_path / summary.summary_file("search")).mkdir()
    plan = {"metrics": CHEAP, "pool": 10, "budget": 3, "strategy": "average_rank", "folder": tmp_path}
    found = search(small_space(), CountParameters(), **plan)
    assert same(load_result(tmp_path).summary, found.summary)


def test_a_strategy_of_ones_own_is_always_asked(tmp_path) -> None:
    class Own(STRATEGIES["average_rank"]):  # type: ignore[misc]
        """The same, by another class."""

    plan = {"metrics": CHEAP, "pool": 10, "budget": 3, "strategy": Own(), "folder": tmp_path}
    search(small_space(), CountParameters(), **plan)
    assert not (tmp_path / summary.summary_file("search")).exists()


def test_a_study_that_is_not_there_is_told_with_those_that_are(tmp_path) -> None:
    search(small_space(), CountParameters(), metrics=CHEAP, pool=6, budget=2, strategy="random", folder=tmp_path)
    with pytest.raises(StudyError, match=r"There is no study 'absent'.*'search'"):
        load_result(tmp_path, "absent")


def test_a_study_of_another_name_or_maker_is_one_sentence(tmp_path) -> None:
    url = storage_url(tmp_path)
    optuna.create_study(storage=open_storage(url), study_name="theirs").set_user_attr("owner", "another")
    file = tmp_path / "study.db"
    with pytest.raises(StudyError, match=r"There is no study 'search' in 'here'; it has 'theirs'\."):
        read_record(url, file, "search", "here")
    with pytest.raises(StudyError, match=r"Study 'theirs' in 'here' was not made by robonas\."):
        read_record(url, file, "theirs", "here")
