"""The report's numbers: plain records computed from a result, before any picture is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robonas.common.randomness import numpy_generator
from robonas.common.words import plural
from robonas.strategies.scaling import mean_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

RESAMPLES = 2_000
"""Bootstrap resamples behind the interval of a rank correlation."""
FEWEST = 10
"""Fewer points than this have no rank correlation worth printing: chance alone makes it large."""


@dataclass(frozen=True, eq=False)
class Progress:
    """The course of a search, query by query."""

    label: str
    """Name of the search, unique among those compared."""
    numbers: NDArray[np.int64]
    """Numbers of the queries, (n,)."""
    values: NDArray[np.float64]
    """Their values in the objective's own direction, (n,); NaN where a query failed, was pruned or is running."""
    partial: NDArray[np.float64]
    """The values that pruned queries had come to, (n,); NaN for the others."""
    best: NDArray[np.float64]
    """The best value so far, (n,); NaN before the first completed query."""
    phases: tuple[str, ...]
    """Purpose of each query."""
    failed: NDArray[np.bool_]
    """Which queries failed, (n,)."""
    n_explored: int | None
    """T0: the border between exploration and exploitation lies behind this many queries; None where there is none."""


def progress(result: SearchResult, label: str | None = None) -> Progress:
    """Return the values and the best so far of every query, in the order of asking."""
    history = result.history()
    return Progress(
        label=result.strategy if label is None else label,
        numbers=np.array([query.number for query in result.queries], dtype=np.int64),
        values=history["value"].to_numpy(dtype=np.float64),
        partial=history["partial"].to_numpy(dtype=np.float64),
        best=history["best"].to_numpy(dtype=np.float64),
        phases=tuple(query.phase for query in result.queries),
        failed=np.array([query.state == "failed" for query in result.queries], dtype=np.bool_),
        n_explored=result.n_explored,
    )


def labels(results: Sequence[SearchResult]) -> tuple[str, ...]:
    """Return a name for each search: its strategy, with the seed and then the study where that is not unique."""
    names = [result.strategy for result in results]
    for more in (lambda result: f"seed {result.seed}", lambda result: result.study):
        counts = Counter(names)
        names = [
            f"{name}, {more(result)}" if counts[name] > 1 else name for name, result in zip(names, results, strict=True)
        ]
    counts, seen = Counter(names), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if counts[name] > 1 else name)
    return tuple(unique)


@dataclass(frozen=True)
class Standing:
    """One search in the comparison."""

    label: str
    """Name of the search."""
    value: float | None
    """Its best value; None where nothing completed."""
    found_at: int | None
    """Number of the query that found it."""
    n_queries: int
    """Queries made."""
    n_complete: int
    """Those that completed."""
    n_failed: int
    """Those that failed."""
    seconds: float
    """Seconds that its queries took."""
    n_pruned: int = 0
    """Those that were ended early as hopeless."""


def standing(result: SearchResult, label: str | None = None) -> Standing:
    """Return how far a search came, and with how many queries."""
    complete = [query for query in result.queries if query.value is not None]
    best = result.best if complete else None
    return Standing(
        label=result.strategy if label is None else label,
        value=best.value if best else None,
        found_at=best.number if best else None,
        n_queries=len(result.queries),
        n_complete=len(complete),
        n_failed=sum(query.state == "failed" for query in result.queries),
        seconds=result.seconds,
        n_pruned=result.n_pruned,
    )


@dataclass(frozen=True)
class Weight:
    """The learned weight of one metric."""

    metric: str
    """Name of the metric."""
    weight: float
    """Signed, in [-1, 1]."""
    dead: bool
    """The metric has one value for all candidates, or none: its weight means nothing."""


def weights(result: SearchResult) -> tuple[Weight, ...] | None:
    """Return the learned weights, the heaviest first; None for strategies that learn none."""
    from robonas.strategies.scaling import is_dead

    learned = result.weights
    if not learned:
        return None
    dead = is_dead(result.scores.scores)
    bars = [Weight(name, float(weight), bool(dead[place])) for place, (name, weight) in enumerate(learned.items())]
    return tuple(sorted(bars, key=lambda bar: -abs(bar.weight)))


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of the combined score of the queried candidates with their values."""

    numbers: NDArray[np.int64]
    """Numbers of the queries, (n,)."""
    combined: NDArray[np.float64]
    """Their combined scores, (n,), higher is better."""
    values: NDArray[np.float64]
    """Their values, (n,), in the objective's own direction."""
    spearman: float | None
    """Rank correlation, positive where a higher score went with a better value; None where undefined."""
    interval: tuple[float, float] | None
    """Its 95 % percentile bootstrap interval; None where undefined."""
    undefined: str | None
    """Reason why there is no correlation; None where there is one."""


def agreement(result: SearchResult) -> Agreement | None:
    """Return combined score against value for the completed queries; None for strategies without a combined metric.

    The queried candidates were chosen by their scores, so the correlation is a biased view of that over the pool.
    """
    combined = result.combined
    if combined is None:
        return None
    queries = [query for query in result.queries if query.value is not None and np.isfinite(combined[query.row])]
    numbers = np.array([query.number for query in queries], dtype=np.int64)
    x = np.array([combined[query.row] for query in queries], dtype=np.float64)
    y = np.array([query.value for query in queries], dtype=np.float64)
    towards = y if result.direction == "maximize" else -y
    rho, interval, undefined = rank_correlation(x, towards, result.seed)
    return Agreement(numbers, x, y, rho, interval, undefined)


def rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], seed: int = 0, *, resamples: int = RESAMPLES, fewest: int = FEWEST
) -> tuple[float | None, tuple[float, float] | None, str | None]:
    """Return Spearman's rank correlation, its bootstrap interval, and why there is none.

    Args:
        x: One value a point, (n,), finite.
        y: The other, (n,), finite.
        seed: Seed of the resamples.
        resamples: Number of resamples; 0 for no interval.
        fewest: Fewer points than this have no correlation.

    Returns:
        The correlation in [-1, 1], mean ranks for ties; the 2.5 and 97.5 percentiles over resamples of the points in
        which neither side is constant; and None. Or None, None and the reason.
    """
    if len(x) < fewest:
        return None, None, f"{plural(len(x), 'point')} {'is' if len(x) == 1 else 'are'} too few for a rank correlation"
    if np.all(x == x[0]):
        return None, None, "all queried candidates have the same combined score"
    if np.all(y == y[0]):
        return None, None, "all queried candidates have the same value"
    rho = float(_pearson(mean_ranks(x)[None], mean_ranks(y)[None])[0])
    if resamples == 0:
        return rho, None, None
    draws = numpy_generator("bootstrap", seed).integers(len(x), size=(resamples, len(x)))
    spread = _pearson(_resampled_ranks(x, draws), _resampled_ranks(y, draws))
    spread = spread[np.isfinite(spread)]
    low, high = np.percentile(spread, [2.5, 97.5])
    return rho, (float(low), float(high)), None


def _resampled_ranks(values: NDArray[np.float64], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the `mean_ranks` of each resample, (resamples, n), of the values that `draws` names, all at once."""
    distinct, places = np.unique(values, return_inverse=True)
    drawn = places[draws] + len(distinct) * np.arange(len(draws))[:, None]  # a place for each value in each resample
    counts = np.bincount(drawn.ravel(), minlength=len(draws) * len(distinct)).reshape(len(draws), len(distinct))
    ranks: NDArray[np.float64] = (np.cumsum(counts, axis=1) - (counts - 1) / 2).ravel()[drawn]
    return ranks


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the row-wise correlation, NaN where a row is constant."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found: NDArray[np.float64] = np.full(len(a), np.nan)
    np.divide((a * b).sum(axis=1), scale, out=found, where=scale > 0)
    return found


@dataclass(frozen=True)
class Curve:
    """One training, epoch by epoch."""

    number: int
    """Number of the query."""
    steps: tuple[int, ...]
    """Epochs."""
    values: tuple[float, ...]
    """The objective's value after each."""
    is_best: bool
    """Whether this is the winner."""
    failed: bool
    """Whether it failed later."""
    pruned: bool = False
    """Whether it was ended here as hopeless."""


def curves(result: SearchResult) -> tuple[Curve, ...]:
    """Return the learning curves of all queries that have one, failed ones too; the most important come last."""
    best = best_query(result)
    found = [
        Curve(
            number=query.number,
            steps=tuple(point.step for point in query.curve),
            values=tuple(point.value for point in query.curve),
            is_best=query is best,
            failed=query.state == "failed",
            pruned=query.state == "pruned",
        )
        for query in result.queries
        if query.curve
    ]
    return tuple(sorted(found, key=lambda curve: (curve.failed, curve.is_best, not curve.pruned)))


@dataclass(frozen=True)
class MetricRow:
    """One metric over the pool."""

    metric: str
    """Its name."""
    defined: int
    """Architectures with a score."""
    undefined: int
    """Architectures without one."""
    reason: str | None
    """The commonest reason why not."""
    minimum: float
    """Smallest score; NaN where none is defined."""
    median: float
    """Median score."""
    maximum: float
    """Largest score."""
    seconds: float
    """CPU seconds in all."""


def metric_rows(result: SearchResult) -> tuple[MetricRow, ...]:
    """Return one row a metric, in the order of the table of scores."""
    if not result.scores.metrics:
        return ()
    return tuple(
        MetricRow(
            metric=str(name),
            defined=int(row["defined"]),
            undefined=int(row["undefined"]),
            reason=row["reason"] if isinstance(row["reason"], str) else None,
            minimum=float(row["minimum"]),
            median=float(row["median"]),
            maximum=float(row["maximum"]),
            seconds=float(row["seconds"]),
        )
        for name, row in result.scores.summary().iterrows()
    )


def best_query(result: SearchResult) -> Query | None:
    """Return the best completed query; None where none has completed."""
    return result.best if any(query.value is not None for query in result.queries) else None


def pool_size(result: SearchResult) -> int:
    """Return the distinct candidates: isomorphic architectures count once."""
    return len(result.scores.distinct)
