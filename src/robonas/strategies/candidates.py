"""Gaussian processes over candidates: what each answer says about all the others.

| symbol | meaning | shape |
|---|---|---|
| F | features: the metrics on one scale, then standardised by column | (N, M) |
| C | option indices of the architectures | (N, n_choices) |
| r | target: normal scores of the ranks of the answers so far | (t,) |
| m | prior mean, slope / sqrt(M) times the row sums of F: metrics point upwards until told otherwise | (N,) |
| k | covariance of two candidates | scalar |

k(x, x') = linear F F' / M + smooth Matern52(|F - F'| / (length sqrt(M))) + structure exp(-decay times the share of
choices that differ). Observations have noise variance `noise`. All amplitudes are settings, not fitted: five answers
cannot tell them.

The prior mean is large at the extremes of the pool, larger than any target can be; so the first answers come as
disappointments that pull down what resembles them, and the search tries the extremes by turns. That optimism is what
makes it explore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtri
from scipy.stats import rankdata

from robonas.strategies.scaling import fill_missing, min_max

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Belief:
    """The settings of one process."""

    feature: str
    """How the scaled metrics are bent; a name in `FEATURES`."""
    slope: float
    """Of the prior mean."""
    linear: float
    """Variance that is linear in the features."""
    smooth: float
    """Variance that is a smooth function of the features."""
    length: float
    """Length scale of the smooth part, in root mean square distances of standardised features."""
    structure: float
    """Variance that follows the architectures' choices; none where the problem has no codes."""
    decay: float
    """How fast the covariance falls with the share of choices that differ."""
    noise: float
    """Noise variance of a target."""
    first: int = 0
    """How many queries there must have been before it has a voice."""
    last: int | None = None
    """From how many queries on it is silent; None for never."""

    def speaks(self, n_queries: int) -> bool:
        """Whether it has a voice after so many queries."""
        return self.first <= n_queries and (self.last is None or n_queries < self.last)


def _same(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    return unit


def _asinh(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    low, middle, high = np.percentile(unit, (25, 50, 75), axis=0)
    spread = high - low
    bent: NDArray[np.float64] = np.arcsinh((unit - middle) / np.where(spread > 0, spread, 1.0))
    return bent


def _normal(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    bent: NDArray[np.float64] = ndtri((rankdata(unit, axis=0) - 0.5) / len(unit))
    return bent


FEATURES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "asinh": _asinh,
    "min_max": _same,
    "normal": _normal,
}
"""Ways to bend a min-max scaled metric x.

x as it is; asinh((x − median) / interquartile range), which leaves the middle and draws in both tails; the normal
score of the rank of x, which keeps its order only.
"""


def unit_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metrics min-max scaled, (N, M) in [0, 1]; 0 where undefined."""
    return np.clip(fill_missing(min_max(scores), 0.0), 0.0, 1.0)


def features(unit: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """F, (N, M): `unit_scores`, bent and then standardised by column; zeros in a column without two different values.

    Args:
        unit: From `unit_scores`, (N, M).
        kind: A name in `FEATURES`.
    """
    bent = FEATURES[kind](unit)
    centred = bent - bent.mean(axis=0)
    deviation = centred.std(axis=0)
    standard: NDArray[np.float64] = centred / np.where(deviation > 0, deviation, 1.0)
    return standard


def targets(values: Sequence[float]) -> NDArray[np.float64]:
    """r, (t,): standard normal quantiles of the mean ranks (rank − ½) / t; unchanged by any monotone change of f."""
    if len(values) == 0:
        return np.zeros(0)
    quantiles: NDArray[np.float64] = ndtri((rankdata(values) - 0.5) / len(values))
    return quantiles


def covariance(
    belief: Belief,
    left: tuple[NDArray[np.float64], NDArray[np.int64] | None],
    right: tuple[NDArray[np.float64], NDArray[np.int64] | None],
) -> NDArray[np.float64]:
    """K between two lists of candidates, (n, t).

    Args:
        belief: The process.
        left: Their features, (n, M), and codes, (n, n_choices) or None.
        right: The same of the others, (t, M) and (t, n_choices).
    """
    (F, codes), (G, others) = left, right
    size = max(1, F.shape[1])
    product = F @ G.T
    result: NDArray[np.float64] = belief.linear / size * product
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


def prior_mean(belief: Belief, F: NDArray[np.float64]) -> NDArray[np.float64]:
    """m, (n,)."""
    mean: NDArray[np.float64] = F.sum(axis=1) * (belief.slope / np.sqrt(max(1, F.shape[1])))
    return mean


def dual_weights(belief: Belief, K: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K + noise I)⁻¹ (r − m), (t,): what each answer contributes to the posterior mean m + k(·, answers) times these.

    Args:
        belief: The process.
        K: Covariance of the answered candidates, (t, t).
        residual: Their targets minus their prior mean, (t,).
    """
    if len(residual) == 0:
        return residual
    solved: NDArray[np.float64] = cho_solve(cho_factor(K + belief.noise * np.eye(len(K))), residual)
    return solved


def linear_weights(belief: Belief, F: NDArray[np.float64], duals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Posterior mean of the linear part's weights on the features, (M,).

    Args:
        belief: The process.
        F: Features of the answered candidates, (t, M).
        duals: Their `dual_weights`, (t,).
    """
    size = max(1, F.shape[1])
    weights: NDArray[np.float64] = belief.slope / np.sqrt(size) + belief.linear / size * (F.T @ duals)
    return weights
