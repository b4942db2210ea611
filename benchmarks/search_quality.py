"""Mean rank of the best candidate that strategies find on published tables, by the objective, after 5 to 100 queries.

    python benchmarks/search_quality.py                              all strategies, tasks and both sets of metrics
    python benchmarks/search_quality.py --strategies auto,average_rank,robot
    python benchmarks/search_quality.py --variants noise,flipped     worse inputs, the same for all strategies

Every seed draws a random half of the table, the same for all strategies, so that deterministic ones show a real spread.
All strategies see the same metrics. `auto` gets the record of metrics without the family of spaces that it is judged
on. `expected` is random search's exact expectation, (n + 1) / (queries + 1). Slow strategies are run with
``--slow-seeds`` seeds. A strategy whose first queries depend on the budget is run once for each number of queries. The
final measure of a table is never read.
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
from scipy import stats

from robonas.common.randomness import numpy_generator
from robonas.common.record import record_of_metrics
from robonas.metrics import resolve_metrics
from robonas.strategies import STRATEGIES, Auto, Problem, Strategy, Trial, make_strategy

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
FAMILIES = ("nasbench201", "transnas_micro", "transnas_macro")
"""Families of spaces; the record of metrics that judges a task of one comes from the others."""
BUDGET_AWARE = {"evolution", "gp", "robot", "tpe"}
SLOW = {"gp", "hnas", "nsga2", "reinforce", "robot", "tpe"}
"""Strategies of which `--slow-seeds` says how many seeds are run."""
VARIANTS = {
    "all": "all metrics of the table",
    "six": "the paper's six metrics",
    "chosen": "those that `--metrics auto` chooses",
    "noise": "the six and six of pure noise",
    "flipped": "the six, every sign flipped",
    "three": "three of the six, drawn for each seed",
    "duplicated": "the six, three of them four times",
    "noisy": "the six; the objective with noise of a tenth of its interquartile range",
    "diverged": "the six; the third query fails",
}


def family_of(task: str) -> str:
    """Return the family of spaces that a task belongs to."""
    return FAMILIES[0] if task.startswith("nb201") else FAMILIES[1 if "micro" in task else 2]


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


def inputs(task: Task, variant: str, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, objective as the search sees it, true objective and codes, of one seed's half of the table."""
    generator = numpy_generator("half", seed)
    rows = np.sort(generator.permutation(len(task.objective))[: len(task.objective) // 2])
    scores, values = task.scores.iloc[rows], task.objective[rows]
    if variant != "all":
        names = [metric.name for metric in resolve_metrics(["auto"])] if variant == "chosen" else PAPER
        scores = scores[[metric for metric in names if metric in scores]]
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


def made(strategy: str, task: str) -> Strategy:
    """Make a strategy that knows nothing of the spaces that it is judged on."""
    return Auto(record=record_of_metrics(family_of(task))) if strategy == "auto" else make_strategy(strategy)


def one(
    folder: str, name: str, variant: str, strategy: str, seed: int, queries: tuple[int, ...]
) -> tuple[list[int], float]:
    """Rank of the best candidate queried after each number of queries, from 1; seconds of the longest ask."""
    warnings.simplefilter("ignore")
    scores, seen, values, options = inputs(Task.read(folder, name), variant, seed)
    ranks: list[int] = []
    longest = 0.0
    for budget in queries if strategy in BUDGET_AWARE else queries[-1:]:
        problem = Problem(scores.to_numpy(float), tuple(scores.columns), budget, seed, codes=options)
        chooser, history = made(strategy, name), []
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
    parser.add_argument(
        "--variants", default="all,six", help="; ".join(f"{key}: {text}" for key, text in VARIANTS.items())
    )
    parser.add_argument("--queries", default="5,10,20,50,100")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=4, help=f"Number of seeds of {', '.join(sorted(SLOW))}.")
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
        few = seeds[: min(len(seeds), options.slow_seeds)]
        runs = [(name, s, seed) for name in tasks for s in strategies for seed in (few if s in SLOW else seeds)]
        found = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(one)(options.data, name, variant, strategy, seed, queries) for name, strategy, seed in runs
        )
        ranks: dict[tuple[str, str], list[list[float]]] = {}
        longest = dict.fromkeys(strategies, 0.0)
        for (name, strategy, _), (result, seconds) in zip(runs, found, strict=True):
            ranks.setdefault((name, strategy), []).append([float(rank) for rank in result])
            longest[strategy] = max(longest[strategy], seconds)
        for name in tasks:
            n = len(Task.read(options.data, name).objective) // 2
            ranks[name, "expected"] = [[(n + 1) / (end + 1) for end in queries]] * len(seeds)
        shown = [*strategies, "expected"]
        means = {key: np.mean(result, axis=0) for key, result in ranks.items()}
        for name in tasks:
            table(name, {strategy: means[name, strategy] for strategy in shown}, queries)
        overall = {s: np.exp(np.mean([np.log(means[name, s]) for name in tasks], axis=0)) for s in shown}
        table("geometric mean over tasks", overall, queries)
        print("\nlongest ask, milliseconds: " + ", ".join(f"{s} {1000 * longest[s]:.0f}" for s in strategies))
        if "auto" in strategies:
            judge(tasks, queries, ranks, means)


def judge(
    tasks: list[str],
    queries: tuple[int, ...],
    ranks: dict[tuple[str, str], list[list[float]]],
    means: dict[tuple[str, str], np.ndarray],
) -> None:
    """Print how `auto` stands to the better of `average_rank` and `robot`, task by task, and where it is behind."""
    rivals = [s for s in ("average_rank", "robot") if (tasks[0], s) in means]
    if rivals:
        ratios = np.array([means[name, "auto"] / np.min([means[name, s] for s in rivals], axis=0) for name in tasks])
        title = f"auto / the better of {' and '.join(rivals)}"
        table(
            title, dict(zip(tasks, ratios, strict=True)) | {"geometric mean": np.exp(np.log(ratios).mean(0))}, queries
        )
    for rival in ("expected", "average_rank"):
        if (tasks[0], rival) not in means:
            continue
        behind = []
        for name in tasks:
            ours, theirs = (np.array(ranks[name, s]) for s in ("auto", rival))
            for place, end in enumerate(queries):
                gaps = ours[:, place] - theirs[:, place]
                # Of one seed, or of gaps that are all equal, nothing can be said.
                if gaps.mean() > 0 and len(gaps) > 1 and gaps.std() > 0:
                    p = stats.ttest_1samp(gaps, 0.0).pvalue
                    text = f"{name} after {end} ({means[name, 'auto'][place]:.1f} to {means[name, rival][place]:.1f}"
                    behind.append(f"{text}, p = {p:.2f})" if p >= 0.05 else f"{text}, p = {p:.4f}: significantly)")
        print(f"auto behind {rival}: " + ("; ".join(behind) or "nowhere"))


if __name__ == "__main__":
    main()
