"""What a search and a full training tell while they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from robonas.objectives.base import CurvePoint
    from robonas.results import Query


@dataclass(frozen=True)
class ScoringProgress:
    """Some networks have been scored."""

    done: int
    """Isomorphism classes scored so far."""
    total: int
    """In all."""


@dataclass(frozen=True)
class PoolGrown:
    """Children of the best candidates have been scored, and join the pool with the next query."""

    children: int
    """How many."""
    candidates: int
    """Different networks in the pool, these included."""


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
    """Where it stands."""


@dataclass(frozen=True)
class QueryFinished:
    """An evaluation has ended."""

    query: Query
    """Complete or failed."""
    best: float | None
    """The best value so far, this one included; None while none has completed."""


@dataclass(frozen=True)
class EpochFinished:
    """An epoch of a full training has ended: a row of its log."""

    epoch: int
    """From 1."""
    epochs: int
    """How many there will be."""
    learning_rate: float
    """Of its first step."""
    training_loss: float
    """Mean over the samples, with all that the recipe adds to the cross-entropy."""
    loss: float | None
    """Mean cross-entropy on the validation part; None without one, as the two below."""
    top1: float | None
    """Share of right answers on the validation part."""
    top5: float | None
    """Share of samples whose class is among the five that the network holds for likeliest."""
    seconds: float
    """What the epoch took."""


Event: TypeAlias = ScoringProgress | PoolGrown | QueryStarted | QueryStep | QueryFinished
"""What a search tells while it runs."""
