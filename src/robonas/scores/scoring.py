"""Scoring a pool of architectures: each scoring class once, on one process or many, surviving any stop."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.common.files import check_file
from robonas.common.keeping import tells_what_is_kept
from robonas.common.registry import told_with_place
from robonas.common.settings import callbacks_of, jobs_of, seed_of
from robonas.datasets.batch import Batch
from robonas.errors import ConfigError, NasError, NetworkError
from robonas.metrics import Metric, MetricLike, Score, resolve_metrics, score_network
from robonas.processes.executors import engine_of, working_on
from robonas.processes.parallel import Tell, spread
from robonas.scores.cache import Journal, Scores
from robonas.scores.columns import check_names
from robonas.scores.memory import keep_memory, keeping_memory
from robonas.scores.table import ScoreTable, provenance
from robonas.spaces.base import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from robonas.architecture import Architecture

CHUNK = 8
"""Architectures a task: small, so that a stop loses little, and large enough to make its overhead vanish."""
PROBES = 3
"""Networks that must all return something else than logits before a run is refused."""
Fault: TypeAlias = NetworkError | None


def device_of(name: str) -> str:
    """Return the name of the device on which networks are scored, with ``"auto"`` resolved.

    Raises:
        ConfigError: There is no such device here.
    """
    if name == "cpu":  # without loading PyTorch
        return name
    from robonas.training.device import choose_device

    return str(choose_device(name))


@dataclass(frozen=True, eq=False)
class Scorer:
    """Everything but the metric on which a score depends, and how scores are computed and kept.

    Args:
        space: Search space, which reads texts and builds the networks.
        batch: Samples that all networks see.
        seed: Seed of the networks' parameters.
        logits: Function from what a network returns to its logits, where it returns something else.
        n_jobs: Worker processes; -1 is one a core, as joblib counts them. A network that ends its process costs its own
            scores only, with one worker as with many. 0 scores in this process, which such a network ends: to look
            into a metric with a debugger or a profiler.
        cache: Path of a Parquet file to resume from and to write; None to keep nothing.
        device: Device of the networks: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"``, or ``"auto"`` for a GPU where
            there is one. The processes share it, and each needs memory there. Parameters are drawn on the CPU, so they
            are the same on every device; scores differ in their last digits.

    Raises:
        ConfigError: A seed, a number of processes or a device that is none, or a batch for which the space is not made.
        OutputError: The cache cannot be written.
    """

    space: SearchSpace
    batch: Batch
    seed: int = 0
    logits: Callable[[Any], Tensor] | None = None
    n_jobs: int = 1
    cache: str | os.PathLike[str] | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", device_of(self.device))
        object.__setattr__(self, "n_jobs", jobs_of(self.n_jobs))
        object.__setattr__(self, "seed", seed_of(self.seed))
        if not isinstance(self.batch, Batch):
            raise ConfigError(f"`batch` must be a Batch; got a {type(self.batch).__name__}. Draw one from your data.")
        self.space.check_data(self.batch)
        if self.cache is not None:
            check_file(self.cache)

    @property
    def kind_of_device(self) -> str:
        """Kind of the device, such as ``"cuda"``, on which the last digits of a score depend."""
        return self.device.partition(":")[0]

    def score(
        self,
        pool: Iterable[Architecture | str],
        metrics: Sequence[MetricLike],
        *,
        callbacks: Sequence[Callable[[int, int], None]] = (),
    ) -> ScoreTable:
        """Score every architecture of a pool by every metric; see `robonas.score`.

        Args:
            pool: Architectures, or their texts. Repeats are allowed, and cost nothing.
            metrics: Names, ``package.module:NAME``, `Metric` objects, or functions of `Passes`; ``"auto"`` for the
                cheap ones that have a record over known tasks.
            callbacks: Functions that are called with the number of networks done and of all networks, at the start and
                whenever some are done.

        Raises:
            ArchitectureError: A text or an architecture that is not of this space.
            ConfigError: No architecture, no metric, or a metric that has no value for this batch.
            OutputError: The cache cannot be written; what was scored before is kept.
            UnknownNameError: No such metric.
            NetworkError: Networks return something that is not logits; told before the first score.
            ScoreTableError: The cache is damaged, or belongs to another space, batch or seed.
        """
        resolved, told = resolve_metrics(metrics), callbacks_of(callbacks)
        pairs = texts(self.space, pool)
        if not pairs:
            raise ConfigError("The pool must have at least one architecture; got none.")
        check_names(metric.name for metric in resolved)
        for metric in resolved:
            if reason := metric.unsuited(self.batch):
                raise ConfigError(
                    f"Metric {metric.name!r} has no value for this batch: {reason}. Leave it out, or change the batch."
                )
        origin = provenance(
            self.space.name, self.space.settings, self.batch.fingerprint(), self.seed, self.kind_of_device
        )
        memory = keeping_memory() if self.n_jobs == 0 else contextlib.nullcontext()
        with Journal(self.cache, origin) as journal, memory:
            classes = self._classes(canonical for _, canonical in pairs)
            wanted = _networks(classes, resolved)
            todo: dict[str, tuple[Metric, ...]] = {}
            for text, chosen in wanted.items():
                missing = tuple(metric for metric in chosen if not journal.scores.has(text, metric.name))
                if missing:
                    todo[text] = chosen if len(missing) == len(chosen) else missing
            done = len(wanted) - len(todo)
            _tell_all(told, done, len(wanted))
            if todo:
                self._probe(list(todo)[:PROBES])
            for results in self._run(todo):
                for text, found in results.items():
                    journal.add(text, found)
                journal.flush()
                done += len(results)
                _tell_all(told, done, len(wanted))
            by_class = [metric.name for metric in resolved if metric.by_class]
            names = [metric.name for metric in resolved]
            table = ScoreTable.from_columns(pairs, journal.scores, names, origin, classes=classes, by_class=by_class)
            journal.finish(table)
        return table

    def scores_of(self, architectures: Sequence[str], metrics: Sequence[Metric]) -> dict[str, Scores]:
        """Return scores by canonical text, computed as those of `score` are, but without its cache and its refusals."""
        classes = self._classes(architectures)
        found: dict[str, Scores] = {}
        for some in self._run(_networks(classes, metrics)):
            found |= some
        return {
            canonical: {metric.name: found[_network_of(metric, canonical, text)][metric.name] for metric in metrics}
            for canonical, text in classes.items()
        }

    def _classes(self, canonical: Iterable[str]) -> dict[str, str]:
        """Return for each canonical text that of the architecture that stands for its scoring class."""
        space, known = self.space, dict.fromkeys(canonical)
        if type(space).scoring_class is SearchSpace.scoring_class:
            return {text: text for text in known}
        return {text: space.format(space.scoring_class(space.parse(text))) for text in known}

    def _probe(self, some: Sequence[str]) -> None:
        """Raise a fault that all networks share, such as a tuple for logits, instead of a table of NaN."""
        faults: list[Fault] = []
        for found in spread(self._try, some, n_jobs=min(self.n_jobs, 1), chunk=len(some), dead=lambda *_: None):
            faults += found.values()
        if faults and faults[-1] is not None and None not in faults:
            raise faults[-1]

    def _try(self, some: Sequence[str], tell: Tell[str, Fault]) -> None:
        """Tell the fault of each of some networks, until one has none."""
        for text in some:
            fault = None
            try:
                score_network(*self._made(text), ("flops",), seed=self.seed, logits=self.logits)
            except NetworkError as error:
                fault = error
            except Exception:  # noqa: BLE001  # what fails otherwise is a NaN with a reason, told by its scores
                fault = None
            tell(text, fault)
            if fault is None:
                return

    def _made(self, text: str) -> tuple[nn.Module, Batch]:
        """Return an architecture's network on the device, and the batch in the size that it takes."""
        architecture = self.space.parse(text)
        seen = self.batch.resized(self.space.input_shape_of(architecture))
        return self.space.build_seeded(architecture, self.seed).to(self.device), seen

    # ── the map over candidates ──

    def _run(self, todo: Mapping[str, tuple[Metric, ...]]) -> Iterator[dict[str, Scores]]:
        """Yield the scores of all networks, chunk by chunk as they come."""

        def dead(text: str, parts: list[Scores], how: str) -> Scores:
            reason = f"the process that scored it ended {how}"
            told = {name: entry for part in parts for name, entry in part.items()}
            return {metric.name: told.get(metric.name, Score(math.nan, reason)) for metric in todo[text]}

        # Most networks miss the same metrics; a worker needs to be sent each set only once.
        sets: dict[tuple[str, ...], list[str]] = {}
        for text, metrics in todo.items():
            sets.setdefault(tuple(metric.name for metric in metrics), []).append(text)
        for found in sets.values():
            work = functools.partial(self._score_chunk, os.getpid(), todo[found[0]])
            yield from spread(work, found, n_jobs=self.n_jobs, chunk=CHUNK, dead=dead)

    def _score_chunk(self, home: int, metrics: Sequence[Metric], chunk: Sequence[str], tell: Tell[str, Scores]) -> None:
        """Tell the scores of some networks, each metric's when it is there and all in the end."""
        import torch

        if os.getpid() != home:  # a worker: its memory is ours until it ends
            keep_memory()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for text in chunk:
                tell(text, self._score_one(text, metrics, functools.partial(_tell_part, tell, text)))
        finally:
            torch.set_num_threads(threads)

    def _score_one(self, text: str, metrics: Sequence[Metric], tell: Callable[[str, Score], None]) -> Scores:
        from robonas.metrics.engine import score_resolved

        try:
            network, seen = self._made(text)
        except Exception as error:  # noqa: BLE001  # a user's builder can raise anything, and costs one network only
            reason = f"the network cannot be built: {told_with_place(error)}"
            return {metric.name: Score(math.nan, reason) for metric in metrics}
        try:
            return score_resolved(network, seen, metrics, seed=self.seed, logits=self.logits, tell=tell)
        except NasError as error:
            return {metric.name: Score(math.nan, str(error)) for metric in metrics}


def _networks(classes: Mapping[str, str], metrics: Sequence[Metric]) -> dict[str, tuple[Metric, ...]]:
    """Return by which metrics the network of each architecture is scored."""
    places: dict[str, set[int]] = {}
    for canonical, text in classes.items():
        for place, metric in enumerate(metrics):
            places.setdefault(_network_of(metric, canonical, text), set()).add(place)
    sets: dict[frozenset[int], tuple[Metric, ...]] = {}  # few, so that networks can share them
    return {
        text: sets.setdefault(frozenset(some), tuple(metrics[place] for place in sorted(some)))
        for text, some in places.items()
    }


def _network_of(metric: Metric, canonical: str, scored_as: str) -> str:
    """Return the text of the architecture whose network is scored by a metric."""
    return scored_as if metric.by_class else canonical


def _tell_all(callbacks: Sequence[Callable[[int, int], None]], done: int, total: int) -> None:
    for callback in callbacks:
        callback(done, total)


def _tell_part(tell: Tell[str, Scores], text: str, name: str, found: Score) -> None:
    tell(text, {name: found}, part=True)


@tells_what_is_kept(lambda given: given.get("cache") is not None)
def score(
    space: SearchSpace,
    pool: Iterable[Architecture | str],
    metrics: Sequence[MetricLike],
    batch: Batch,
    *,
    seed: int = 0,
    n_jobs: int = 1,
    cache: str | os.PathLike[str] | None = None,
    logits: Callable[[Any], Tensor] | None = None,
    callbacks: Sequence[Callable[[int, int], None]] = (),
    progress: bool | None = None,
    executor: object = None,
    device: str = "cpu",
) -> ScoreTable:
    """Score every architecture of a pool by every metric.

    Each scoring class is built and scored once (`SearchSpace.scoring_class`): the network of the architecture that
    stands for it, with parameters seeded by the text of that architecture. So a score depends on the class, the batch
    and the seed, and not on the pool, its order, the number of processes or a restart. A member's own network would
    have other parameters of the same distribution. Metrics for which more than that differs are scored for each
    canonical form: those whose card does not say `by_class`, such as `latency`, `vkdnw` and, unless it says otherwise,
    one of your own. Every process computes with one thread. Memory that is freed stays in a process as long as it
    scores (see `robonas.scores.memory`).

    With a `cache`, results are appended to ``CACHE.partial`` as they come; the file itself is written when all are
    there. A run that was stopped at any moment goes on where it was, and a larger pool or more metrics compute only
    what is new.

    Args:
        space: Reads texts, and builds the networks.
        pool: Architectures, or their texts. Repeats are allowed, and cost nothing.
        metrics: Names, ``package.module:NAME``, `Metric` objects, or functions of `Passes`; ``"auto"`` for the
                cheap ones that have a record over known tasks.
        batch: Samples that all networks see.
        seed: Seed of the networks' parameters.
        n_jobs: Worker processes; -1 is one a core, as joblib counts them. A network that ends its process costs its own
            scores only, with one worker as with many. 0 scores in this process, which such a network ends: to look
            into a metric with a debugger or a profiler.
        cache: Path of a Parquet file to resume from and to write.
        logits: From what a network returns to its logits, where it returns something else.
        callbacks: Functions that are called with the number of networks done and of all networks, at the start and
            whenever some are done.
        progress: Show a progress bar: True for always, as a line where there is no terminal; False for never; None on
            a terminal and in a notebook.
        executor: Cluster to score on, instead of processes of this machine; see `search`.
        device: Device of the networks: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"``, or ``"auto"`` for a GPU where
            there is one. The processes share it, and each needs memory there. Scores differ in their last digits from
            those of another device, so a cache is of one kind of device.

    Returns:
        The scores in the order of the pool. A metric that fails on a network, and a network that cannot be built, give
        NaN with the reason.

    Raises:
        ArchitectureError: A text or an architecture that is not of this space.
        ConfigError: No architecture, no metric, a seed that is none, or a batch for which the space is not made.
        OutputError: The cache cannot be written; what was scored before is kept.
        UnknownNameError: No such metric.
        NetworkError: Networks return something that is not logits; told before the first score.
        ScoreTableError: The cache is damaged, or belongs to another space, batch or seed.
    """
    scorer = Scorer(space, batch, seed=seed, logits=logits, n_jobs=n_jobs, cache=cache, device=device)
    from robonas.common.bars import ScoringBars

    with working_on(engine_of(executor)), ScoringBars(progress) as bars:
        return scorer.score(pool, metrics, callbacks=(bars.scoring, *callbacks_of(callbacks)))


def texts(
    space: SearchSpace,
    pool: Iterable[Architecture | str],
    form: Callable[[Architecture], Architecture] | None = None,
) -> list[tuple[str, str]]:
    """Return the text of each architecture of a pool, and of its canonical form.

    Args:
        space: Space of the architectures.
        pool: Architectures, or their texts.
        form: Function from an architecture to the one that stands for it, where it is another than the canonical form.

    Raises:
        ArchitectureError: One that is not of this space.
    """
    pairs = []
    form = space.canonical if form is None else form
    for entry in pool:
        architecture = space.parse(entry) if isinstance(entry, str) else space.check(entry)
        pairs.append((space.format(architecture), space.format(form(architecture))))
    return pairs
