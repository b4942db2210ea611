"""Measures of how far a search can be trusted, from ranks, scores and answers. Pure functions of arrays.

| symbol | meaning | shape |
|---|---|---|
| N | candidates | |
| Z | scaled metrics without missing values | (N, M) |
| w | weights of the combined metric Z w, in [-1, 1]^M | (M,) |
| A(w) | the candidate that w puts on top, argmax Z w | row |
| n | candidates at the top of a ranking that are evaluated | |
| k | hits: candidates among those n that are also among the n best by the objective; k = n · Precision@n | |

Source: Precision@T, and the idea that it bounds the rank which greedy evaluation reaches, are of He, Shu, Dai, Low,
"Robustifying and Boosting Training-Free Neural Architecture Search", ICLR 2024, arXiv 2403.07591. The closed forms here
are derived by us: they assume that the hits lie uniformly among the true ranks 1..n. Real hits tend to lie higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CELLS = 20_000_000
"""Scores that one block of weight draws may take at once: 160 MB."""
_SMALLEST_MARGIN = 1e-6
"""A margin below this, as the sine of an angle, is taken for rounding."""
_MOST_STEPS = 1_000
"""Steps to the nearest point of a cone: a few for each dimension are the rule."""
OUTLIER_SPREAD = 1e-3
"""A min-max scaled metric whose middle half is narrower than this is ruled by outliers."""


# ── ranks ──


def expected_best_rank(k: int, n: int) -> float:
    """Return the expected smallest of `k` distinct ranks drawn uniformly from 1..`n`: (n + 1) / (k + 1).

    Infinite for k = 0. With k hits among the n candidates evaluated it is the expected true rank of the best one; with
    k = budget and n = N that of random search. Derived by us; see the module.

    Raises:
        ConfigError: Not 0 ≤ k ≤ n.
    """
    _check_hits(k, n)
    return (n + 1) / (k + 1) if k else float("inf")


def chance_worse_than(rank: int, k: int, n: int) -> float:
    """Return the probability that all of `k` distinct ranks from 1..`n` are larger than `rank`.

    That is C(n − rank, k) / C(n, k).

    Raises:
        ConfigError: Not 0 ≤ k ≤ n.
    """
    _check_hits(k, n)
    return comb(max(n - max(rank, 0), 0), k) / comb(n, k)


def best_rank_quantile(probability: float, k: int, n: int) -> int | None:
    """Return the smallest rank that the best of `k` ranks from 1..`n` does not exceed with this probability.

    None for k = 0.

    Raises:
        ConfigError: Not 0 ≤ k ≤ n, or a probability outside (0, 1).
    """
    _check_hits(k, n)
    if not 0 < probability < 1:
        raise ConfigError(f"`probability` must be between 0 and 1; got {probability}.")
    if k == 0:
        return None
    low, high = 1, n - k + 1  # the best of k ranks is never behind n − k + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance_worse_than(middle, k, n) <= 1 - probability + 1e-12 else (middle + 1, high)
    return low


def hits_to_beat_random(n: int, draws: int, candidates: int) -> int | None:
    """Return the fewest hits among `n` candidates with a better expected rank than `draws` random ones.

    None where n are too few. k > (n + 1)(draws + 1) / (N + 1) − 1. Derived by us; see the module.

    Raises:
        ConfigError: Not 0 ≤ draws ≤ candidates.
    """
    _check_hits(draws, candidates)
    # (n + 1) / (k + 1) < (N + 1) / (draws + 1), in integers
    fewest = max(1, (n + 1) * (draws + 1) // (candidates + 1))
    return fewest if fewest <= n else None


@dataclass(frozen=True)
class WhatIf:
    """The best true rank, if so many hits are among those evaluated."""

    hits: int
    """k."""
    expected: float
    """Mean of the best rank."""
    median: int
    """Not exceeded with probability 1/2."""
    nine_in_ten: int
    """Not exceeded with probability 9/10."""


def what_if(k: int, n: int) -> WhatIf:
    """Return the expected value and quantiles of the smallest of `k` ranks, 1 ≤ k ≤ n, drawn uniformly from 1..`n`.

    Raises:
        ConfigError: k out of its range.
    """
    median, nine = best_rank_quantile(0.5, k, n), best_rank_quantile(0.9, k, n)
    if median is None or nine is None:
        raise ConfigError(f"`k` must be at least 1; got {k}.")
    return WhatIf(k, expected_best_rank(k, n), median, nine)


def _check_hits(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise ConfigError(f"Hits must be from 0 to the number of ranks ({n}); got {k}.")


# ── weights ──


@dataclass(frozen=True, eq=False)
class Reachable:
    """Which candidates some weights put on top."""

    rows: NDArray[np.int64]
    """Candidates that came first for at least one draw, those with most volume first."""
    shares: NDArray[np.float64]
    """Share of the draws, so of the volume of [-1, 1]^M, that each comes first in; sums to 1."""
    n_draws: int
    """Weights drawn."""

    def share(self, row: int) -> float:
        """Return the share of one candidate; 0 where no draw reached it."""
        found = self.shares[self.rows == row]
        return float(found[0]) if len(found) else 0.0


def reachable(scaled: NDArray[np.float64], generator: np.random.Generator, n_draws: int = 10_000) -> Reachable:
    """Return the distinct A(w) over uniform draws of w, with their shares.

    A(w) is piecewise constant and always a corner of the convex hull of the candidates, so there are few: a candidate
    that is no corner can never be found by weights alone. Cells below about 1 / n_draws of the volume are missed.

    Args:
        scaled: Z, (N, M), finite; N ≥ 1. Of equal candidates the first comes first.
        generator: Draws the weights.
        n_draws: Number of draws.
    """
    counts = np.zeros(len(scaled), dtype=np.int64)
    block = max(1, _CELLS // len(scaled))
    for start in range(0, n_draws, block):
        weights = generator.uniform(-1.0, 1.0, size=(min(block, n_draws - start), scaled.shape[1]))
        counts += np.bincount(np.argmax(weights @ scaled.T, axis=1), minlength=len(scaled))
    rows = np.flatnonzero(counts)
    rows = rows[np.argsort(-counts[rows], kind="stable")]
    return Reachable(rows.astype(np.int64), counts[rows] / n_draws, n_draws)


def can_be_first(scaled: NDArray[np.float64], row: int) -> bool:
    """Return whether some weights put this candidate before all that differ from it: it is a corner of the convex hull.

    With the directions u_i of z_i − z_row, either some w has u_i w < 0 for all i, or some y ≥ 0 other than 0 has
    Σ y_i u_i = 0 (Gordan's theorem). The point of the cone of all (u_i, 1) that is nearest to (0, 1) tells which: it is
    (0, 1) itself in the second case; else w is the first part of what is left between them.
    """
    others = scaled - scaled[row]
    others = others[np.any(others != 0, axis=1)]
    if len(others) == 0:
        return True
    others /= np.abs(others).max(axis=1, keepdims=True)  # first, so that no square is too small for a float
    directions = others / np.linalg.norm(others, axis=1, keepdims=True)
    cone = np.hstack([directions, np.ones((len(directions), 1))]).T
    weights = _beyond_cone(cone, np.eye(len(cone))[-1])[:-1]
    size = float(np.linalg.norm(weights))
    return size > 0 and bool((directions @ (weights / size)).max() < -_SMALLEST_MARGIN)


def _beyond_cone(generators: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the target minus the point of a cone that is nearest to it.

    Non-negative least squares by the active-set method of Lawson and Hanson (1974). `scipy.optimize` has the same, and
    takes longer to import than the whole report to write.

    Args:
        generators: The rays whose non-negative combinations are the cone, in columns, (D, N).
        target: The target, (D,).
    """
    factors = np.zeros(generators.shape[1])
    used = np.zeros(len(factors), dtype=np.bool_)
    rest = target
    for _ in range(_MOST_STEPS):
        gain = np.where(used, -np.inf, generators.T @ rest)
        new = int(np.argmax(gain))
        if gain[new] <= 1e-12:
            break
        used[new] = True
        while True:
            best = np.zeros(len(factors))
            best[used] = np.linalg.lstsq(generators[:, used], target, rcond=None)[0]
            falling = used & (best <= 0)
            if not falling.any():
                break
            # As far towards the best factors as none is negative; what is 0 there is used no more.
            steps = factors[falling] / np.maximum(factors[falling] - best[falling], 1e-300)
            factors += steps.min() * (best - factors)
            ended = np.flatnonzero(falling)[steps <= steps.min()]
            factors[ended] = 0.0
            used[ended] = False
        if not used[new]:  # rounding: it gains nothing
            break
        factors = best
        rest = target - generators @ factors
    return rest


def top(combined: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the `n` rows with the highest combined score, NaN last; of equals the first in the pool."""
    return np.argsort(np.where(np.isnan(combined), np.inf, -combined), kind="stable")[:n].astype(np.int64)


def jaccard(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the size of the intersection over that of the union, in [0, 1]; 1 for two empty sets."""
    union = len(np.union1d(one, other))
    return len(np.intersect1d(one, other)) / union if union else 1.0


@dataclass(frozen=True)
class Sensitivity:
    """Share of the top candidates that stays when the weights change a little."""

    noise: float
    """Standard deviation of the change of each weight, relative to the weights' root mean square."""
    mean: float
    """Mean Jaccard index of the top before and after, in [0, 1]; 1 is unmoved."""
    low: float
    """Its lowest tenth over the draws."""


def weight_sensitivity(
    scaled: NDArray[np.float64],
    weights: NDArray[np.float64],
    n: int,
    generator: np.random.Generator,
    *,
    noises: Sequence[float] = (0.01, 0.05, 0.1, 0.25),
    n_draws: int = 100,
) -> tuple[Sensitivity, ...]:
    """Return the Jaccard index of the top `n` under small normal changes of the weights.

    Args:
        scaled: Z, (N, M), finite.
        weights: w, (M,).
        n: Size of the top.
        generator: Draws the changes, one (n_draws, M) array that all noises share.
        noises: Sizes of the changes.
        n_draws: Changes of each size.
    """
    before = top(scaled @ weights, n)
    size = float(np.sqrt(np.mean(weights**2))) if len(weights) else 0.0
    changes = generator.normal(size=(n_draws, len(weights)))
    found = []
    for noise in noises:
        kept = np.array([jaccard(before, top(scaled @ (weights + noise * size * change), n)) for change in changes])
        found.append(Sensitivity(noise, float(kept.mean()), float(np.quantile(kept, 0.1))))
    return tuple(found)


def without_each_metric(scaled: NDArray[np.float64], weights: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the Jaccard index of the top `n` with and without each metric, (M,): low where much hangs on it."""
    before = top(scaled @ weights, n)
    return np.array(
        [
            jaccard(before, top(scaled @ np.where(np.arange(len(weights)) == place, 0.0, weights), n))
            for place in range(len(weights))
        ]
    )


# ── metrics ──


@dataclass(frozen=True)
class Health:
    """Facts on whether a metric tells candidates apart."""

    missing: float
    """Share of the candidates without a finite score."""
    spread: float
    """Interquartile range of the min-max scaled scores, in [0, 1]; NaN where none is defined."""
    n_distinct: int
    """Different finite scores."""

    @property
    def dead(self) -> bool:
        """One score for all, or none."""
        return self.n_distinct < 2

    @property
    def ruled_by_outliers(self) -> bool:
        """Half of all candidates share less than a thousandth of the range: a few extreme scores decide."""
        return not self.dead and self.spread < OUTLIER_SPREAD


def metric_health(scores: NDArray[np.float64]) -> tuple[Health, ...]:
    """Return one record for each column of raw scores, (N, M); NaN and ±inf are missing."""
    from robonas.strategies.scaling import finite_or_nan, min_max

    clean, scaled = finite_or_nan(scores), min_max(scores)
    records = []
    for column, unit in zip(clean.T, scaled.T, strict=True):
        known = ~np.isnan(column)
        quartiles = np.quantile(unit[known], [0.25, 0.75]) if known.any() else np.array([np.nan, np.nan])
        records.append(
            Health(
                missing=float(1 - known.mean()) if len(known) else 0.0,
                spread=float(quartiles[1] - quartiles[0]),
                n_distinct=len(np.unique(column[known])),
            )
        )
    return tuple(records)


# ── answers ──


@dataclass(frozen=True)
class Gain:
    """The improvement by exploitation over exploration."""

    explored_best: float | None
    """Best value of the first T0 queries, in its own direction; None where none completed."""
    final_best: float | None
    """Best value of all queries."""
    gain: float | None
    """Gain of the second over the first, ≥ 0; None where one is missing."""
    found_after: int | None
    """The best is this query of the exploitation, from 1; None where exploration had it already."""


def exploitation_gain(values: NDArray[np.float64], n_explored: int, *, maximise: bool = True) -> Gain:
    """Compare the best of the first `n_explored` values with the best of all.

    Args:
        values: Values in the order of asking, (n,), in the objective's own direction; NaN for failures.
        n_explored: T0.
        maximise: True where a larger value is better.
    """
    signed = values if maximise else -values
    filled = np.where(np.isnan(signed), -np.inf, signed)
    if not len(filled) or np.all(np.isinf(filled)):
        return Gain(None, None, None, None)
    place = int(np.argmax(filled))
    before = filled[:n_explored]
    known = bool(len(before)) and bool(np.isfinite(before).any())
    first = float(values[int(np.argmax(before))]) if known else None
    final = float(values[place])
    return Gain(
        first,
        final,
        abs(final - first) if first is not None else None,
        place - n_explored + 1 if place >= n_explored else None,
    )


def true_ranks(objective: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks by the objective (higher is better) from 1, ties share the best; NaN where unknown. (N,)."""
    ranks = np.full(len(objective), np.nan)
    known = np.isfinite(objective)
    ranks[known] = 1.0 + np.searchsorted(np.sort(-objective[known]), -objective[known])
    return ranks


def hits(combined: NDArray[np.float64], objective: NDArray[np.float64], n: int) -> int:
    """Return how many of the `n` best by combined score have a true rank of at most `n`; ties at rank `n` count.

    Precision@n is k / n.

    Args:
        combined: Combined scores, (N,), higher is better; NaN last.
        objective: Values of all candidates, (N,), higher is better; NaN where unknown.
        n: Size of the top.
    """
    return int(np.sum(true_ranks(objective)[top(combined, n)] <= n))
