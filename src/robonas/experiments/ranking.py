"""Agreement of a ranking with an objective of which all values are known. Pure functions; None where undefined.

| symbol | meaning |
|---|---|
| N | candidates |
| s | a score of each, higher is better, (N,); NaN comes last |
| u | the objective, higher is better, finite, (N,) |
| T | length of the top that matters |

Equal scores stand in pool order, as in a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robonas.common.lazy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robonas.experiments.tasks import Task


def ranks_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank of each value, 1 is the largest; equals share the better rank; NaN comes last. (N,)."""
    filled = np.where(np.isnan(values), -np.inf, values)
    ordered = np.sort(filled)
    ranks: NDArray[np.int64] = 1 + len(filled) - np.searchsorted(ordered, filled, side="right")
    return ranks


def order_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows from the best score down, equals in pool order, NaN last. (N,)."""
    rows: NDArray[np.int64] = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    return rows


def precision_at(scores: NDArray[np.float64], utility: NDArray[np.float64], t: int) -> float | None:
    """Return Precision@T: the share of the T best by score among the T best by objective; None where s says nothing.

    A candidate as good as the T-th best counts as one of them.

    Source: He et al., ICLR 2024, arXiv 2403.07591, equation 2.
    """
    if _says_nothing(scores):
        return None
    t = min(t, len(scores))
    return float(np.mean(ranks_of(utility)[order_of(scores)[:t]] <= t))


def ndcg_at(scores: NDArray[np.float64], utility: NDArray[np.float64], t: int) -> float | None:
    """Return nDCG@T = Σ_j (2^g_j − 1)/log2(1 + j) over the T best by score, divided by its largest value.

    g is the objective, min-max scaled over the candidates; None where s or u is constant.

    Source: the use for architectures is of Tybl and Neumann, "Training-Free Neural Architecture Search through Variance
    of Knowledge of Deep Network Weights", arXiv 2502.04975, who take the accuracy itself for g; scaling it admits any
    objective.
    """
    low, high = float(utility.min()), float(utility.max())
    if _says_nothing(scores) or not low < high:
        return None
    t = min(t, len(scores))
    gains = 2.0 ** ((utility - low) / (high - low)) - 1
    discounts = 1 / np.log2(np.arange(2, t + 2))
    best = np.sort(gains)[::-1][:t]
    return float(gains[order_of(scores)[:t]] @ discounts / (best @ discounts))


def spearman(scores: NDArray[np.float64], utility: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation over the candidates with a score; None for fewer than two or a constant."""
    return _correlation(stats.spearmanr, scores, utility)


def kendall(scores: NDArray[np.float64], utility: NDArray[np.float64]) -> float | None:
    """Return Kendall's tau-b over the candidates with a score; None for fewer than two, or where one is constant."""
    return _correlation(stats.kendalltau, scores, utility)


def metric_quality(task: Task, t: int = 20) -> pd.DataFrame:
    """Return how well each metric alone does, one row a metric, where all answers are known.

    ``defined`` (scores), ``spearman``, ``kendall``, ``precision`` and ``ndcg`` of its top T, ``first_rank`` (true rank
    of its favourite) and ``best_rank`` (the best true rank in its top T); None is undefined, as for a constant metric.

    Args:
        task: The task.
        t: Length of the top.
    """
    truth = ranks_of(task.utility)
    rows = []
    for place, name in enumerate(task.metrics):
        scores = task.scores[:, place]
        top, dead = order_of(scores)[:t], _says_nothing(scores)
        rows.append(
            {
                "task": task.name,
                "metric": name,
                "defined": int(np.isfinite(scores).sum()),
                "spearman": spearman(scores, task.utility),
                "kendall": kendall(scores, task.utility),
                "precision": precision_at(scores, task.utility, t),
                "ndcg": ndcg_at(scores, task.utility, t),
                "first_rank": None if dead else int(truth[top[0]]),
                "best_rank": None if dead else int(truth[top].min()),
            }
        )
    return pd.DataFrame({key: pd.Series([row[key] for row in rows], dtype=object) for key in (rows[0] if rows else ())})


def metric_correlations(task: Task) -> pd.DataFrame:
    """Return Spearman's rank correlation of each metric with each other, and with the objective in the last row.

    Each pair is taken over the candidates that have both scores; NaN where fewer than four have, or one is constant.
    The objective counts with higher is better, and metrics as they are.

    Args:
        task: The task.

    Returns:
        Symmetric, in [-1, 1], with the names of the metrics and of the objective.
    """
    scores = pd.DataFrame(task.scores, columns=list(task.metrics)).replace([np.inf, -np.inf], np.nan)
    if task.objective_name not in task.metrics:
        scores[task.objective_name] = task.utility
    with np.errstate(divide="ignore", invalid="ignore"):
        return scores.corr(method="spearman", min_periods=4)


def _says_nothing(scores: NDArray[np.float64]) -> bool:
    known = scores[np.isfinite(scores)]
    return len(known) == 0 or bool(known.min() == known.max())


def _correlation(of: object, scores: NDArray[np.float64], utility: NDArray[np.float64]) -> float | None:
    known = np.isfinite(scores)
    one, other = scores[known], utility[known]
    if len(one) < 2 or one.min() == one.max() or other.min() == other.max():
        return None
    return float(of(one, other).statistic)  # type: ignore[operator]
