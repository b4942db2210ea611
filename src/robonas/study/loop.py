"""The one loop: ask the strategy, evaluate, tell.

An Optuna study lies underneath, so that any stop loses at most the evaluation in flight.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.common.bars import with_bars
from robonas.common.defaults import STRATEGY
from robonas.common.files import check_folder
from robonas.common.keeping import tells_what_is_kept
from robonas.common.settings import jobs_of, name_of, seconds_of
from robonas.errors import ConfigError, StudyError
from robonas.processes.executors import engine_of, working_on
from robonas.scores.table import ScoreTable
from robonas.study.against import by_class, costs_file, count_undefined, read_costs
from robonas.study.chooser import Chooser
from robonas.study.events import CandidatesLeftOut, Event, ScoringProgress, SearchFinished, SearchStarted, caller_of
from robonas.study.finish import Finish
from robonas.study.ledger import Ledger
from robonas.study.outcome import outcome_of
from robonas.study.plan import Plan
from robonas.study.pool import draw_pool
from robonas.study.progress import bars_of_search
from robonas.study.provenance import date, noted
from robonas.study.reading import Record, read_record
from robonas.study.recorded import made_again
from robonas.study.running import Runner
from robonas.study.storage import DATABASE, check_reachable, open_storage, shown, storage_file, storage_url
from robonas.study.workforce import Workforce

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    import optuna
    from torch import Tensor

    from robonas.architecture import Architecture
    from robonas.datasets.batch import Batch
    from robonas.metrics import Metric
    from robonas.objectives.base import Objective
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.study.against import AgainstLike
    from robonas.study.limits import Limits
    from robonas.study.pool import Share
    from robonas.study.result import SearchResult


@tells_what_is_kept(lambda given: given.get("folder", True) is not None or given.get("storage"))
@with_bars(bars_of_search)
def search(
    space: SearchSpace,
    objective: Objective,
    *,
    metrics: Sequence[str | Metric | Callable[..., float]] | None = None,
    pool: int | Iterable[Architecture | str] = 1000,
    limits: Limits | None = None,
    against: AgainstLike | Sequence[AgainstLike] | None = None,
    strategy: str | Strategy = STRATEGY,
    budget: int = 20,
    seed: int = 0,
    grow: int = 0,
    share: Share = "canonical",
    pruner: str | optuna.pruners.BasePruner | None = None,
    batch: Batch | None = None,
    batch_size: int = 64,
    n_jobs: int = 1,
    folder: str | os.PathLike[str] | None = "robonas-run",
    storage: str | None = None,
    name: str = "search",
    logits: Callable[[Any], Tensor] | None = None,
    callbacks: Sequence[Callable[[Event], None]] = (),
    progress: bool | None = None,  # noqa: ARG001  # read by its decorator
    n_parallel: int | None = None,
    devices: Sequence[str] | None = None,
    executor: object = None,
    timeout: float | None = None,
    trial_timeout: float | None = None,
    confirm: int = 0,
    repeats: int = 3,
    score_device: str = "cpu",
) -> SearchResult:
    """Find a good network.

    Scores a pool without training, then spends the budget on the candidates that the strategy asks for.

    Stopped at any moment and called again with the same arguments, it goes on where it was, and ends as it would have
    without the stop. Several
    processes may run the same search at once: they share the budget, no candidate is evaluated twice, and all return
    the same result.

    Args:
        space: The architectures, and how to build them.
        objective: Objective that each query evaluates, such as `TrainingObjective`.
        metrics: Training-free metrics; see `score`. None for those that the strategy has by default: the paper's six
            for `robot`, and ``"auto"``, the cheap ones that have a record over known tasks, for all others. Not used
            by strategies that read no scores.
        pool: Number of architectures to sample from the space (all of it, where it has fewer), or the architectures.
        limits: Bounds on size, work, time, memory or cheap metrics; what breaks one is left out before anything dearer
            is computed.
        against: One or two costs to trade the objective off against, lower is better: the search then looks for the
            networks that no other one beats in value and costs. ``"params"``, ``"macs"``, ``"memory"`` (bytes),
            ``"latency"`` (ms on this machine), a metric or its name, a mapping or Series from texts of architectures
            to numbers, or a function of an architecture. `limits` says how time and memory are measured. Candidates
            without a cost are left out.
        strategy: A name, or a `Strategy`; `auto` needs the fewest queries, `robot` is the paper's.
        budget: Number of different networks that may be evaluated. A later call with a larger budget goes on.
        seed: Seed of the sample, the batch, the networks' parameters, the strategy and the trainings, from 0 to 2⁶³ -
            1.
        grow: Number of children of the best candidates that join the pool before each query after the first answer; 0
            keeps the pool as it is. Children are scored as the pool was, keep the limits, and are new to it.
        share: Candidates that are one query: ``"canonical"``, those that build the same network, or ``"class"``, all of
            a scoring class, whose networks are the same function and differ by the draw of their parameters only. Of
            these the first in the pool is trained.
        pruner: Pruner that ends hopeless trainings early, after any epoch but the last: ``"hyperband"``, ``"median"``,
            ``"successive_halving"``, or a pruner of Optuna. A pruned network counts as one of the budget; the strategy
            is told its last value, and it is never the winner. None trains each to the end. With `against`, it is
            compared with networks that cost no more.
        batch: Samples for the metrics; by default drawn from the objective's own data.
        batch_size: Number of samples to draw for it.
        n_jobs: Processes for scoring; see `score`. The result does not depend on it.
        folder: Folder for the study (SQLite), the scores and the best network's parameters; None keeps everything in
            memory.
        storage: Another Optuna storage for the study, such as a PostgreSQL URL. Workers on several hosts share a
            study on a server; one that vanishes is noticed within half a minute, and its evaluation begun again.
        name: Name of the study in its storage and of its files in the folder; no path.
        logits: Function from what a network returns to its logits, for the metrics.
        callbacks: Functions that are called with every event of the search, in this order.
        progress: Show progress bars: True for always, as plain lines where there is no terminal; False for never; None
            on a terminal and in a notebook.
        n_parallel: Number of candidates to evaluate at once, each in a process of its own, which is kept and used
            again; None for one on each of `devices`, or one. The strategy is told which have no answer yet. A search
            that goes on may have another number.
        devices: Devices to divide the evaluations among, such as ``["cuda:0", "cuda:1"]``; several may share one. By
            default all visible GPUs, or the CPU. An objective that sets no number of threads itself gets its share of
            PyTorch's.
        executor: Cluster that scores and trains, instead of processes of this machine: ``"ray"``, ``"ray:ADDRESS"``,
            ``"dask:ADDRESS"``, a `distributed.Client`, a `RayEngine`, or anything with the `submit` of
            `concurrent.futures`. As many evaluations run at once as it has room for, unless `n_parallel` says. The
            objective is sent to it once; what it reads by path must be there too. Latency and memory are still
            measured here.
        timeout: Seconds after which no evaluation begins; those that have begun are finished. A later call goes on.
        trial_timeout: Seconds that one evaluation may take; one that takes longer is ended, and failed.
        confirm: Number of the best candidates to train again with other seeds, once the budget is spent; the winner is
            then the one with the best mean. These trainings do not count towards the budget, and none is pruned. 0 for
            none.
        repeats: Number of other seeds for each of them.
        score_device: Device of the networks that metrics see, such as ``"cuda"``; see `score`. The trainings' device is
            a setting of the objective.

    Returns:
        The winner and everything that led to it.

    Raises:
        ConfigError: A budget below 1, a pool that is empty, or smaller than the budget and not growing, no score at
            all, a seed or name that is none, costs that cannot be traded off, or settings that contradict.
        OutputError: The folder cannot be written.
        StudyError: The study is damaged, locked, or was made with other settings.
        ScoreTableError: The scores' file is damaged, or of other settings.
        UnknownNameError: No such metric, strategy or cost.
        NetworkError: The networks' output is not what the objective needs.
    """
    begun, until = date(), time.monotonic() + seconds_of("timeout", timeout)
    limit = None if trial_timeout is None else seconds_of("trial_timeout", trial_timeout)
    tell = caller_of(callbacks)
    check_reachable(storage)
    name, n_jobs = name_of(name), jobs_of(n_jobs)
    plan = Plan.made(space, objective, metrics, limits, strategy, budget, seed, grow, pruner, against, share)
    engine = engine_of(executor)
    finish = Finish.made(plan, confirm, repeats)
    workforce = Workforce.made(plan, engine, n_parallel, devices, limit)
    with working_on(engine):
        place = check_folder(folder) if folder is not None else None
        drawn, whole = draw_pool(space, pool, plan.seed, plan.share)
        settings = plan.settings(drawn)
        candidates = plan.candidates(batch, batch_size, logits, n_jobs, place, score_device)
        pairs, left_out = candidates.within_limits(drawn, settings, place / f"{name}.pool.txt" if place else None)
        costs = priced = None
        if candidates.meter is not None:
            file = place / costs_file(name) if place else None
            costs = candidates.meter.fixed(pairs, settings, file)
            left_out |= count_undefined(costs)
            priced = by_class(costs)
            pairs = [pair for pair in pairs if pair[1] in priced]
        if left_out:
            tell(CandidatesLeftOut(left_out, len(pairs)))
        _check_pool(plan, pairs, whole=whole)
        ledger = _open_ledger(plan, name, settings, place, storage)
        ledger.check_parameters()
        table = candidates.scores_of(
            [text for text, _ in pairs], lambda done, total: tell(ScoringProgress(done, total))
        )
        _check_scores(table)
        ledger.begin(table.fingerprint(), plan.budget, left_out, None if costs is None else costs.fingerprint())
        ledger.note_origin(lambda known: noted(known, objective, begun), plan.budget)
        if costs is not None and place:
            costs.write(place / costs_file(name))
        file = place / scores_file(name) if place else None
        if file and not (plan.grow and file.exists()):  # a pool that has grown is written again when it is chosen from
            table.write(file)
        chooser = Chooser(
            space,
            plan.strategy,
            table,
            budget=plan.budget,
            seed=plan.seed,
            higher_is_better=plan.higher_is_better,
            direction=objective.direction,
            grow=plan.grow,
            candidates=candidates,
            costs=priced,
            save=lambda grown: grown.write(file) if file else None,
            tell=tell,
        )
        done = sum(query.state != "running" for query in ledger.record().queries)
        tell(SearchStarted(name, settings, plan.budget, done, ledger.best()))
        with ledger.open(), workforce.evaluators(plan) as evaluators:
            runner = Runner(
                space, ledger, chooser, evaluators, budget=plan.budget, seed=plan.seed, until=until, tell=tell
            )
            finished = runner.run() and finish.run(plan, ledger, evaluators, place, until=until, tell=tell)
            ledger.note_stop(None if finished else "time over")
        result = outcome_of(ledger.record(), chooser, place, keep=True)
        if result.stop_reason == "candidates exhausted":
            ledger.note_stop(result.stop_reason)  # for who watches
        if plan.grow:  # each worker's folder may be its own, and the last query another's
            chooser.keep()
        tell(SearchFinished(result))
        return result


def _check_pool(plan: Plan, pairs: Sequence[tuple[str, str]], *, whole: bool) -> None:
    """Raise where the pool is smaller than the budget, is not the whole space, and does not grow."""
    n_classes = len({canonical for _, canonical in pairs})
    if n_classes < plan.budget and not whole and not plan.grow:
        raise ConfigError(
            f"The pool holds {n_classes} different networks ({len(pairs)} architectures), "
            f"fewer than the budget of {plan.budget}. Enlarge the pool, let it grow, or lower the budget."
        )


def _check_scores(table: ScoreTable) -> None:
    """Raise where there are metrics, and no candidate has a score by any of them."""
    if table.metrics and np.isnan(table.scores).all():
        reasons = "; ".join(str(row["reason"]) for _, row in table.summary().iterrows())
        raise ConfigError(
            f"Every score of every architecture is undefined, so there is nothing to search by. {reasons}."
        )


def _open_ledger(plan: Plan, name: str, settings: dict[str, Any], place: Path | None, storage: str | None) -> Ledger:
    url = storage or (storage_url(place) if place else None)
    return Ledger(
        open_storage(url),
        name,
        plan.objective.direction,
        settings,
        folder=place,
        file=storage_file(url),
        pruning=plan.pruning,
        place=_place(place, storage),
    )


def load_result(
    folder: str | os.PathLike[str],
    name: str = "search",
    *,
    storage: str | None = None,
    space: SearchSpace | str | None = None,
    strategy: Strategy | str | None = None,
) -> SearchResult:
    """Return what a search has found so far, finished or not, read from its folder.

    A space and a strategy of robonas's own are made again from what the folder says. What else a folder names is never
    imported: give it by `space` and `strategy`.

    Args:
        folder: The search's.
        name: Name of the study.
        storage: Storage of its study, if not in the folder.
        space: The search space, or its ``package.module:NAME``, made again with the settings of the search; needed
            where it is not one of robonas's.
        strategy: The strategy, likewise.

    Raises:
        ConfigError: The name is none, or the folder names a space or strategy that is not one of robonas's, and none
            is given.
        StudyError: There is no such study.
        ScoreTableError: Its scores are missing or damaged.
    """
    place, record = Path(folder), record_of(folder, name, storage=storage)
    settings = record.settings
    space, strategy = made_again(settings, place, space, strategy)
    try:
        table = ScoreTable.read(place / scores_file(record.name))
    except FileNotFoundError as error:
        raise StudyError(f"The search in '{place}' has no scores yet; run it to go on.") from error
    asked = record.queries
    n_sampled = asked[0].n_rows if asked and asked[0].n_rows else len(table)  # nothing joins before the first answer
    chooser = Chooser(
        space,
        strategy,
        table.part(0, n_sampled),
        budget=max(record.budget, len(asked)),
        seed=settings["seed"],
        higher_is_better=settings["higher_is_better"],
        direction=settings["objective"]["direction"],
        children=table.part(n_sampled, len(table)),
        costs=by_class(read_costs(place / costs_file(record.name))) if "against" in settings else None,
    )
    return outcome_of(record, chooser, place)


def record_of(folder: str | os.PathLike[str], name: str = "search", *, storage: str | None = None) -> Record:
    """Return what the study of a search holds, finished or not, without its pool.

    Args:
        folder: The search's.
        name: Name of the study.
        storage: Storage of its study, if not in the folder.

    Raises:
        ConfigError: The name is none.
        StudyError: There is no such study.
    """
    place, name = Path(folder), name_of(name)
    url = storage or storage_url(place)
    if storage is None and not (place / DATABASE).is_file():
        if (place / scores_file(name)).is_file():
            raise StudyError(
                f"The study of the search in '{place}' is not in that folder: it was run with a storage of its own. "
                "Give the same one, by `--storage` or `storage=`."
            )
        raise StudyError(
            f"There is no search in '{place}': '{place / DATABASE}' does not exist. Name the folder of a search."
        )
    try:
        return read_record(url, None if storage else place / DATABASE, name, _place(place, storage))
    except RecursionError as error:  # Optuna's reading of its JSON
        raise StudyError(f"The study in '{place}' is damaged: its notes are nested too deeply.") from error


def _place(folder: Path | None, storage: str | None) -> str:
    """Return where a study lies, for messages."""
    return shown(storage) if storage else str(folder or "memory")


def scores_file(name: str) -> str:
    """Return the name of the file with the scores of a study's pool, in the search's folder."""
    return f"{name}.scores.parquet"
