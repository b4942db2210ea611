"""What the metric engine saves: CPU seconds of plain one-pass-a-metric implementations against the engine.

    OMP_NUM_THREADS=1 python benchmarks/metric_engine.py --cells 16 --json engine.json

Both sides score the same networks on the same batch, turn by turn in one process on one thread, so that other load and
the state of the machine hit both. CPU time, not wall time, is counted.

The baseline is described in `benchmarks/plain_metrics.py`: each metric copies the network and makes its own passes in
PyTorch's default layout. Its time for a group is the sum over the group's metrics, each alone; with `grasp_bn`, the
engine's approximation of `grasp`, it is that of `grasp`.

The share of the peak compares the engine's floating-point operations a second, as PyTorch's own counter counts them,
with those of one large convolution.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent))

from plain_metrics import PLAIN

from robonas.batch import Batch
from robonas.metrics import compute
from robonas.spaces import NASBench201

SIX = ["grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"]
GROUPS = {
    "six": SIX,
    "six with grasp_bn": ["grasp_bn" if name == "grasp" else name for name in SIX],
    "six without grasp": [name for name in SIX if name != "grasp"],
    "suite zero": sorted(PLAIN),
    **{name: [name] for name in sorted(PLAIN)},
    "grasp_bn": ["grasp_bn"],
}

BASELINE = {"grasp_bn": "grasp"}
"""What the plain side computes instead."""


def cpu_seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peak(seconds: float = 1.0) -> float:
    """GFLOP/s of a large channels-last convolution."""
    inputs = torch.randn(32, 256, 28, 28).to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    operations = 2 * 32 * 28 * 28 * 256 * 256 * 9
    best, until = float("inf"), time.monotonic() + seconds
    with torch.no_grad():
        while time.monotonic() < until:
            best = min(best, cpu_seconds(lambda: layer(inputs)))
    return operations / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=16, help="how many random cells (default: 16)")
    parser.add_argument("--batch", type=int, default=64, help="samples in the batch (default: 64)")
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), help="which groups of metrics (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    space = NASBench201()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(settings.batch, 3, 32, 32, generator=generator)
    targets = torch.randint(0, 10, (settings.batch,), generator=generator)
    batch = Batch(inputs, targets, n_classes=10)
    plain = dict.fromkeys(settings.groups, 0.0)
    engine = dict.fromkeys(settings.groups, 0.0)
    operations = dict.fromkeys(settings.groups, 0)
    cells = [cell for cell in space.sample(4 * settings.cells, 0) if space.canonical(cell)["edge_0_3"] != "none"]
    for number, cell in enumerate(cells[: settings.cells]):
        network = space.build_seeded(cell, 0)
        compute(network, batch, ["nwot"])  # both sides find the network's memory warm
        alone = {name: cpu_seconds(partial(PLAIN[name], network, inputs, targets)) for name in PLAIN}
        for group in settings.groups:
            plain[group] += sum(alone[BASELINE.get(name, name)] for name in GROUPS[group])
            engine[group] += cpu_seconds(partial(compute, network, batch, GROUPS[group]))
            if number == 0 or group == "six":
                with FlopCounterMode(display=False) as counter:
                    compute(network, batch, GROUPS[group])
                operations[group] += counter.get_total_flops()
    top = peak()
    n = min(settings.cells, len(cells))
    figures = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "cells": n,
        "batch": settings.batch,
        "peak_gflops": top,
        "groups": {
            group: {
                "plain_s": plain[group] / n,
                "engine_s": engine[group] / n,
                "ratio": plain[group] / max(engine[group], 1e-9),
            }
            for group in settings.groups
        },
    }
    if "six" in settings.groups:
        achieved = operations["six"] / engine["six"] / 1e9
        figures |= {"six_gflops": achieved, "six_share_of_peak": achieved / top}
    print(f"{n} cells, batch {settings.batch}, 1 thread, torch {torch.__version__}, peak {top:.0f} GFLOP/s")
    print(f"{'metrics':20} {'plain s':>9} {'engine s':>9} {'ratio':>7}")
    for group, row in figures["groups"].items():
        print(f"{group:20} {row['plain_s']:9.3f} {row['engine_s']:9.3f} {row['ratio']:7.2f}")
    if "six" in settings.groups:
        print(f"six: {figures['six_gflops']:.1f} GFLOP/s, {100 * figures['six_share_of_peak']:.0f} % of the peak")
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
