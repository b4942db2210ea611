"""Gaussian processes over candidates, which learn from each answer about all candidates.

| symbol | meaning | shape |
|---|---|---|
| F | features: the metrics on one scale, then standardised by column | (N, M) |
| C | option indices of the architectures | (N, n_choices) |
| r | target: normal scores of the ranks of the answers so far | (t,) |
| v | slopes of the prior mean, by each metric's record and novelty | (M,) |
| m | prior mean, ± F v: metrics point upwards until told otherwise | (N,) |
| k | covariance of two candidates | scalar |

k(x, x') = constant + linear F F' / M + smooth Matern52(|F - F'| / (length sqrt(M))) + structure exp(-decay times the
share of choices that differ). Observations have noise variance `noise`. All amplitudes are settings, not fitted: five
answers cannot tell them.

The prior mean of the candidates at the pool's extremes exceeds every target that an answer can have. So the first
answers lower the expectation of the candidates that resemble them, and the search moves on to other extremes. This is
how it explores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.common.lazy import linalg, np, special
from robonas.strategies.scaling import mean_ranks, min_max, normal_scores, uniform_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Belief:
    """The settings of one process."""

    feature: str
    """Transformation of the scaled metrics; a name in `FEATURES`."""
    slope: float
    """Standard deviation of the prior mean over the pool, where the metrics' mean record is `GOOD_RECORD`."""
    linear: float
    """Variance that is linear in the features."""
    smooth: float
    """Variance that is a smooth function of the features."""
    length: float
    """Length scale of the smooth part, in root mean square distances of standardised features."""
    structure: float
    """Variance that follows the architectures' choices; none where the problem has no codes."""
    decay: float
    """Rate at which the covariance falls with the share of choices that differ."""
    noise: float
    """Noise variance of a target."""
    first: int = 0
    """Number of queries from which on the process takes part in the fusion."""
    last: int | None = None
    """Number of answers from which on the process takes no part any more; None for no end."""
    constant: float = 0.0
    """Variance of a constant that all candidates share: how unsure the process is about its prior mean as a whole."""
    least_record: float = 0.01
    """Record that a metric with a smaller one counts with in the prior mean."""

    def speaks(self, n_queries: int, n_answers: int) -> bool:
        """Return whether the process takes part in the fusion.

        Args:
            n_queries: Number of queries so far, pending ones included.
            n_answers: Number of queries that are not pending.
        """
        return self.first <= n_queries and (self.last is None or n_answers < self.last)


FEATURES = ("asinh", "min_max", "normal", "rank")
"""Transformations of a min-max scaled metric x.

asinh((x − median) / interquartile range), which leaves the middle and draws in both tails; x as it is; the normal
score of the rank of x, which keeps its order only; the rank itself, which has no tails at all.
"""
GOOD_RECORD = 0.2
"""Mean record of metrics at which a prior mean has the slope of its `Belief`."""
SURE = 3.0
"""Logarithm of the odds, before any answer, that the metrics together point upwards."""
TURN = 2.0
"""Change of that logarithm by an answer that is one above the mean target, of a candidate that is one standard
deviation above the mean by the prior."""


class Feature:
    """A transformation of metrics to one scale, fitted to the percentiles, ranks and moments of a pool.

    Args:
        unit: Scores of the pool, or of a sample of it, as `unit_scores` returns them, (n, M).
        kind: A name in `FEATURES`.
    """

    fitted: NDArray[np.float64]
    """F of the pool, (n, M); zeros in a column without two different values."""

    def __init__(self, unit: NDArray[np.float64], kind: str) -> None:
        self._kind = kind
        if kind == "asinh":
            low, self._middle, high = np.percentile(unit, (25, 50, 75), axis=0)
            self._spread = np.where(high > low, high - low, 1.0)
        if kind in {"normal", "rank"}:
            self._ordered = np.sort(unit, axis=0)
            bent = normal_scores(unit) if kind == "normal" else uniform_ranks(unit)
        else:
            bent = self._bent(unit)
        # The mean of equal values can differ from them by rounding.
        flat = unit.min(axis=0) == unit.max(axis=0)
        self._mean = np.where(flat, bent[0], bent.mean(axis=0))
        self._deviation = np.where(flat, 1.0, bent.std(axis=0))
        self.fitted = (bent - self._mean) / self._deviation

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features F of other rows of `unit_scores`, (k, M): transformed, then standardised by column."""
        standard: NDArray[np.float64] = (self._bent(unit) - self._mean) / self._deviation
        return standard

    def combined(self, unit: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F times weights, (k,), without keeping F in memory."""
        slopes = weights / self._deviation
        result: NDArray[np.float64] = self._bent(unit) @ slopes - self._mean @ slopes
        return result

    def _bent(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._kind == "min_max":
            return unit
        if self._kind == "asinh":
            bent: NDArray[np.float64] = np.arcsinh((unit - self._middle) / self._spread)
            return bent
        ranks = np.empty(unit.shape)
        for column, ordered in enumerate(self._ordered.T):
            below, reached = (np.searchsorted(ordered, unit[:, column], side) for side in ("left", "right"))
            ranks[:, column] = (below + reached) / 2
        n = len(self._ordered)
        # What lies beyond the sample is like its extremes.
        shares: NDArray[np.float64] = np.clip(ranks, 0.5, n - 0.5) / n
        scores: NDArray[np.float64] = special.ndtri(shares) if self._kind == "normal" else shares
        return scores


def unit_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the metrics min-max scaled, (N, M) in [0, 1]; 0 where undefined."""
    unit = min_max(scores)
    unit[np.isnan(unit)] = 0.0
    np.clip(unit, 0.0, 1.0, out=unit)
    return unit


def targets(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the targets r, (t,): normal quantiles of (rank − ½) / t, which no monotone change of f changes."""
    if len(values) == 0:
        return np.zeros(0)
    quantiles: NDArray[np.float64] = special.ndtri((mean_ranks(values) - 0.5) / len(values))
    return quantiles


def covariance(
    belief: Belief,
    left: tuple[NDArray[np.float64], NDArray[np.int64] | None],
    right: tuple[NDArray[np.float64], NDArray[np.int64] | None],
) -> NDArray[np.float64]:
    """Return the covariance K between two lists of candidates, (n, t).

    Args:
        belief: The process.
        left: Features of the first list, (n, M), and its codes, (n, n_choices) or None.
        right: Features of the second list, (t, M), and its codes, (t, n_choices) or None.
    """
    (F, codes), (G, others) = left, right
    size = max(1, F.shape[1])
    product = F @ G.T
    result: NDArray[np.float64] = belief.linear / size * product + belief.constant
    if belief.smooth:
        square = (F**2).sum(axis=1)[:, None] + (G**2).sum(axis=1) - 2.0 * product
        scaled = np.sqrt(np.maximum(square, 0.0) * (5.0 / size)) / belief.length
        result += belief.smooth * (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    if belief.structure and codes is not None and others is not None:
        differing = np.zeros(product.shape)
        for choice in range(codes.shape[1]):
            differing += codes[:, choice, None] != others[:, choice]
        result += belief.structure * np.exp(-belief.decay / max(1, codes.shape[1]) * differing)
    return result


def novelty(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each metric the share of it that no other one has, (M,): 1 / Σ of squared correlations with all.

    Of k copies of a metric, each has 1 / k, so copies count together as one.

    Args:
        ranks: Standardised ranks of the candidates by each metric, (n, M), no column constant.
    """
    correlations = ranks.T @ ranks / max(1, len(ranks))
    share: NDArray[np.float64] = 1.0 / np.maximum((correlations**2).sum(axis=1), 1e-12)
    return share


def prior_slopes(
    belief: Belief, F: NDArray[np.float64], record: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the slopes v of the prior mean F v, (M,).

    They are proportional to record times novelty. The standard deviation of the prior mean over the pool is the slope
    of the process, times the mean record of the metrics (weighted alike) relative to `GOOD_RECORD`.

    Args:
        belief: The process.
        F: Features of the pool, (n, M).
        record: Record of each metric over known tasks, (M,), from 0 up; see `robonas.common.record`.
        share: The result of `novelty`, (M,).
    """
    record = np.maximum(record, belief.least_record)
    weights = record * share
    if not weights.sum() > 0:
        return np.zeros(F.shape[1])
    quality = float(record @ weights / weights.sum()) / GOOD_RECORD
    # Metrics that cancel each other exactly say nothing.
    deviation = float((F @ weights).std())
    slopes: NDArray[np.float64] = weights * (belief.slope * quality / deviation if deviation > 1e-9 else 0.0)
    return slopes


def direction(prior: NDArray[np.float64], r: NDArray[np.float64]) -> float:
    """Return the probability that the metrics together point upwards minus that they point downwards, in (−1, 1).

    Args:
        prior: Prior mean of the answered candidates, in standard deviations of the pool's, (t,).
        r: Their targets, (t,).
    """
    agreement = float((prior - prior.mean()) @ (r - r.mean())) if len(r) else 0.0
    return float(np.tanh((SURE + TURN * agreement) / 2.0))


def prior_variance(belief: Belief, F: NDArray[np.float64], *, has_codes: bool) -> NDArray[np.float64]:
    """Return the prior variance k(x, x) of each candidate, (n,).

    Args:
        belief: The process.
        F: Features of the candidates, (n, M).
        has_codes: True where the problem has codes.
    """
    constant = belief.constant + belief.smooth + (belief.structure if has_codes else 0.0)
    variance: NDArray[np.float64] = belief.linear / max(1, F.shape[1]) * (F**2).sum(axis=1) + constant
    return variance


def posterior_deviation(
    variance: NDArray[np.float64],
    cross: NDArray[np.float64],
    K: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the posterior standard deviation of each candidate's target, (n,).

    Args:
        variance: Prior variance of the candidates, (n,).
        cross: Their covariance with the answered ones, (n, t).
        K: Covariance of the answered candidates, (t, t).
        noise: Noise variance of each answer, (t,), positive.
    """
    if K.size:
        # Inverted, which takes a third of the time that solving for each candidate does.
        root = linalg.solve_triangular(np.linalg.cholesky(K + np.diag(noise)), np.eye(len(K)), lower=True)
        half = cross @ root.T
        variance = variance - np.einsum("nt,nt->n", half, half)
    deviation: NDArray[np.float64] = np.sqrt(np.maximum(variance, 1e-12))
    return deviation


def dual_weights(
    K: NDArray[np.float64], noise: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return d = (K + diag(noise))⁻¹ (r − m), (t,), by which the posterior mean is m + k(·, answers) d.

    Args:
        K: Covariance of the answered candidates, (t, t).
        noise: Noise variance of each answer, (t,), positive.
        residual: Targets of the answered candidates minus their prior mean, (t,).
    """
    if len(residual) == 0:
        return residual
    solved: NDArray[np.float64] = linalg.cho_solve(linalg.cho_factor(K + np.diag(noise)), residual)
    return solved


def believed(
    r: NDArray[np.float64],
    pending: NDArray[np.bool_],
    prior: NDArray[np.float64],
    K: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the targets with what a process expects of pending queries, at most the best known target, (t,).

    Where no query is pending they are `r` itself; where all are, zeros.

    Args:
        r: Targets of all queries, (t,); those of pending ones are ignored.
        pending: True for each query that is pending, (t,).
        prior: Prior mean of the queried candidates, (t,).
        K: Their covariance, (t, t).
        noise: Noise variance of each answer, (t,), positive.

    Source:
        Ginsbourger, Le Riche, Carraro, "Kriging is well-suited to parallelize optimization", 2010: the kriging
        believer. The limit is ours.
    """
    if not pending.any():
        return r
    told = ~pending
    duals = dual_weights(K[np.ix_(told, told)], noise[told], (r - prior)[told])
    expected = prior[pending] + K[np.ix_(pending, told)] @ duals
    filled = r.copy()
    # A process expects more of its favourites than any answer can give, so its own word would attract the next query.
    filled[pending] = np.minimum(expected, r[told].max()) if told.any() else 0.0
    return filled


def linear_weights(
    belief: Belief, F: NDArray[np.float64], duals: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the posterior mean of the linear part's weights on the features, (M,).

    Args:
        belief: The process.
        F: Features of the answered candidates, (t, M).
        duals: The result of `dual_weights` for them, (t,).
        slopes: Slopes of the prior mean, (M,).
    """
    weights: NDArray[np.float64] = slopes + belief.linear / max(1, F.shape[1]) * (F.T @ duals)
    return weights


def ranks_from_best(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value, (n,): 1 for the largest; of equals, the first in the pool comes first."""
    ranks = np.empty(len(values))
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks
