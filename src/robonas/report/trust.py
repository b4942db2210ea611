"""The report's section on how far to trust a search: the functions of `theory`, applied to one result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.report import theory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robonas.study.result import SearchResult

_MOST_HITS = 10
_LARGEST_PROGRAMME = 50_000
"""Above this size it is not asked whether the winner is a corner: the programme has a row for each candidate."""
_SAME_RANKING = 0.99
"""Weights explain a combined score when the top by both has at least this much in common in rank correlation."""


@dataclass(frozen=True, eq=False)
class WhatIfTable:
    """The best true rank by the number of hits, beside random search."""

    depth: int
    """n: candidates taken from the top of the ranking."""
    rows: tuple[theory.WhatIf, ...]
    """For 1, 2, … hits, and for as many as it takes to beat random search."""
    random: theory.WhatIf
    """Random search with all queries."""
    needed: int | None
    """Fewest hits with a better expected rank than random search; None where even all are too few."""


@dataclass(frozen=True)
class MetricTrust:
    """One metric."""

    metric: str
    """Its name."""
    health: theory.Health
    """Missing share, spread, dead or ruled by outliers."""
    kept_without: float | None
    """Jaccard index of the top with and without it; None where no weights explain the ranking."""


@dataclass(frozen=True)
class Known:
    """Facts that only a table of all values can tell."""

    n_known: int
    """Candidates with a known value."""
    true_rank: int | None
    """True rank of the winner among all candidates, 1 is best."""
    hits: int | None
    """k: of the `depth` best by combined score, those among the `depth` truly best."""
    depth: int
    """n."""
    spearman: float | None
    """Rank correlation of the combined score and the objective over the pool."""
    expected: float | None
    """Expected best rank for that k by the closed form."""

    @property
    def precision(self) -> float | None:
        """Precision@n = k / n."""
        return None if self.hits is None else self.hits / self.depth


@dataclass(frozen=True, eq=False)
class Trust:
    """All facts on trust for a result; a fact is None where the search does not have it."""

    candidates: int
    """N: distinct candidates."""
    queries: int
    """T: queries made."""
    proposals: int | None
    """Weights that the strategy tried."""
    repeats: int | None
    """Those that recommended a candidate which earlier weights had recommended."""
    gain: theory.Gain | None
    """Exploration against exploitation."""
    table: WhatIfTable | None
    """The what-if table."""
    reach: theory.Reachable | None
    """Candidates that some weights put on top; rows are those of the table of scores."""
    winner_share: float | None
    """Share of the winner in that."""
    winner_corner: bool | None
    """Whether any weights put the winner on top."""
    sensitivity: tuple[theory.Sensitivity, ...]
    """Firmness of the top; empty where no weights explain the ranking."""
    depth: int
    """Size of that top."""
    metrics: tuple[MetricTrust, ...]
    """One record a metric."""
    known: Known | None
    """With a table of all values."""


def trust(result: SearchResult, known_values: NDArray[np.float64] | None = None) -> Trust:
    """Compute everything that this search and its scores allow.

    Args:
        result: The search.
        known_values: The objective of every row of the table of scores, in its own direction, NaN where unknown; for
            benchmarks only. It enters no search: it judges one that is over.

    Raises:
        ConfigError: `known_values` has another length than the table of scores.
    """
    scores, distinct = result.scores, result.scores.distinct
    n_candidates, n_queries = len(distinct), len(result.queries)
    place_of = _representatives(result)
    scaled = _scaled(scores.scores[distinct])
    combined = result.combined
    ours = None if combined is None else combined[distinct]
    n_explored = result.n_explored
    exploited = 0 if n_explored is None else n_queries - n_explored
    depth = min(exploited if exploited > 0 else max(n_queries, 1), n_candidates)
    best = result.best if any(query.value is not None for query in result.queries) else None
    winner = None if best is None else int(place_of[best.row])
    weights = _explaining(result, scaled, ours)
    usable = scaled.shape[1] > 0 and n_candidates > 1
    reach = None
    if usable and ours is not None:
        generator = numpy_generator("reachable", result.seed)
        found = theory.reachable(scaled, generator, int(np.clip(200_000_000 // n_candidates, 100, 10_000)))
        reach = theory.Reachable(distinct[found.rows], found.shares, found.n_draws)
    corner = None
    if reach is not None and winner is not None and n_candidates <= _LARGEST_PROGRAMME:
        corner = theory.can_be_first(scaled, winner)
    details = result.summary.details
    return Trust(
        candidates=n_candidates,
        queries=n_queries,
        proposals=_count(details.get("weight_proposals")),
        repeats=_count(details.get("repeats")),
        gain=None
        if n_explored is None
        else theory.exploitation_gain(
            result.history()["value"].to_numpy(dtype=np.float64), n_explored, maximise=result.direction == "maximize"
        ),
        table=_what_if(depth, min(n_queries, n_candidates), n_candidates) if exploited > 0 else None,
        reach=reach,
        winner_share=None if reach is None or winner is None else reach.share(int(distinct[winner])),
        winner_corner=corner,
        sensitivity=()
        if weights is None
        else theory.weight_sensitivity(
            scaled,
            weights,
            depth,
            numpy_generator("sensitivity", result.seed),
            n_draws=int(np.clip(20_000_000 // n_candidates, 10, 100)),
        ),
        depth=depth,
        metrics=_metrics(result, scaled, weights, depth),
        known=None if known_values is None else _known(result, known_values, depth),
    )


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return min-max scaled metrics with missing values at the column's median, as `robot` takes them."""
    from robonas.strategies.scaling import column_medians, fill_missing, min_max

    scaled = min_max(scores)
    return fill_missing(scaled, column_medians(scaled))


def _representatives(result: SearchResult) -> NDArray[np.int64]:
    """Return for each row of the table of scores the place of its isomorphism class among the distinct ones."""
    import pandas as pd

    return pd.factorize(result.scores.frame["canonical"])[0].astype(np.int64)


def _explaining(
    result: SearchResult, scaled: NDArray[np.float64], combined: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Return the learned weights, if the combined score is what they make of the scaled metrics; else None."""
    from robonas.report.numbers import rank_correlation

    if result.summary.weights is None or combined is None or scaled.shape[1] == 0:
        return None
    weights = np.array(result.summary.weights, dtype=np.float64)
    if not np.any(weights):
        return None
    ranked = np.isfinite(combined)
    rho, _, _ = rank_correlation((scaled @ weights)[ranked], combined[ranked], resamples=0, fewest=4)
    return weights if rho is not None and rho >= _SAME_RANKING else None


def _what_if(depth: int, draws: int, candidates: int) -> WhatIfTable:
    needed = theory.hits_to_beat_random(depth, draws, candidates)
    hits = sorted({*range(1, min(_MOST_HITS, depth) + 1), *([] if needed is None else [needed])})
    return WhatIfTable(depth, tuple(theory.what_if(k, depth) for k in hits), theory.what_if(draws, candidates), needed)


def _metrics(
    result: SearchResult, scaled: NDArray[np.float64], weights: NDArray[np.float64] | None, depth: int
) -> tuple[MetricTrust, ...]:
    scores = result.scores
    if not scores.metrics:
        return ()
    kept = None if weights is None else theory.without_each_metric(scaled, weights, depth)
    return tuple(
        MetricTrust(name, health, None if kept is None else float(kept[place]))
        for place, (name, health) in enumerate(
            zip(scores.metrics, theory.metric_health(scores.scores[scores.distinct]), strict=True)
        )
    )


def _known(result: SearchResult, values: NDArray[np.float64], depth: int) -> Known:
    """Judge a search that is over by the values of all candidates."""
    from robonas.report.numbers import rank_correlation

    scores, distinct = result.scores, result.scores.distinct
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(scores),):
        raise ConfigError(
            f"`known_values` must have one value a row of the table of scores ({len(scores)}); "
            f"got shape {values.shape}."
        )
    objective = (values if result.direction == "maximize" else -values)[distinct]
    ranks = theory.true_ranks(objective)
    rank = None
    if any(query.value is not None for query in result.queries):
        found = ranks[_representatives(result)[result.best.row]]
        rank = int(found) if np.isfinite(found) else None
    combined = result.combined
    k = spearman = expected = None
    if combined is not None:
        k = theory.hits(combined[distinct], objective, depth)
        both = np.isfinite(combined[distinct]) & np.isfinite(objective)
        spearman, _, _ = rank_correlation(combined[distinct][both], objective[both], resamples=0)
        expected = theory.expected_best_rank(min(k, depth), depth) if k else None
    return Known(int(np.isfinite(objective).sum()), rank, k, depth, spearman, expected)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
