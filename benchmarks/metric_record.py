"""The record of each metric over published tasks: what its favourites turned out to be worth.

    python benchmarks/metric_record.py

For each task: the networks that are the best 2 % by the metric (at least five), and the mean share of all networks that
are no better than they are, by the objective; minus one half, which is what a metric that says nothing has. A metric
that is undefined for half of the networks has no figure. The figures are means over the tasks of a family of spaces.
They stand in `robonas.common.record`. The final measure of a table is never read.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
import pandas as pd
from search_quality import FAMILIES, METRICS, TABLES, TASKS, Task, family_of

from robonas.common.record import RECORD


def gain(scores: np.ndarray, objective: np.ndarray) -> float:
    """Return the mean percentile of the objective among the best 2 % by a metric, minus one half; NaN for none."""
    if np.isfinite(scores).mean() <= 0.5:
        return float("nan")
    percentile = pd.Series(objective).rank(pct=True).to_numpy()
    best = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[: max(5, len(scores) // 50)]
    return float(percentile[best].mean()) - 0.5


def measured(folder: str) -> dict[str, dict[str, float]]:
    """Return the gain of each metric by family of spaces, to two digits."""
    found: dict[str, dict[str, list[float]]] = {metric: {family: [] for family in FAMILIES} for metric in METRICS}
    for name in TASKS:
        task = Task.read(folder, name)
        for metric in task.scores:
            value = gain(task.scores[metric].to_numpy(float), task.objective)
            if np.isfinite(value):
                found[metric][family_of(name)].append(value)
    return {
        metric: {family: round(float(np.mean(values)), 2) for family, values in families.items() if values}
        for metric, families in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ROBONAS_DATA", str(TABLES)))
    options = parser.parse_args()
    print(f"{'metric':12}" + "".join(f"{family:>20}" for family in FAMILIES) + "   as shipped")
    for metric, means in measured(options.data).items():
        shipped = RECORD.get(metric, {}) == means
        cells = "".join(f"{means[family]:>20.2f}" if family in means else f"{'':>20}" for family in FAMILIES)
        print(f"{metric:12}{cells}   {'yes' if shipped else 'NO'}")


if __name__ == "__main__":
    main()
