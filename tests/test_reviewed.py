"""What reviewers broke once, and must stay whole."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from pathlib import Path

import numpy as np
import optuna
import pytest

from robonas.errors import ConfigError, NetworkError, StudyError
from robonas.scores.scoring import score
from robonas.strategies import RandomSearch
from robonas.study.events import QueryStep
from robonas.study.loop import load_result, search
from robonas.study.storage import open_storage, storage_url
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()


def run(folder=None, objective=None, **changes):
    plan = {"metrics": CHEAP, "pool": 30, "budget": 4, "strategy": "random", **changes}
    return search(SPACE, objective or CountParameters(), folder=folder, **plan)


def test_a_table_without_metrics_has_an_empty_summary() -> None:
    assert len(run().scores.summary()) == 0
    assert run().scores.warnings() == []


def _work(url: str) -> int:
    return len(run(storage=url, budget=6, objective=CountParameters(delay=0.02)).queries)


def test_workers_without_a_folder_share_a_study_in_a_file(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        assert max(workers.map(_work, [url] * 2)) == 6
    result = run(storage=url, budget=6)
    assert len({query.architecture for query in result.queries}) == 6
    assert all(query.state == "complete" for query in result.queries)


def _open(folder: str) -> bool:
    open_storage(storage_url(folder))
    return True


def test_processes_may_make_a_study_at_once(tmp_path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        assert all(workers.map(_open, [str(tmp_path / "fresh")] * 4))


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a#b"])
def test_a_folder_that_an_url_cannot_name_is_refused(tmp_path, name) -> None:
    with pytest.raises(StudyError, match="must not contain"):
        run(tmp_path / name)


def test_a_storage_url_with_a_query_is_opened_where_it_says(tmp_path) -> None:
    run(storage=f"sqlite:///{tmp_path}/q.db?timeout=30")
    assert (tmp_path / "q.db").stat().st_size > 0
    assert not list(tmp_path.glob("*timeout*"))


def test_one_network_that_returns_a_tuple_costs_its_trial_only() -> None:
    class Late(CountParameters):
        calls = 0

        def evaluate(self, space, architecture, *, seed, report=None):
            type(self).calls += 1
            if self.calls == 3:
                raise NetworkError("returns a tuple")
            return super().evaluate(space, architecture, seed=seed, report=report)

    result = run(objective=Late())
    assert [query.state for query in result.queries] == ["complete", "complete", "failed", "complete"]


def test_parameters_of_another_network_are_never_taken_for_the_winner_s(tmp_path, monkeypatch) -> None:
    run(tmp_path, budget=1)
    path = load_result(tmp_path).parameters_file
    assert path is not None
    from safetensors.torch import load_file, save_file

    save_file(load_file(path), path, metadata={"architecture": "another"})
    with pytest.raises(StudyError, match="holds the parameters of another, not of the winner"):
        load_result(tmp_path).load_parameters()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StudyError, match="damaged"):
        load_result(tmp_path).load_parameters()


def _stop(event) -> None:
    if isinstance(event, QueryStep):
        raise KeyboardInterrupt


def test_a_trial_left_on_another_host_is_taken_up(tmp_path, monkeypatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[_stop])
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert run(tmp_path).stop_reason == "budget spent"


def test_a_stop_while_a_trial_begins_leaves_it_to_the_next_search(tmp_path, monkeypatch) -> None:
    real = optuna.Trial.suggest_categorical
    calls = []

    def stop(self, name, choices):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, name, choices)

    monkeypatch.setattr(optuna.Trial, "suggest_categorical", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    result = run(tmp_path)
    assert result.stop_reason == "budget spent"
    assert [q.architecture for q in result.queries] == [q.architecture for q in run().queries]


def test_a_database_whose_making_was_stopped_is_made_again(tmp_path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
    connection.close()
    assert run(tmp_path).stop_reason == "budget spent"


def test_a_search_that_evaluated_nothing_binds_nothing(tmp_path) -> None:
    def undefined(passes) -> float:
        return float("nan")

    with pytest.raises(ConfigError, match="nothing to search by"):
        run(tmp_path, metrics=[undefined], strategy="robot")
    assert len(run(tmp_path, strategy="robot", budget=2).queries) == 2


def test_another_seed_may_share_the_folder(tmp_path) -> None:
    run(tmp_path, strategy="average_rank")
    assert len(run(tmp_path, strategy="average_rank", seed=1, name="second").queries) == 4
    assert len(list(tmp_path.glob("cache-*.parquet"))) == 2


class Mine(RandomSearch):
    """A strategy of the user's own."""

    name = "mine"


def test_a_search_by_one_s_own_strategy_can_be_shown(tmp_path) -> None:
    reference = "tests.test_reviewed:Mine"
    first = run(tmp_path, strategy=reference)
    assert first.settings["strategy"]["name"] == reference
    assert len(load_result(tmp_path).queries) == 4


@pytest.mark.parametrize("odd", [{"x": float("nan")}, {1: 2}, {"t": (1, 2)}])
def test_settings_of_any_json_kind_resume(tmp_path, odd) -> None:
    class Odd(CountParameters):
        @property
        def settings(self):
            return odd

    run(tmp_path, Odd(), budget=1)
    assert len(run(tmp_path, Odd(), budget=2).queries) == 2


def test_settings_that_json_cannot_hold_are_told() -> None:
    class Odd(CountParameters):
        @property
        def settings(self):
            return {"x": object()}

    with pytest.raises(ConfigError, match="must be JSON values"):
        run(objective=Odd())


@pytest.mark.parametrize(
    "changes", [{"pool": 2.5}, {"pool": True}, {"budget": "3"}, {"budget": 2.5}, {"budget": True}, {"pool": "30"}]
)
def test_numbers_that_are_none_are_told(changes) -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        run(**changes)


def test_numbers_of_numpy_are_numbers() -> None:
    assert len(run(pool=np.int64(20), budget=np.int32(2)).queries) == 2


def test_no_workers_at_all_is_this_process() -> None:
    def where(passes) -> float:
        return float(os.getpid())

    pool = SPACE.sample(2, 0)
    assert (score(SPACE, pool, [where], small_batch(), n_jobs=0).scores == os.getpid()).all()
    assert (score(SPACE, pool, [where], small_batch(), n_jobs=1).scores != os.getpid()).all()


def test_a_password_is_not_printed() -> None:
    with pytest.raises(StudyError) as told:
        open_storage("postgresql://user:secret@nowhere.invalid/db")
    assert "secret" not in str(told.value)


def test_a_second_run_waits_for_the_cache_and_loses_nothing(tmp_path) -> None:
    cache = tmp_path / "s.parquet"
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        workers.starmap(_score, [(str(cache), 0), (str(cache), 5)])
    table = score(SPACE, SPACE.sample(15, 0), ("params",), small_batch(), cache=cache)
    assert np.isfinite(table.scores).all()
    assert not Path(f"{cache}.partial").exists()


def _score(cache: str, start: int) -> None:
    score(SPACE, SPACE.sample(15, 0)[start : start + 10], ("params",), small_batch(), cache=cache)


def test_limits_by_latency_remember_only_their_own_pool(tmp_path) -> None:
    from robonas.study.limits import Limits

    limits = Limits(max_latency_ms=1e6)
    with pytest.raises(ConfigError, match="Enlarge the pool"):
        run(tmp_path, pool=2, limits=limits)
    assert len(run(tmp_path, pool=20, limits=limits).queries) == 4
