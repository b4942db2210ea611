"""Runs: each a strategy, a task and a seed, by itself, kept in a file of its own once it is over."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robonas.common.files import check_folder, write_text
from robonas.common.reading import parse_json
from robonas.common.registry import fault_of_own_code
from robonas.common.settings import count_of, jobs_of, seed_of
from robonas.errors import ConfigError, NasError, StudyError
from robonas.experiments.contenders import Contender, Run
from robonas.experiments.ranking import ndcg_at, precision_at, spearman
from robonas.experiments.results import Results, rows_of
from robonas.processes.executors import engine_of, working_on
from robonas.processes.parallel import Tell, spread
from robonas.strategies import Problem, Strategy, Trial, make_strategy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from robonas.experiments.tasks import Task

MOST_SEEDS = 1_000_000
"""Searches of one strategy on one task that may be asked for."""


def search(problem: Problem, utility: NDArray[np.float64], strategy: Strategy) -> Run:
    """Return one search: ask, look the answer up, tell; until the budget is spent or all candidates are asked for.

    Args:
        problem: Scores, budget and seed.
        utility: The objective of every candidate, higher is better, (N,). Nothing else is known here.
        strategy: A new instance.
    """
    history: list[Trial] = []
    phases: list[str] = []
    for _ in range(problem.limit):
        proposal = strategy.ask(problem, history)
        history.append(Trial(proposal.row, float(utility[proposal.row])))
        phases.append(proposal.phase)
    summary = strategy.summarise(problem, history)
    learned = summary.combined
    told: dict[str, Any] = {}
    if learned is not None:
        scores = np.asarray(learned, dtype=np.float64)
        told = {
            "precision": precision_at(scores, utility, problem.limit),
            "ndcg": ndcg_at(scores, utility, problem.limit),
            "spearman": spearman(scores, utility),
        }
    weights = None if summary.weights is None else dict(zip(problem.metrics, map(float, summary.weights), strict=True))
    return Run(tuple(trial.row for trial in history), tuple(phases), summary.n_explored, weights, **told)


def run_experiment(
    tasks: Sequence[Task],
    contenders: Sequence[Contender | str],
    *,
    budget: int = 20,
    seeds: int | Sequence[int] = 10,
    half_pools: bool = False,
    baselines: bool = True,
    folder: str | os.PathLike[str] | None = None,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    executor: object = None,
) -> Results:
    """Run every contender on every task with every seed.

    Each run depends on its own settings only, with one thread, so that results are the same for any `n_jobs` and in any
    order. A metric alone, for each metric of the task, and random search are always run beside the contenders.

    Args:
        tasks: With different names.
        contenders: Strategies, or their names.
        budget: Queries a run, at most as many as there are candidates; a task's own budget wins.
        seeds: Number of seeds, counted from 0, or a list of seeds.
        half_pools: Each seed draws a random half of the table, the same for all contenders, so that strategies which
            draw nothing at random show a spread too.
        baselines: True to add each metric alone and random search.
        folder: Folder for finished runs; the same experiment, stopped at any moment, goes on from there. A run is
            made again when the table, its settings, or the code of strategies has changed.
        n_jobs: Worker processes; -1 is one a core, 0 does all in this process.
        progress: Called with how many runs are done, and how many there are.
        executor: Cluster for the runs, instead of processes of this machine, such as ``"ray"``; see `search`. Its
            workers write finished runs, so that `folder` must be one that they share.

    Returns:
        All runs, by task, contender and seed.

    Raises:
        UnknownNameError: There is no such strategy.
        ConfigError: Names that repeat, a metric that a task does not have, a budget or seeds below 1, or a budget of
            more queries than a task has candidates.
        OutputError: The folder cannot be written.
        StudyError: A worker died in a run.
    """
    budget, seeds, n_jobs = count_of("budget", budget, "query"), _seeds(seeds), jobs_of(n_jobs)
    if folder is not None:
        check_folder(folder)
        check_folder(Path(folder) / "runs")
    plans = [Contender(entry) if isinstance(entry, str) else entry for entry in contenders]
    _check(tasks, plans, budget, half=half_pools)
    every = {task.name: [*plans, *(_baselines(task, plans) if baselines else ())] for task in tasks}
    for task in tasks:
        for contender in every[task.name]:
            strategy, metrics = contender.make_for(task), contender.metrics_on(task)
            task.metric_columns(metrics)
            strategy.check_metrics(metrics)
            if strategy.uses_scores and not metrics:
                raise ConfigError(_no_metric(task, contender))
    runner = _Runner(tasks, every, budget, half_pools, None if folder is None else Path(folder) / "runs", _imports())
    units = [
        (place, number, seed)
        for place, task in enumerate(tasks)
        for number in range(len(every[task.name]))
        for seed in seeds
    ]
    runs: dict[tuple[int, int, int], Run] = {unit: run for unit in units if (run := runner.kept(unit)) is not None}
    left = [unit for unit in units if unit not in runs]
    if progress is not None:
        progress(len(runs), len(units))
    with working_on(engine_of(executor)):
        for found in spread(runner, left, n_jobs=n_jobs, chunk=1, dead=runner.died):
            runs.update(found)
            if progress is not None:
                progress(len(runs), len(units))
    frames = [
        rows_of(tasks[place], every[tasks[place].name][number], seed, runs[place, number, seed], half=half_pools)
        for place, number, seed in units
    ]
    return Results(
        pd.concat(frames, ignore_index=True),
        {
            "tasks": [_about(task, budget) for task in tasks],
            "strategies": [asdict(plan) | {"settings": dict(plan.settings)} for plan in plans],
            "budget": budget,
            "seeds": seeds,
            "half_pools": half_pools,
        },
    )


class _Runner:
    """Does runs, in this process or another."""

    def __init__(
        self,
        tasks: Sequence[Task],
        contenders: Mapping[str, Sequence[Contender]],
        budget: int,
        half: bool,
        folder: Path | None,
        paths: list[str],
    ) -> None:
        self.tasks, self.contenders, self.budget, self.half, self.folder = list(tasks), contenders, budget, half, folder
        self.paths = paths
        self.files: dict[tuple[int, int, int], Path] = {}

    def __call__(self, units: Sequence[tuple[int, int, int]], tell: Tell[tuple[int, int, int], Run]) -> None:
        """Do some runs, each kept as soon as it is over."""
        sys.path.extend(path for path in self.paths if path not in sys.path)  # where the user's own strategies are
        for unit in units:
            tell(unit, self._do(unit))

    def _do(self, unit: tuple[int, int, int]) -> Run:
        task, contender, seed = self.tasks[unit[0]], self._contender(unit), unit[2]
        pool = task.pool(seed, half=self.half)
        metrics = contender.metrics_on(task)
        codes = None if task.codes is None else task.codes[pool]
        scores = task.scores[pool][:, task.metric_columns(metrics)]
        costs = None if task.against is None else task.against[pool]
        problem = Problem(scores, metrics, task.budget or self.budget, seed, codes=codes, costs=costs)
        try:
            with _one_thread():
                run = search(problem, task.utility[pool], contender.make_for(task))
        except NasError as error:
            raise StudyError(f"{contender.label} on {task.name} with seed {seed} failed. {error}") from error
        except Exception as error:
            fault = fault_of_own_code(error)
            if fault is None:
                raise
            raise StudyError(f"{contender.label} on {task.name} with seed {seed} failed in {fault}.") from error
        if self.folder is not None:
            write_text(self._file(unit), json.dumps(asdict(run)))
        return run

    def died(self, unit: tuple[int, int, int], _: list[Run], how: str) -> Run:
        """Return a run that takes its worker with it."""
        raise StudyError(
            f"{self._contender(unit).label} on {self.tasks[unit[0]].name} with seed {unit[2]} ended its process "
            f"{how}. Finished runs are kept."
        )

    def kept(self, unit: tuple[int, int, int]) -> Run | None:
        """Return the run, if it was finished before; a damaged file counts as none."""
        if self.folder is None or not self._file(unit).is_file():
            return None
        try:
            kept = parse_json(self._file(unit).read_bytes())
            return Run(**{**kept, "rows": tuple(kept["rows"]), "phases": tuple(kept["phases"])})
        except (ValueError, TypeError, KeyError, OSError):
            return None

    def _contender(self, unit: tuple[int, int, int]) -> Contender:
        return self.contenders[self.tasks[unit[0]].name][unit[1]]

    def _file(self, unit: tuple[int, int, int]) -> Path:
        """Return where the run is kept: named by a hash of all that it depends on."""
        if unit not in self.files:
            task, contender = self.tasks[unit[0]], self._contender(unit)
            metrics = contender.metrics_on(task)
            key = hashlib.blake2b(task.fingerprint.encode(), digest_size=16)
            key.update(task.scores[:, task.metric_columns(metrics)].tobytes())
            settings = [dict(contender.settings), contender.make_for(task).settings]
            said = [contender.strategy, settings, metrics, unit[2], task.budget or self.budget]
            key.update(json.dumps([*said, self.half, _code_of(contender)], sort_keys=True).encode())
            assert self.folder is not None
            self.files[unit] = self.folder / f"{key.hexdigest()}.json"
        return self.files[unit]


_SOURCES: dict[str, str] = {}


def _code_of(contender: Contender) -> str:
    """Return a hash of the code that a strategy is made of: this package's strategies, and the user's file."""
    package = Path(inspect.getfile(make_strategy)).parent
    found = inspect.getsourcefile(type(contender.make()))
    files = {*package.glob("*.py"), *([Path(found)] if found else [])}
    key = found or ""
    if key not in _SOURCES:
        digest = hashlib.blake2b(digest_size=16)
        for file in sorted(files):
            digest.update(file.read_bytes())
        _SOURCES[key] = digest.hexdigest()
    return _SOURCES[key]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Set one thread: numbers do not depend on how many add them up."""
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _baselines(task: Task, plans: Sequence[Contender]) -> list[Contender]:
    """Return each metric of the task alone, and random search unless it contends."""
    shown = task.default_metrics or task.metrics
    alone = [Contender("single_metric", f"{name} alone", {"metric": name}, (name,), "single") for name in shown]
    chance = [] if any(plan.strategy == "random" for plan in plans) else [Contender("random", kind="baseline")]
    taken = {plan.label for plan in plans}
    return [contender for contender in (*alone, *chance) if contender.label not in taken]


def _seeds(given: object) -> list[int]:
    """Return which seeds: those that are given, or as many as are asked for, from 0.

    Raises:
        ConfigError: None, or one twice.
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        number = count_of("seeds", given, "seed")
        if number > MOST_SEEDS:
            raise ConfigError(f"`seeds` must be at most {MOST_SEEDS:,}; got {number}.")
        return list(range(number))
    seeds = [seed_of(seed, "seeds") for seed in given]
    count_of("seeds", len(seeds), "seed")
    if len(set(seeds)) != len(seeds):
        raise ConfigError("Each seed must be named once.")
    return seeds


def _check(tasks: Sequence[Task], plans: Sequence[Contender], budget: int, *, half: bool) -> None:
    if not tasks or not plans:
        raise ConfigError(f"There must be at least one task and one strategy; got {len(tasks)} and {len(plans)}.")
    for task in tasks:
        wanted, there = task.budget or budget, len(task.pool(0, half=half))
        if wanted > there:
            raise ConfigError(
                f"`budget` must be at most the number of candidates, {there:,} in {'half of ' * half}{task.name!r}; "
                f"got {wanted:,}. Ask for fewer queries."
            )
    for what, names in (("task", [task.name for task in tasks]), ("strategy", [plan.label for plan in plans])):
        repeated = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if repeated is not None:
            raise ConfigError(f"Each {what} must have a name of its own; {repeated!r} occurs twice. Give it a label.")
    for plan in plans:
        plan.make()  # an unknown name or setting is told now, not after an hour


def _no_metric(task: Task, contender: Contender) -> str:
    """Return the fault of a task whose table has no column that is known as a metric."""
    found = ", ".join(task.unread) or "none"
    return (
        f"{contender.label} reads metrics, and no column of task {task.name!r} is known as one. Columns of numbers "
        f"that are known as nothing: {found}. Name those that are metrics: metrics=[...] of the task, --metrics "
        f"{','.join(task.unread) or 'NAME,NAME'} on the command line."
    )


def _about(task: Task, budget: int) -> dict[str, Any]:
    return {
        "name": task.name,
        "candidates": len(task),
        "left_out": task.left_out,
        "objective": task.objective_name,
        "higher_is_better": task.higher_is_better,
        "final": task.final_name,
        "final_higher_is_better": task.final_higher_is_better,
        "cost": task.cost_name,
        **({"against": list(task.against_names)} if task.against is not None else {}),
        "budget": task.budget or budget,
        "metrics": list(task.metrics),
        "family": task.family,
        "fingerprint": task.fingerprint,
    }


def _imports() -> list[str]:
    """Return the folders of this process's own, where workers look for the user's modules too."""
    return [str(Path.cwd()), *(path for path in sys.path if path and Path(path).is_dir())]
