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
with memory kept (`robonas.memory`) and warm. With `--usual-memory` it has no such advantage.

The figures of the public implementations on the machine where the targets were set are known, in CPU seconds and with
that machine's peak; they are printed beside ours, both in floating-point operations that the machine's peak could have
made meanwhile, to show that our public way is not dearer than theirs.

The share of the peak compares the engine's floating-point operations a second, as PyTorch's own counter counts them,
with those of one large convolution.
"""

from __future__ import annotations

import argparse
import contextlib
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

from robonas.batch import Batch
from robonas.memory import keeping_memory
from robonas.metrics import compute
from robonas.spaces import NASBench201
from robonas.spaces.blocks import live_edges

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
REFERENCE_PEAK = 115.0
"""GFLOP/s of a large convolution on the machine where the targets were set."""
REFERENCE = {
    "grad_norm": 0.709,
    "snip": 0.709,
    "grasp": 2.558,
    "fisher": 0.766,
    "jacov": 0.702,
    "synflow": 0.142,
    "six": 5.65,
    "suite zero": 8.58,
}
"""CPU seconds a cell of the quicker of the two public implementations there; suite zero is NASLib's."""
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


def measure(cells, space, batch, groups, *, usual_memory: bool):
    """CPU seconds of all sides for each cell, engine operations for each group, and the machine's peak all along."""
    inputs, targets = batch.inputs, batch.targets
    rows, operations, peaks = [], dict.fromkeys(groups, 0), []
    names = sorted({BASELINE.get(name, name) for group in groups for name in GROUPS[group]})
    for cell in cells:
        network = space.build_seeded(cell, 0)
        full = full_network(network, cell)
        lean = {name: cpu_seconds(partial(PLAIN[name], network, inputs, targets)) for name in names}
        public = {name: cpu_seconds(partial(PUBLIC[name], full, inputs, targets)) for name in names}
        with contextlib.nullcontext() if usual_memory else keeping_memory():
            compute(network, batch, ["grasp", "jacov"])  # the engine finds its memory warm, as in a pool
            engine = {group: cpu_seconds(partial(compute, network, batch, GROUPS[group])) for group in groups}
            if "six" in groups:
                with FlopCounterMode(display=False) as counter:
                    compute(network, batch, SIX)
                operations["six"] += counter.get_total_flops()
        peaks.append(peak())
        rows.append((lean, public, engine))
    return rows, operations, peaks


def mean_seconds(sides, group) -> float:
    """Mean over cells of the sum over the group's metrics."""
    return statistics.mean(sum(side[BASELINE.get(name, name)] for name in GROUPS[group]) for side in sides)


def summarise(rows, operations, peaks, groups) -> dict:
    lean, public, engine = zip(*rows, strict=True)
    top = statistics.median(peaks)
    found = {"peak_gflops": top, "groups": {}}
    for group in groups:
        ours = statistics.mean(side[group] for side in engine)
        row = {"lean_s": mean_seconds(lean, group), "public_s": mean_seconds(public, group), "engine_s": ours}
        row |= {"lean_ratio": row["lean_s"] / ours, "public_ratio": row["public_s"] / ours}
        if group in TARGETS:
            row["target_public_ratio"] = TARGETS[group]
        if group in REFERENCE:
            row |= {
                "public_gflop_at_peak": row["public_s"] * top,
                "reference_gflop_at_peak": REFERENCE[group] * REFERENCE_PEAK,
            }
        found["groups"][group] = row
    if "six" in groups:
        achieved = operations["six"] / sum(side["six"] for side in engine) / 1e9
        found |= {"six_gflops": achieved, "six_share_of_peak": achieved / top}
    return found


def show(figures: dict) -> None:
    print(
        f"{figures['cells']} cells, batch {figures['batch']}, 1 thread, torch {figures['torch']}, peak "
        f"{figures['peak_gflops']:.0f} GFLOP/s, memory {figures['memory']}"
    )
    print(
        f"{'CPU seconds a cell':26} {'public':>8} {'lean':>8} {'engine':>8} | {'public/engine':>13} {'target':>7}",
        end="",
    )
    print(f" {'lean/engine':>12} | {'public at peak':>15} {'reference':>10}")
    for group, row in figures["groups"].items():
        target = f"{row['target_public_ratio']:.1f}" if "target_public_ratio" in row else ""
        print(f"{group:26} {row['public_s']:8.3f} {row['lean_s']:8.3f} {row['engine_s']:8.3f}", end=" | ")
        print(f"{row['public_ratio']:13.2f} {target:>7} {row['lean_ratio']:12.2f}", end=" | ")
        if "reference_gflop_at_peak" in row:
            print(f"{row['public_gflop_at_peak']:12.0f} GF {row['reference_gflop_at_peak']:7.0f} GF", end="")
        print()
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
    rows, operations, peaks = measure(cells, space, batch, settings.groups, usual_memory=settings.usual_memory)
    figures = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "cells": len(cells),
        "batch": settings.batch,
        "memory": "as usual" if settings.usual_memory else "kept for the engine",
        **summarise(rows, operations, peaks, settings.groups),
    }
    show(figures)
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
