"""A map over many items on one process, many, or a cluster, that survives the death of a worker."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Item = TypeVar("Item")
Value = TypeVar("Value")
WAVE = 4
"""Chunks a worker between two looks at the results, on backends that cannot hand them over as they come."""


def spread(
    work: Callable[[list[Item]], dict[Item, Value]],
    items: Sequence[Item],
    *,
    n_jobs: int,
    chunk: int,
    dead: Callable[[Item], Value],
) -> Iterator[dict[Item, Value]]:
    """What `work` makes of all items, a chunk at a time, in the order in which they come.

    Runs on the backend of joblib that is active: loky's processes unless a `joblib.parallel_config` says otherwise,
    such as Ray's or Dask's. Chunks are made as workers ask for them, so memory does not grow with their number.

    Args:
        work: From some items to the value of each; sent to the workers by cloudpickle.
        items: Hashable, and different from each other.
        n_jobs: Workers, as joblib counts them; 1 is this process.
        chunk: Items a task.
        dead: The value of an item that takes its worker with it, found by giving the items in flight a worker each.
    """
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = dict.fromkeys(items)
    while left:
        flying: list[Item] = []
        try:
            for results in _map(work, _chunks(list(left), chunk, flying), n_jobs):
                for item in results:
                    del left[item]
                yield results
        except TerminatedWorkerError:
            for item in [entry for entry in flying if entry in left]:
                try:
                    results = next(_map(work, [[item]], 2))
                except TerminatedWorkerError:
                    results = {item: dead(item)}
                del left[item]
                yield results


def _chunks(items: Iterable[Item], size: int, flying: list[Item]) -> Iterator[list[Item]]:
    source = iter(items)
    while chunk := list(itertools.islice(source, size)):
        flying += chunk
        yield chunk


def _map(
    work: Callable[[list[Item]], dict[Item, Value]], chunks: Iterable[list[Item]], n_jobs: int
) -> Iterator[dict[Item, Value]]:
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import get_active_backend

    tasks = (delayed(work)(chunk) for chunk in chunks)
    if n_jobs == 1 or get_active_backend()[0].supports_return_generator:
        yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks)
        return
    with Parallel(n_jobs=n_jobs) as parallel:
        while wave := list(itertools.islice(tasks, WAVE * effective_n_jobs(n_jobs))):
            yield from parallel(wave)
