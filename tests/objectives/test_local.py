"""Evaluations in processes of this machine: the same values, streamed, and no death but the evaluation's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import pytest
import torch

from robonas.errors import ConfigError, DataError, ObjectiveError
from robonas.objectives import CurvePoint, FunctionObjective, TrainingObjective
from robonas.objectives.evaluators import Place, places_of
from robonas.objectives.local import DEVICE, LocalEvaluators
from robonas.study.loop import search
from tests.fakes import small_batch, small_space
from tests.objectives.toy import FIRST, OTHER, ToySpace, blobs

SPACE = ToySpace()


def function(call, **settings) -> FunctionObjective:
    return FunctionObjective(call, takes="architecture", isolated=True, **settings)


def one(evaluators, architecture, *, seed, report=print):
    """The evaluation of one architecture, alone."""
    evaluators.start(7, architecture, seed=seed)
    answer = evaluators.wait(lambda key, point: report(point))
    assert answer.key == 7
    if answer.error is not None:
        raise answer.error
    return answer.evaluation


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_has_the_same_value_bit_for_bit(threads):
    objective = TrainingObjective(blobs(), epochs=3, batch_size=8, device="cpu", threads=threads)
    points: list[CurvePoint] = []
    here = objective.evaluate(SPACE, FIRST, seed=3)
    with LocalEvaluators(SPACE, objective) as evaluators:
        there = one(evaluators, FIRST, seed=3, report=points.append)
        assert one(evaluators, OTHER, seed=3, report=points.append).value is not None
    assert (there.value, [point.loss for point in there.curve]) == (here.value, [point.loss for point in here.curve])
    assert all(torch.equal(value, here.parameters[name]) for name, value in there.parameters.items())
    assert [(point.step, point.value) for point in points[:3]] == [(point.step, point.value) for point in here.curve]


def test_the_process_is_kept_and_used_again():
    with LocalEvaluators(SPACE, function(lambda architecture: os.getpid())) as evaluators:
        first, second = (one(evaluators, FIRST, seed=0, report=print).value for _ in "ab")
    assert first == second != os.getpid()


def test_the_one_who_listens_decides_after_each_report():
    def climb(architecture, report):
        for step in range(1, 6):
            report(CurvePoint(step, 5, step))
        return 5

    class EnoughError(Exception):
        pass

    seen = []

    def listen(point):
        seen.append(point.step)
        if len(seen) == 2:
            raise EnoughError

    with LocalEvaluators(SPACE, function(climb)) as evaluators:
        with pytest.raises(EnoughError):
            one(evaluators, FIRST, seed=0, report=listen)
        assert seen == [1, 2]
        assert one(evaluators, FIRST, seed=0, report=seen.append).value == 5


def test_errors_come_back_with_their_class_and_message():
    def fail(architecture):
        raise DataError("no images") if architecture["which"] == "first" else KeyError("lost")

    with LocalEvaluators(SPACE, function(fail, name="accuracy")) as evaluators:
        with pytest.raises(DataError, match=r"^no images$"):
            one(evaluators, FIRST, seed=0, report=print)
        with pytest.raises(ObjectiveError, match=r"^Function 'accuracy' failed: KeyError: 'lost' \(.*, line \d+\)$"):
            one(evaluators, OTHER, seed=0, report=print)


def test_a_stop_ends_the_evaluation_at_once():
    def never(architecture, report):
        report(CurvePoint(1, 2, 0.0))
        threading.Event().wait()

    def stop(point):
        raise KeyboardInterrupt

    with LocalEvaluators(SPACE, function(never)) as evaluators, pytest.raises(KeyboardInterrupt):
        one(evaluators, FIRST, seed=0, report=stop)


def test_what_cannot_be_sent_is_evaluated_here_with_a_warning():
    lock = threading.Lock()
    with (
        LocalEvaluators(SPACE, function(lambda architecture: float(lock.locked()))) as evaluators,
        pytest.warns(RuntimeWarning, match="No process of its own for trainings"),
    ):
        assert one(evaluators, FIRST, seed=0, report=print).value == 0


# ── several at once ──


def meet(folder, n):
    """An evaluation that ends when `n` of them are under way."""

    def evaluate(architecture, seed):
        (folder / str(seed)).touch()
        while len(list(folder.iterdir())) < n:
            time.sleep(0.01)
        return seed

    return evaluate


def test_as_many_run_at_once_as_there_are_places(tmp_path):
    places = [Place(slot) for slot in range(3)]
    with LocalEvaluators(SPACE, function(meet(tmp_path, 3)), places) as evaluators:
        for seed in range(3):
            assert evaluators.free() == places[seed]
            evaluators.start(seed, FIRST, seed=seed)
        assert evaluators.free() is None
        answers = [evaluators.wait(print) for _ in range(3)]
        assert {(answer.key, answer.evaluation.value) for answer in answers} == {(0, 0), (1, 1), (2, 2)}
        assert evaluators.free() == places[0]


def test_a_death_and_a_late_one_cost_themselves_only(tmp_path):
    def evaluate(architecture, seed):
        (tmp_path / str(seed)).touch()
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.01)
        if seed == 0:
            os._exit(3)
        if seed == 1:
            threading.Event().wait()
        return seed

    with LocalEvaluators(SPACE, function(evaluate), [Place(slot) for slot in range(3)], limit_s=20) as evaluators:
        for seed in range(3):
            evaluators.start(seed, FIRST, seed=seed)
        first = {answer.key: answer for answer in (evaluators.wait(print), evaluators.wait(print))}
        assert str(first[0].error) == "The training's process ended with exit code 3."
        assert first[2].evaluation.value == 2
        evaluators._limit = 0.0  # its time is over
        late = evaluators.wait(print)
        assert (late.key, str(late.error)) == (1, "It took longer than the 0 seconds that it may.")
        evaluators._limit = 60.0
        assert one(evaluators, FIRST, seed=5).value == 5


def test_each_place_has_its_device_and_its_share_of_the_threads():
    def evaluate(architecture):
        return 10 * int(os.environ[DEVICE].removeprefix("meta:")) + torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with LocalEvaluators(SPACE, function(evaluate), [Place(0, "meta:7"), Place(1, "meta:8")]) as evaluators:
            evaluators.start(0, FIRST, seed=0)
            evaluators.start(1, FIRST, seed=0)
            found = {evaluators.wait(print).evaluation.value for _ in "ab"}
    finally:
        torch.set_num_threads(before)
    assert found == {72, 82}


def test_what_must_run_apart_and_cannot_be_sent_is_refused():
    lock = threading.Lock()
    objective = FunctionObjective(lambda architecture: float(lock.locked()), takes="architecture", name="accuracy")
    for settings in ({"places": [Place(0), Place(1)]}, {"limit_s": 5}, {"places": [Place(0, "cpu")]}):
        with (
            LocalEvaluators(SPACE, objective, **settings) as evaluators,
            pytest.raises(ConfigError, match="cannot be evaluated in processes of its own: what it needs cannot be"),
        ):
            one(evaluators, FIRST, seed=0)


def test_devices_are_divided_among_the_places(monkeypatch):
    objective = function(print)
    assert places_of(objective, None, None) == [Place(0)]
    assert [place.device for place in places_of(objective, 3, None)] == [None] * 3
    assert [place.device for place in places_of(objective, None, ["cpu", "cpu"])] == ["cpu", "cpu"]
    training = TrainingObjective(blobs(), device="cpu")
    assert [place.device for place in places_of(training, 2, None)] == ["cpu", "cpu"]
    assert places_of(training, None, None) == [Place(0)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    training.device = torch.device("cuda")  # as "auto" finds it
    assert [place.device for place in places_of(training, 3, None)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [place.device for place in places_of(training, 3, ["cuda:1"])] == ["cuda:1"] * 3
    assert training.on("cuda:1").device == torch.device("cuda:1")
    assert training.device == torch.device("cuda")
    for devices, words in (
        (["cuda:2"], "there are 2 CUDA devices"),
        (["cpu"], "must be of one kind"),
        (["tpu"], "Device must be"),
        ("cuda:0", "must be a list of devices"),
        ([], "must be a list of devices"),
    ):
        with pytest.raises(ConfigError, match=words):
            places_of(training, None, devices)


# ── in a search ──

ENDS = [
    (lambda: os._exit(3), "The training's process ended with exit code 3."),
    (lambda: ctypes.string_at(0), "The training's process ended by signal 11 (SIGSEGV)."),
    (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "The training's process ended by signal 9 (SIGKILL), perhaps for want of memory.",
    ),
    (lambda: sys.exit("enough"), "The training called sys.exit('enough')."),
]


def test_an_evaluation_that_ends_its_process_is_a_failed_trial_and_the_search_goes_on(tmp_path):
    asked = tmp_path / "asked"

    def train(architecture):
        with asked.open("a") as stream:
            stream.write("x")
        number = len(asked.read_text())
        if number <= len(ENDS):
            ENDS[number - 1][0]()
        return number

    result = search(
        small_space(), function(train), strategy="random", pool=20, budget=7, folder=tmp_path, batch=small_batch()
    )
    assert [query.failure for query in result.queries] == [words for _, words in ENDS] + [None] * 3
    assert [query.value for query in result.queries[4:]] == [5, 6, 7]
    assert result.value == 7
    assert len(asked.read_text()) == 7
