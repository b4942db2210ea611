"""Whole pools: what a second worker brings, what everything but the passes costs, and how memory grows with the pool.

    python benchmarks/scoring_pool.py [--cells 64] [--many 20000] [--json]

Three measurements in one run:

- the same pool with 1 and with 2 workers, interleaved, wall-clock seconds, started workers warm;
- the share of CPU time in `score` that is not spent in the metrics' passes (building, journal, table), one worker;
- the resident memory of the process after scoring pools of growing size by a free metric: the growth a candidate.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from robonas.batch import Batch
from robonas.randomness import torch_generator
from robonas.scoring import score
from robonas.spaces import NASBench201

SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")


def noise(space: NASBench201, n: int) -> Batch:
    generator = torch_generator("benchmark", 0)
    inputs = torch.randn(n, *space.input_shape, generator=generator)
    return Batch(inputs, torch.randint(space.n_classes, (n,), generator=generator), space.n_classes)


def workers(space: NASBench201, batch: Batch, cells: int, repeats: int) -> dict[str, float]:
    pool = space.sample(cells, seed=0)
    score(space, pool[:4], SIX, batch, n_jobs=2)  # starts the workers
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for jobs, taken in seconds.items():
            clock = time.perf_counter()
            score(space, pool, SIX, batch, n_jobs=jobs)
            taken.append(time.perf_counter() - clock)
    one, two = min(seconds[1]), min(seconds[2])
    return {"seconds_1_worker": one, "seconds_2_workers": two, "ratio": one / two}


def overhead(space: NASBench201, batch: Batch, cells: int) -> dict[str, float]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clock = time.process_time()
        table = score(space, space.sample(cells, seed=1), SIX, batch, cache=Path(folder) / "scores.parquet")
        total = time.process_time() - clock
    passes = table.seconds()
    return {"cpu_seconds": total, "cpu_seconds_in_passes": passes, "share_outside_passes": 1 - passes / total}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(many: int) -> dict[str, float]:
    """A free metric, so that the pool and not the passes is what grows; every candidate another network."""
    space = NASBench201(input_shape=(1, 4, 4), n_classes=2, channels=1, depth=1)
    batch = noise(space, 2)
    sizes = [space.size() // 16, space.size()] if many >= space.size() else [many // 16, many]
    used = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            score(space, space.sample(size, seed=0), ("params",), batch, cache=Path(folder) / "scores.parquet")
            used.append(resident_mb())
    return {
        "candidates": sizes[1],
        "resident_mb_small_pool": used[0],
        "resident_mb_large_pool": used[1],
        "kb_a_candidate": (used[1] - used[0]) * 1024 / (sizes[1] - sizes[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--many", type=int, default=15_625)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    space = NASBench201()
    batch = noise(space, options.batch_size)
    found = {
        "memory": memory(options.many),
        "overhead": overhead(space, batch, max(options.cells // 4, 8)),
        "workers": workers(space, batch, options.cells, options.repeats),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    m, o, w = found["memory"], found["overhead"], found["workers"]
    print(f"wall-clock seconds: {w['seconds_1_worker']:.1f} with 1 worker, {w['seconds_2_workers']:.1f} with 2")
    print(f"two workers: {w['ratio']:.2f} times faster")
    print(f"outside the passes: {100 * o['share_outside_passes']:.1f} % of {o['cpu_seconds']:.1f} CPU seconds")
    print(f"memory: {m['resident_mb_small_pool']:.0f} MB, and {m['resident_mb_large_pool']:.0f} MB after", end=" ")
    print(f"{m['candidates']:,} candidates: {m['kb_a_candidate']:.2f} kB each")


if __name__ == "__main__":
    main()
