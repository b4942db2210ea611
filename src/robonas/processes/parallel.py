"""A map over many items in worker processes or on a cluster, which loses only the item that kills its worker."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from robonas.processes import stops
from robonas.processes.executors import current, packed, sent, unpacked
from robonas.processes.serving import portable
from robonas.processes.workers import (
    Message,
    NoProcessError,
    Packed,
    Worker,
    borrow,
    far_error,
    give_back,
    receive,
    warn_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from robonas.processes.executors import Engine, Promise
    from robonas.processes.serving import Channel

Item = TypeVar("Item")
Value = TypeVar("Value")
WAVE = 4
"""Chunks a worker between two looks at the results, on backends that cannot hand them over as they come."""
HOLD_S = 1.0
"""Seconds for which finished values are held back before they are given out, where those of their chunk take longer."""


Item_contra = TypeVar("Item_contra", contravariant=True)
Value_contra = TypeVar("Value_contra", contravariant=True)


class Tell(Protocol[Item_contra, Value_contra]):
    """Takes the value of an item; with `part`, only what there is so far."""

    def __call__(self, item: Item_contra, value: Value_contra, *, part: bool = False) -> None:
        """Take it."""


def spread(
    work: Callable[[Sequence[Item], Tell[Item, Value]], None],
    items: Sequence[Item],
    *,
    n_jobs: int,
    chunk: int,
    dead: Callable[[Item, list[Value], str], Value],
) -> Iterator[dict[Item, Value]]:
    """Return what `work` makes of all items, as it comes.

    Runs in worker processes (see `robonas.processes.workers`), one as well as many, unless a `joblib.parallel_config`
    names another backend, such as Ray's or Dask's. An item whose worker dies is tried once more, alone in a new one,
    when all others are done: it may have suffered from another, or for want of memory beside others.

    Args:
        work: Called with some items and with what to tell the value of each to; sent to the workers by cloudpickle.
        items: Hashable, and different from each other.
        n_jobs: Workers, as joblib counts them; 0 does all in this process, which an item can then end.
        chunk: Items a task.
        dead: Function from an item that killed its worker, the parts of its value that were told, and how the process
            ended, such as ``by signal 11 (SIGSEGV)``, to its value.
    """
    from joblib.parallel import get_active_backend

    engine = current()
    if n_jobs == 0:
        yield from _here(work, items, chunk)
    elif engine is not None:
        yield from _on_engine(engine, work, items, chunk, dead)
    elif type(get_active_backend()[0]).__name__ != "LokyBackend":
        yield from _elsewhere(work, items, n_jobs, chunk)
    else:
        left = dict.fromkeys(items)
        try:
            for found in _Crew(work, n_jobs, chunk, dead).values(left):
                yield found
                for item in found:
                    del left[item]
        except NoProcessError as reason:
            warn_of(reason, "each worker")
            yield from _here(work, list(left), chunk)


def _here(
    work: Callable[[Sequence[Item], Tell[Item, Value]], None], items: Sequence[Item], chunk: int
) -> Iterator[dict[Item, Value]]:
    for some in _chunks(items, chunk):
        yield _collect(work, some)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while some := list(itertools.islice(source, size)):
        yield some


def _collect(work: Callable[[Sequence[Item], Tell[Item, Value]], None], items: Sequence[Item]) -> dict[Item, Value]:
    found: dict[Item, Value] = {}

    def tell(item: Item, value: Value, *, part: bool = False) -> None:
        if not part:
            found[item] = value

    work(items, tell)
    return found


def _elsewhere(
    work: Callable[[Sequence[Item], Tell[Item, Value]], None], items: Sequence[Item], n_jobs: int, chunk: int
) -> Iterator[dict[Item, Value]]:
    """Map on the backend of joblib that is active."""
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import get_active_backend

    tasks = (delayed(_collect)(work, some) for some in _chunks(items, chunk))
    if n_jobs == 1 or get_active_backend()[0].supports_return_generator:
        yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks)
        return
    with Parallel(n_jobs=n_jobs) as parallel:
        while wave := list(itertools.islice(tasks, WAVE * effective_n_jobs(n_jobs))):
            yield from parallel(wave)


def _on_engine(
    engine: Engine,
    work: Callable[[Sequence[Item], Tell[Item, Value]], None],
    items: Sequence[Item],
    chunk: int,
    dead: Callable[[Item, list[Value], str], Value],
) -> Iterator[dict[Item, Value]]:
    """Map on the engine of a search. A chunk that the engine loses is tried again, each item alone."""
    data = engine.put(packed(work))
    waiting = deque(_chunks(items, chunk))
    inbox: SimpleQueue[Promise] = SimpleQueue()
    running: dict[int, tuple[Promise, list[Item]]] = {}

    def send() -> None:
        some = waiting.popleft()
        promise = sent(engine, collect_there, data, some)
        running[id(promise)] = promise, some
        promise.add_done_callback(inbox.put)

    try:
        while waiting or running:
            while waiting and len(running) < WAVE * (engine.n or 1):
                send()
            stops.check()
            try:
                done = inbox.get(timeout=HOLD_S)
            except Empty:
                continue
            _, some = running.pop(id(done))
            try:
                found, error = done.result()
            except Exception as failure:  # noqa: BLE001  # of the engine, such as a node that is lost
                if len(some) > 1:
                    waiting.extend([item] for item in some)
                else:
                    yield {some[0]: dead(some[0], [], f"with {type(failure).__name__}")}
                continue
            if error is not None:
                raise far_error(error)
            yield found
    finally:
        for promise, _ in running.values():
            engine.cancel(promise)


def collect_there(data: Any, items: Sequence[Item]) -> tuple[dict[Item, Any], bytes | None]:
    """Return the values of some items where this is called, or an error as bytes."""
    _, work = unpacked(data)
    try:
        return _collect(work, items), None
    except Exception as error:  # noqa: BLE001  # told to who called
        return {}, portable(error)


class _Sent(Generic[Item, Value]):
    """The work as a worker calls it."""

    def __init__(self, work: Callable[[Sequence[Item], Tell[Item, Value]], None]) -> None:
        self.work = work

    def __call__(self, items: Sequence[Item], channel: Channel) -> None:
        def tell(item: Item, value: Value, *, part: bool = False) -> None:
            channel.tell((item, value, part))

        self.work(items, tell)


@dataclass
class _Task(Generic[Item, Value]):
    """The items that a worker has been given."""

    left: deque[Item]
    """Its items without a value; the first is the one it is at."""
    parts: list[Value] = field(default_factory=list)
    """Parts of the value of the first item that it has told."""
    done: dict[Item, Value] = field(default_factory=dict)
    """Values that were not given out yet."""
    since: float = field(default_factory=time.monotonic)
    """Moment at which some were last."""


class _Crew(Generic[Item, Value]):
    """Workers with the same work."""

    def __init__(
        self,
        work: Callable[[Sequence[Item], Tell[Item, Value]], None],
        n_jobs: int,
        chunk: int,
        dead: Callable[[Item, list[Value], str], Value],
    ) -> None:
        from joblib import effective_n_jobs

        self._work = Packed(_Sent(work))
        self._n, self._chunk, self._dead = effective_n_jobs(n_jobs), chunk, dead
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._at: dict[Worker, _Task[Item, Value]] = {}

    def values(self, items: Iterable[Item]) -> Iterator[dict[Item, Value]]:
        """Return the value of each item, as they come."""
        waiting = deque(items)
        suspects: dict[Item, list[Value]] = {}
        try:
            for _ in range(min(self._n, -(-len(waiting) // self._chunk))):
                self._give(borrow(self._work, self._inbox), waiting, self._chunk)
            while self._at:
                worker, task, died = self._next()
                if died is not None and task.left:
                    suspects[task.left.popleft()] = task.parts
                    waiting.extendleft(reversed(task.left))
                done, task.done, task.since = task.done, {}, time.monotonic()
                if worker not in self._at:  # before values are given out: who takes them may want no more
                    if waiting:
                        self._give(worker if died is None else Worker(self._work, self._inbox), waiting, self._chunk)
                    elif died is None:
                        give_back(worker)
                if done:
                    yield done
            for item, parts in suspects.items():
                yield {item: self._alone(item, parts)}
        finally:
            for worker in self._at:
                worker.kill()

    def _give(self, worker: Worker, waiting: deque[Item], n: int) -> None:
        task: _Task[Item, Value] = _Task(deque(waiting.popleft() for _ in range(min(n, len(waiting)))))
        self._at[worker] = task
        worker.run(list(task.left))

    def _next(self) -> tuple[Worker, _Task[Item, Value], str | None]:
        """Wait until a worker has values to give out, or ends a task; then it is at none, and how it died is told."""
        while True:
            worker, kind, value = receive(self._inbox)
            task = self._at.get(worker)
            if task is None or kind == "loaded":
                continue
            if kind == "told":
                self._note(task, *value)
                if task.left and task.done and time.monotonic() - task.since > HOLD_S:
                    return worker, task, None
                continue
            if kind == "raised":
                raise value
            del self._at[worker]
            return worker, task, value if kind == "died" else None

    def _note(self, task: _Task[Item, Value], item: Item, value: Value, part: bool) -> None:
        if part:
            task.parts.append(value)
        else:
            task.done[item] = value
            task.left.remove(item)
            task.parts = []

    def _alone(self, item: Item, parts: list[Value]) -> Value:
        """Return the value of an item whose worker has died once."""
        worker = Worker(self._work, self._inbox)
        self._give(worker, deque([item]), 1)
        while worker in self._at:
            _, task, died = self._next()
            parts += task.parts
        worker.kill()
        return task.done[item] if item in task.done else self._dead(item, parts, str(died))
