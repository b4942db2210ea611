"""Events of a search and of a full training, for callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from robonas.common.settings import callbacks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from robonas.objectives.base import CurvePoint
    from robonas.study.query import Query
    from robonas.study.result import SearchResult


@dataclass(frozen=True)
class ScoringProgress:
    """Some networks have been scored."""

    done: int
    """Isomorphism classes scored so far."""
    total: int
    """Number of classes in all."""


@dataclass(frozen=True)
class CandidatesLeftOut:
    """The limits have left out candidates, before anything dearer was computed."""

    counts: Mapping[str, int]
    """Number of rejected candidates by the first limit that each breaks, such as ``"more than 10,000 parameters"``."""
    left: int
    """Number of architectures that keep all."""


@dataclass(frozen=True)
class PoolGrown:
    """Children of the best candidates have been scored, and join the pool with the next query."""

    children: int
    """Number of them."""
    candidates: int
    """Different networks in the pool, these included."""


@dataclass(frozen=True)
class WaitingForOthers:
    """The budget is spent, and other workers are still at some evaluations; what one of them leaves is taken up."""

    pending: int
    """Number of evaluations."""


@dataclass(frozen=True)
class SearchStarted:
    """Everything is scored, and the first evaluation can begin."""

    name: str
    """Name of the study."""
    settings: Mapping[str, Any]
    """All on which its evaluations depend; JSON values."""
    budget: int
    """Evaluations in all."""
    done: int = 0
    """Evaluations that have ended before: more than none where a search goes on."""
    best: float | None = None
    """The best value of these; None while none has completed."""


@dataclass(frozen=True)
class SearchFinished:
    """The search has ended, and returns after this."""

    result: SearchResult
    """Its result."""


@dataclass(frozen=True)
class QueryStarted:
    """An evaluation begins."""

    query: Query
    """Its state is running."""
    budget: int
    """Evaluations in all."""


@dataclass(frozen=True)
class QueryStep:
    """An evaluation has finished a step, such as an epoch."""

    query: Query
    """The evaluation."""
    point: CurvePoint
    """Latest point of the learning curve."""


@dataclass(frozen=True)
class QueryFinished:
    """An evaluation has ended."""

    query: Query
    """Complete, pruned or failed."""
    best: float | None
    """The best value so far, this one included; None while none has completed."""


@dataclass(frozen=True)
class TrainedAgain:
    """One of the best candidates was trained with another seed, to learn how good it really is."""

    architecture: str
    """The text of its architecture."""
    repeat: int
    """Number of the seed, from 1."""
    value: float | None
    """Its value with that seed, in the objective's own direction; None where the training failed."""
    done: int
    """Number of these trainings that have ended."""
    total: int
    """Number of them in all."""


@dataclass(frozen=True)
class EpochFinished:
    """An epoch of a full training has ended: a row of its log."""

    epoch: int
    """Number of the epoch, from 1."""
    epochs: int
    """Number that there will be."""
    learning_rate: float
    """Learning rate of its first step."""
    training_loss: float
    """Mean over the samples, with all that the recipe adds to the cross-entropy."""
    value: float | None
    """Measure on the validation part, such as the accuracy; None without such a part, as the three below."""
    loss: float | None
    """Mean loss on the validation part."""
    top1: float | None
    """Share of samples whose class is the likeliest; None where there are no classes."""
    top5: float | None
    """Share of samples whose class is among the five likeliest; None where there are fewer than six classes."""
    seconds: float
    """Seconds that the epoch took."""


Event: TypeAlias = (
    CandidatesLeftOut
    | ScoringProgress
    | PoolGrown
    | SearchStarted
    | WaitingForOthers
    | QueryStarted
    | QueryStep
    | QueryFinished
    | TrainedAgain
    | SearchFinished
)
"""Events that a search tells while it runs."""


E = TypeVar("E")


def caller_of(callbacks: Iterable[Callable[[E], None]]) -> Callable[[E], None]:
    """Return a function that calls all callbacks with an event, in their order.

    Raises:
        ConfigError: They are not a list of functions.
    """
    chosen = callbacks_of(callbacks)

    def call(event: E) -> None:
        for callback in chosen:
            callback(event)

    return call
