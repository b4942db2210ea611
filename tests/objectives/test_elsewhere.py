"""Evaluations in a process of their own: the same values, streamed, and no death but the evaluation's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

import pytest
import torch

from robonas.errors import DataError, ObjectiveError
from robonas.objectives import CurvePoint, FunctionObjective, TrainingObjective
from robonas.objectives.elsewhere import Elsewhere
from robonas.study.loop import search
from tests.fakes import small_batch, small_space
from tests.objectives.toy import FIRST, OTHER, ToySpace, blobs

SPACE = ToySpace()


def function(call, **settings) -> FunctionObjective:
    return FunctionObjective(call, takes="architecture", isolated=True, **settings)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_has_the_same_value_bit_for_bit(threads):
    objective = TrainingObjective(blobs(), epochs=3, batch_size=8, device="cpu", threads=threads)
    points: list[CurvePoint] = []
    here = objective.evaluate(SPACE, FIRST, seed=3)
    with Elsewhere(SPACE, objective) as elsewhere:
        there = elsewhere.evaluate(FIRST, seed=3, report=points.append)
        assert elsewhere.evaluate(OTHER, seed=3, report=points.append).value is not None
    assert (there.value, [point.loss for point in there.curve]) == (here.value, [point.loss for point in here.curve])
    assert all(torch.equal(value, here.parameters[name]) for name, value in there.parameters.items())
    assert [(point.step, point.value) for point in points[:3]] == [(point.step, point.value) for point in here.curve]


def test_the_process_is_kept_and_used_again():
    with Elsewhere(SPACE, function(lambda architecture: os.getpid())) as elsewhere:
        first, second = (elsewhere.evaluate(FIRST, seed=0, report=print).value for _ in "ab")
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

    with Elsewhere(SPACE, function(climb)) as elsewhere:
        with pytest.raises(EnoughError):
            elsewhere.evaluate(FIRST, seed=0, report=listen)
        assert seen == [1, 2]
        assert elsewhere.evaluate(FIRST, seed=0, report=seen.append).value == 5


def test_errors_come_back_with_their_class_and_message():
    def fail(architecture):
        raise DataError("no images") if architecture["which"] == "first" else KeyError("lost")

    with Elsewhere(SPACE, function(fail, name="accuracy")) as elsewhere:
        with pytest.raises(DataError, match=r"^no images$"):
            elsewhere.evaluate(FIRST, seed=0, report=print)
        with pytest.raises(ObjectiveError, match=r"^Function 'accuracy' failed: KeyError: 'lost'$"):
            elsewhere.evaluate(OTHER, seed=0, report=print)


def test_a_stop_ends_the_evaluation_at_once():
    def never(architecture, report):
        report(CurvePoint(1, 2, 0.0))
        threading.Event().wait()

    def stop(point):
        raise KeyboardInterrupt

    with Elsewhere(SPACE, function(never)) as elsewhere, pytest.raises(KeyboardInterrupt):
        elsewhere.evaluate(FIRST, seed=0, report=stop)


def test_what_cannot_be_sent_is_evaluated_here_with_a_warning():
    lock = threading.Lock()
    with (
        Elsewhere(SPACE, function(lambda architecture: float(lock.locked()))) as elsewhere,
        pytest.warns(RuntimeWarning, match="No process of its own for trainings"),
    ):
        assert elsewhere.evaluate(FIRST, seed=0, report=print).value == 0


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
