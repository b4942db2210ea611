"""Putting metrics of different units on one scale: pure functions on (N, M) scores, column by column.

Missing values stay missing.
A value that is not finite is missing: an infinite score is an overflow of the metric, not a statement about the
network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import np, special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def finite_or_nan(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores with NaN for ±inf, as a new array, (N, M)."""
    clean = np.array(scores, dtype=np.float64)
    clean[np.isinf(clean)] = np.nan
    return clean


def oriented(scores: NDArray[np.float64], higher_is_better: tuple[bool, ...]) -> NDArray[np.float64]:
    """Return the scores, (N, M), negated in the columns where lower is better; NaN for ±inf."""
    clean = finite_or_nan(scores)
    return clean * np.where(higher_is_better, 1.0, -1.0) if higher_is_better else clean


def is_dead(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each column is dead, (M,): it has no defined value, or all of them are equal."""
    low, high = column_bounds(scores)
    return ~(low < high)


def column_bounds(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest defined value of each column, (M,) each; +inf and -inf where it has none."""
    scores = np.asarray(scores, dtype=np.float64)
    known = np.isfinite(scores)
    low = np.min(scores, axis=0, initial=np.inf, where=known)
    high = np.max(scores, axis=0, initial=-np.inf, where=known)
    return low, high


def min_max(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (x − min) / (max − min) over defined values, (N, M) in [0, 1]; 0 in a dead column; NaN where missing."""
    scaled = finite_or_nan(scores)
    low, high = column_bounds(scaled)
    alive = low < high
    low, high = np.where(alive, low, 0.0), np.where(alive, high, 2.0)
    # Halved before the difference, since the largest and the smallest float64 are further apart than a float64 can say.
    with np.errstate(under="ignore"):
        scaled /= 2
        scaled -= low / 2
        scaled /= high / 2 - low / 2
    for column in np.flatnonzero(~alive):
        scaled[~np.isnan(scaled[:, column]), column] = 0.0
    return scaled


def uniform_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (rank − ½) / n over n defined values, (N, M) in (0, 1); ties share their mean; NaN where missing."""
    clean = finite_or_nan(scores)
    if clean.size == 0:
        return clean
    ranks = np.full(clean.shape, np.nan)
    for column in range(clean.shape[1]):
        known = ~np.isnan(clean[:, column])
        ranks[known, column] = (mean_ranks(clean[known, column]) - 0.5) / max(1, int(known.sum()))
    return ranks


def mean_ranks(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, (n,); ties share their mean. `scipy.stats` has the same, and takes long to import."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def normal_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normal quantiles of `uniform_ranks`, (N, M): a bell curve whatever the tails; NaN where missing."""
    quantiles: NDArray[np.float64] = special.ndtri(uniform_ranks(scores))
    return quantiles


def fill_missing(scaled: NDArray[np.float64], value: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the array, (N, M), with its NaN replaced by `value`: one number, or one for each column."""
    return np.where(np.isnan(scaled), value, scaled)


def column_medians(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the defined values of each column, (M,); 0 for a column that has none."""
    medians = np.zeros(scaled.shape[1])
    known = ~np.all(np.isnan(scaled), axis=0) if len(scaled) else np.zeros(scaled.shape[1], dtype=bool)
    if known.any():
        medians[known] = np.nanmedian(scaled[:, known], axis=0)
    return medians
