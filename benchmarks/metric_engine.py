"""What the metric engine saves: CPU seconds of one-pass-a-metric implementations against the engine.

    OMP_NUM_THREADS=1 python benchmarks/metric_engine.py --cells 16 --json engine.json

All sides score the same cells on the same batch, turn by turn in one process on one thread, so that other load and the
state of the machine hit all. CPU time, not wall time, is counted. There are two baselines:

- **public**: the way of the public implementations (Samsung's zero-cost-nas, NASLib), see `benchmarks/public_way.py`:
  every edge of a cell is built and run, garbage is collected after each metric, `snip` uses weight masks. The project's
  targets were set against those implementations, so this is the ratio that a target belongs to.
- **lean**: `benchmarks/plain_metrics.py`, what is left of that without the waste: the engine's own networks, live edges
  only. Each metric still copies the network and makes its own passes in PyTorch's default layout.

Their time for a group is the sum over the group's metrics, each alone; with `grasp_bn`, the engine's approximation of
`grasp`, it is that of `grasp`. They run with the allocator as it is in any process; the engine runs as `score` runs it,
with memory kept (`robonas.scores.memory`) and warm. With `--usual-memory` it has no such advantage.

What the public implementations themselves took is known, in CPU seconds on the machine where the targets were set
(column **published**). Four kernels whose times there are known too tell how much slower this machine is at the moment;
the published seconds are scaled by that. So one sees whether our public way is dearer than the real thing, and what the
ratio is against the real thing.

The share of the peak compares the engine's floating-point operations a second, as PyTorch's own counter counts them,
with those of one large convolution.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import platform
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent))

from plain_metrics import PLAIN
from public_way import PUBLIC, full_network

from robonas.datasets.batch import Batch
from robonas.metrics import score_network
from robonas.scores.memory import keeping_memory
from robonas.spaces import NASBench201
from robonas.spaces.edges import live_edges

SIX = ["grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"]
SUITE = sorted(PLAIN.keys() - {"params", "flops"})
GROUPS = {
    "six": SIX,
    "six with grasp_bn": ["grasp_bn" if name == "grasp" else name for name in SIX],
    "six without grasp": [name for name in SIX if name != "grasp"],
    "suite zero": SUITE,
    "suite zero, params, flops": sorted(PLAIN),
    **{name: [name] for name in sorted(PLAIN)},
    "grasp_bn": ["grasp_bn"],
}
TARGETS = {"six": 4.2, "six with grasp_bn": 5.2, "six without grasp": 7.0, "suite zero": 5.3}
"""Times cheaper than the public way; suite zero without params and flops, as it was measured."""
PUBLISHED = {
    "grad_norm": 0.709,
    "snip": 0.709,
    "grasp": 2.558,
    "fisher": 0.794,
    "jacov": 0.702,
    "synflow": 0.142,
    "six": 5.65,
    "six with grasp_bn": 5.65,
    "six without grasp": 5.65 - 2.558,
    "suite zero": 8.58,
}
"""CPU seconds a cell where the targets were set, of Samsung's code; suite zero is NASLib's."""
KERNELS_MS = {
    ("avg_pool", torch.contiguous_format): 9.2,
    ("avg_pool", torch.channels_last): 2.1,
    ("batch_norm", torch.contiguous_format): 1.9,
    ("batch_norm", torch.channels_last): 0.8,
}
"""Milliseconds of kernels there, on the maps of a cell's first stage."""
BASELINE = {"grasp_bn": "grasp"}
"""What the baselines compute instead."""


def cpu_seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peak(seconds: float = 0.2) -> float:
    """GFLOP/s of a large channels-last convolution."""
    inputs = torch.randn(32, 256, 28, 28).to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    operations = 2 * 32 * 28 * 28 * 256 * 256 * 9
    best, until = float("inf"), time.monotonic() + seconds
    with torch.no_grad():
        while time.monotonic() < until:
            best = min(best, cpu_seconds(lambda: layer(inputs)))
    return operations / best / 1e9


def slowness() -> float:
    """How much slower this machine is now than the one where the targets were set; the mean over kernels."""
    norm = torch.nn.BatchNorm2d(16)
    kernels = {
        "avg_pool": partial(
            torch.nn.functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False
        ),
        "batch_norm": norm,
    }
    ratios = []
    with torch.no_grad():
        for (name, layout), milliseconds in KERNELS_MS.items():
            maps = torch.randn(64, 16, 32, 32).to(memory_format=layout)
            times = [cpu_seconds(partial(kernels[name], maps)) for _ in range(9)]
            ratios.append(1e3 * statistics.median(times) / milliseconds)
    return statistics.mean(ratios)


def turn(side, names, network, inputs, targets) -> dict[str, float]:
    """CPU seconds of each metric, once what the one before left behind is collected."""
    side[names[0]](network, inputs, targets)  # warms up
    seconds = {}
    for name in names:
        gc.collect()
        seconds[name] = cpu_seconds(partial(side[name], network, inputs, targets))
    return seconds


def measure(cells, space, batch, groups, *, usual_memory: bool):
    """CPU seconds of all sides for each cell, engine operations for each group, and the machine's state all along."""
    inputs, targets = batch.inputs, batch.targets
    rows, operations, states = [], dict.fromkeys(groups, 0), []
    names = sorted({BASELINE.get(name, name) for group in groups for name in GROUPS[group]})
    for cell in cells:
        network = space.build_seeded(cell, 0)
        lean = turn(PLAIN, names, network, inputs, targets)
        public = turn(PUBLIC, names, full_network(network, cell), inputs, targets)
        with contextlib.nullcontext() if usual_memory else keeping_memory():
            score_network(network, batch, ["grasp", "jacov"])  # the engine finds its memory warm, as in a pool
            engine = {group: cpu_seconds(partial(score_network, network, batch, GROUPS[group])) for group in groups}
            if "six" in groups:
                with FlopCounterMode(display=False) as counter:
                    score_network(network, batch, SIX)
                operations["six"] += counter.get_total_flops()
            states.append((peak(), slowness()))
        rows.append((lean, public, engine))
    return rows, operations, states


def mean_seconds(sides, group) -> float:
    """Mean over cells of the sum over the group's metrics."""
    return statistics.mean(sum(side[BASELINE.get(name, name)] for name in GROUPS[group]) for side in sides)


def summarise(rows, operations, states, groups) -> dict:
    lean, public, engine = zip(*rows, strict=True)
    top, slow = (statistics.median(values) for values in zip(*states, strict=True))
    found = {"peak_gflops": top, "slowness": slow, "groups": {}}
    for group in groups:
        ours = statistics.mean(side[group] for side in engine)
        row = {"public_s": mean_seconds(public, group), "lean_s": mean_seconds(lean, group), "engine_s": ours}
        row |= {"public_ratio": row["public_s"] / ours, "lean_ratio": row["lean_s"] / ours}
        if group in TARGETS:
            row["target_public_ratio"] = TARGETS[group]
        if group in PUBLISHED:
            row |= {"published_s": PUBLISHED[group] * slow, "published_ratio": PUBLISHED[group] * slow / ours}
        found["groups"][group] = row
    if "six" in groups:
        achieved = operations["six"] / sum(side["six"] for side in engine) / 1e9
        found |= {"six_gflops": achieved, "six_share_of_peak": achieved / top}
    return found


def show(figures: dict) -> None:
    print(
        f"{figures['cells']} cells, batch {figures['batch']}, 1 thread, torch {figures['torch']}, memory "
        f"{figures['memory']}, peak {figures['peak_gflops']:.0f} GFLOP/s, {figures['slowness']:.2f} times slower than "
        "where the targets were set"
    )
    print(f"{'':26} {'CPU seconds a cell':^35} | {'times cheaper than':^26} |")
    heads = ("public", "published", "lean", "engine")
    print(f"{'':26} {' '.join(f'{head:>8.8}' for head in heads)} | {' '.join(f'{h:>8.8}' for h in heads[:3])} | target")
    for group, row in figures["groups"].items():
        seconds = [row["public_s"], row.get("published_s"), row["lean_s"], row["engine_s"]]
        ratios = [row["public_ratio"], row.get("published_ratio"), row["lean_ratio"]]
        target = f"{row['target_public_ratio']:.1f} public" if "target_public_ratio" in row else ""
        columns = [" ".join(f"{'' if x is None else f'{x:.3f}':>8}" for x in seconds)]
        columns.append(" ".join(f"{'' if x is None else f'{x:.2f}':>8}" for x in ratios))
        print(f"{group:26} {columns[0]} | {columns[1]} | {target}")
    if "six_gflops" in figures:
        share = 100 * figures["six_share_of_peak"]
        print(f"six: {figures['six_gflops']:.1f} GFLOP/s, {share:.0f} % of the peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=16, help="how many random cells (default: 16)")
    parser.add_argument("--batch", type=int, default=64, help="samples in the batch (default: 64)")
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), help="which groups of metrics (default: all)")
    parser.add_argument("--usual-memory", action="store_true", help="leave the allocator as it is for the engine too")
    parser.add_argument("--json", type=Path, help="write the figures here")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    space = NASBench201()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(settings.batch, 3, 32, 32, generator=generator)
    targets = torch.randint(0, 10, (settings.batch,), generator=generator)
    batch = Batch(inputs, targets, n_classes=10)
    cells = [cell for cell in space.sample(4 * settings.cells, 0) if live_edges(cell)][: settings.cells]
    rows, operations, states = measure(cells, space, batch, settings.groups, usual_memory=settings.usual_memory)
    figures = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "cells": len(cells),
        "batch": settings.batch,
        "memory": "as usual" if settings.usual_memory else "kept for the engine",
        **summarise(rows, operations, states, settings.groups),
    }
    show(figures)
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
