"""Hypervolume regret of strategies that trade an objective off against a known cost, on published tables.

    python benchmarks/trade_offs.py --seeds 10

Every seed draws a random half of the table, the same for all strategies. Costs are scaled to [0, 1] over it; the
reference point is the worst value and a cost of 1.1. The regret is the share of the true front's hypervolume that is
missing after a number of queries; in brackets stands the share of the true front's candidates that were queried.
Strategies see the metrics that `search_quality.py` gives them, and all know the costs. `limits` stands for four single
searches by `auto`, each with a quarter of the queries, under limits at the quartiles of the cost.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from search_quality import METRICS, TASKS, codes

from robonas.common.randomness import numpy_generator
from robonas.strategies import Problem, Trial, make_strategy
from robonas.strategies.fronts import hypervolume, is_on_front
from robonas.strategies.scaling import min_max

ROOT = Path(__file__).resolve().parents[1]
COSTS = ("params", "flops")
OBJECTIVES = TASKS | {"nbmacro-cifar10": "test_acc"}
STRATEGIES = ("auto", "robot", "random", "evolution", "tpe", "nsga2", "limits")


def half(folder: str, name: str, seed: int) -> pd.DataFrame:
    """One seed's half of a table, with finite objective and costs."""
    data = pd.read_parquet(Path(folder) / f"{name}.parquet")
    data = data[np.isfinite(data[[OBJECTIVES[name], *COSTS]]).all(axis=1)]
    generator = numpy_generator("half", seed)
    return data.iloc[np.sort(generator.permutation(len(data))[: len(data) // 2])]


def asked(data: pd.DataFrame, name: str, cost: str, strategy: str, budget: int, seed: int) -> tuple[list[int], float]:
    """Rows in the order of asking, and seconds of the longest ask."""
    values = data[OBJECTIVES[name]].to_numpy(float)
    if strategy == "limits":
        rows: list[int] = []
        price = data[cost].to_numpy(float)
        for part in (0.25, 0.5, 0.75, 1.0):
            allowed = np.flatnonzero(price <= np.quantile(price, part))
            inner, _ = asked(data.iloc[allowed], name, cost, "auto alone", budget // 4, seed)
            rows += allowed[inner].tolist()
        return rows, 0.0
    scores = data[[metric for metric in METRICS if metric in data]]
    costs = None if strategy == "auto alone" else data[[cost]].to_numpy(float)
    options = codes(list(data["arch"]))
    problem = Problem(scores.to_numpy(float), tuple(scores.columns), budget, seed, codes=options, costs=costs)
    chooser, history, longest = make_strategy(strategy.removesuffix(" alone")), [], 0.0
    while len(history) < problem.limit:
        start = time.perf_counter()
        row = chooser.ask(problem, history).row
        longest = max(longest, time.perf_counter() - start)
        history.append(Trial(row, float(values[row])))
    return [trial.row for trial in history], longest


def one(
    folder: str, name: str, cost: str, strategy: str, seed: int, queries: tuple[int, ...]
) -> tuple[list[float], list[float], float]:
    """Regret and share of the front found after each number of queries; seconds of the longest ask."""
    warnings.simplefilter("ignore")
    data = half(folder, name, seed)
    values, costs = data[OBJECTIVES[name]].to_numpy(float), min_max(data[[cost]].to_numpy(float))
    front = is_on_front(values, costs)

    def volume(rows: np.ndarray | list[int]) -> float:
        return hypervolume(values[rows], costs[rows], values.min(), np.array([1.1]), np.zeros(1))

    whole = volume(np.flatnonzero(front))
    regret, found, longest = [], [], 0.0
    aware = strategy in {"robot", "evolution", "tpe", "nsga2", "limits"}
    for end in queries:
        if aware or end == queries[0]:
            rows, seconds = asked(data, name, cost, strategy, end if aware else queries[-1], seed)
            longest = max(longest, seconds)
        regret.append(1 - volume(rows[:end]) / whole)
        found.append(float(front[rows[:end]].sum() / front.sum()))
    return regret, found, longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ROBONAS_DATA", str(ROOT / "benchmarks" / "tables")))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--tasks", default=",".join(OBJECTIVES))
    parser.add_argument("--costs", default="params")
    parser.add_argument("--queries", default="5,10,20,50")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    queries = tuple(sorted(int(end) for end in options.queries.split(",")))
    tasks, strategies = options.tasks.split(","), options.strategies.split(",")
    for cost in options.costs.split(","):
        runs = [(name, strategy, seed) for name in tasks for strategy in strategies for seed in range(options.seeds)]
        results = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(one)(options.data, name, cost, strategy, seed, queries) for name, strategy, seed in runs
        )
        regrets: dict[tuple[str, str], list[list[float]]] = {}
        shares: dict[tuple[str, str], list[list[float]]] = {}
        longest = dict.fromkeys(strategies, 0.0)
        for (name, strategy, _), (regret, found, seconds) in zip(runs, results, strict=True):
            regrets.setdefault((name, strategy), []).append(regret)
            shares.setdefault((name, strategy), []).append(found)
            longest[strategy] = max(longest[strategy], seconds)
        means = {key: np.mean(rows, axis=0) for key, rows in regrets.items()}
        print(f"\n== against {cost}: hypervolume regret (share of the front found) after {options.queries} queries ==")
        for name in tasks:
            print(name)
            for s in strategies:
                parts = zip(means[name, s], np.mean(shares[name, s], axis=0), strict=True)
                print(f"  {s:<12}" + "".join(f"{100 * r:>9.2f} % ({100 * f:>3.0f} %)" for r, f in parts))
        overall = {s: np.exp(np.mean([np.log(means[n, s] + 1e-6) for n in tasks], axis=0)) for s in strategies}
        print("geometric mean over tasks")
        for s in strategies:
            print(f"  {s:<12}" + "".join(f"{100 * r:>9.2f} %        " for r in overall[s]))
        rivals = [s for s in ("nsga2", "tpe", "random", "evolution") if s in strategies]
        if "auto" in strategies and rivals:
            best = np.min([overall[s] for s in rivals], axis=0)
            print("auto / best rival:  " + ", ".join(f"{x:.0%}" for x in overall["auto"] / best))
            by_task = [means[n, "auto"] / np.min([means[n, s] for s in rivals], axis=0) for n in tasks]
            print("  worst task:       " + ", ".join(f"{x:.0%}" for x in np.max(by_task, axis=0)))
        print("longest ask, ms: " + ", ".join(f"{s} {1000 * longest[s]:.0f}" for s in strategies))


if __name__ == "__main__":
    main()
