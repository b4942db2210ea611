"""The record of a search: who evaluates what, what came back, and what a stop leaves."""

from __future__ import annotations

import optuna
import pytest
import torch

from robonas.common.files import read_notes
from robonas.errors import ConfigError, NetworkError, StudyError
from robonas.objectives.base import CurvePoint, Evaluation
from robonas.strategies.base import Proposal
from robonas.study.events import QueryStep
from robonas.study.ledger import Ledger
from robonas.study.loop import search
from robonas.study.trials import Candidate
from tests.fakes import CHEAP, CountParameters, small_space

SETTINGS = {"seed": 0, "objective": {"direction": "maximize", "value_name": "value"}}


class InOrder:
    """Chooses candidates 0, 1, 2 and so on."""

    def __init__(self, n: int = 9) -> None:
        self.n = n

    def ready(self, asked) -> bool:
        return True

    def choose(self, asked) -> Candidate | None:
        row = len(asked)
        if row == self.n:
            return None
        return Candidate(Proposal(row, "explore", (0.5,), "next"), row, f"net {row}", {"a": (row, tuple(range(9)))}, 9)


def ledger(storage=None, *, direction="maximize", settings=SETTINGS, **changes) -> Ledger:
    storage = storage or optuna.storages.InMemoryStorage()
    return Ledger(storage, "x", direction, settings, **changes)


def answer(book: Ledger, value: float, chooser=None, **parts) -> None:
    claim = book.next(chooser or InOrder(), 9)
    assert claim is not None
    book.complete(claim, Evaluation(value, 2.0, **parts))


def test_queries_are_recorded_in_the_order_of_asking() -> None:
    book = ledger()
    with book.open():
        for value in (1.0, 3.0, 2.0):
            answer(book, value)
        assert book.next(InOrder(), 3) is None
    queries = book.record().queries
    assert [(q.number, q.architecture, q.row, q.state, q.value) for q in queries] == [
        (1, "net 0", 0, "complete", 1.0),
        (2, "net 1", 1, "complete", 3.0),
        (3, "net 2", 2, "complete", 2.0),
    ]
    first = queries[0]
    assert (first.phase, first.weights, first.reason) == ("explore", (0.5,), "next")
    assert (first.seconds, first.n_rows) == (2.0, 9)


@pytest.mark.parametrize(("direction", "best"), [("maximize", 3.0), ("minimize", 1.0)])
def test_the_best_is_in_the_objectives_direction(direction, best) -> None:
    book = ledger(direction=direction)
    assert book.best() is None
    with book.open():
        for value in (2.0, 1.0, 3.0):
            answer(book, value)
    assert book.best() == best


def test_nothing_is_asked_for_when_all_candidates_have_been() -> None:
    book = ledger()
    with book.open():
        answer(book, 1.0, InOrder(1))
        assert book.next(InOrder(1), 9) is None


def test_failures_and_pruned_queries_have_no_value() -> None:
    book = ledger()
    with book.open():
        claim = book.next(InOrder(), 9)
        book.fail(claim, "diverged", 3.0)
        claim = book.next(InOrder(), 9)
        curve = [CurvePoint(step, 5, 0.1 * step, seconds=float(step)) for step in (1, 2)]
        assert [book.report(claim, point) for point in curve] == [False, False]
        book.prune(claim, curve)
    failed, pruned = book.record().queries
    assert (failed.state, failed.failure, failed.seconds, failed.value) == ("failed", "diverged", 3.0, None)
    assert (pruned.state, pruned.partial, pruned.value, pruned.seconds) == ("pruned", 0.2, None, 2.0)
    assert (pruned.steps, pruned.steps_saved) == (2, 3)
    assert book.best() is None


def test_what_is_not_finished_is_given_back_and_is_no_attempt() -> None:
    book = ledger()
    with book.open():
        for _ in range(4):  # twice as often as a worker may die at it
            claim = book.next(InOrder(), 9)
            assert book.query(claim).architecture == "net 0"
            book.give_back(claim)
        answer(book, 1.0)
    assert [query.state for query in book.record().queries] == ["complete"]


def test_a_query_that_another_worker_has_taken_over_is_not_recorded() -> None:
    book = ledger()
    with book.open():
        claim = book.next(InOrder(), 9)
        book.give_back(claim)
        assert book.report(claim, CurvePoint(1, 2, 0.5)) is True  # end it
        book.complete(claim, Evaluation(7.0, 1.0))
        book.fail(claim, "late")
    assert [query.state for query in book.record().queries] == ["running"]


def test_the_parameters_of_the_best_are_kept_the_earliest_on_ties(tmp_path) -> None:
    book = ledger(folder=tmp_path)
    with book.open():
        for number, value in enumerate((1.0, 2.0, 2.0, 0.0)):
            answer(book, value, parameters={"number": torch.tensor([float(number)])})
    assert read_notes(tmp_path / "x.safetensors") == {"architecture": "net 1", "value": "2.0", "study": "x"}
    assert [query.kept is None for query in book.record().queries] == [False, False, True, True]


def test_begin_keeps_what_a_search_knows_and_refuses_other_scores() -> None:
    storage = optuna.storages.InMemoryStorage()
    book = ledger(storage)
    assert (book.record().budget, book.record().left_out) == (0, {})
    book.begin("abc", 5, {"more than 9 parameters": 2})
    book.begin("abc", 7, {"more than 9 parameters": 2})
    with book.open():
        answer(book, 1.0)
    again = ledger(storage)
    assert (again.record().budget, again.record().left_out) == (7, {"more than 9 parameters": 2})
    with pytest.raises(StudyError, match=r"begun with other scores \(abc\) than now \(xyz\)"):
        again.begin("xyz", 7, {})


def test_settings_bind_from_the_first_query_on() -> None:
    storage = optuna.storages.InMemoryStorage()
    ledger(storage, settings={**SETTINGS, "seed": 1}).begin("abc", 5, {})
    book = ledger(storage)  # nothing was evaluated, so this is the study's beginning
    book.begin("xyz", 5, {})
    with book.open():
        answer(book, 1.0)
    with pytest.raises(StudyError, match=r"made with other settings: seed"):
        ledger(storage, settings={**SETTINGS, "seed": 1})


def test_a_study_that_robonas_did_not_make_is_refused() -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="x").set_user_attr("owner", "another")
    with pytest.raises(StudyError, match="was not made by robonas"):
        ledger(storage)


# ── by way of searches ──


def run(folder=None, objective=None, **changes):
    plan = {"metrics": CHEAP, "pool": 30, "budget": 4, "strategy": "random", **changes}
    return search(small_space(), objective or CountParameters(), folder=folder, **plan)


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


def test_a_search_that_evaluated_nothing_binds_nothing(tmp_path) -> None:
    def undefined(passes) -> float:
        return float("nan")

    with pytest.raises(ConfigError, match="nothing to search by"):
        run(tmp_path, metrics=[undefined], strategy="average_rank")
    assert len(run(tmp_path, strategy="average_rank", budget=2).queries) == 2


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
