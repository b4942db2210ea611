"""A benchmark table of one's own: every candidate of a pool, trained with several seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from robonas.common.bars import ScoringBars
from robonas.common.settings import count_of, seconds_of
from robonas.errors import ConfigError
from robonas.metrics import resolve_metrics
from robonas.processes.executors import engine_of, working_on
from robonas.scores.scoring import Scorer
from robonas.study.loop import search
from robonas.study.plan import Plan
from robonas.study.pool import draw_pool
from robonas.study.progress import SearchBars
from robonas.study.workforce import Workforce
from robonas.tables.base import ARCHITECTURE, BenchmarkTable, Column

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from robonas.architecture import Architecture
    from robonas.datasets.batch import Batch
    from robonas.metrics import MetricLike
    from robonas.objectives.base import Objective
    from robonas.scores.table import ScoreTable
    from robonas.spaces import SearchSpace
    from robonas.study.events import Event
    from robonas.study.query import Query
    from robonas.study.result import SearchResult

MOST_SEEDS = 1000
VALUE, SECONDS, DEVIATION = "value", "seconds", "deviation"


def build_table(
    space: SearchSpace,
    objective: Objective,
    metrics: Sequence[MetricLike],
    *,
    pool: int | Iterable[Architecture | str],
    folder: str | os.PathLike[str],
    seeds: int = 3,
    seed: int = 0,
    batch: Batch | None = None,
    batch_size: int = 64,
    n_jobs: int = 1,
    n_parallel: int | None = None,
    devices: Sequence[str] | None = None,
    executor: object = None,
    trial_timeout: float | None = None,
    progress: bool | None = None,
    callbacks: Sequence[Callable[[Event], None]] = (),
    score_device: str = "cpu",
) -> BenchmarkTable:
    """Train every candidate of a pool, and return a table like those that others publish.

    Each seed is a study of its own in the folder, so that the work goes on where it was after any stop. The columns:

    - each metric: its score
    - ``value``: mean of the objective's value over the seeds; NaN where one training has failed
    - ``value_seed_0``, …: the value of each seed
    - ``value_1ep``, …: mean value after each epoch but the last
    - ``value_seed_0_1ep``, …: the same of each seed
    - ``deviation``: standard deviation of the value between the seeds
    - ``seconds``: mean seconds of a training
    - ``params``, ``macs``: size of the network, where no metric has this name

    Args:
        space: Space of the candidates.
        objective: Objective that trains them.
        metrics: Training-free metrics; none for a table without.
        pool: Number of architectures to sample (all of the space, where it has fewer), or the architectures.
        folder: Folder for the studies and the scores.
        seeds: Number of trainings of each candidate, with seeds 0, 1, ….
        seed: Seed of the sample, of the batch and of the networks that are scored.
        batch: Samples for the metrics; by default drawn from the objective's own data.
        batch_size: Number of samples to draw for it.
        n_jobs: Processes for scoring.
        n_parallel: Number of candidates to train at once; see `robonas.search`.
        devices: Devices to divide the trainings among.
        executor: Cluster that scores and trains.
        trial_timeout: Seconds that one training may take.
        progress: Show progress bars: True for always, False for never, None on a terminal and in a notebook.
        callbacks: Functions that are called with every event of the trainings.
        score_device: Device of the networks that metrics see; see `robonas.score`.

    Raises:
        ConfigError: No metric where there are no data, one that is called as a column of the trainings, or a setting
            out of range.
        StudyError: The folder belongs to other settings.
    """
    n_seeds = count_of("seeds", seeds, "seed")
    if n_seeds > MOST_SEEDS:
        raise ConfigError(f"`seeds` must be at most {MOST_SEEDS:,}; got {n_seeds:,}.")
    engine = engine_of(executor)
    limit = None if trial_timeout is None else seconds_of("trial_timeout", trial_timeout)
    place = Path(folder)
    texts = _distinct(draw_pool(space, pool, seed)[0])
    plan = Plan.made(space, objective, (), None, "random", len(texts), seed, 0, None)
    Workforce.made(plan, engine, n_parallel, devices, limit)  # told before any work
    resolved = resolve_metrics(metrics) if metrics else ()
    for metric in resolved:
        if metric.name in {VALUE, SECONDS, DEVIATION} or metric.name.startswith(f"{VALUE}_"):
            raise ConfigError(f"A metric cannot be called {metric.name!r}, as a column of the trainings is. Rename it.")
    table = None
    if resolved:
        seen = objective.batch(batch_size, seed) if batch is None else batch
        if seen is None:
            raise ConfigError(f"Objective {objective.name!r} has no data to draw a batch from. Pass `batch`.")
        scorer = Scorer(
            space,
            objective.as_seen(seen, space),
            seed=seed,
            n_jobs=n_jobs,
            cache=place / "scores.parquet",
            device=score_device,
        )
        with working_on(engine), ScoringBars(progress) as bars:
            table = scorer.score(texts, resolved, callbacks=(bars.scoring,))
    results = []
    for number in range(n_seeds):
        with SearchBars(f"seed {number}", progress) as bars:
            result = search(
                space,
                objective,
                strategy="random",
                pool=texts,
                budget=len(texts),
                seed=number,
                folder=place,
                name=f"seed-{number}",
                progress=False,
                callbacks=(*callbacks, bars),
                n_parallel=n_parallel,
                devices=devices,
                executor=engine,
                trial_timeout=trial_timeout,
            )
        results.append(result)
    return _table(texts, table, [metric.higher_is_better for metric in resolved], results)


def _distinct(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the text of the first architecture of each class, from texts with their canonical forms."""
    first: dict[str, str] = {}
    for text, canonical in pairs:
        first.setdefault(canonical, text)
    return list(first.values())


def _table(
    texts: Sequence[str],
    scores: ScoreTable | None,
    higher_is_better: Sequence[bool],
    results: Sequence[SearchResult],
) -> BenchmarkTable:
    upwards = results[0].direction == "maximize"
    found = [{query.architecture: query for query in result.queries} for result in results]
    values = np.array([[_value(queries[text]) for queries in found] for text in texts])
    names: list[str] = []
    columns: list[Column] = []
    data: list[np.ndarray[Any, np.dtype[np.float64]]] = []

    def add(column: Column, numbers: np.ndarray[Any, np.dtype[np.float64]], why: str) -> None:
        missing = int(np.isnan(numbers).sum())
        names.append(column.name)
        columns.append(replace(column, undefined={why: missing} if missing else {}))
        data.append(numbers)

    if scores is not None:
        for name, upwards_too, numbers in zip(scores.metrics, higher_is_better, scores.scores.T, strict=True):
            add(Column(name, "metric", higher_is_better=upwards_too), numbers.astype(np.float64), "nan")
    n = len(results)
    mean = values.mean(axis=1)
    add(Column(VALUE, "objective", higher_is_better=upwards, note=f"mean of {n} seeds"), mean, "absent")
    for seed, column in enumerate(values.T):
        add(Column(f"{VALUE}_seed_{seed}", "objective", higher_is_better=upwards), column, "absent")
    steps = max((query.steps for queries in found for query in queries.values()), default=0)
    curves = np.array([[_curve(queries[text], steps) for queries in found] for text in texts])
    for name, curve in [(VALUE, curves.mean(axis=1)), *((f"{VALUE}_seed_{s}", curves[:, s]) for s in range(n))]:
        for step, column in enumerate(curve.T, 1):
            each = Column(f"{name}_{step}ep", "objective", name, epochs=step, higher_is_better=upwards)
            add(each, column, "absent")
    deviation = values.std(axis=1, ddof=1) if n > 1 else np.full(len(texts), math.nan)
    add(Column(DEVIATION, "info", higher_is_better=False, note="between seeds"), deviation, "absent")
    seconds = np.array([[queries[text].seconds for queries in found] for text in texts]).mean(axis=1)
    add(Column(SECONDS, "cost", higher_is_better=False, unit="s", note="of one training"), seconds, "absent")
    for name, key in (("params", "parameters"), ("macs", "macs")):
        sizes = np.array([_size(queries[text] for queries in found)(key) for text in texts])
        if name not in names and not np.isnan(sizes).all():
            add(Column(name, "cost", higher_is_better=False), sizes, "absent")
    frame = pd.DataFrame({ARCHITECTURE: list(texts), **dict(zip(names, data, strict=True))})
    first = results[0]
    provenance = {
        "format": "robonas",
        "source": f"{first.space.name} by {first.objective}",
        "value": first.value_name,
        "seeds": n,
        "settings": {key: first.settings.get(key) for key in ("space", "objective")},
        "scores": None if scores is None else dict(scores.provenance),
    }
    return BenchmarkTable(frame, tuple(columns), provenance)


def _value(query: Query) -> float:
    return math.nan if query.value is None else query.value


def _curve(query: Query, steps: int) -> list[float]:
    """Return the value after each step but the last."""
    known = {point.step: point.value for point in query.curve}
    return [known.get(step, math.nan) for step in range(1, steps)]


def _size(queries: Iterable[Query]) -> Callable[[str], float]:
    known = next((query.size for query in queries if query.size is not None), {})

    def of(key: str) -> float:
        number = known.get(key)
        return math.nan if number is None else float(number)

    return of


# ── noise ──


@dataclass(frozen=True)
class Noise:
    """Measure of how far the values of a table can be trusted.

    A value is taken as y = t + e: t is the candidate's own, e differs between seeds. With s² the mean variance between
    seeds and v the variance of the candidates' means over S seeds, var(t) = v − s²/S.
    """

    n_seeds: int
    """Number of seeds S."""
    within: float
    """Standard deviation s between the seeds of one candidate, on average."""
    between: float
    """Standard deviation of t between candidates; 0 where the seeds explain all of it."""

    def ceiling(self, n_seeds: int = 1) -> float:
        """Return the largest correlation that any prediction can have with the mean of so many seeds, from 0 to 1.

        It is √(var(t) / (var(t) + s²/n)), reached by the prediction that knows t.
        """
        total = self.between**2 + self.within**2 / n_seeds
        return math.sqrt(self.between**2 / total) if total > 0 else 0.0


def noise_of(table: BenchmarkTable) -> Noise | None:
    """Return the noise between seeds of a table of one's own; None where it has fewer than two seeds."""
    prefix = f"{VALUE}_seed_"
    seeds = [one.name for one in table.columns if one.name.startswith(prefix) and one.epochs is None]
    if len(seeds) < 2:
        return None
    values = table.frame[seeds].to_numpy(np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 2:
        return None
    within = float(values.var(axis=1, ddof=1).mean())
    between = max(0.0, float(values.mean(axis=1).var(ddof=1)) - within / len(seeds))
    return Noise(len(seeds), math.sqrt(within), math.sqrt(between))
