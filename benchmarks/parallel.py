"""What many trainings at once cost and save: searches on published tables with 1 to 16 simulated workers.

    python benchmarks/parallel.py --seeds 10
    python benchmarks/parallel.py --strategies robot,random,tpe,evolution --seeds 5 --hours ""
    python benchmarks/parallel.py --against params --seeds 5

Each worker that becomes free asks the strategy at once, with the queries of the others pending, and trains for the
seconds of its table. Every seed draws a random half of the table, the same for all strategies and numbers of workers.
`robot` sees the six metrics of its paper, the others all metrics of the table; the final measure is never read.

Clock: NAS-Bench-201 tables have recorded seconds. TransNAS-Bench-101 tables have none; there the seconds are a constant
plus a multiple of flops, in the proportion that least squares finds on NAS-Bench-201, or, with `--clock flops`,
proportional to flops, which is less even. So hours on these tables are an assumption, and ranks depend on it a little.

Measures, geometric means over tasks of means over seeds:
    - Rank by the objective (1 is the best of the half) of the best of n trainings, whatever the hours.
    - Rank after the hours in which one at a time finishes n trainings; what is not finished then does not count.
    - Speed-up: hours for n trainings one at a time, divided by hours for n trainings with several at once.
    - Speed-up to the same rank: hours until one at a time has found the best of its 20 trainings, divided by the hours
      until several at once have found as good a one. In brackets, the share of searches that did; others count with all
      their hours. Searches whose strategy does not look at the budget may make 80 or more trainings, others 20.

With `--against`, strategies trade the objective off against a known cost, and the share of the true front's hypervolume
that is missing, in percent, stands in the place of the rank. The reference point is that of `trade_offs.py`.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from robonas.common.randomness import numpy_generator
from robonas.strategies import Problem, Strategy, Trial, make_strategy
from robonas.strategies.fronts import hypervolume
from robonas.strategies.scaling import min_max

sys.path.insert(0, str(Path(__file__).resolve().parent))
from search_quality import BUDGET_AWARE, METRICS, PAPER, TABLES, TASKS, Task, table

SECONDS = "train_seconds_12ep"
"""Column of the recorded seconds of a training."""
CONSTANT_SHARE = 2.6
"""Constant part of the seconds in multiples of the mean part that is proportional to flops; by NAS-Bench-201."""
DEVELOPMENT = tuple(TASKS)[:7]
"""Tasks on which ways to treat pending queries were compared; the others judge."""


class Timed(Task):
    """A table with the seconds of each training."""

    clock = "fitted"

    def __init__(self, folder: str, name: str) -> None:
        super().__init__(folder, name)
        data = pd.read_parquet(Path(folder) / f"{name}.parquet")
        data = data[np.isfinite(data[TASKS[name]])]
        flops = data["flops"].to_numpy(float)
        constant = CONSTANT_SHARE * flops.mean() if self.clock == "fitted" else 0.0
        self.flops, self.params = flops, data["params"].to_numpy(float)
        self.seconds = data[SECONDS].to_numpy(float) if SECONDS in data else flops + constant


class TimedByFlops(Timed):
    """The same with seconds that are proportional to flops where none are recorded."""

    clock = "flops"


CLOCKS = {"fitted": Timed, "flops": TimedByFlops}


@dataclass
class Half:
    """One seed's half of a table, as a strategy sees it."""

    scores: pd.DataFrame
    truth: np.ndarray
    seconds: np.ndarray
    codes: np.ndarray
    costs: np.ndarray | None = None

    @classmethod
    def of(cls, task: Timed, strategy: str, seed: int, against: str | None = None) -> Half:
        """The half of one seed, the same as in `search_quality`."""
        rows = np.sort(numpy_generator("half", seed).permutation(len(task.objective))[: len(task.objective) // 2])
        metrics = [metric for metric in (PAPER if strategy == "robot" else METRICS) if metric in task.scores]
        costs = None if against is None else min_max(getattr(task, against)[rows, None])
        return cls(task.scores.iloc[rows][metrics], task.objective[rows], task.seconds[rows], task.codes[rows], costs)

    def problem(self, budget: int, seed: int) -> Problem:
        """The problem of a search with a budget."""
        scores, names = self.scores.to_numpy(float), tuple(self.scores)
        return Problem(scores, names, budget, seed, codes=self.codes, costs=self.costs)

    def best(self, rows: list[int]) -> float:
        """The best value of some candidates; that of the worst candidate where there are none."""
        return float(self.truth[rows].max(initial=self.truth.min()))

    def measure(self, rows: list[int]) -> float:
        """Rank of the best of some candidates, from 1; with costs, percents of the hypervolume that they miss."""
        if self.costs is None:
            return 1.0 + float(np.sum(self.truth > self.best(rows)))
        every = np.arange(len(self.truth))
        found, whole = (
            hypervolume(self.truth[part], self.costs[part], self.truth.min(), np.array([1.1]), np.zeros(1))
            for part in (np.array(rows, dtype=np.intp), every)
        )
        return 100.0 * (1.0 - found / whole)


@dataclass
class Run:
    """A simulated search: candidates in the order of asking, when each training ended, and the longest ask."""

    rows: list[int]
    ends: list[float]
    longest_ask: float

    def hours_of(self, n: int) -> float:
        """When the first n trainings have ended."""
        return max(self.ends[:n])

    def ended_by(self, time: float) -> list[int]:
        """The candidates whose trainings have ended at a time."""
        return [row for row, ended in zip(self.rows, self.ends, strict=True) if ended <= time]

    def when(self, half: Half, value: float) -> float | None:
        """When a value as good as this is known; None where the search does not find one."""
        found = [ended for row, ended in zip(self.rows, self.ends, strict=True) if half.truth[row] >= value]
        return min(found, default=None)


def simulate(
    strategy: Strategy, problem: Problem, half: Half, workers: int, least: int, until: float, goal: float
) -> Run:
    """Search with simulated workers, by the time at which each training ends.

    Args:
        strategy: Chooses the candidates.
        problem: The candidates, and the limit of trainings.
        half: Values and seconds of the candidates.
        workers: Number of trainings at once.
        least: Number of trainings that are made in any case.
        until: Time after which none is begun, once there are `least` and a value of `goal` is known.
        goal: Value after which the search may end.
    """
    history: list[Trial] = []
    ends: list[float] = []
    running: list[tuple[float, int]] = []
    clock, longest, best = 0.0, 0.0, -np.inf
    while len(history) < problem.limit:
        if len(running) == workers:
            clock, place = heapq.heappop(running)
            value = float(half.truth[history[place].row])
            history[place] = Trial(history[place].row, value, told_at=len(history))
            best = max(best, value)
        if len(history) >= least and clock >= until and best >= goal:
            break
        start = time.perf_counter()
        row = strategy.ask(problem, history).row
        longest = max(longest, time.perf_counter() - start)
        history.append(Trial(row))
        ends.append(clock + float(half.seconds[row]))
        heapq.heappush(running, (ends[-1], len(history) - 1))
    return Run([trial.row for trial in history], ends, longest)


@dataclass
class Plan:
    """What is measured."""

    workers: tuple[int, ...]
    trainings: tuple[int, ...]
    hours: tuple[int, ...]
    goal: int
    clock: str
    folder: str
    against: str | None = None


@dataclass
class Outcome:
    """The measures of one seed; first axis workers, second those of the plan."""

    ranks: np.ndarray
    hours: np.ndarray
    ranks_by_hours: np.ndarray
    to_goal: np.ndarray
    reached: np.ndarray
    longest_ask: float


def one(plan: Plan, name: str, strategy: str, seed: int) -> Outcome:
    """Search one half of a table with each number of workers."""
    warnings.simplefilter("ignore")
    half = Half.of(CLOCKS[plan.clock].read(plan.folder, name), strategy, seed, plan.against)
    aware = strategy in {*BUDGET_AWARE, "nsga2"}
    ranks = np.zeros((len(plan.workers), len(plan.trainings)))
    hours, by_hours = ranks.copy(), np.zeros((len(plan.workers), len(plan.hours)))
    to_goal, reached = np.zeros(len(plan.workers)), np.zeros(len(plan.workers), dtype=bool)
    longest = 0.0

    def run(workers: int, budget: int, least: int, until: float = 0.0, goal: float = -np.inf) -> Run:
        nonlocal longest
        found = simulate(make_strategy(strategy), half.problem(budget, seed), half, workers, least, until, goal)
        longest = max(longest, found.longest_ask)
        return found

    ends = sorted({*plan.trainings, *plan.hours, plan.goal})
    alone = {end: run(1, end, end) for end in ends} if aware else dict.fromkeys(ends, run(1, ends[-1], ends[-1]))
    goal = half.best(alone[plan.goal].rows[: plan.goal])
    goal_time = alone[plan.goal].when(half, goal)
    assert goal_time is not None
    for i, workers in enumerate(plan.workers):
        most = max([*plan.trainings, *(workers * end for end in plan.hours), 4 * plan.goal])
        if not aware:
            until = max((alone[end].hours_of(end) for end in plan.hours), default=0.0)
            whole = run(workers, most, plan.trainings[-1], until, goal)
        for j, end in enumerate(plan.trainings):
            found = alone[end] if workers == 1 else run(workers, end, end) if aware else whole
            ranks[i, j], hours[i, j] = half.measure(found.rows[:end]), found.hours_of(end)
            if end == plan.goal or not aware:
                when = found.when(half, goal)
                reached[i] = when is not None
                to_goal[i] = (max(found.ends) if when is None else when) / goal_time
        for j, end in enumerate(plan.hours):
            until = alone[end].hours_of(end)
            found = alone[end] if workers == 1 else run(workers, workers * end, 1, until) if aware else whole
            by_hours[i, j] = half.measure(found.ended_by(until))
    return Outcome(ranks, hours, by_hours, to_goal, reached, longest)


def report(plan: Plan, tasks: list[str], strategy: str, found: dict[str, list[Outcome]]) -> None:
    """Print the tables of one strategy."""
    names = [f"{workers} at once" for workers in plan.workers]
    what = "rank" if plan.against is None else "missing, %"
    ranks = {name: np.mean([each.ranks for each in found[name]], axis=0) for name in tasks}

    def overall(means: dict[str, np.ndarray], chosen: list[str]) -> np.ndarray:
        return np.exp(np.mean([np.log(np.maximum(means[name], 0.01)) for name in chosen], axis=0))

    def lines(array: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, array, strict=True))

    groups = {
        "all": tasks,
        "development": [name for name in tasks if name in DEVELOPMENT],
        "judging": [name for name in tasks if name not in DEVELOPMENT],
    }
    for group, chosen in groups.items():
        if chosen and (group == "all" or len(chosen) < len(tasks)):
            means = overall(ranks, chosen)
            table(f"{strategy}: {what}, {group} tasks", lines(means), plan.trainings)
            table(f"{strategy}: ratio to the first line", lines(means / means[0]), plan.trainings)
    if plan.hours:
        by_hours = {name: np.mean([each.ranks_by_hours for each in found[name]], axis=0) for name in tasks}
        table(f"{strategy}: {what}, at the hours of one", lines(overall(by_hours, tasks)), plan.hours)
    hours = {name: np.mean([each.hours for each in found[name]], axis=0) for name in tasks}
    speed = {name: hours[name][0] / hours[name] for name in tasks}
    timed = [name for name in tasks if name.startswith("nb201")]
    table(f"{strategy}: speed-up", lines(overall(speed, tasks)), plan.trainings)
    if timed and len(timed) < len(tasks):
        table(f"{strategy}: speed-up, recorded seconds", lines(overall(speed, timed)), plan.trainings)
    if plan.against is None:
        _report_goal(plan, strategy, names, [found[name] for name in tasks])
    for name in tasks:
        print(f"  {name.ljust(32)}" + " | ".join(" ".join(f"{x:.1f}" for x in line) for line in ranks[name]))
    print(f"longest ask, milliseconds: {1000 * max(each.longest_ask for name in tasks for each in found[name]):.0f}")


def _report_goal(plan: Plan, strategy: str, names: list[str], found: list[list[Outcome]]) -> None:
    """Print how much sooner the rank that one at a time has after a number of trainings is reached."""
    to_goal = np.exp([-np.mean([np.log(each.to_goal) for each in outcomes], axis=0) for outcomes in found])
    reached = np.mean([each.reached for outcomes in found for each in outcomes], axis=0)
    print(f"\n{strategy}: speed-up to the rank that one at a time has after {plan.goal} (share that reached it)")
    for name, gain, share in zip(names, np.exp(np.log(to_goal).mean(axis=0)), reached, strict=True):
        print(f"  {name.ljust(32)}{gain:>10.2f} ({share:.0%})")


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of a list with commas, ascending."""
    return tuple(sorted(int(part) for part in text.split(",") if part))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ROBONAS_DATA", str(TABLES)))
    parser.add_argument("--strategies", default="auto")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names with commas, `development` or `judging`")
    parser.add_argument("--workers", default="1,2,4,8,16", help="numbers of trainings at once; 1 is always measured")
    parser.add_argument("--trainings", default="5,10,20,50")
    parser.add_argument("--hours", default="5,10", help="equal hours, as trainings of one at a time; empty for none")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="fitted", help="seconds where none are recorded")
    parser.add_argument("--against", choices=("params", "flops"), help="a known cost to trade off against")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        sys.exit(f"The tables must lie in a folder; there is none at {options.data}. Set ROBONAS_DATA or --data.")
    groups = {"development": DEVELOPMENT, "judging": tuple(name for name in TASKS if name not in DEVELOPMENT)}
    tasks = list(groups.get(options.tasks, options.tasks.split(",")))
    trainings = numbers(options.trainings)
    workers = tuple(sorted({1, *numbers(options.workers)}))
    goal = 20 if 20 in trainings else trainings[-1]
    plan = Plan(workers, trainings, numbers(options.hours), goal, options.clock, options.data, options.against)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for strategy in options.strategies.split(","):
        print(f"\n== {strategy}: {len(seeds)} seeds from {seeds[0]}, {len(tasks)} tasks, clock {plan.clock} ==")
        runs = [(name, seed) for name in tasks for seed in seeds]
        results = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(one)(plan, name, strategy, seed) for name, seed in runs
        )
        found: dict[str, list[Outcome]] = {}
        for (name, _), outcome in zip(runs, results, strict=True):
            found.setdefault(name, []).append(outcome)
        report(plan, tasks, strategy, found)


if __name__ == "__main__":
    main()
