"""Scoring a pool of architectures: isomorphic ones once, on one process or many, surviving any stop."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from filelock import FileLock

from robonas.common.files import check_file, unwritable
from robonas.common.reading import parse_json
from robonas.common.settings import jobs_of, seed_of
from robonas.datasets.batch import Batch
from robonas.errors import ConfigError, NasError, NetworkError, ScoreTableError
from robonas.metrics import Metric, Score, resolve_metrics, score_network
from robonas.processes.parallel import Tell, spread
from robonas.scores.memory import keep_memory, keeping_memory
from robonas.scores.table import ScoreColumns, ScoreTable, check_provenance, provenance

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from robonas.architecture import Architecture
    from robonas.metrics.passes.networks import LogitsHook
    from robonas.spaces import SearchSpace

CHUNK = 8
"""Architectures a task: small, so that a stop loses little, and large enough to make its overhead vanish."""
PROBES = 3
"""Networks that must all return something else than logits before a run is refused."""
NOT_SCORED = "not scored yet"
"""Reason in a file that holds more metrics for some architectures than for others."""

Scores = dict[str, Score]
Fault: TypeAlias = NetworkError | None


def score(
    space: SearchSpace,
    pool: Iterable[Architecture | str],
    metrics: Sequence[str | Metric | Callable[..., float]],
    batch: Batch,
    *,
    seed: int = 0,
    n_jobs: int = 1,
    cache: str | os.PathLike[str] | None = None,
    logits: Callable[[Any], Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreTable:
    """Score every architecture of a pool by every metric.

    Each isomorphism class is built and scored once, with parameters seeded by its canonical text, so that a score
    depends on the architecture, the batch and the seed, and not on the pool, its order, the number of processes or a
    restart. Every process computes with one thread, for the same reason. Memory that is freed stays in a process as
    long as it scores (see `robonas.scores.memory`).

    With a `cache`, results are appended to ``CACHE.partial`` as they come; the file itself is written when all are
    there. A run that was stopped at any moment goes on where it was, and a larger pool or more metrics compute only
    what is new.

    Args:
        space: Reads texts, and builds the networks.
        pool: Architectures, or their texts. Repeats are allowed, and cost nothing.
        metrics: Names, ``package.module:NAME``, `Metric` objects, or functions of `Passes`.
        batch: Samples that all networks see.
        seed: Seed of the networks' parameters.
        n_jobs: Worker processes; -1 is one a core, as joblib counts them. A network that ends its process costs its own
            scores only, with one worker as with many. 0 scores in this process, which such a network ends: to look
            into a metric with a debugger or a profiler.
        cache: Path of a Parquet file to resume from and to write.
        logits: From what a network returns to its logits, where it returns something else.
        progress: Called with the classes done and the classes in all, at the start and whenever some are done.

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
    n_jobs = jobs_of(n_jobs)
    seed, resolved = seed_of(seed), resolve_metrics(metrics)
    names = [metric.name for metric in resolved]
    pairs = texts(space, pool)
    if not pairs:
        raise ConfigError("The pool must have at least one architecture; got none.")
    if not isinstance(batch, Batch):
        raise ConfigError(f"`batch` must be a Batch; got a {type(batch).__name__}. Draw one from your data.")
    space.check_data(batch)
    if cache is not None:
        check_file(cache)
    origin = provenance(space.name, space.settings, batch.fingerprint(), seed)
    for metric in resolved:
        if reason := metric.unsuited(batch):
            raise ConfigError(
                f"Metric {metric.name!r} has no value for this batch: {reason}. Leave it out, or change the batch."
            )
    with _Journal(cache, origin) as journal, keeping_memory() if n_jobs == 0 else contextlib.nullcontext():
        classes = dict.fromkeys(canonical for _, canonical in pairs)
        todo: dict[str, tuple[Metric, ...]] = {}
        for canonical in classes:
            missing = tuple(metric for metric in resolved if not journal.scores.has(canonical, metric.name))
            if missing:
                todo[canonical] = resolved if len(missing) == len(resolved) else missing
        done = len(classes) - len(todo)
        if progress:
            progress(done, len(classes))
        if todo:
            _probe(space, list(todo)[:PROBES], batch, seed, logits, n_jobs)
        for results in _run(space, todo, batch, seed, logits, n_jobs):
            for canonical, found in results.items():
                journal.add(canonical, found)
            journal.flush()
            done += len(results)
            if progress:
                progress(done, len(classes))
        table = ScoreTable.from_columns(pairs, journal.scores, names, origin)
        journal.finish(table)
    return table


def texts(space: SearchSpace, pool: Iterable[Architecture | str]) -> list[tuple[str, str]]:
    """Return the text of each architecture of a pool, and of its canonical form.

    Raises:
        ArchitectureError: One that is not of this space.
    """
    pairs = []
    for entry in pool:
        architecture = space.parse(entry) if isinstance(entry, str) else space.check(entry)
        pairs.append((space.format(architecture), space.format(space.canonical(architecture))))
    return pairs


def _probe(
    space: SearchSpace, some: Sequence[str], batch: Batch, seed: int, logits: LogitsHook | None, n_jobs: int
) -> None:
    """Let a fault that all networks share, such as a tuple for logits, be one clear error instead of a table of NaN."""
    work = functools.partial(_try, space, batch, seed, logits)
    faults: list[Fault] = []
    for found in spread(work, some, n_jobs=min(n_jobs, 1), chunk=len(some), dead=lambda *_: None):
        faults += found.values()
    if faults and faults[-1] is not None and None not in faults:
        raise faults[-1]


def _try(
    space: SearchSpace, batch: Batch, seed: int, logits: LogitsHook | None, some: Sequence[str], tell: Tell[str, Fault]
) -> None:
    """Tell the fault of each of some networks, until one has none."""
    for text in some:
        fault = None
        try:
            architecture = space.parse(text)
            seen = batch.resized(space.input_shape_of(architecture))
            score_network(space.build_seeded(architecture, seed), seen, ("flops",), seed=seed, logits=logits)
        except NetworkError as error:
            fault = error
        except Exception:  # noqa: BLE001  # a builder or network that fails is a NaN with a reason, told by its scores
            fault = None
        tell(text, fault)
        if fault is None:
            return


# ── the map over candidates ──


def _run(
    space: SearchSpace,
    todo: Mapping[str, tuple[Metric, ...]],
    batch: Batch,
    seed: int,
    logits: Callable[[Any], Tensor] | None,
    n_jobs: int,
) -> Iterator[dict[str, Scores]]:
    """Yield the scores of all classes, chunk by chunk as they come."""

    def dead(text: str, parts: list[Scores], how: str) -> Scores:
        reason = f"the process that scored it ended {how}"
        told = {name: entry for part in parts for name, entry in part.items()}
        return {metric.name: told.get(metric.name, Score(math.nan, reason)) for metric in todo[text]}

    # Most classes miss the same metrics; a worker needs to be sent each set only once.
    sets: dict[tuple[str, ...], list[str]] = {}
    for text, metrics in todo.items():
        sets.setdefault(tuple(metric.name for metric in metrics), []).append(text)
    for found in sets.values():
        work = functools.partial(_score_chunk, os.getpid(), space, todo[found[0]], batch, seed, logits)
        yield from spread(work, found, n_jobs=n_jobs, chunk=CHUNK, dead=dead)


def _score_chunk(
    home: int,
    space: SearchSpace,
    metrics: Sequence[Metric],
    batch: Batch,
    seed: int,
    logits: Callable[[Any], Tensor] | None,
    chunk: Sequence[str],
    tell: Tell[str, Scores],
) -> None:
    """Tell the scores of some networks, each metric's when it is there and all in the end."""
    import torch

    if os.getpid() != home:  # a worker: its memory is ours until it ends
        keep_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for text in chunk:
            part = functools.partial(_tell_part, tell, text)
            tell(text, _score_one(space, text, metrics, batch, seed, logits, part))
    finally:
        torch.set_num_threads(threads)


def _tell_part(tell: Tell[str, Scores], text: str, name: str, found: Score) -> None:
    tell(text, {name: found}, part=True)


def score_here(
    space: SearchSpace,
    architectures: Sequence[str],
    metrics: Sequence[Metric],
    batch: Batch,
    seed: int,
    logits: Callable[[Any], Tensor] | None,
) -> dict[str, Scores]:
    """Return scores by text, computed in this process without a cache: the same values as `score`'s."""
    work = functools.partial(_score_chunk, os.getpid(), space, metrics, batch, seed, logits)
    return next(spread(work, architectures, n_jobs=0, chunk=len(architectures), dead=lambda *_: {}))


def _score_one(
    space: SearchSpace,
    text: str,
    metrics: Sequence[Metric],
    batch: Batch,
    seed: int,
    logits: Callable[[Any], Tensor] | None,
    tell: Callable[[str, Score], None],
) -> Scores:
    from robonas.metrics.engine import score_resolved

    try:
        architecture = space.parse(text)
        network = space.build_seeded(architecture, seed)
        seen = batch.resized(space.input_shape_of(architecture))
    except Exception as error:  # noqa: BLE001  # a user's builder can raise anything, and one network must not end a run
        reason = f"the network cannot be built: {type(error).__name__}: {error}"
        return {metric.name: Score(math.nan, reason) for metric in metrics}
    try:
        return score_resolved(network, seen, metrics, seed=seed, logits=logits, tell=tell)
    except NasError as error:
        return {metric.name: Score(math.nan, str(error)) for metric in metrics}


# ── the cache ──


class _Journal:
    """Scores on disk: a Parquet file that is complete, and beside it the lines that came since."""

    def __init__(self, path: str | os.PathLike[str] | None, origin: Mapping[str, Any]) -> None:
        self.scores = ScoreColumns()
        self._path = Path(path) if path is not None else None
        self._origin = origin
        self._stream: io.FileIO | None = None
        self._lines: list[str] = []
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One run at a time: a second one waits, and then finds what the first has scored.
            self._open.enter_context(FileLock(self._path.with_name(f".{self._path.name}.lock")))
        except OSError as error:
            raise unwritable(self._partial, error) from error
        try:
            return self._read()
        except BaseException:
            self._open.close()
            raise

    def _read(self) -> Self:
        assert self._path is not None
        if self._path.exists():
            table = ScoreTable.read(self._path)
            check_provenance(table.provenance, self._origin, self._path)
            self._take(table)
        partial = self._partial
        try:
            kept = self._replay(partial) if partial.exists() else None
            # Without a buffer, which would be written when the file is closed, and fail there once more.
            self._stream = self._open.enter_context(partial.open("ab", buffering=0))
            if kept is not None and kept < partial.stat().st_size:
                self._stream.truncate(kept)  # the torn line of a run that was killed while writing
        except OSError as error:
            raise unwritable(self._partial, error) from error
        if kept is None:
            self._lines.append(json.dumps({"provenance": self._origin}))
        self.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._open.close()
        except OSError as error:
            if kind is None:
                raise unwritable(self._partial, error) from error

    @property
    def _partial(self) -> Path:
        assert self._path is not None
        return self._path.with_name(self._path.name + ".partial")

    def _take(self, table: ScoreTable) -> None:
        for row in table.frame.to_dict("records"):
            found = {}
            for name in table.metrics:
                reason = row[f"reason:{name}"]
                if reason != NOT_SCORED:
                    found[name] = Score(row[name], reason if isinstance(reason, str) else None, row[f"seconds:{name}"])
            self.scores.add(row["canonical"], found)

    def _replay(self, partial: Path) -> int | None:
        """Take the lines of a journal; returns how many bytes of it are whole, or None where no line is."""
        size = 0
        with partial.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = parse_json(line)
                    if number == 1:
                        check_provenance(entry["provenance"], self._origin, partial)
                    else:
                        found = {
                            name: Score(math.nan if value is None else value, reason, seconds)
                            for name, (value, reason, seconds) in entry["scores"].items()
                        }
                        self.scores.add(entry["canonical"], found)
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    raise ScoreTableError(
                        f"Line {number} of '{partial}' is damaged ({error}). "
                        "Restore the file, or delete it to score its architectures again."
                    ) from error
                size += len(line)
        if size == 0:
            partial.unlink()
            return None
        return size

    def add(self, canonical: str, found: Scores) -> None:
        """Remember the scores of one class, to be written by `flush`."""
        self.scores.add(canonical, found)
        if self._stream is not None:
            values = {
                name: (None if math.isnan(entry.value) else entry.value, entry.reason, round(entry.seconds, 6))
                for name, entry in found.items()
            }
            self._lines.append(json.dumps({"canonical": canonical, "scores": values}))

    def flush(self) -> None:
        """Write what was added, and make it safe from a kill and a power cut.

        Raises:
            OutputError: The disk is full. Whole lines that fitted are kept, and what follows them is not read.
        """
        if self._stream is None:
            return
        left = memoryview("".join(f"{line}\n" for line in self._lines).encode())
        self._lines.clear()
        try:
            while left:
                left = left[self._stream.write(left) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise unwritable(self._partial, error) from error

    def finish(self, table: ScoreTable) -> None:
        """Write the whole table, together with what earlier runs left of other architectures, and drop the journal."""
        if self._path is None or self._stream is None:
            return
        self._merged(table).write(self._path)
        try:
            self._stream.close()
            self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._partial, error) from error

    def _merged(self, table: ScoreTable) -> ScoreTable:
        assert self._path is not None
        if not self._path.exists():
            return table
        old = ScoreTable.read(self._path)
        names = list(dict.fromkeys((*old.metrics, *table.metrics)))
        pairs = dict.fromkeys(zip(old.frame["architecture"], old.frame["canonical"], strict=True))
        pairs |= dict.fromkeys(zip(table.frame["architecture"], table.frame["canonical"], strict=True))
        return ScoreTable.from_columns(pairs, self.scores, names, self._origin, absent=NOT_SCORED)
