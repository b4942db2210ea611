"""A stop at every write of a search to its storage: what is done after it ends as if there had been none."""

from __future__ import annotations

import optuna
import pytest

from tests.study.sharing import Logged, run, told

KINDS = {"none": None, "hyperband": "hyperband", "median": "median", "successive_halving": "successive_halving"}
PLAN = {"budget": 12, "pool": 60}
POINTS = 96
"""Stops of each kind; one at every write, or as near to that as makes this many."""


class Killed(BaseException):
    """What a process is after kill -9: nothing that it still does reaches the storage."""


class Mortal:
    """A storage that its process dies at.

    Args:
        storage: What it writes to, and what stays.
        left: How many writes come through.
    """

    def __init__(self, storage, left: float = float("inf")) -> None:
        self._storage, self.left, self.writes = storage, left, 0

    def __getattr__(self, name):
        value = getattr(self._storage, name)
        if not name.startswith(("set_", "create_", "delete_")):
            return value

        def write(*arguments, **named):
            if self.left <= 0:
                raise Killed
            self.left -= 1
            self.writes += 1
            return value(*arguments, **named)

        return write


def pruned_run(monkeypatch, storage, pruner, **changes):
    """The search, on a storage that stays in memory."""
    monkeypatch.setattr("robonas.study.loop.open_storage", lambda *_, **__: storage)
    return run("kept", None, Logged(steps=9, **changes), pruner=pruner, **PLAN)


def whole_run(monkeypatch, pruner):
    """The search without a stop, and how many writes it has."""
    storage = Mortal(optuna.storages.InMemoryStorage())
    return pruned_run(monkeypatch, storage, pruner), storage.writes


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_write_changes_nothing(monkeypatch, kind, every) -> None:
    monkeypatch.setattr("robonas.study.loop.storage_file", lambda _: None)
    monkeypatch.setattr("robonas.study.loop.check_reachable", lambda _: None)
    whole, writes = whole_run(monkeypatch, KINDS[kind])
    if kind != "none":
        assert whole.n_pruned >= 1
    assert writes > POINTS
    points = [1 + point * (writes - 1) // (POINTS - 1) for point in range(POINTS)]
    other = []
    for point in points[::every]:
        kept = optuna.storages.InMemoryStorage()
        with pytest.raises(Killed):
            pruned_run(monkeypatch, Mortal(kept, point - 1), KINDS[kind])
        if told(pruned_run(monkeypatch, kept, KINDS[kind])) != told(whole):
            other.append(point)
    assert not other


def test_a_training_that_takes_its_worker_with_it_twice_has_failed(monkeypatch) -> None:
    monkeypatch.setattr("robonas.study.loop.storage_file", lambda _: None)
    monkeypatch.setattr("robonas.study.loop.check_reachable", lambda _: None)
    whole, _ = whole_run(monkeypatch, None)
    deadly, kept = whole.queries[4].architecture, optuna.storages.InMemoryStorage()
    for _ in range(2):
        storage = Mortal(kept)

        def die(text, step, storage=storage) -> None:
            if text == deadly and step == 3:
                storage.left = 0

        with pytest.raises(Killed):
            pruned_run(monkeypatch, storage, None, at=die)
    result = pruned_run(monkeypatch, kept, None)
    assert result.queries[4].state == "failed"
    assert "died in each of 2 attempts" in str(result.queries[4].failure)
    assert [q.architecture for q in result.queries] == [q.architecture for q in whole.queries]
    assert {q.state for q in result.queries if q.number != 5} == {"complete"}


def test_a_stop_that_was_handled_is_no_death(monkeypatch) -> None:
    monkeypatch.setattr("robonas.study.loop.storage_file", lambda _: None)
    monkeypatch.setattr("robonas.study.loop.check_reachable", lambda _: None)
    whole, _ = whole_run(monkeypatch, None)
    kept = optuna.storages.InMemoryStorage()

    def stop(text, step) -> None:
        if text == whole.queries[4].architecture and step == 3:
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            pruned_run(monkeypatch, kept, None, at=stop)
    assert told(pruned_run(monkeypatch, kept, None)) == told(whole)
