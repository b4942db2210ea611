"""Scoring one network with many metrics."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from robonas.common.randomness import seeded
from robonas.errors import MetricError, NetworkError
from robonas.metrics.base import Metric, Need, Score
from robonas.metrics.guard import Guard, is_foreign
from robonas.metrics.passes.networks import explain, scoring_mode
from robonas.metrics.passes.passes import Passes
from robonas.metrics.passes.sight import unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.networks import LogitsHook


def score_resolved(
    network: nn.Module,
    batch: Batch,
    metrics: Sequence[Metric],
    *,
    seed: int = 0,
    logits: LogitsHook | None = None,
    micro_batch: int | None = None,
    tell: Callable[[str, Score], None] | None = None,
) -> dict[str, Score]:
    """Score one network by metrics that are resolved already; see `robonas.metrics.score_network`.

    `tell` is given each score as soon as it is there, with the CPU time of the metric alone.
    """
    network = unwrapped(network)
    needs = frozenset[Need]().union(*(metric.needs for metric in metrics))
    passes = Passes(network, batch, needs, seed=seed, logits=logits, micro_batch=micro_batch)
    scores: dict[str, Score] = {}
    own: dict[str, float] = {}
    reads: dict[str, dict[Need, float]] = {}
    guard = Guard(network) if any(map(is_foreign, metrics)) else None
    with scoring_mode(network):
        for metric in metrics:
            clock, before = time.process_time(), passes.spent
            scores[metric.name] = _score(metric, passes) if guard is None else _guarded(metric, passes, guard)
            own[metric.name] = time.process_time() - clock - (passes.spent - before)
            reads[metric.name] = passes.take_reads()
            if tell is not None:
                tell(metric.name, replace(scores[metric.name], seconds=max(own[metric.name], 0.0)))
    readers: dict[Need, int] = {}
    for taken in reads.values():
        for need in taken:
            readers[need] = readers.get(need, 0) + 1
    return {
        name: Score(
            score.value,
            score.reason,
            max(own[name], 0.0) + sum(seconds / readers[need] for need, seconds in reads[name].items()),
        )
        for name, score in scores.items()
    }


def _guarded(metric: Metric, passes: Passes, guard: Guard) -> Score:
    """Return the score of a metric that may draw from global generators, or change what it must not."""
    with seeded("metric", metric.name, passes.seed):
        score = _score(metric, passes)
    changed = guard.restore(passes)
    if changed is None:
        return score
    return Score(math.nan, f"{metric.name} changed {changed}; they were put back. Work on `passes.copy()` instead")


def _score(metric: Metric, passes: Passes) -> Score:
    """Return the metric's value, or NaN and why."""
    unsuited = metric.unsuited(passes.batch)
    if unsuited is not None:
        return Score(math.nan, unsuited)
    try:
        value = metric.compute(passes)
    except NetworkError:
        raise
    except MetricError as error:
        return Score(math.nan, f"{metric.name}: {error}")
    except Exception as error:  # noqa: BLE001  (a user's metric may raise anything, and the run goes on)
        return Score(math.nan, f"{metric.name} raised {explain(error)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return Score(math.nan, f"{metric.name} must return a number; got {type(value).__name__}")
    if not math.isfinite(number):
        return Score(math.nan, f"{metric.name}: the value is {number}")
    return Score(number)
