"""Whole pools: what a second worker brings, what everything but the passes costs, and how memory grows with the pool.

    OMP_NUM_THREADS=1 python benchmarks/scoring_pool.py --json pool.json

Three measurements in one run, in about five minutes on an idle machine of two cores:

- the same pool with 1 and with 2 workers, turn by turn, wall-clock seconds, started workers warm. The machine should be
  idle; the CPU seconds of both and the load are printed, so that one can see whether it was;
- the share of CPU time in `score` that is not spent in the metrics' passes (building, journal, table), one worker;
- the resident memory of the process while it scores a pool of 100,000 different networks, streamed from their space, by
  a free metric, from a tenth of the pool to the end: the growth a candidate, and how much of that is the result itself
  (the table and, beside it, the columns and texts that it is made of), which must grow.

`--only` measures one of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from robonas.architecture import Architecture
from robonas.common.randomness import torch_generator
from robonas.datasets.batch import Batch
from robonas.scores.scoring import score
from robonas.spaces import NASBench201, SearchSpace, from_choices

if TYPE_CHECKING:
    from collections.abc import Iterator

SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")


def noise(space: SearchSpace, n: int) -> Batch:
    generator = torch_generator("benchmark", 0)
    inputs = torch.randn(n, *space.input_shape, generator=generator)
    return Batch(inputs, torch.randint(space.n_classes, (n,), generator=generator), space.n_classes)


def workers(space: NASBench201, batch: Batch, cells: int, repeats: int) -> dict[str, float]:
    pool = space.sample(cells, seed=0)
    score(space, pool[:4], SIX, batch, n_jobs=2)  # starts the workers
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for jobs, taken in seconds.items():
            clock = time.perf_counter()
            table = score(space, pool, SIX, batch, n_jobs=jobs)
            taken.append(time.perf_counter() - clock)
            cpu[jobs].append(table.seconds)
    one, two = min(seconds[1]), min(seconds[2])
    return {
        "cells": cells,
        "seconds_1_worker": one,
        "seconds_2_workers": two,
        "ratio": one / two,
        "cpu_seconds_in_passes_1_worker": min(cpu[1]),
        "cpu_seconds_in_passes_2_workers": min(cpu[2]),
    }


def overhead(space: NASBench201, batch: Batch, cells: int) -> dict[str, float]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clock = time.process_time()
        table = score(space, space.sample(cells, seed=1), SIX, batch, cache=Path(folder) / "scores.parquet", n_jobs=0)
        total = time.process_time() - clock
    passes = table.seconds
    return {"cpu_seconds": total, "cpu_seconds_in_passes": passes, "share_outside_passes": 1 - passes / total}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tiny(**widths: int) -> nn.Module:
    sizes = [2, *widths.values(), 2]
    return nn.Sequential(*(nn.Linear(*pair) for pair in itertools.pairwise(sizes)))


def memory(many: int) -> dict[str, float]:
    """A free metric, so that the pool and not the passes is what grows; every candidate another network."""
    options = {f"width_{place}": tuple(range(1, 11)) for place in range(5)}
    space = from_choices(options, tiny, input_shape=(2,), n_classes=2, name="tiny")
    used: list[tuple[int, int]] = []
    clock = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        table = score(
            space,
            (Architecture(dict(zip(options, widths, strict=True))) for widths in first(many, options)),
            ("params",),
            noise(space, 2),
            cache=Path(folder) / "scores.parquet",
            n_jobs=0,
            callbacks=[lambda done, _: used.append((done, resident_bytes()))],
        )
    seconds = time.process_time() - clock
    start = next(entry for entry in used if entry[0] >= len(table) // 10)
    end, after = used[-1], resident_bytes()
    n = end[0] - start[0]
    return {
        "candidates": len(table),
        "cpu_seconds": seconds,
        "resident_mb_after_a_tenth": start[1] / 2**20,
        "resident_mb_when_all_are_scored": end[1] / 2**20,
        "resident_mb_with_the_table": after / 2**20,
        "bytes_a_candidate_while_scoring": (end[1] - start[1]) / n,
        "bytes_a_candidate_of_the_table": float(table.frame.memory_usage(deep=True).sum()) / len(table),
    }


def first(many: int, options: dict[str, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    return itertools.islice(itertools.product(*options.values()), many)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["memory", "overhead", "workers"], help="measure this alone")
    parser.add_argument("--cells", type=int, default=72, help="cells for the workers (default: 72)")
    parser.add_argument("--repeats", type=int, default=1, help="turns of the workers (default: 1)")
    parser.add_argument("--many", type=int, default=100_000, help="candidates for the memory (default: 100,000)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    space = NASBench201()
    batch = noise(space, options.batch_size)
    measurements = {
        "memory": lambda: memory(options.many),
        "overhead": lambda: overhead(space, batch, max(options.cells // 3, 8)),
        "workers": lambda: workers(space, batch, options.cells, options.repeats),
    }
    found = {}
    for name, measure in measurements.items():
        if options.only in {None, name}:
            load, clock = os.getloadavg()[0], time.perf_counter()
            found[name] = measure() | {"load_before": load, "seconds": time.perf_counter() - clock}
            show(name, found[name])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def show(name: str, figures: dict[str, float]) -> None:
    f = figures
    if name == "workers":
        print(f"wall-clock seconds: {f['seconds_1_worker']:.1f} with 1 worker, {f['seconds_2_workers']:.1f} with 2")
        print(f"CPU seconds in the passes: {f['cpu_seconds_in_passes_1_worker']:.1f} and", end=" ")
        print(f"{f['cpu_seconds_in_passes_2_workers']:.1f}; load before {f['load_before']:.1f}")
        print(f"two workers: {f['ratio']:.2f} times faster")
    elif name == "overhead":
        print(f"outside the passes: {100 * f['share_outside_passes']:.1f} % of {f['cpu_seconds']:.1f} CPU seconds")
    else:
        print(
            f"memory: {f['resident_mb_after_a_tenth']:.0f} MB after a tenth of {f['candidates']:,} candidates, "
            f"{f['resident_mb_when_all_are_scored']:.0f} MB after all: {f['bytes_a_candidate_while_scoring']:.0f} "
            f"bytes each; the table itself {f['bytes_a_candidate_of_the_table']:.0f} bytes each "
            f"({f['resident_mb_with_the_table']:.0f} MB with it; {f['cpu_seconds']:.0f} CPU seconds)"
        )


if __name__ == "__main__":
    main()
