"""Evaluations in a process of their own: what ends that process costs one evaluation, and a stop need not wait."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from robonas.errors import ObjectiveError
from robonas.processes.workers import NoProcessError, Packed, Worker, receive, warn_of

if TYPE_CHECKING:
    from robonas.architecture import Architecture
    from robonas.objectives.base import Evaluation, Objective, Report
    from robonas.processes.serving import Channel
    from robonas.processes.workers import Message
    from robonas.spaces import SearchSpace


class Elsewhere:
    """Evaluates candidates one at a time, in a worker process that is kept and used again.

    The objective with its data is sent once, and each report of an evaluation comes back as it is made; the evaluation
    waits until it is answered. Values are those of this process, bit for bit. An objective whose `isolated` is False is
    evaluated in this process, and so is one that cannot be sent to another, with a warning.

    Args:
        space: Builds the networks.
        objective: Evaluates them.

    Attributes:
        here: True where evaluations run in this process.
    """

    def __init__(self, space: SearchSpace, objective: Objective) -> None:
        self._space, self._objective = space, objective
        self.here = not objective.isolated
        self._packed: Packed | None = None
        self._worker: Worker | None = None
        self._inbox: SimpleQueue[Message] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def evaluate(self, architecture: Architecture, *, seed: int, report: Report) -> Evaluation:
        """Evaluate one architecture; see `Objective.evaluate`.

        Raises:
            ObjectiveError: The evaluation failed, or ended its process.
        """
        if not self.here:
            try:
                return self._evaluate(architecture, seed, report)
            except NoProcessError as reason:
                warn_of(reason, "trainings")
                self.here = True
                self.close()
        return self._objective.evaluate(self._space, architecture, seed=seed, report=report)

    def _evaluate(self, architecture: Architecture, seed: int, report: Report) -> Evaluation:
        try:
            if self._worker is None:
                if self._packed is None:
                    self._packed = Packed(_Remote(self._space, self._objective))
                self._worker = Worker(self._packed, self._inbox)
            self._worker.run((architecture, seed))
            kind, value = self._listen(self._worker, report)
        except BaseException:  # such as Ctrl-C: the evaluation need not be waited for
            self.close()
            raise
        if kind == "done":
            evaluation: Evaluation = value
            return evaluation
        if kind == "died":
            raise ObjectiveError(f"The training's process ended {value}.")
        raise value

    def _listen(self, worker: Worker, report: Report) -> tuple[str, Any]:
        """Answer its reports until it ends: ``done`` with an evaluation, ``raised`` an error, or ``died`` somehow."""
        stop: Exception | None = None
        while True:
            sender, kind, value = receive(self._inbox)
            if sender is not worker:
                continue  # of one that was ended
            if kind == "asked":
                try:
                    report(value)
                except Exception as error:  # noqa: BLE001  # such as the pruner's word, which ends the evaluation
                    stop = error
                worker.answer(go_on=stop is None)
            elif kind in {"done", "raised", "died"}:
                if kind == "died":
                    self._worker = None
                return (kind, value) if stop is None else ("raised", stop)


class _Remote:
    """The work of the worker: evaluations of one objective."""

    def __init__(self, space: SearchSpace, objective: Objective) -> None:
        self.space, self.objective = space, objective

    def __call__(self, argument: tuple[Architecture, int], channel: Channel) -> Any:
        architecture, seed = argument
        return self.objective.evaluate(self.space, architecture, seed=seed, report=channel.ask)
