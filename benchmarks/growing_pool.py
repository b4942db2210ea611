"""A pool that is sampled once, a pool that grows, and the whole space, at equal numbers of trainings.

    python benchmarks/growing_pool.py
    python benchmarks/growing_pool.py --tasks nb201-cifar10 --strategies auto --grow 10,20 --seeds 5

On spaces that tables list whole: the rank in the whole space, by the objective, of the best candidate found after 5 to
50 queries; 1 is the best of the space. Means over seeds, which one seed that failed may dominate, and geometric means.
Isomorphic cells are one candidate, with the values of the first of them. `robot` and its growth see the six metrics of
its paper, the others all metrics of the table. Both pools of a seed begin with the same sample. Strategies whose first
queries depend on the budget are run once for each number of queries.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from robonas.common.randomness import numpy_generator
from robonas.spaces import SearchSpace, make_space
from robonas.strategies import Problem, Trial, make_strategy
from robonas.study.growth import CROSSOVER, PARENTS, breed, fitness

sys.path.insert(0, str(Path(__file__).resolve().parent))
from search_quality import BUDGET_AWARE, METRICS, PAPER, TABLES, TASKS, Task, table

SPACES = {"nb201": ("nasbench201", 500), "tnb101": ("transnas_micro", 200)}
"""By the first word of a table's name: its space, and how many candidates to sample."""
WHOLE = (
    "nb201-cifar10",
    "nb201-ImageNet16-120",
    "tnb101-micro-class_scene-full",
)
"""Tables that list all of their space, and have metrics."""


class Whole(Task):
    """A table that lists a space: one row a class of isomorphic architectures."""

    def __init__(self, folder: str, name: str) -> None:
        kind, self.sample = SPACES[name.split("-", maxsplit=1)[0]]
        self.space: SearchSpace = make_space(kind)
        data = pd.read_parquet(Path(folder) / f"{name}.parquet")
        data = data[np.isfinite(data[TASKS[name]])]
        canonical = [self.space.format(self.space.canonical(self.space.parse(text))) for text in data["arch"]]
        first = ~pd.Series(canonical).duplicated().to_numpy()
        self.texts = [text for text, new in zip(canonical, first, strict=True) if new]
        self.row = {text: row for row, text in enumerate(self.texts)}
        data = data[first]
        self.scores = data[[metric for metric in METRICS if metric in data]]
        self.objective = data[TASKS[name]].to_numpy(float)
        self.codes = np.stack([self.space.encode(self.space.parse(text)) for text in self.texts])


def search(
    task: Whole, strategy: str, rows: list[int], budget: int, seed: int, grow: int, plan: dict[str, float]
) -> list[int]:
    """Rows of the table in the order of asking, of one search that begins with some of them."""
    columns = [metric for metric in task.scores if strategy != "robot" or metric in PAPER]
    scores = task.scores[columns].to_numpy(float)
    chooser = make_strategy(strategy)
    pool, joined, history = list(rows), [0] * len(rows), []
    problem = Problem(scores[pool], tuple(columns), budget, seed, codes=task.codes[pool], joined=np.array(joined))
    while len(history) < min(budget, len(pool)):
        if grow and history:
            worth = fitness(chooser, problem, history)
            born = breed(
                task.space,
                [task.texts[row] for row in pool],
                worth,
                grow,
                seed=seed,
                generation=len(history),
                allowed=lambda born: [task.space.format(child) in task.row for child in born],
                **plan,
            )
            pool += [task.row[text] for text in born]
            joined += [len(history)] * len(born)
            problem = Problem(
                scores[pool], tuple(columns), budget, seed, codes=task.codes[pool], joined=np.array(joined)
            )
        row = chooser.ask(problem, history).row
        history.append(Trial(row, float(task.objective[pool[row]])))
    return [pool[trial.row] for trial in history]


def one(
    folder: str,
    name: str,
    strategy: str,
    grow: int | None,
    seed: int,
    queries: tuple[int, ...],
    plan: dict[str, float],
) -> tuple[list[int], float]:
    """Rank of the best after each number of queries, and CPU seconds; `grow` None is the whole space."""
    warnings.simplefilter("ignore")
    task = Whole.read(folder, name)
    n = len(task.texts)
    order = numpy_generator("sample", seed).permutation(n)
    rows = list(range(n)) if grow is None else order[: task.sample].tolist()
    start = time.process_time()
    ranks = []
    for budget in queries if strategy in BUDGET_AWARE else queries[-1:]:
        asked = search(task, strategy, rows, budget, seed, grow or 0, plan)
        best = np.maximum.accumulate(task.objective[asked])
        ends = (budget,) if strategy in BUDGET_AWARE else queries
        ranks += [1 + int(np.sum(task.objective > best[min(end, len(best)) - 1])) for end in ends]
    return ranks, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ROBONAS_DATA", str(TABLES)))
    parser.add_argument("--strategies", default="auto,robot,random")
    parser.add_argument("--tasks", default=",".join(WHOLE))
    parser.add_argument("--grow", default="20", help="children a query; with commas: one line each")
    parser.add_argument("--only-growing", action="store_true", help="leave the sampled pool and the whole space out")
    parser.add_argument("--parents", type=int, default=PARENTS)
    parser.add_argument("--crossover", type=float, default=CROSSOVER)
    parser.add_argument("--queries", default="5,10,20,50")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        sys.exit(f"The tables must lie in a folder; there is none at {options.data}. Set ROBONAS_DATA or --data.")
    queries = tuple(sorted(int(end) for end in options.queries.split(",")))
    plan = {"parents": options.parents, "crossover": options.crossover}
    sizes = [int(size) for size in options.grow.split(",")]
    modes: dict[str, int | None] = {f"grows by {size}": size for size in sizes}
    if not options.only_growing:
        modes = {"sampled pool": 0, **modes, "whole space": None}
    for name in options.tasks.split(","):
        task = Whole.read(options.data, name)
        print(f"\n== {name}: {len(task.texts):,} classes, {task.sample} sampled; {options.seeds} seeds ==")
        rows, typical, cost = {}, {}, {}
        for strategy in options.strategies.split(","):
            for mode, grow in modes.items():
                if strategy == "random" and grow != 0 and not options.only_growing:
                    continue
                found = joblib.Parallel(n_jobs=options.jobs)(
                    joblib.delayed(one)(options.data, name, strategy, grow, seed, queries, plan)
                    for seed in range(options.seeds)
                )
                label = f"{strategy}, {mode}"
                rows[label] = np.mean([ranks for ranks, _ in found], axis=0)
                typical[label] = np.exp(np.mean([np.log(ranks) for ranks, _ in found], axis=0))
                cost[label] = np.mean([seconds for _, seconds in found])
        table("mean rank of the best", rows, queries)
        table("geometric mean of the same", typical, queries)
        print("CPU seconds a seed: " + ", ".join(f"{label} {seconds:.1f}" for label, seconds in cost.items()))


if __name__ == "__main__":
    main()
