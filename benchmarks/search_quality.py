"""Mean rank of the best candidate that strategies find on published tables, by the objective, after 5 to 50 queries.

    python benchmarks/search_quality.py                              all strategies on all tasks, then the comparison
    python benchmarks/search_quality.py --variants noise,flipped     worse inputs, the same for all strategies

Every seed draws a random half of the table, the same for all strategies, so that deterministic ones show a real spread.
`robot` sees the six metrics of its paper, the others all metrics of the table; under a variant all see the same. A
strategy whose first queries depend on the budget is run once for each number of queries. The final measure of a table
is never read.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import warnings
from pathlib import Path
from typing import Self

import joblib
import numpy as np
import pandas as pd

from robonas.common.randomness import numpy_generator
from robonas.strategies import STRATEGIES, Problem, Trial, make_strategy

TABLES = Path(__file__).resolve().parent / "tables"
METRICS = (
    "epe_nas",
    "fisher",
    "flops",
    "grad_norm",
    "grasp",
    "jacov",
    "l2_norm",
    "nwot",
    "params",
    "plain",
    "snip",
    "synflow",
    "zen",
)
PAPER = ("fisher", "grad_norm", "grasp", "jacov", "snip", "synflow")
TASKS = {
    "nb201-cifar10": "val_acc_cifar10_12ep",
    "nb201-cifar100-sample": "val_acc_cifar10_12ep",
    "tnb101-micro-class_scene-full": "val_metric",
    "tnb101-micro-normal": "val_metric",
    "tnb101-micro-autoencoder": "val_metric",
    "tnb101-macro-jigsaw": "val_metric",
    "tnb101-macro-normal": "val_metric",
    "nb201-ImageNet16-120": "val_acc_cifar10_12ep",
    "tnb101-micro-class_object": "val_metric",
    "tnb101-micro-room_layout": "val_metric",
    "tnb101-macro-class_scene": "val_metric",
    "tnb101-macro-segmentsemantic": "val_metric",
}
"""Tables and their objectives. The first seven are those of the design study."""
BUDGET_AWARE = {"evolution", "gp", "robot", "tpe"}
VARIANTS = {
    "own": "each strategy's own inputs",
    "six": "the paper's six metrics",
    "noise": "the six and six of pure noise",
    "flipped": "the six, every sign flipped",
    "three": "three of the six, drawn for each seed",
    "duplicated": "the six, three of them four times",
    "noisy": "the six; the objective with noise of a tenth of its interquartile range",
    "diverged": "the six; the third query fails",
}


def codes(architectures: list[str]) -> np.ndarray:
    """Option indices from the tables' texts: words for NAS-Bench-201, digits for TransNAS-Bench-101."""
    pattern = r"[a-z_]+\d?x?\d?(?=~)" if architectures[0].startswith("|") else r"\d+"
    rows = pd.DataFrame([re.findall(pattern, text) for text in architectures]).fillna("")
    return np.column_stack([pd.factorize(rows[column], sort=True)[0] for column in rows]).astype(np.int64)


class Task:
    """One table, read once a process."""

    cache: dict[tuple[type[Task], str, str], Task] = {}  # noqa: RUF012

    def __init__(self, folder: str, name: str) -> None:
        data = pd.read_parquet(Path(folder) / f"{name}.parquet")
        data = data[np.isfinite(data[TASKS[name]])]
        self.scores = data[[metric for metric in METRICS if metric in data]]
        self.objective = data[TASKS[name]].to_numpy(float)
        self.codes = codes(list(data["arch"]))

    @classmethod
    def read(cls, folder: str, name: str) -> Self:
        """The table of that name."""
        if (cls, folder, name) not in cls.cache:
            cls.cache[cls, folder, name] = cls(folder, name)
        return cls.cache[cls, folder, name]


def inputs(
    task: Task, variant: str, strategy: str, seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, objective as the search sees it, true objective and codes, of one seed's half of the table."""
    generator = numpy_generator("half", seed)
    rows = np.sort(generator.permutation(len(task.objective))[: len(task.objective) // 2])
    scores, values = task.scores.iloc[rows], task.objective[rows]
    if variant != "own" or strategy == "robot":
        scores = scores[[metric for metric in PAPER if metric in scores]]
    seen = values
    if variant == "noise":
        noise = {f"noise_{number}": generator.normal(size=len(rows)) for number in range(6)}
        scores = scores.assign(**noise)
    elif variant == "flipped":
        scores = -scores
    elif variant == "three":
        scores = scores[sorted(generator.choice(scores.columns, 3, replace=False))]
    elif variant == "duplicated":
        chosen = generator.choice(scores.columns, 3, replace=False)
        scores = scores.assign(**{f"{metric}_{copy}": scores[metric] for metric in chosen for copy in range(3)})
    elif variant == "noisy":
        spread = np.subtract(*np.percentile(values, [75, 25]))
        seen = values + 0.1 * spread * generator.normal(size=len(rows))
    return scores, seen, values, task.codes[rows]


def one(
    folder: str, name: str, variant: str, strategy: str, seed: int, queries: tuple[int, ...]
) -> tuple[list[int], float]:
    """Rank of the best candidate queried after each number of queries, from 1; seconds of the longest ask."""
    warnings.simplefilter("ignore")
    scores, seen, values, options = inputs(Task.read(folder, name), variant, strategy, seed)
    ranks: list[int] = []
    longest = 0.0
    for budget in queries if strategy in BUDGET_AWARE else queries[-1:]:
        problem = Problem(scores.to_numpy(float), tuple(scores.columns), budget, seed, codes=options)
        chooser, history = make_strategy(strategy), []
        while len(history) < problem.limit:
            start = time.perf_counter()
            row = chooser.ask(problem, history).row
            longest = max(longest, time.perf_counter() - start)
            failed = variant == "diverged" and len(history) == 2
            history.append(Trial(row, failed=True) if failed else Trial(row, float(seen[row])))
        best = np.maximum.accumulate([-np.inf if trial.failed else values[trial.row] for trial in history])
        ends = (budget,) if strategy in BUDGET_AWARE else queries
        ranks += [1 + int(np.sum(values > best[min(end, len(best)) - 1])) for end in ends]
    return ranks, longest


def table(title: str, rows: dict[str, np.ndarray], queries: tuple[int, ...]) -> None:
    """One line a strategy; a column for each number of queries."""
    print(f"\n{title.ljust(34)}" + "".join(f"{f'after {end}':>10}" for end in queries))
    for name, means in rows.items():
        print(f"  {name.ljust(32)}" + "".join(f"{mean:>10.1f}" if mean >= 10 else f"{mean:>10.2f}" for mean in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ROBONAS_DATA", str(TABLES)))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--variants", default="own", help="; ".join(f"{key}: {text}" for key, text in VARIANTS.items()))
    parser.add_argument("--queries", default="5,10,20,50")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        sys.exit(f"The tables must lie in a folder; there is none at {options.data}. Set ROBONAS_DATA or --data.")
    queries = tuple(sorted(int(end) for end in options.queries.split(",")))
    tasks, strategies = options.tasks.split(","), options.strategies.split(",")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for variant in options.variants.split(","):
        print(f"\n== {variant}: {VARIANTS[variant]}; {len(seeds)} seeds, each on its random half ==")
        runs = [(name, strategy, seed) for name in tasks for strategy in strategies for seed in seeds]
        found = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(one)(options.data, name, variant, strategy, seed, queries) for name, strategy, seed in runs
        )
        ranks: dict[tuple[str, str], list[list[int]]] = {}
        longest = dict.fromkeys(strategies, 0.0)
        for (name, strategy, _), (result, seconds) in zip(runs, found, strict=True):
            ranks.setdefault((name, strategy), []).append(result)
            longest[strategy] = max(longest[strategy], seconds)
        means = {key: np.mean(result, axis=0) for key, result in ranks.items()}
        for name in tasks:
            table(name, {strategy: means[name, strategy] for strategy in strategies}, queries)
        overall = {s: np.exp(np.mean([np.log(means[name, s]) for name in tasks], axis=0)) for s in strategies}
        table("geometric mean over tasks", overall, queries)
        print("\nlongest ask, milliseconds: " + ", ".join(f"{s} {1000 * longest[s]:.0f}" for s in strategies))
        if {"auto", "robot"} <= set(strategies):
            print("auto / robot, geometric mean: " + ", ".join(f"{x:.0%}" for x in overall["auto"] / overall["robot"]))
            ratios = np.array([means[name, "auto"] / means[name, "robot"] for name in tasks])
            worst = ratios.max(axis=0)
            print("auto / robot, worst task:     " + ", ".join(f"{x:.0%}" for x in worst))
        if {"auto", "random"} <= set(strategies):
            behind = [
                f"{name} after {end}"
                for name in tasks
                for i, end in enumerate(queries)
                if means[name, "auto"][i] > means[name, "random"][i]
            ]
            print("auto behind random: " + (", ".join(behind) or "nowhere"))


if __name__ == "__main__":
    main()
