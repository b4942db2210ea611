"""Evaluations on an executor: Ray, Dask, or anything with the `submit` of `concurrent.futures`."""

from __future__ import annotations

import pickle  # between processes of one program
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives.evaluators import Answer, Evaluators, Place, Running
from robonas.objectives.local import LocalEvaluators
from robonas.processes import stops
from robonas.processes.executors import broken, packed, sent, unpacked
from robonas.processes.serving import portable
from robonas.processes.workers import far_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.architecture import Architecture
    from robonas.objectives.base import CurvePoint, Evaluation, Objective
    from robonas.processes.executors import Engine, Promise
    from robonas.spaces import SearchSpace

_LOOK_S = 0.1
"""Seconds between looks for reports."""


@dataclass
class _Running(Running):
    """An evaluation that the engine was given."""

    place: Place
    promise: Promise


class FarEvaluators(Evaluators):
    """Evaluates candidates as tasks of an executor, each in a process of its own there.

    Reports come back while a network trains where the engine carries them (Ray, Dask). The limit of time of an
    evaluation is kept there, in time that it runs; waiting for a free worker does not count.

    Args:
        space: Builds the networks.
        objective: Evaluates them; sent to the engine once.
        engine: Runs them.
        places: Places of the evaluations; as many run at once.
        limit_s: Seconds after which an evaluation is ended; None for no limit.

    Raises:
        ConfigError: The objective cannot be sent.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: Objective,
        engine: Engine,
        places: Sequence[Place],
        *,
        limit_s: float | None = None,
    ) -> None:
        self._engine = engine
        self._free = list(places)
        self._running: dict[int, _Running] = {}
        self._ended: SimpleQueue[tuple[int, Promise]] = SimpleQueue()
        try:
            self._work = engine.put(packed((space, objective, limit_s)))
        except Exception as error:  # whatever a user's object raises when it is written
            raise ConfigError(
                f"Objective {objective.name!r} cannot be sent to the executor ({type(error).__name__}: {error}). "
                "Define what it needs in a module."
            ) from error
        self._mailbox = engine.mailbox()

    def close(self) -> None:
        """Cancel what is under way."""
        for running in self._running.values():
            self._engine.cancel(running.promise)
        if self._mailbox is not None:
            self._mailbox.close()

    def free(self) -> Place | None:
        """Return the place of the evaluation that is started next; None while all are taken."""
        return min(self._free, key=lambda place: place.slot, default=None)

    def start(self, key: int, architecture: Architecture, *, seed: int) -> None:
        """Begin an evaluation at the free place; see `Evaluators.start`."""
        place = self.free()
        assert place is not None
        self._free.remove(place)
        post = None if self._mailbox is None else self._mailbox.post(key)
        promise = sent(self._engine, evaluate_there, self._work, architecture, seed, post)
        self._running[key] = _Running(place, promise)
        promise.add_done_callback(lambda done: self._ended.put((key, done)))

    def wait(self, report: Callable[[int, CurvePoint], None]) -> Answer:
        """Return the end of the evaluation that ends first; see `Evaluators.wait`."""
        while True:
            stops.check()
            try:
                key, promise = self._ended.get(timeout=_LOOK_S)
            except Empty:
                pass
            else:
                if key in self._running:
                    return self._answer(key, promise)
            for key, letter in self._mailbox.take() if self._mailbox is not None else ():
                self._hear(key, pickle.loads(letter), report)  # noqa: S301

    def _hear(self, key: int, point: CurvePoint, report: Callable[[int, CurvePoint], None]) -> None:
        assert self._mailbox is not None
        running = self._running.get(key)
        self._mailbox.answer(key, go_on=running is not None and running.hear(key, point, report))

    def _answer(self, key: int, promise: Promise) -> Answer:
        running = self._running.pop(key)
        self._free.append(running.place)
        try:
            evaluation, error, size = promise.result()
        except BrokenExecutor as failure:
            raise broken(failure) from failure
        except (Exception, CancelledError) as failure:  # noqa: BLE001  # of the engine, such as a node that is lost
            first = (str(failure).splitlines() or [""])[0]
            error = ObjectiveError(f"The executor lost the training ({type(failure).__name__}: {first})")
            return running.answer(key, None, None, error)
        if error is not None:
            error = far_error(error)
        return running.answer(key, evaluation, size, error)


def evaluate_there(
    data: Any, architecture: Architecture, seed: int, post: Callable[[bytes], bool] | None
) -> tuple[Evaluation | None, bytes | None, Mapping[str, int | None] | None]:
    """Evaluate an architecture where this is called.

    Args:
        data: The space, the objective and the limit of time, as bytes of `packed`.
        architecture: Architecture to evaluate.
        seed: The run's seed.
        post: Sends a report and returns whether to go on; None to send none.

    Returns:
        The evaluation, an error as bytes, and the network's size.
    """
    fingerprint, (space, objective, limit_s) = unpacked(data)

    def report(_: int, point: CurvePoint) -> None:
        if post is not None and not post(pickle.dumps(point)):
            raise ObjectiveError("It was ended by the search.")

    for other in set(_idle) - {fingerprint}:  # of another search
        for evaluators in _idle.pop(other):
            evaluators.close()
    idle = _idle.setdefault(fingerprint, [])
    evaluators = idle.pop() if idle else LocalEvaluators(space, objective, limit_s=limit_s, apart=True)
    try:
        evaluators.start(0, architecture, seed=seed)
        answer = evaluators.wait(report)
    except BaseException:
        evaluators.close()
        raise
    idle.append(evaluators)
    if answer.error is None:
        return answer.evaluation, None, answer.size
    return None, portable(answer.error), None


_idle: dict[bytes, list[LocalEvaluators]] = {}
"""Evaluators of the latest search in this process that are at nothing, kept with their processes."""
