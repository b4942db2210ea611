"""CPU seconds of commands that should come at once, beside those of ``import torch`` on the same machine.

    python benchmarks/startup.py [ROUNDS]

Medians over rounds, in which all take their turn, so that other work on the machine slows all alike. A small search is
made first, for `show` and `report`. The last column is what the ratio should be at most.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORT = ("import torch", ["-c", "import torch"], None)
TABLE = Path(__file__).parent / "tables" / "nb201-cifar10.parquet"
SEARCH = ["search", "--space-set", "channels=4", "--space-set", "depth=1", "--pool", "30", "--budget", "4"]


def seconds(arguments: list[str]) -> float:
    """CPU seconds of one Python process, which finds compiled modules from its second call on, as when installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as place:
        folder = str(Path(place) / "run")
        seconds(["-m", "robonas", *SEARCH, "--epochs", "1", "--metrics", "snip,params", "--jobs", "1", "-o", folder])
        lines = [("--help", 0.1), ("search --help", 0.1)]
        lines += [(f"list {what}", 0.1) for what in ("metrics", "spaces", "strategies", "datasets", "metrics zico")]
        lines += [(f"show {folder}", 0.75), (f"report {folder}", 0.75), (f"tables info {TABLE}", 0.75)]
        rows = [IMPORT, *((line.split(" /")[0], ["-m", "robonas", *line.split()], most) for line, most in lines)]
        taken = {name: [] for name, _, _ in rows}
        for _, arguments, _ in rows:
            seconds(arguments)
        for _ in range(rounds):
            for name, arguments, _ in rows:
                taken[name].append(seconds(arguments))
    base = statistics.median(taken[IMPORT[0]])
    print(f"{'command':<22} {'CPU s':>7} {'ratio':>7}  at most")
    for name, _, most in rows:
        median = statistics.median(taken[name])
        print(f"{name:<22} {median:7.2f} {median / base:7.3f}  {'' if most is None else most}")


if __name__ == "__main__":
    main()
