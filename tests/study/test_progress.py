"""What a search shows while it runs, and that Optuna says nothing of it."""

from __future__ import annotations

import io
import logging
import re

import optuna
import pytest
from rich.console import Console

from robonas.common import bars
from robonas.errors import ObjectiveError
from robonas.objectives.base import CurvePoint, Evaluation
from robonas.study import progress
from robonas.study.events import QueryFinished, QueryStarted, QueryStep, SearchStarted
from robonas.study.loop import search
from robonas.study.progress import SearchBars
from robonas.study.query import Query
from tests.fakes import CHEAP, CountParameters, small_space

SPACE = small_space()
PLAN = {"metrics": CHEAP, "pool": 12, "budget": 3, "strategy": "random", "folder": None, "n_jobs": 0}


@pytest.fixture
def shown(monkeypatch):
    """What is written to a standard error that is no terminal."""
    stream = io.StringIO()
    for module in (bars, progress):
        monkeypatch.setattr(module, "err", Console(file=stream, width=60))
    return stream


def test_a_log_gets_a_whole_line_a_query_where_it_is_asked_for(shown) -> None:
    search(SPACE, CountParameters(), **PLAN)
    assert shown.getvalue() == ""
    result = search(SPACE, CountParameters(), **PLAN, progress=True)
    lines = shown.getvalue().splitlines()
    assert lines[-3:] == [line for line in lines if line.startswith("random ")]
    for query, line in zip(result.queries, lines[-3:], strict=True):
        assert re.match(rf"random +{query.number}  ", line)
        assert line.endswith(query.architecture)
    assert "★" in lines[-3]


def test_each_training_in_flight_has_a_bar(monkeypatch) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, height=20)
    for module in (bars, progress):
        monkeypatch.setattr(module, "err", console)
    query = lambda number, **more: Query(number, "a", 0, "explore", "running", **more)
    with SearchBars("auto") as shown:
        for number in (1, 2):
            shown(QueryStarted(query(number), 5))
        shown(QueryStep(query(2), CurvePoint(3, 8, 0.5)))
        shown(QueryStep(query(1), CurvePoint(1, 8, 0.25)))
        described = {task.description: (task.completed, task.fields["note"]) for task in shown._bars.tasks}
        assert described["training 1"] == (1, "value 0.2500")
        assert described["training 2"] == (3, "value 0.5000")
        shown(QueryFinished(query(2, value=0.5), 0.5))
        shown(QueryStarted(query(3), 5))
        described = {task.description: (task.completed, task.fields["note"]) for task in shown._bars.tasks}
        assert described["auto"] == (1, "best 0.5000")
        assert described["training 1"] == (1, "value 0.2500")
        assert described["training 3"] == (0, "explore")
        assert "training 2" not in described


class Constant(CountParameters):
    """Finds every network as good as the others."""

    def evaluate(self, space, architecture, *, seed, report=None):
        return Evaluation(0.5, 1.0)


def test_a_search_that_goes_on_says_so_and_has_no_star_for_what_is_no_better(shown, tmp_path) -> None:
    plan = {**PLAN, "folder": tmp_path, "progress": True}
    search(SPACE, Constant(), **{**plan, "budget": 2})
    assert "going on" not in shown.getvalue()
    assert shown.getvalue().count("★") == 1
    shown.truncate(0)
    events = []
    search(SPACE, Constant(), **plan, callbacks=[events.append])
    (started,) = [event for event in events if isinstance(event, SearchStarted)]
    assert (started.done, started.best) == (2, 0.5)
    assert "going on after 2 of 3, best 0.5000" in shown.getvalue()
    assert "★" not in shown.getvalue()
    shown.truncate(0)
    search(SPACE, Constant(), **plan)
    assert "the budget of 3 is spent already: 3 evaluations, best 0.5000" in shown.getvalue()


def test_a_terminal_says_where_a_search_goes_on(monkeypatch) -> None:
    stream = io.StringIO()
    for module in (bars, progress):
        monkeypatch.setattr(module, "err", Console(file=stream, force_terminal=True, width=120, height=20))
    with SearchBars("auto") as shown:
        shown(SearchStarted("search", {}, 8, 5, None))
        shown(QueryStarted(Query(4, "a", 0, "explore", "running"), 8))  # one that a stop has left
        (bar,) = [task for task in shown._bars.tasks if task.description == "auto"]
        assert bar.completed == 5
    assert "going on after 5 of 8, none of them completed" in stream.getvalue()


class Troubled(CountParameters):
    """Fails once."""

    def evaluate(self, space, architecture, *, seed, report=None):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 2:
            raise ObjectiveError("no luck")
        return super().evaluate(space, architecture, seed=seed, report=report)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "journal"])
def test_optuna_is_silent_about_our_studies_and_logs_the_users_as_ever(tmp_path, caplog, kind) -> None:
    storage = {"journal": str(tmp_path / "j.log")}.get(kind)
    optuna.logging.enable_propagation()
    try:
        before = optuna.logging.get_verbosity()
        with caplog.at_level(logging.DEBUG):
            result = search(
                SPACE,
                Troubled(),
                **{**PLAN, "folder": None if kind == "memory" else tmp_path},
                storage=storage,
                pruner=optuna.pruners.ThresholdPruner(upper=-1.0) if kind == "memory" else None,
            )
            assert {query.state for query in result.queries} & {"failed", "pruned"}
            assert [record for record in caplog.records if record.name.startswith("optuna")] == []
            optuna.create_study()
        assert optuna.logging.get_verbosity() == before
        assert [record.name for record in caplog.records if record.name.startswith("optuna")] != []
        assert not any(logger.filters for name, logger in _optuna_loggers())
    finally:
        optuna.logging.disable_propagation()


def _optuna_loggers():
    return [
        (name, entry)
        for name, entry in logging.root.manager.loggerDict.items()
        if name.startswith("optuna") and isinstance(entry, logging.Logger)
    ]


def test_the_dashboard_names_the_value(tmp_path) -> None:
    search(SPACE, CountParameters(), **{**PLAN, "folder": tmp_path})
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.metric_names == [CountParameters().value_name]
