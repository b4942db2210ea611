"""Places where the evaluations of a search run: one or several at once, each with its device."""

from __future__ import annotations

import abc
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from robonas.errors import ConfigError, ObjectiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.architecture import Architecture
    from robonas.objectives.base import CurvePoint, Evaluation, Objective


@dataclass(frozen=True)
class Place:
    """The slot and the device on which an evaluation runs."""

    slot: int
    """Number of the slot, from 0; a search with `n_parallel` slots evaluates as many candidates at once."""
    device: str | None = None
    """Device that its objective is given, such as ``"cuda:1"``; None where the objective chooses."""
    host: str = field(default_factory=socket.gethostname)
    """Name of the host."""


@dataclass(frozen=True)
class Answer:
    """The end of one evaluation."""

    key: int
    """Key that it was started with."""
    evaluation: Evaluation | None
    """Answer of the objective; None where it failed."""
    error: BaseException | None = None
    """Reason why it failed."""
    size: Mapping[str, int | None] | None = None
    """``parameters`` and ``macs`` of the network that was trained; None where none was, or it cannot be counted."""


@dataclass
class Running:
    """An evaluation under way, and whether a report has ended it."""

    stop: Exception | None = field(default=None, kw_only=True)
    """Error that its report has raised: the reason to end it."""

    def hear(self, key: int, point: CurvePoint, report: Callable[[int, CurvePoint], None]) -> bool:
        """Report a step, and return whether the evaluation goes on."""
        try:
            report(key, point)
        except Exception as error:  # noqa: BLE001  # such as the pruner's word, which ends the evaluation
            self.stop = error
        return self.stop is None

    def answer(
        self,
        key: int,
        evaluation: Evaluation | None,
        size: Mapping[str, int | None] | None,
        error: BaseException | None = None,
    ) -> Answer:
        """Return its end; the reason to end it comes before all else."""
        if self.stop is not None:
            return Answer(key, None, self.stop)
        return Answer(key, evaluation, error, size)


class Evaluators(abc.ABC):
    """Evaluates candidates, one or several at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def close(self) -> None:
        """End what is under way, and free everything."""

    @abc.abstractmethod
    def free(self) -> Place | None:
        """Return the place of the evaluation that is started next; None while all are taken."""

    @abc.abstractmethod
    def start(self, key: int, architecture: Architecture, *, seed: int) -> None:
        """Begin an evaluation at the free place.

        Args:
            key: Number by which its reports and its end are told.
            architecture: Architecture to evaluate.
            seed: The run's seed.
        """

    @abc.abstractmethod
    def wait(self, report: Callable[[int, CurvePoint], None]) -> Answer:
        """Return the end of the evaluation that ends first.

        Args:
            report: Called with the key of an evaluation and each of its steps; what it raises ends that evaluation.
        """


def too_late(limit_s: float) -> ObjectiveError:
    """Return the failure of an evaluation that takes too long."""
    return ObjectiveError(f"It took longer than the {limit_s:g} seconds that it may.")


def places_of(objective: Objective, n_parallel: int | None, devices: Sequence[str] | None) -> list[Place]:
    """Return where the evaluations of a search run.

    Args:
        objective: Evaluates them.
        n_parallel: Number of evaluations at once; None for one on each of the given devices, or one without such.
        devices: Devices to divide them among; None for those that the objective can use.

    Raises:
        ConfigError: A device does not exist, or is of another kind than the objective's.
    """
    if devices is not None:
        chosen = _checked(objective, devices)
    else:
        chosen = objective.devices() if (n_parallel or 1) > 1 else []
    n = n_parallel or max(1, len(chosen))
    return [Place(slot, chosen[slot % len(chosen)] if chosen else None) for slot in range(n)]


def _checked(objective: Objective, devices: Sequence[str]) -> list[str]:
    from robonas.training.device import choose_device

    if isinstance(devices, str) or not devices:
        raise ConfigError(f"`devices` must be a list of devices, such as ['cuda:0', 'cuda:1']; got {devices!r}.")
    chosen = [str(choose_device(device)) for device in devices]
    kinds = {device.partition(":")[0] for device in [*chosen, *objective.devices()]}
    if len(kinds) > 1:
        raise ConfigError(
            f"`devices` must be of one kind, that of the objective's own device; got {', '.join(sorted(kinds))}. "
            "Values of different kinds of devices cannot be compared."
        )
    return chosen
