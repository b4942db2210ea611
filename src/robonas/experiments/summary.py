"""Tables of results: means and spreads by task, over tasks, and in the form of the paper's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robonas.errors import ConfigError
from robonas.experiments.results import FRONT_QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from robonas.experiments.results import Results

AT = (5, 10, 20, 50, 100)
"""Numbers of queries at which results are compared."""
QUANTITIES = ("rank", "regret", "final", "final_rank", "best_value", "cost_s", *FRONT_QUANTITIES)
"""Columns of a run that change from query to query."""
MEAN_SINGLE, BEST_SINGLE = "each metric alone, mean", "each metric alone, best in hindsight"


def checkpoints(results: Results, at: Iterable[int] | None = None) -> list[int]:
    """Return the numbers of queries to look at: those asked for that a run reaches, and the longest run's end.

    Raises:
        ConfigError: A number below 1.
    """
    last = int(results.frame["query"].max())
    wanted = AT if at is None else tuple(at)
    if any(number < 1 for number in wanted):
        raise ConfigError(f"Numbers of queries must be at least 1; got {min(wanted)}.")
    return sorted({number for number in wanted if number <= last} | ({last} if at is None else set()) or {last})


def summarise(results: Results, at: Iterable[int] | None = None) -> pd.DataFrame:
    """Return one row for each task, strategy and number of queries.

    For each of ``rank``, ``regret``, ``final``, ``final_rank`` and ``cost_s``, and where a task has costs
    ``hypervolume_regret`` and ``front_share``: mean over seeds ``_mean``, standard
    deviation ``_std`` (with n − 1; NaN for one run) and ``_median``; and of the whole run the means ``n_explored``
    (T0), ``precision``, ``ndcg`` and ``spearman`` of the learned ranking. See `Results` for what they are.

    Args:
        results: The runs.
        at: Numbers of queries; None for 5, 10, 20, 50, 100 and the end.
    """
    quantities = ["rank", "regret", "final", "final_rank", "cost_s"]
    quantities += [name for name in FRONT_QUANTITIES if name in results.frame and results.frame[name].notna().any()]
    rows: list[dict[str, Any]] = []
    for queries in checkpoints(results, at):
        for (task, strategy), runs in results.at(queries).groupby(["task", "strategy"], sort=False):
            row: dict[str, Any] = {
                "task": task,
                "strategy": strategy,
                "kind": runs["kind"].iloc[0],
                "queries": queries,
                "runs": len(runs),
            }
            for quantity in quantities:
                values = runs[quantity].to_numpy(np.float64)
                row[f"{quantity}_mean"] = float(values.mean())
                row[f"{quantity}_std"] = float(values.std(ddof=1)) if len(values) > 1 else np.nan
                row[f"{quantity}_median"] = float(np.median(values))
            for name in ("n_explored", "precision", "ndcg", "spearman"):
                row[name] = float(runs[name].mean())
            rows.append(row)
    return pd.DataFrame(rows)


def check_quantity(quantity: str) -> None:
    """Raise unless results have a quantity of that name.

    Raises:
        ConfigError: There is no such quantity.
    """
    if quantity not in QUANTITIES:
        raise ConfigError(f"A quantity must be one of {', '.join(QUANTITIES)}; got {quantity!r}.")


def means(results: Results, quantity: str, queries: int) -> pd.DataFrame:
    """Return the mean over seeds, strategies × tasks; strategies that did not run on every task are left out.

    Of a quantity that only tasks with costs have, the other tasks are left out.

    Raises:
        ConfigError: There is no such quantity.
    """
    check_quantity(quantity)
    state = results.at(queries)
    table = state.pivot_table(
        index="strategy", columns="task", values=quantity, aggfunc="mean", sort=False, dropna=False
    )
    table = table.reindex(index=results.strategies, columns=results.tasks)
    return (table.dropna(axis=1, how="all") if quantity in FRONT_QUANTITIES else table).dropna()


def across_tasks(results: Results, at: Iterable[int] | None = None, quantity: str = "rank") -> pd.DataFrame:
    """Return the geometric mean over tasks of a quantity's mean ≥ 0, strategies × numbers of queries; best first.

    A mean of 0 on one task, as a regret may have, makes it 0.

    Raises:
        ConfigError: There is no such quantity.
    """
    columns = {}
    for queries in checkpoints(results, at):
        table = means(results, quantity, queries)
        with np.errstate(divide="ignore"):
            columns[queries] = np.exp(np.log(table).mean(axis=1))
    found = pd.DataFrame(columns)
    return found.sort_values(list(found.columns)[::-1], kind="stable")


def paper_table(results: Results, quantity: str = "final", *, queries: int | None = None) -> pd.DataFrame:
    """Return mean ± standard deviation over seeds, strategies × tasks, as in the paper's tables 2 and 3.

    Table 2 is by ``final``, table 3 by ``rank``.

    Rows "each metric alone" stand for the paper's "training-free": the mean and spread over metrics and seeds, and the
    best of them by its mean, task by task, which only hindsight can choose. A column ``cost_s`` has the mean seconds of
    all queries, where they are recorded. Deviations divide by n, as the paper's do.

    Args:
        results: The runs.
        quantity: One of `QUANTITIES`.
        queries: After how many; None for the end.

    Raises:
        ConfigError: There is no such quantity.
    """
    check_quantity(quantity)
    state = results.at(queries or int(results.frame["query"].max()))
    singles = state[state["kind"] == "single"]
    rows: dict[str, dict[str, str]] = {}
    for strategy in results.strategies:
        if results.kind(strategy) != "single":
            rows[strategy] = _row(state[state["strategy"] == strategy], quantity, results.tasks)
    if len(singles):
        rows[MEAN_SINGLE] = _row(singles, quantity, results.tasks)
        best = pd.concat(
            [_best(singles[singles["task"] == task], quantity, results) for task in singles["task"].unique()]
        )
        rows[BEST_SINGLE] = _row(best, quantity, results.tasks)
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=[*results.tasks, "cost_s"])
    return table.drop(columns="cost_s") if (table["cost_s"] == "–").all() else table


def _row(runs: pd.DataFrame, quantity: str, tasks: Sequence[str]) -> dict[str, str]:
    digits = 3 if quantity in FRONT_QUANTITIES else 2 if quantity in {"final", "best_value", "regret"} else 1
    row = {}
    for task in tasks:
        values = runs.loc[runs["task"] == task, quantity].dropna().to_numpy(np.float64)
        row[task] = f"{values.mean():.{digits}f} ± {values.std():.{digits}f}" if len(values) else "–"
    cost = runs["cost_s"].dropna()
    row["cost_s"] = f"{cost.mean():.0f}" if len(cost) else "–"
    return row


def _best(singles: pd.DataFrame, quantity: str, results: Results) -> pd.DataFrame:
    """Return the runs of the metric with the best mean on this task."""
    about = next(task for task in results.settings["tasks"] if task["name"] == singles["task"].iloc[0])
    upwards = {
        "final": about["final_higher_is_better"],
        "best_value": about["higher_is_better"],
        "front_share": True,
    }.get(quantity, False)
    mean = singles.groupby("strategy", sort=False)[quantity].mean()
    if mean.isna().all():
        return singles.iloc[:0]
    return singles[singles["strategy"] == (mean.idxmax() if upwards else mean.idxmin())]
