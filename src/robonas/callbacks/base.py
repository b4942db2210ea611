"""The base of all logs: from the events of a search or a full training to runs with numbers."""

from __future__ import annotations

import abc
import dataclasses
import warnings
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from robonas.errors import ConfigError, NasError
from robonas.study.events import (
    EpochFinished,
    Event,
    QueryFinished,
    QueryStarted,
    QueryStep,
    SearchFinished,
    SearchStarted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

Numbers: TypeAlias = "Mapping[str, float]"
"""Numbers by name."""


class Log(abc.ABC):
    """A callback of `search` and `train` that logs numbers, as one run each.

    The run begins with the first event and ends with the last. To end it where a search is stopped by an error, use the
    log as a context: ``with TensorBoard("logs") as log: robonas.search(..., callbacks=[log])``. One log can be used for
    one after the other.

    Trouble at the beginning is raised, as a `ConfigError`. Later trouble, such as a server that is gone, ends the log
    with a warning, and the search goes on.

    Args:
        name: Name of the run; None for that of the study, or ``"training"``.
    """

    tracker: str
    """Name of what it logs to, for messages."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._open = False
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=error is not None)

    def close(self, *, failed: bool = False) -> None:
        """End the run, if there is one.

        Args:
            failed: True where it did not come to its end.
        """
        if self._open:
            self._open = False
            self._guarded(self.end, None, failed)

    def __call__(self, event: Event | EpochFinished) -> None:
        """Log an event of `search` or `train`."""
        match event:
            case SearchStarted(name=name, settings=settings, budget=budget):
                self.close()
                self._begin(name, {**settings, "budget": budget})
            case QueryStarted(query, _):
                self._guarded(self.begin_query, query)
            case QueryStep(query, point):
                values = {"value": point.value, "loss": point.loss, "seconds": point.seconds}
                numbers = {key: float(value) for key, value in values.items() if value is not None}
                self._guarded(self.log_step, query, point.step, numbers)
            case QueryFinished(query, best):
                self._guarded(self.end_query, query, best)
            case SearchFinished(result):
                self._open = False
                self._guarded(self.end, result, failed=False)
            case EpochFinished():
                if not self._open:
                    self._begin("training", {"epochs": event.epochs})
                numbers = {
                    key: float(value)
                    for key, value in dataclasses.asdict(event).items()
                    if key not in {"epoch", "epochs"} and value is not None
                }
                self._guarded(self.log_epoch, event.epoch, numbers)
                if event.epoch == event.epochs:
                    self.close()
            case _:
                pass

    def _begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a run.

        Raises:
            ConfigError: It cannot begin: no such server, no key for it, a folder that cannot be written.
        """
        self._failed = False
        try:
            self.begin(self.name or name, flat(settings))
        except NasError:
            raise
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(".")
            raise ConfigError(f"Cannot log to {self.tracker} ({told}). Mend it, or leave out this log.") from error
        self._open = True

    def _guarded(self, write: Any, *arguments: Any, **more: Any) -> None:
        """Log something; trouble ends the log with a warning, and nothing else."""
        if self._failed:
            return
        try:
            write(*arguments, **more)
        except NasError:
            raise
        except Exception as error:  # noqa: BLE001  # servers, disks and their clients fail in any way
            self._failed = True
            warnings.warn(
                f"The log to {self.tracker} has failed and is ended ({type(error).__name__}: {error}). "
                "What is searched or trained goes on.",
                stacklevel=2,
            )

    # ── what a kind of log does ──

    @abc.abstractmethod
    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a run.

        Args:
            name: Name of the run.
            settings: Settings of the search, as `flat` returns them.
        """

    @abc.abstractmethod
    def begin_query(self, query: Query) -> None:
        """Begin an evaluation of the search."""

    @abc.abstractmethod
    def log_step(self, query: Query, step: int, numbers: Numbers) -> None:
        """Log a step of an evaluation: its ``value``, and its ``loss`` and ``seconds`` where there are some."""

    @abc.abstractmethod
    def end_query(self, query: Query, best: float | None) -> None:
        """End an evaluation, with the best value of the search so far."""

    @abc.abstractmethod
    def log_epoch(self, epoch: int, numbers: Numbers) -> None:
        """Log an epoch of a full training."""

    @abc.abstractmethod
    def end(self, result: SearchResult | None, failed: bool) -> None:
        """End the run.

        Args:
            result: Result of the search; None for a training, or where the search did not come to its end.
            failed: True where an error ended it.
        """


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, str | float]:
    """Return nested settings as one level, with the names of all levels: ``space.settings.channels``."""
    found: dict[str, str | float] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{above}{name}.")
        elif isinstance(value, bool | int | float | str):
            found[f"{above}{name}"] = value
        elif value is not None:
            found[f"{above}{name}"] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return found


def results_of(query: Query, best: float | None) -> dict[str, float]:
    """Return the numbers of an evaluation that has ended: those of ``value``, ``best`` and ``seconds`` that it has."""
    values = {"value": query.value, "best": best, "seconds": query.seconds}
    return {name: float(value) for name, value in values.items() if value is not None}
