"""A small search for many workers: a space of a hundred cells without networks, and a log of every training begun."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import TYPE_CHECKING

import torch
from torch import nn

import robonas
from robonas.objectives.base import CurvePoint, Evaluation, Objective
from robonas.spaces.choices import from_choices
from robonas.study.loop import search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 280.0
"""Seconds after which what has not come about counts as hanging; long, since a machine may have much else to do."""
FORK = multiprocessing.get_context("fork")
"""Kept imports: PyTorch takes longer to load than a round of searches."""


def toy_space():
    """A hundred networks of one layer."""
    return from_choices(
        {"a": tuple(range(10)), "b": tuple(range(10))}, _build, input_shape=(2,), n_classes=2, name="hundred"
    )


def _build(a: int, b: int) -> nn.Module:
    return nn.Linear(2, 2)


class Logged(Objective):
    """A value by hand, after a few steps; each beginning is a line of a log.

    Args:
        log: The file.
        steps: How many.
        delay: Seconds a step.
        at: Called with the architecture's text before each step.
    """

    name = "logged"
    value_name = "value"
    direction = "maximize"

    def __init__(
        self,
        log: Path | None = None,
        *,
        steps: int = 3,
        delay: float = 0.0,
        at: Callable[[str, int], None] | None = None,
    ) -> None:
        self.log, self.steps, self.delay, self.at = log, steps, delay, at

    @property
    def settings(self):
        return {}

    def batch(self, size, seed):
        return robonas.Batch(torch.eye(2), torch.tensor([0, 1]), 2)

    def evaluate(self, space, architecture, *, seed, report=None):
        text = space.format(architecture)
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write(f"{os.getpid()}\t{text}\n")
        full = (architecture["a"] * 37 + architecture["b"] * 53) % 101
        points = []
        for step in range(1, self.steps + 1):
            if self.at is not None:
                self.at(text, step)
            time.sleep(self.delay)
            points.append(CurvePoint(step, self.steps, full * step / self.steps))
            if report:
                report(points[-1])
        return Evaluation(float(full), 1.0, tuple(points), {"full": torch.tensor([float(full)])})


def begun(log: Path) -> list[tuple[int, str]]:
    """Process and architecture of each training that was begun."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(line.split("\t")[0]), line.split("\t")[1]) for line in lines]


def told(result) -> list:
    """What must be equal for two searches to be the same."""
    return [(q.number, q.architecture, q.state, q.value, q.partial, q.failure, q.curve) for q in result.queries]


def run(storage=None, folder=None, objective=None, **changes):
    """A search by random, or as is said."""
    plan = {"pool": 60, "budget": 16, "strategy": "random", **changes}
    return search(toy_space(), objective or Logged(), folder=folder, storage=storage, **plan)


class Workers:
    """Forked processes that run one search, and what each returned.

    Args:
        count: How many.
        home: A folder for their answers.
        call: The search of each, from its number.
    """

    def __init__(self, count: int, home: Path, call: Callable[[int], object]) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.processes = [FORK.Process(target=self._work, args=(number, call)) for number in range(count)]
        for process in self.processes:
            process.start()

    def _work(self, number: int, call: Callable[[int], object]) -> None:
        import traceback

        try:
            answer = repr(call(number))
        except BaseException:
            answer = traceback.format_exc()
            raise
        finally:
            (self.home / f"{number}.answer").write_text(answer)

    def kill(self, number: int) -> None:
        """Kill -9."""
        self.processes[number].kill()
        self.processes[number].join()

    def join(self, seconds: float = PATIENCE_S) -> list[str | None]:
        """The answers of those that ended well; a test fails with the traceback of any other that was not killed."""
        end = time.monotonic() + seconds
        try:
            for process in self.processes:
                process.join(max(0.0, end - time.monotonic()))
                assert process.exitcode is not None, "a worker hangs"
        finally:
            for process in self.processes:
                process.kill()
        answers: list[str | None] = []
        for number, process in enumerate(self.processes):
            path = self.home / f"{number}.answer"
            assert process.exitcode in {0, -9}, path.read_text()
            answers.append(path.read_text() if process.exitcode == 0 else None)
        return answers


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait for what other processes bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
