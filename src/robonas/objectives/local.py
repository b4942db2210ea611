"""Evaluations in processes of this machine, each with its device.

What ends a process costs one evaluation, and a stop need not wait for it.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from robonas.costs.size import network_size
from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives.evaluators import Answer, Evaluators, Place, Running, too_late
from robonas.processes.workers import NoProcessError, Packed, Worker, receive_within, warn_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.architecture import Architecture
    from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
    from robonas.processes.serving import Channel
    from robonas.processes.workers import Message
    from robonas.spaces import SearchSpace

DEVICE = "ROBONAS_DEVICE"
"""Environment variable with the device of an evaluation, for functions and programs that choose one themselves."""
_LOOK_S = 0.2
"""Seconds between looks whether an evaluation takes too long, or a signal has come."""


@dataclass
class _Running(Running):
    """An evaluation under way at one of the places."""

    key: int
    architecture: Architecture
    seed: int
    since: float = field(default_factory=time.monotonic)


@dataclass
class _Slot:
    """One of the places, the process that is kept for it, and what it is at."""

    place: Place
    worker: Worker | None = None
    running: _Running | None = None


class LocalEvaluators(Evaluators):
    """Evaluates candidates in worker processes that are kept and used again.

    The objective with its data is sent once to each process. Each report of an evaluation comes back as it is made, and
    the evaluation waits until it is answered. Values are those of this process, bit for bit, where numbers of threads
    are equal. With one place and no limit of time, an objective whose `isolated` is False is evaluated in this process,
    and so is one that cannot be sent to another, with a warning.

    Args:
        space: Builds the networks.
        objective: Evaluates them.
        places: Places of the evaluations; as many run at once.
        limit_s: Seconds after which an evaluation is ended; None for no limit.
        apart: True never to evaluate in this process.

    Attributes:
        here: True where evaluations run in this process.

    Raises:
        ConfigError: It must run in processes of its own, and cannot be sent to one.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: Objective,
        places: Sequence[Place] = (),
        *,
        limit_s: float | None = None,
        apart: bool = False,
    ) -> None:
        self._space, self._objective, self._limit = space, objective, limit_s
        self._slots = [_Slot(place) for place in places or [Place(0)]]
        several = len(self._slots) > 1 or self._slots[0].place.device is not None
        self._must = apart or several or limit_s is not None
        self.here = not objective.isolated and not self._must
        self._packed: Packed | None = None
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._threads = _threads_each(len(self._slots))

    def close(self) -> None:
        """End the processes."""
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.kill()
                slot.worker = None

    def free(self) -> Place | None:
        """Return the place of the evaluation that is started next; None while all are taken."""
        return next((slot.place for slot in self._slots if slot.running is None), None)

    def start(self, key: int, architecture: Architecture, *, seed: int) -> None:
        """Begin an evaluation at the free place; see `Evaluators.start`."""
        slot = next(slot for slot in self._slots if slot.running is None)
        slot.running = _Running(key, architecture, seed)
        if not self.here:
            self._or_here(lambda: self._send(slot))

    def wait(self, report: Callable[[int, CurvePoint], None]) -> Answer:
        """Return the end of the evaluation that ends first; see `Evaluators.wait`."""
        while not self.here:
            found = self._or_here(lambda: self._listen(report))
            if found is not None:
                return found
        return self._evaluate_here(report)

    def _or_here(self, work: Callable[[], Answer | None]) -> Answer | None:
        """Do what needs processes; without them, go on in this one."""
        try:
            return work()
        except NoProcessError as reason:
            self.close()
            if self._must:
                raise ConfigError(
                    f"Objective {self._objective.name!r} cannot be evaluated in processes of its own: {reason}. Define "
                    "what it needs in a module, or search without several at once, devices and a time for each."
                ) from reason
            warn_of(reason, "trainings")
            self.here = True
            return None

    # ── in processes ──

    def _send(self, slot: _Slot) -> None:
        assert slot.running is not None
        if slot.worker is None:
            if self._packed is None:
                self._packed = Packed(_Remote(self._space, self._objective))
            slot.worker = Worker(self._packed, self._inbox)
        slot.worker.run((slot.running.architecture, slot.running.seed, slot.place.device, self._threads))

    def _listen(self, report: Callable[[int, CurvePoint], None]) -> Answer:
        while True:
            late = self._late()
            if late is not None:
                return late
            message = receive_within(self._inbox, _LOOK_S)
            if message is None:
                continue
            sender, kind, value = message
            slot = next((slot for slot in self._slots if slot.worker is sender), None)
            if slot is None:  # of one that was ended
                continue
            if kind == "asked":
                assert slot.running is not None
                sender.answer(go_on=slot.running.hear(slot.running.key, value, report))
            elif kind == "done":
                return self._ended(slot, *value)
            elif kind == "raised":
                return self._ended(slot, None, None, value)
            elif kind == "died":
                slot.worker = None
                if slot.running is not None:
                    return self._ended(slot, None, None, ObjectiveError(f"The training's process ended {value}."))

    def _ended(
        self,
        slot: _Slot,
        evaluation: Evaluation | None,
        size: Mapping[str, int | None] | None,
        error: BaseException | None = None,
    ) -> Answer:
        running, slot.running = slot.running, None
        assert running is not None
        return running.answer(running.key, evaluation, size, error)

    def _late(self) -> Answer | None:
        """End an evaluation that takes too long."""
        for slot in self._slots if self._limit is not None else ():
            assert self._limit is not None
            if slot.running is not None and time.monotonic() - slot.running.since > self._limit:
                if slot.worker is not None:
                    slot.worker.kill()
                    slot.worker = None
                return self._ended(slot, None, None, too_late(self._limit))
        return None

    # ── in this process ──

    def _evaluate_here(self, report: Callable[[int, CurvePoint], None]) -> Answer:
        slot = self._slots[0]
        running = slot.running
        assert running is not None
        remote = _Remote(self._space, self._objective)
        try:
            found = remote.evaluate(running.architecture, running.seed, lambda point: report(running.key, point))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whoever asked knows what each means
            return self._ended(slot, None, None, error)
        return self._ended(slot, *found)


class _Remote:
    """The work of the worker: evaluations of one objective."""

    def __init__(self, space: SearchSpace, objective: Objective) -> None:
        self.space, self.objective = space, objective

    def __call__(
        self, argument: tuple[Architecture, int, str | None, int | None], channel: Channel
    ) -> tuple[Evaluation, Mapping[str, int | None] | None]:
        architecture, seed, device, threads = argument
        if device is not None:
            adopt_device(device)
            self.objective = self.objective.on(device)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return self.evaluate(architecture, seed, channel.ask)

    def evaluate(
        self, architecture: Architecture, seed: int, report: Report
    ) -> tuple[Evaluation, Mapping[str, int | None] | None]:
        """Return the value, and the size of the network that was trained for it."""
        found = self.objective.evaluate(self.space, architecture, seed=seed, report=report)
        if found.parameters is None:
            return found, None
        size = None
        with contextlib.suppress(Exception):  # it is not needed; counted now, `show` and `report` need no PyTorch
            size = network_size(
                lambda: self.space.build_seeded(architecture, seed), self.space.input_shape_of(architecture)
            )
        return found, size


def _threads_each(n: int) -> int | None:
    """Return the number of PyTorch's threads that each of `n` evaluations at once has; None for PyTorch's setting."""
    if n == 1:
        return None
    import torch

    return max(1, torch.get_num_threads() // n)


def adopt_device(device: str) -> None:
    """Make a device the one that this process uses where none is named, and name it in the environment."""
    os.environ[DEVICE] = device
    if device.startswith("cuda:"):
        import torch

        torch.cuda.set_device(device)
