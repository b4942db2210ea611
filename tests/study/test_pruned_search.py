"""Searches that end hopeless trainings early: the budget, the winner, what strategies are told, stops, the words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optuna
import pytest

import robonas
from robonas.errors import ConfigError, StudyError, UnknownNameError
from robonas.objectives.base import CurvePoint, Evaluation
from robonas.report.export import export
from robonas.strategies import RandomSearch
from robonas.study.events import QueryFinished, QueryStep
from robonas.study.loop import load_result, search
from tests.fakes import CHEAP, CountParameters, small_space

SPACE = small_space()
EPOCHS = 9


class Slow(CountParameters):
    """Nine epochs; the value grows towards the size of the network, or falls towards it from above."""

    def evaluate(self, space, architecture, *, seed, report=None):
        count = space.count_parameters(architecture)
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as stream:
                stream.write(space.format(architecture) + "\n")
        sign = 1 if self.direction == "maximize" else -1
        points = []
        for step in range(1, EPOCHS + 1):
            points.append(CurvePoint(step, EPOCHS, sign * count * step / EPOCHS / 1000, seconds=float(step)))
            if report:
                report(points[-1])
        if self.fail(count):
            raise RuntimeError("diverged")
        return Evaluation(sign * count / 1000, float(EPOCHS), tuple(points), {})


PLAN = {"metrics": CHEAP, "pool": 40, "budget": 12, "strategy": "random", "pruner": "successive_halving"}


def run(folder=None, objective=None, **changes):
    return search(SPACE, objective or Slow(), folder=folder, **{**PLAN, **changes})


def told(result):
    return [(q.architecture, q.state, q.value, q.partial, q.curve, q.reason) for q in result.queries]


def by_hand(values, direction="maximize") -> list[int]:
    """Epochs that successive halving by thirds leaves each of these, from first principles.

    At epochs 1 and 3, a network goes on if it is among the best third of those that came there, itself included.
    """
    ended, rungs = [], {1: [], 3: []}
    for value in values:
        merit = value if direction == "maximize" else -value
        end = EPOCHS
        for rung, seen in rungs.items():
            seen.append(merit)
            if sum(other > merit for other in seen) >= max(1, len(seen) // 3):
                end = rung
                break
        ended.append(end)
    return ended


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_hopeless_trainings_end_early_and_count(direction) -> None:
    result = run(objective=Slow(direction=direction))
    assert len(result.queries) == 12
    assert result.stop_reason == "budget spent"
    sizes = [SPACE.count_parameters(SPACE.parse(query.architecture)) for query in result.queries]
    # Under "minimize" the value is minus the size, so large networks are the best in both cases.
    assert [query.steps for query in result.queries] == by_hand(sizes)
    assert {query.state for query in result.queries} == {"complete", "pruned"}
    for query in result.queries:
        ended = query.state == "pruned"
        assert (query.steps < EPOCHS) == ended
        assert (query.value is None) == ended
        assert query.partial == (query.curve[-1].value if ended else None)
        assert query.steps_saved == (EPOCHS - query.steps if ended else 0)
        assert query.seconds == query.steps
        assert query.failure is None
    assert result.n_pruned > 3
    assert result.steps + result.steps_saved == 12 * EPOCHS
    assert result.best.state == "complete"
    best = max if direction == "maximize" else min
    assert result.value == best(query.value for query in result.queries if query.state == "complete")


def test_a_pruned_network_is_never_the_winner() -> None:
    """The pruner ends all but the third, though they are better."""

    class All(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number != 2

    result = run(pruner=All(), budget=5)
    assert [query.state for query in result.queries] == ["pruned", "pruned", "complete", "pruned", "pruned"]
    assert result.best.number == 3
    assert result.history()["best"].isna().tolist() == [True, True, False, False, False]
    assert set(result.history()["best"].dropna()) == {result.value}


def test_where_all_are_pruned_there_is_no_winner() -> None:
    result = run(pruner=optuna.pruners.ThresholdPruner(lower=1e9), budget=3)
    with pytest.raises(StudyError, match=r"no completed evaluation among 3\. 3 were pruned; choose a milder pruner"):
        _ = result.best


def test_a_training_is_never_ended_after_its_last_epoch() -> None:
    asked = []

    class Spy(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            asked.append(trial.last_step)
            return False

    result = run(pruner=Spy(), budget=2)
    assert asked == [*range(1, EPOCHS)] * 2
    assert result.n_pruned == 0


def test_the_strategy_is_told_the_last_value_and_the_step() -> None:
    seen = []

    class Spy(RandomSearch):
        def propose(self, problem, history):
            seen[:] = history
            return super().propose(problem, history)

    for direction, sign in (("maximize", 1), ("minimize", -1)):
        result = run(strategy=Spy(), objective=Slow(direction=direction))
        for trial, query in zip(seen, result.queries, strict=False):
            pruned = query.state == "pruned"
            assert trial.pruned == (query.steps if pruned else None)
            assert trial.value == sign * (query.partial if pruned else query.value)


@pytest.mark.parametrize(
    ("strategy", "pruner"),
    [
        ("random", "successive_halving"),
        pytest.param("robot", "median", marks=pytest.mark.slow),
        pytest.param("tpe", "hyperband", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_search_ends_as_the_uninterrupted_one(tmp_path, strategy, pruner) -> None:
    changes = {"strategy": strategy, "pruner": pruner, "pool": 20, "budget": 9}
    whole = run(**changes)
    stops = iter([2, 5, 6, 9])
    folder, log = tmp_path / "run", tmp_path / "log"

    class Stop(BaseException):
        """Ctrl-C, after some more epochs."""

    result = None
    while result is None:
        left = [next(stops, 10**6)]

        def stop(event, left=left) -> None:
            left[0] -= isinstance(event, QueryStep)
            if left[0] < 0:
                raise Stop

        try:
            result = run(folder, Slow(log=log), callbacks=[stop], **changes)
        except Stop:
            continue
    assert told(result) == told(whole)
    assert len(log.read_text().splitlines()) > 9 + 3
    assert told(load_result(folder)) == told(whole)
    assert told(run(folder, **{**changes, "budget": 10}))[:9] == told(whole)


def test_workers_share_the_budget_and_the_rungs(tmp_path) -> None:
    """A second worker does some of the queries while a training of the first is under way."""
    inner = []

    def once(event) -> None:
        if isinstance(event, QueryStep) and event.query.number == 4 and not inner:
            inner.append(None)
            inner[0] = run(tmp_path)

    outer = run(tmp_path, callbacks=[once])
    assert len(outer.queries) == 12
    assert len({query.architecture for query in outer.queries}) == 12
    assert {query.state for query in outer.queries} == {"complete", "pruned"}
    assert inner[0].stop_reason == "interrupted"
    assert outer.stop_reason == "budget spent"


def test_what_prunes_itself_before_a_step_has_failed(tmp_path) -> None:
    class Hasty(Slow):
        def evaluate(self, space, architecture, *, seed, report=None):
            raise optuna.TrialPruned

    result = run(tmp_path, Hasty(), pruner=None, budget=2)
    told = "The evaluation was pruned before its first step, so it has no value."
    assert [(query.state, query.failure) for query in result.queries] == [("failed", told)] * 2


def test_failures_and_pruned_trainings_stand_side_by_side() -> None:
    first = SPACE.count_parameters(SPACE.parse(run(budget=1).text))
    result = run(objective=Slow(fail=lambda count: count == first))
    assert {query.state for query in result.queries} == {"complete", "pruned", "failed"}
    assert len(result.queries) == 12
    failed = next(query for query in result.queries if query.state == "failed")
    assert failed.partial is None


def test_what_is_shown_marks_them(tmp_path) -> None:
    events = []
    result = run(tmp_path, callbacks=[events.append])
    ended = [event.query for event in events if isinstance(event, QueryFinished) and event.query.state == "pruned"]
    assert len(ended) == result.n_pruned
    document = json.loads(json.dumps(result.to_json()))
    assert document["steps"] == {"done": result.steps, "saved": result.steps_saved}
    assert [query["state"] for query in document["queries"]] == [query.state for query in result.queries]
    first = next(query for query in result.queries if query.state == "pruned")
    entry = document["queries"][first.number - 1]
    assert (entry["value"], entry["partial"], entry["steps"]) == (None, first.partial, first.steps)
    lines = export(result, tmp_path / "history.csv").read_text().splitlines()
    assert lines[first.number].split(",")[3] == "pruned"
    frame = result.history()
    assert frame["steps"].tolist() == [query.steps for query in result.queries]
    assert np.isnan(frame["partial"]).tolist() == [query.state != "pruned" for query in result.queries]
    page = robonas.write_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{result.steps_saved} of {12 * EPOCHS} epochs saved" in page


def test_the_pruner_is_a_setting_of_the_study(tmp_path) -> None:
    run(tmp_path, budget=2)
    with pytest.raises(StudyError, match=r"pruner\.name was 'successive_halving', is now 'median'"):
        run(tmp_path, pruner="median", budget=2)
    with pytest.raises(StudyError, match="made with other settings: pruner"):
        run(tmp_path, pruner=None, budget=2)
    plain = run(None, pruner=None, budget=2)
    assert "pruner" not in plain.settings
    assert plain.n_pruned == 0
    with pytest.raises(UnknownNameError, match=r"Unknown pruner 'halving'"):
        run(None, pruner="halving")
    with pytest.raises(ConfigError, match="a pruner of Optuna; got bool"):
        run(None, pruner=True)


def test_objectives_that_report_nothing_are_not_pruned() -> None:
    objective = robonas.FunctionObjective(lambda architecture: float(len(str(architecture))), takes="architecture")
    result = run(objective=objective, metrics=None, budget=3)
    assert [query.state for query in result.queries] == ["complete"] * 3
    assert result.steps == 0


@pytest.mark.slow
def test_bohb_on_digits_trains_fewer_epochs_and_goes_on_after_a_stop(tmp_path) -> None:
    """`tpe` with `hyperband`, on real trainings."""
    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=4, depth=1)
    plan = {
        "objective": robonas.TrainingObjective(data, epochs=9, batch_size=64, threads=1),
        "strategy": "tpe",
        "pruner": "hyperband",
        "pool": 60,
        "budget": 16,
    }
    whole = search(space, folder=None, **plan)
    assert len(whole.queries) == 16
    assert whole.n_pruned >= 4
    assert whole.steps + whole.steps_saved == 16 * 9
    assert {query.steps for query in whole.queries if query.state == "pruned"} <= {1, 3}
    assert whole.best.steps == 9
    values = [query.value for query in whole.queries if query.value is not None]
    assert whole.value == max(values) > np.median(values)

    class Stop(BaseException):
        """Ctrl-C."""

    left = [whole.steps // 2]

    def stop(event) -> None:
        left[0] -= isinstance(event, QueryStep)
        if left[0] == 0:
            raise Stop

    with pytest.raises(Stop):
        search(space, folder=tmp_path, callbacks=[stop], **plan)
    again = search(space, folder=tmp_path, **plan)
    alike = [(q.architecture, q.state, q.value, q.partial, q.steps, q.reason) for q in again.queries]
    assert alike == [(q.architecture, q.state, q.value, q.partial, q.steps, q.reason) for q in whole.queries]
    network = again.build()
    batch = data.batch(64, 0)
    assert (network.network(batch.inputs).argmax(1) == batch.targets).float().mean() > 0.2
