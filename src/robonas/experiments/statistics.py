"""Tests of whether differences between strategies are more than chance: paired by seed, and over tasks.

Source: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, for ranks over tasks,
the critical difference and Holm's correction against a reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from robonas.common.lazy import stats
from robonas.common.randomness import numpy_generator
from robonas.common.record import FAMILIES
from robonas.errors import ConfigError
from robonas.experiments.summary import means

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.experiments.results import Results

LOWER_IS_BETTER = ("rank", "regret", "final_rank", "hypervolume_regret")
"""Measures that strategies are compared by."""
_RESAMPLES = 2000
_MOST_NAMES = 3
_EXACT = 12
"""Up to so many seeds every assignment of signs is counted."""


def compare(
    results: Results, reference: str, *, quantity: str = "rank", queries: int | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the reference against each other strategy on each task, seed by seed.

    ``advantage`` is the mean over seeds of the other's quantity minus the reference's: above 0 the reference is better.
    ``low`` and ``high`` bound it by the percentile bootstrap over seeds; ``wins``, ``ties`` and ``losses`` count seeds;
    ``p`` is of Wilcoxon's signed-rank test, two-sided, zeros by Pratt's rule, and ``p_holm`` corrects it for the
    number of others of its kind on the task: strategies, or metrics alone. All four are None, so that nothing is
    tested, where the seeds tell nothing: fewer than two of them, the same difference with every one, or two strategies
    that each make the same run with every seed, for which ``deterministic`` is True.

    Args:
        results: The runs.
        reference: Label of a strategy.
        quantity: ``rank``, ``regret`` or ``final_rank``.
        queries: After how many; None for the end.
        confidence: Level of the interval, such as 0.95.

    Raises:
        ConfigError: No such strategy or quantity, or a confidence outside (0, 1).
    """
    _check(results, reference, quantity)
    if not 0 < confidence < 1:
        raise ConfigError(f"`confidence` must be between 0 and 1; got {confidence}.")
    rows: list[dict[str, Any]] = []
    for task, gaps in _gaps(results, reference, quantity, queries).items():
        found = [_pair(task, gap, confidence) for gap in gaps]
        corrected: dict[str, float | None] = {}
        for family in _families(results, gaps):
            holding = [row for row in found if row["other"] in family]
            corrected |= zip([row["other"] for row in holding], holm([row["p"] for row in holding]), strict=True)
        for row in found:
            # One without spread counts as a test, so that the others are not corrected for fewer because of their data.
            tested = {"p": None, "p_holm": None} if row["low"] is None else {"p_holm": corrected[row["other"]]}
            rows.append(row | tested)
    names = (
        *("task", "other", "seeds", "advantage", "low", "high", "wins", "ties", "losses", "p", "p_holm"),
        "deterministic",
    )
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in names})


class _Gap(NamedTuple):
    """Difference between a strategy and the reference on a task."""

    other: str
    by_seed: NDArray[np.float64]
    """Its quantity minus the reference's, seed by seed."""
    repeats: bool
    """Whether these are one gap, repeated: both make the same run with every seed."""

    @property
    def differs(self) -> bool:
        """Whether there is something to test."""
        return not self.repeats and bool(np.any(self.by_seed != 0))


def _gaps(results: Results, reference: str, quantity: str, queries: int | None) -> dict[str, list[_Gap]]:
    """Return the differences of all other strategies, by task."""
    state = results.at(queries or int(results.frame["query"].max()))
    found: dict[str, list[_Gap]] = {}
    for task in results.tasks:
        runs = state[state["task"] == task].pivot_table(index="seed", columns="strategy", values=quantity)
        if reference not in runs.columns:
            continue
        unvaried = deterministic(results, task)
        found[task] = [
            _Gap(
                name,
                (runs[name] - runs[reference]).dropna().to_numpy(np.float64),
                repeats={name, reference} <= unvaried,
            )
            for name in results.strategies
            if name in runs.columns and name != reference
        ]
    return found


def _families(results: Results, gaps: Sequence[_Gap]) -> tuple[set[str], set[str]]:
    """Return the families of tests that are corrected together: strategies, and metrics alone."""
    alone = {gap.other for gap in gaps if results.kind(gap.other) == "single"}
    return {gap.other for gap in gaps} - alone, alone


def deterministic(results: Results, task: str) -> set[str]:
    """Return the strategies that evaluate the same candidates in the same order with every seed, of at least two."""
    found = set()
    for strategy, runs in results.frame[results.frame["task"] == task].groupby("strategy", sort=False):
        asked = [tuple(run["row"]) for _, run in runs.sort_values("query").groupby("seed")]
        if len(asked) > 1 and len(set(asked)) == 1:
            found.add(str(strategy))
    return found


def cautions(results: Results, reference: str, *, alpha: float = 0.05) -> list[str]:
    """Return what a reader of `compare` must know, a sentence each: strategies without chance, and too few seeds.

    With n seeds, the smallest two-sided p-value of a signed-rank test is 2/2ⁿ, whatever the difference; Holm's
    correction multiplies it by the number of others.

    Args:
        results: The runs.
        reference: The strategy that the others are compared with.
        alpha: Level of significance.
    """
    sentences = []
    for task in results.tasks:
        unvaried = deterministic(results, task)
        names = [str(name) for name in results.frame.loc[results.frame["task"] == task, "strategy"].unique()]
        same = [name for name in names if name in unvaried and name != reference and reference in unvaried]
        if same:
            listed = ", ".join(same) if len(same) <= _MOST_NAMES else f"{len(same)} others"
            sentences.append(
                f"On {task}, {reference} and {listed} make the same run with every seed: one run each, so their "
                "difference is not tested. Random halves of the table (half pools) give a spread."
            )
    seeds = int(results.frame["seed"].nunique())
    tested = _most_tests(results, reference)
    least = min(1.0, 2.0 / 2**seeds)
    corrected = min(1.0, least * tested)
    if tested and corrected > alpha:
        needed = int(np.ceil(np.log2(2 * tested / alpha)))
        after = f", after the correction for {tested} others {corrected:.2g}" if tested > 1 else ""
        sentences.append(
            f"{seeds} {'seed is' if seeds == 1 else 'seeds are'} too few for any difference to be significant: the "
            f"smallest possible p is {least:.2g}{after}. With {needed} seeds it can fall below {alpha:g}."
        )
    return sentences + _held_out(results)


def _held_out(results: Results) -> list[str]:
    """Return a sentence on what `auto` knows of the tasks' families of spaces; none where there are none."""
    found = {task.get("family") for task in results.settings.get("tasks", ())}
    families = [family for family in FAMILIES if family in found]
    plans = results.settings.get("strategies", ())
    if not families or not any(plan["strategy"] == "auto" and not plan["settings"] for plan in plans):
        return []
    sentence = (
        f"auto begins without its record of metrics over {', '.join(families)}, since tasks are of these families. Its "
        "other settings were chosen on published tables of them all the same, so expect less on tables that are new."
    )
    return [sentence]


def _most_tests(results: Results, reference: str) -> int:
    """Return the largest number of tests that Holm's correction counts together."""
    return max(
        (
            sum(gap.differs for gap in gaps if gap.other in family)
            for gaps in _gaps(results, reference, "rank", None).values()
            for family in _families(results, gaps)
        ),
        default=0,
    )


def _pair(task: str, gap: _Gap, confidence: float) -> dict[str, Any]:
    """Return one row of `compare`, without the correction."""
    values = gap.by_seed
    low = high = p = None
    if len(values) > 1 and not gap.repeats:
        if np.ptp(values) > 0:
            interval = stats.bootstrap(
                (values,),
                np.mean,
                n_resamples=_RESAMPLES,
                confidence_level=confidence,
                method="percentile",
                random_state=numpy_generator("bootstrap", task, gap.other, len(values)),
            ).confidence_interval
            low, high = float(interval.low), float(interval.high)
        if gap.differs:
            few = len(values) <= _EXACT
            method = stats.PermutationMethod(n_resamples=2**_EXACT) if few else "asymptotic"
            p = float(stats.wilcoxon(values, zero_method="pratt", method=method).pvalue)
    return {
        "task": task,
        "other": gap.other,
        "seeds": len(values),
        "advantage": float(values.mean()) if len(values) else None,
        "low": low,
        "high": high,
        "wins": int((values > 0).sum()),
        "ties": int((values == 0).sum()),
        "losses": int((values < 0).sum()),
        "p": p,
        "deterministic": gap.repeats,
    }


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down correction; None stays None and counts for nothing."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for number, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - number)))
        corrected[place] = largest
    return corrected


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """Strategies compared over tasks."""

    average_ranks: pd.Series[float]
    """Mean rank of each strategy among the strategies, over tasks; the best first, 1 is best on all tasks."""
    n_tasks: int
    """Tasks that count."""
    friedman_p: float | None
    """P-value of Friedman's test that all are equal; None for fewer than three strategies or two tasks, or all ties."""
    difference: float
    """Nemenyi's critical difference of average ranks."""
    pairs: pd.DataFrame
    """Two-sided p of Nemenyi's test, strategies × strategies."""
    groups: tuple[tuple[str, ...], ...]
    """Largest sets of strategies whose average ranks lie within the critical difference; what the bars join."""
    against: pd.DataFrame | None
    """With a reference: ``strategy``, ``z``, ``p`` and ``p_holm``."""


def critical_difference(
    results: Results,
    *,
    quantity: str = "rank",
    queries: int | None = None,
    alpha: float = 0.05,
    reference: str | None = None,
    strategies: Sequence[str] | None = None,
) -> CriticalDifference:
    """Return the average ranks over tasks with Friedman's test and Nemenyi's critical difference.

    With k strategies and N tasks CD = q_α √(k(k + 1) / 6N), q_α the studentized range's quantile divided by √2.
    Few tasks prove little: with ten strategies and seven tasks, average ranks must differ by more than five.

    Args:
        results: The runs.
        quantity: ``rank``, ``regret`` or ``final_rank``, its mean over seeds.
        queries: After how many; None for the end.
        alpha: Level of the tests.
        reference: A strategy to compare all others with, by Holm's correction.
        strategies: Which; None for all but metrics alone.

    Raises:
        ConfigError: No such strategy or quantity, fewer than two strategies that ran on all tasks, or a level outside
            (0, 1).
    """
    chosen = (
        [name for name in results.strategies if results.kind(name) != "single"] if strategies is None else strategies
    )
    for name in (*chosen, *([reference] if reference else [])):
        _check(results, name, quantity)
    if not 0 < alpha < 1:
        raise ConfigError(f"`alpha` must be between 0 and 1; got {alpha}.")
    table = means(results, quantity, queries or int(results.frame["query"].max()))
    table = table[table.index.isin(chosen)]
    k, n = table.shape
    if k < 2:
        raise ConfigError(f"At least two strategies must have run on all tasks; {k} have.")
    ranks = (
        pd.DataFrame(stats.rankdata(table.to_numpy(), axis=0), index=table.index)
        .mean(axis=1)
        .sort_values(kind="stable")
    )
    error = float(np.sqrt(k * (k + 1) / (6 * n)))
    gaps = np.abs(ranks.to_numpy()[:, None] - ranks.to_numpy()[None, :]) / error
    p_pairs = stats.studentized_range.sf(gaps * np.sqrt(2), k, np.inf).clip(0, 1)
    np.fill_diagonal(p_pairs, 1.0)
    pairs = pd.DataFrame(p_pairs, index=ranks.index, columns=ranks.index)
    difference = float(stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)) * error
    friedman = None
    if k >= 3 and n >= 2 and (table != table.iloc[0]).any(axis=None):
        friedman = float(stats.friedmanchisquare(*table.to_numpy()).pvalue)
    against = None
    if reference is not None and reference in ranks.index:
        others = [name for name in ranks.index if name != reference]
        z = (ranks[others] - ranks[reference]) / error
        p = [float(value) for value in 2 * stats.norm.sf(np.abs(z))]
        against = pd.DataFrame({"strategy": others, "z": z.to_numpy(), "p": p, "p_holm": holm(p)})
    return CriticalDifference(ranks, n, friedman, difference, pairs, _groups(ranks, difference), against)


def _groups(ranks: pd.Series[float], difference: float) -> tuple[tuple[str, ...], ...]:
    names, values = [str(name) for name in ranks.index], ranks.to_numpy()
    spans = [
        (first, int(np.searchsorted(values, values[first] + difference, side="right"))) for first in range(len(values))
    ]
    kept = [
        (first, last)
        for place, (first, last) in enumerate(spans)
        if last - first > 1 and (place == 0 or last > spans[place - 1][1])
    ]
    return tuple(tuple(names[first:last]) for first, last in kept)


def _check(results: Results, strategy: str, quantity: str) -> None:
    if quantity not in LOWER_IS_BETTER:
        raise ConfigError(f"Strategies are compared by one of {', '.join(LOWER_IS_BETTER)}; got {quantity!r}.")
    if strategy not in results.strategies:
        raise ConfigError(
            f"There is no strategy {strategy!r} in the results; they have {', '.join(results.strategies)}."
        )
