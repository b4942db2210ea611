"""Trainings side by side: how much sooner a search ends with several at once, on this machine.

    python benchmarks/side_by_side.py --parallel 2

Both searches run in turn, in one call, with the same settings: 12 short trainings of NAS-Bench-201 cells on digits, one
thread each. Scoring is done before, and counts for neither. Printed are the seconds of each search by the clock, and
their ratio; repeats alternate, and the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time

import robonas
from robonas.objectives import TrainingObjective
from robonas.study.events import QueryStarted

BUDGET = 12


def seconds_of(n_parallel: int, epochs: int) -> float:
    """Time from the start of the first training to the end of the search."""
    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=8, depth=1)
    began: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, QueryStarted) and not began:
            began.append(time.perf_counter())

    robonas.search(
        space,
        TrainingObjective(data, epochs=epochs, threads=1, device="cpu"),
        metrics=["params"],
        strategy="random",
        pool=100,
        budget=BUDGET,
        folder=None,
        n_parallel=n_parallel,
        callbacks=[note],
    )
    return time.perf_counter() - began[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    one, several = [], []
    for repeat in range(options.repeats):
        one.append(seconds_of(1, options.epochs))
        several.append(seconds_of(options.parallel, options.epochs))
        print(f"repeat {repeat + 1}: one at a time {one[-1]:.1f} s, {options.parallel} at once {several[-1]:.1f} s")
    ratio = statistics.median(one) / statistics.median(several)
    print(f"{BUDGET} trainings, {options.parallel} at once: {ratio:.2f} times sooner (medians of {options.repeats})")


if __name__ == "__main__":
    main()
