"""All 15,625 cells of NAS-Bench-201 scored by the paper's six metrics, and what a search makes of these scores.

    OMP_NUM_THREADS=1 python benchmarks/whole_space.py score --shape cifar10
    OMP_NUM_THREADS=1 python benchmarks/whole_space.py score --shape imagenet16
    OMP_NUM_THREADS=1 python benchmarks/whole_space.py public --cells 16
    python benchmarks/whole_space.py table
    python benchmarks/whole_space.py search

`score` scores the space in the shape of a data set, with 64 images of smooth noise and random labels for the batch. It
is killed (-9) twice on the way, after a third and after two thirds of the networks, and resumed. It prints hours by the
clock, CPU seconds, and the most memory that it and its workers had at once. A run that is stopped by anything else goes
on when the command is given again; the seconds of all parts are added.

`public` takes random cells of the space, and scores each in the way of the public implementations and in ours, turn by
turn. From the mean it prints what the whole space would cost in the public way, and how many times cheaper `score` was.

`table` puts the scores of all shapes that are there into one file, `benchmarks/tables/nb201-own-scores.parquet`.
`search` queries the published accuracies with `robot` and `auto`, once along the published scores and once along ours:
the paper's rows.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from metric_correlations import images, tables_folder

from robonas.common.files import write_text
from robonas.common.randomness import numpy_generator, torch_generator
from robonas.datasets.batch import Batch
from robonas.experiments import run_experiment
from robonas.experiments.tasks import Task
from robonas.scores.scoring import score
from robonas.scores.table import ScoreTable
from robonas.spaces import NASBench201
from robonas.tables import read_table

if TYPE_CHECKING:
    import numpy as np

SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
SHAPES = {"cifar10": (32, 10), "imagenet16": (16, 120)}
"""Pixels a side, and classes."""
N_CELLS = 15_625
KILLS = (5_425 // 3, 2 * 5_425 // 3)
"""Cells, and after how many of the 5,425 networks that stand for them the run is killed."""
LOOK_S = 30.0
"""Seconds between two looks at the memory, each of which takes some 50 ms of the processors that are measured."""
OWN = Path(__file__).resolve().parent / "tables" / "nb201-own-scores.parquet"
TASKS = {
    "CIFAR-10": ("nb201-cifar10.parquet", "cifar10", "test_acc", 94.37),
    "ImageNet16-120": ("nb201-ImageNet16-120.parquet", "imagenet16", "test_acc", 46.33),
}
"""Table, shape, final measure, and what published scores reach with `robot` after 20 queries."""


def setting(shape: str, n_samples: int) -> tuple[NASBench201, Batch]:
    """Return the space in a shape, and the batch that its networks see."""
    size, n_classes = SHAPES[shape]
    space = NASBench201(input_shape=(3, size, size), n_classes=n_classes)
    labels = torch.randint(n_classes, (n_samples,), generator=torch_generator("labels", 0))
    return space, Batch(images("smooth", n_samples, size, 0), labels, n_classes=n_classes)


def score_part(shape: str, folder: Path, n_samples: int, jobs: int, cells: int) -> None:
    """Score what is missing, in this process."""
    space, batch = setting(shape, n_samples)
    score(
        space,
        (space.at(index) for index in range(cells)),
        SIX,
        batch,
        n_jobs=jobs,
        cache=folder / f"{shape}.parquet",
        callbacks=[lambda done, total: print(f"\r{done}/{total} networks", end="", file=sys.stderr, flush=True)],
    )
    print(file=sys.stderr)


def memory_of(process: psutil.Process) -> int:
    """Return the bytes that a process and all that it has started hold alone (USS: shared pages count for nobody)."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().uss
        except psutil.NoSuchProcess:  # ended meanwhile
            continue
    return total


def score_whole(shape: str, folder: Path, n_samples: int, jobs: int, cells: int) -> None:
    """Score the space with two kills on the way, and print what it took."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / f"{shape}.json"
    journal = folder / f"{shape}.parquet.partial"
    told = json.loads(notes.read_text()) if notes.is_file() else {"seconds": 0.0, "kills": [], "bytes": 0, "load": []}
    while not (folder / f"{shape}.parquet").is_file():
        command = [sys.executable, __file__, "part", "--shape", shape, "--folder", str(folder)]
        command += ["--samples", str(n_samples), "--jobs", str(jobs), "--cells", str(cells)]
        part = psutil.Popen(command)
        clock = time.monotonic()
        looked = clock - LOOK_S
        until = KILLS[len(told["kills"])] if cells == N_CELLS and len(told["kills"]) < len(KILLS) else None
        try:
            while part.poll() is None:
                time.sleep(1.0)
                if time.monotonic() - looked > LOOK_S and part.is_running():
                    told["bytes"], looked = max(told["bytes"], memory_of(part)), time.monotonic()
                lines = journal.read_bytes().count(b"\n") - 1 if journal.is_file() else 0
                if until is not None and lines >= until:
                    part.kill()
                    told["kills"].append(lines)
                    until = None
        finally:
            told["seconds"] += time.monotonic() - clock
            told["load"].append(os.getloadavg()[0])
            write_text(notes, json.dumps(told))
        if part.wait() not in {0, -9}:
            sys.exit(f"A part ended with {part.returncode}.")
    table = ScoreTable.read(folder / f"{shape}.parquet")
    undefined = {name: int(table.frame[name].isna().sum()) for name in SIX}
    print(f"{shape}: {len(table)} cells, {table.n_networks} networks, {n_samples} samples, {jobs} processes")
    print(f"by the clock {told['seconds'] / 3600:.2f} hours; {table.seconds:.0f} CPU seconds in the metrics' passes")
    print(f"most memory at once {told['bytes'] / 1e6:.0f} MB; killed after {told['kills']} networks, and resumed")
    print(f"load of the machine at the end of each part: {[round(load, 1) for load in told['load']]}")
    print(f"cells without a value: {undefined}")


def against_public(shape: str, folder: Path, n_samples: int, n_cells: int) -> None:
    """Print what the space would cost in the public way, and the ratio to what it took."""
    from public_way import PUBLIC, full_network

    from robonas.metrics import score_network
    from robonas.scores.memory import keeping_memory

    torch.set_num_threads(1)
    space, batch = setting(shape, n_samples)
    chosen = [int(cell) for cell in numpy_generator("public", 0).choice(N_CELLS, n_cells, replace=False)]
    public, own = [], []
    for number, cell in enumerate([chosen[0], *chosen]):  # the first one warms up
        architecture = space.at(cell)
        whole = full_network(space.build_seeded(architecture, 0), architecture)
        clock = time.process_time()
        for name in SIX:
            PUBLIC[name](whole, batch.inputs, batch.targets)
        middle = time.process_time()
        with keeping_memory():
            network = space.build_seeded(space.scoring_class(architecture), 0)
            start = time.process_time()
            score_network(network, batch, SIX)
            end = time.process_time()
        if number:
            public.append(middle - clock)
            own.append(end - start)
            print(f"{space.format(architecture)} public {public[-1]:.2f} s, own {own[-1]:.2f} s", flush=True)
    whole = statistics.mean(public) * N_CELLS
    print(f"{n_cells} random cells: public {statistics.mean(public):.2f} s a cell, own {statistics.mean(own):.2f} s")
    print(
        f"a network: {sum(public) / sum(own):.1f} times cheaper; the space in the public way: {whole:.0f} CPU seconds"
    )
    if (folder / f"{shape}.parquet").is_file():
        table = ScoreTable.read(folder / f"{shape}.parquet")
        rows = table.frame.set_index("architecture").loc[[space.format(space.at(cell)) for cell in chosen]]
        then = float(rows[[f"seconds:{name}" for name in SIX]].to_numpy(float).sum())
        print(f"the run took {table.seconds:.0f} CPU seconds: {whole / table.seconds:.1f} times cheaper")
        print(f"the same cells took {then / sum(own):.2f} times as long in the run, beside what else the machine did")


def write_own(folder: Path) -> None:
    """Write the table of the scores of all shapes that are there."""
    columns = {}
    for shape in (shape for shape in SHAPES if (folder / f"{shape}.parquet").is_file()):
        table = ScoreTable.read(folder / f"{shape}.parquet")
        columns["arch"] = table.frame["architecture"].to_numpy()
        columns |= {f"{name}_{shape}": table.frame[name].to_numpy("float32") for name in SIX}
    table = pd.DataFrame(columns).rename_axis("index").reset_index()
    # Equal scores follow each other often enough that zstd finds them better than a dictionary does.
    table.to_parquet(OWN, index=False, compression="zstd", compression_level=19, use_dictionary=False)
    print(f"{OWN}: {OWN.stat().st_size / 1e6:.2f} MB")


def search_both(seeds: int, budget: int) -> None:
    """Print what strategies reach on the published accuracies, along published and along own scores."""
    own = pd.read_parquet(OWN).set_index("arch")
    for name, (file, shape, final, aim) in TASKS.items():
        if f"{SIX[0]}_{shape}" not in own:
            print(f"{name}: there are no own scores in its shape; run `score --shape {shape}`, then `table`")
            continue
        frame = pd.read_parquet(tables_folder() / file)
        scores = {"published": frame[list(SIX)].to_numpy(float)}
        scores["own"] = own.loc[frame["arch"], [f"{metric}_{shape}" for metric in SIX]].to_numpy(float)
        for whose, values in scores.items():
            results = run_experiment(
                [task_of(frame, values, name, final)], ["robot", "auto"], budget=budget, seeds=seeds, baselines=False
            )
            for strategy, rows in results.at(budget).groupby("strategy"):
                reached = rows["final"].to_numpy(float)
                print(
                    f"{name:<15} {whose:<9} scores, {strategy}: {reached.mean():.2f} ± {reached.std(ddof=1):.2f}, "
                    f"at least {aim} in {int((reached.round(2) >= aim).sum())} of {len(reached)} seeds, "
                    f"mean rank {rows['rank'].mean():.1f} after {budget} queries",
                    flush=True,
                )


def task_of(frame: pd.DataFrame, scores: np.ndarray, name: str, final: str) -> Task:
    """Return a published task with these scores, one column a metric."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.parquet"
        frame.assign(**dict(zip(SIX, scores.T, strict=True))).to_parquet(file)
        table = read_table(file)
    return Task.from_table(table, name=name, objective="val_acc_cifar10_12ep", final=final, metrics=list(SIX))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["score", "public", "table", "search", "part"])
    parser.add_argument("--shape", choices=list(SHAPES), default="cifar10", help="(default cifar10)")
    parser.add_argument("--folder", type=Path, default=Path("whole-space"), help="where scores are kept")
    parser.add_argument("--samples", type=int, default=64, help="samples in the batch (default 64)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--cells", type=int, default=None, help="cells of `public` (default 16), or a shorter `score`")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of `search` (default 10)")
    parser.add_argument("--budget", type=int, default=20, help="queries of `search` (default 20)")
    options = parser.parse_args()
    match options.step:
        case "score":
            cells = options.cells or N_CELLS
            score_whole(options.shape, options.folder, options.samples, options.jobs, cells)
        case "part":
            score_part(options.shape, options.folder, options.samples, options.jobs, options.cells)
        case "public":
            against_public(options.shape, options.folder, options.samples, options.cells or 16)
        case "table":
            write_own(options.folder)
        case "search":
            search_both(options.seeds, options.budget)


if __name__ == "__main__":
    main()
