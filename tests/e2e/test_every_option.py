"""Every option of every command, given a value that it cannot have: one sentence that names it, before any work."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from tests.experiments import toy
from typer.testing import CliRunner

from robonas.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

HUGE = str(10**26)
COUNTS = ["", "abc", "1.5", "-3", "0", "nan"]
COUNTS_FROM_0 = ["", "abc", "1.5", "-3", "nan"]
NUMBERS = ["", "abc", "-1", "nan", "inf", "1,5"]
OUTPUT_FILES = ["", ".", "folder", "file/x", "/proc/nothing/x", "/dev/full", "/dev/null"]
OUTPUT_FOLDERS = ["", "file", "file/x", "/proc/nothing/x", "/dev/full"]
NAMES = ["", " ", ".", "..", "../../x", "a/b", "/etc/x", "a\\b", "a\nb", "x" * 101, "-x"]
UNKNOWN = ["", "no such thing", "../x", "a:b:c", "nowhere.py:x"]
SETTINGS = ["", "x", "=3", "no_such=3"]
BOUNDS = ["", "x", "params", "=3", "params=", "params=abc", "params=nan", "no_such=3", "latency=3", "params=1,params=2"]

WRONG: dict[str, list[str]] = {
    "--accumulate": COUNTS,
    "--against": ["", ",", "nonsense", "a:b:c", "params,macs,memory", "params,params", "validation accuracy"],
    "--architecture": ["", "x", "|nor_conv~0|"],
    "--architectures": ["", "nowhere.txt", "folder", "file/x", "binary", "empty"],
    "--at": ["", "x", "=3", "params=", "params=abc", "params=nan", "params=3"],
    "--at-least": BOUNDS,
    "--at-most": BOUNDS,
    "--auxiliary-weight": NUMBERS,
    "--batch-size": [*COUNTS, "1"],
    "--beta2": [*NUMBERS, "1"],
    "--budget": COUNTS,
    "--clip": [*NUMBERS, "0"],
    "--colour-jitter": [*NUMBERS, "1.5"],
    "--command": ["", "'"],
    "--compare": UNKNOWN,
    "--confirm": [*COUNTS_FROM_0, "1000"],
    "--cost": ["", "no such column"],
    "--crop": COUNTS_FROM_0,
    "--cutmix": NUMBERS,
    "--cutout": COUNTS_FROM_0,
    "--data": [*UNKNOWN, "npz:", "npz:nowhere.npz", "folder:nowhere", "digits:3", "binary", "sklearn:x"],
    "--data-root": ["nowhere"],
    "--data-set": SETTINGS,
    "--device": ["", "tpu", "cuda:99", "cpu:x"],
    "--score-device": ["", "tpu", "cuda:99", "cpu:x"],
    "--devices": ["", ",", "tpu", "cuda:99", "cuda:x"],
    "--drop-path": [*NUMBERS, "1"],
    "--ema": [*NUMBERS, "1"],
    "--epochs": COUNTS,
    "--executor": ["", "slurm", "dask", "dask:"],
    "--final": ["", "no such column", "synflow"],
    "--final-learning-rate": [*NUMBERS, "7"],
    "--folder": OUTPUT_FOLDERS,
    "--format": UNKNOWN,
    "--function": [*UNKNOWN, "math:pi"],
    "--grow": COUNTS_FROM_0,
    "--image-mode": ["", "x", "RGB"],
    "--image-size": COUNTS,
    "--jobs": ["", "abc", "1.5", "nan", HUGE, f"-{HUGE}"],
    "--label-smoothing": [*NUMBERS, "1"],
    "--learning-rate": [*NUMBERS, "0"],
    "--log": ["", ",", "tensorbord"],
    "--max-latency-ms": [*NUMBERS, "0"],
    "--max-macs": [*NUMBERS, "0"],
    "--max-memory": [*NUMBERS, "0"],
    "--max-params": COUNTS,
    "--measure": ["", "x", "r2"],
    "--metrics": ["", "no such column", "synflow,synflow", "val_acc"],
    "--mixed-precision": ["", "x", "yes"],
    "--mixup": NUMBERS,
    "--momentum": [*NUMBERS, "1"],
    "--name": NAMES,
    "--objective": ["", "no such column", "test_acc"],
    "--optimizer": UNKNOWN,
    "--output": OUTPUT_FILES,
    "--parallel": [*COUNTS, "1000"],
    "--pool": COUNTS,
    "--prune": UNKNOWN,
    "--randaugment": COUNTS_FROM_0,
    "--randaugment-magnitude": [*COUNTS_FROM_0, "31"],
    "--repeats": COUNTS,
    "--resized-crop": [*NUMBERS, "1.5"],
    "--sample": COUNTS,
    "--schedule": UNKNOWN,
    "--schedule-every": UNKNOWN,
    "--search": ["nowhere", "file", "file/x"],
    "--seed": ["", "abc", "1.5", "-1", "nan", HUGE, str(2**63)],
    "--seeds": [*COUNTS, HUGE],
    "--share": ["", "both", "Class"],
    "--space": UNKNOWN,
    "--space-set": [*SETTINGS, "channels=x", "channels=0", "channels=true", "channels=", "input_shape=3"],
    "--storage": ["", "folder", "/dev/full", "nonsense://x", "file/x.log"],
    "--strategy": UNKNOWN,
    "--strategy-set": SETTINGS,
    "--table": ["nowhere.csv", "folder", "file/x", "binary", "empty"],
    "--table-format": UNKNOWN,
    "--takes": ["", "weights"],
    "--task": ["", "no such task"],
    "--test-data": [*UNKNOWN, "npz:nowhere.npz"],
    "--test-fraction": [*NUMBERS, "1"],
    "--threads": [*COUNTS_FROM_0, HUGE],
    "--timeout": [*NUMBERS, "0"],
    "--top-k": COUNTS,
    "--train-batch-size": [*COUNTS, "1"],
    "--trial-timeout": [*NUMBERS, "0"],
    "--training-fraction": [*NUMBERS, "0", "0.9"],
    "--validation-fraction": [*NUMBERS, "1"],
    "--value-name": [""],
    "--warmup-epochs": [*COUNTS_FROM_0, "1"],
    "--weight-decay": NUMBERS,
    "--workers": [*COUNTS_FROM_0, HUGE],
    "config": ["nowhere.toml", "folder", "file/x", "/dev/full", "binary", "unknown.toml"],
    "file": ["nowhere.csv", "folder", "file/x", "binary", "empty"],
    "folder": ["nowhere", "file", "file/x", "folder"],
    "images": ["nowhere.png", "folder", "file/x", "binary", "wrong.npy", "nowhere.npy"],
    "name": UNKNOWN,
    "space": UNKNOWN,
    "suite": ["nowhere.toml", "folder", "file/x", "/dev/full", "binary", "unknown.toml"],
    "what": ["", "metric", "no such thing"],
}  # fmt: skip
"""Values that each option or argument refuses, in whatever command it is."""
ALSO: dict[tuple[str, str], list[str]] = {
    ("experiment", "--against"): ["val_acc", "no such column"],
    ("search", "--folder"): ["folder?", "a#b"],
    ("search", "--budget"): ["1000"],
    ("search", "--batch-size"): [HUGE],
    ("score", "--batch-size"): [HUGE],
    ("experiment", "--budget"): ["1000", HUGE],
    ("export", "--output"): ["x", "x.docx"],
    ("predict", "--output"): ["x", "x.csv"],
}
CALLED = {
    "--against": "against|column|cost|metric|module|settings",
    "--architectures": "architectures|architecture a line",
    "--at": "--at|no front",
    "--at-least": "at_least|metric",
    "--at-most": "at_most|metric",
    "--batch-size": "batch",
    "--compare": "strategy|study|name|no file|module",
    "--cost": "[Cc]olumn",
    "--data": "[Dd]ata|npz|folder|file|There is no|module|scikit-learn",
    "--data-root": "nowhere|torchvision",
    "--data-set": "setting|no_such|KEY=VALUE",
    "--device": "[Dd]evice",
    "--score-device": "[Dd]evice",
    "--devices": "[Dd]evice",
    "--final": "[Cc]olumn",
    "--function": "function|module",
    "--folder": "Cannot write|folder",
    "--image-mode": "mode",
    "--image-size": "size",
    "--measure": "measure",
    "--metrics": "column|metric|module",
    "--objective": "column|Objective",
    "--output": "Cannot write|must end",
    "--prune": "prun",
    "--sample": "`n`",
    "--space": "space|module",
    "--space-set": "setting|channels|input_shape|no_such|KEY=VALUE",
    "--storage": "[Ss]tudy|[Ss]torage",
    "--strategy": "strategy|module",
    "--strategy-set": "setting|no_such|KEY=VALUE",
    "--table": "file|looks like",
    "--table-format": "format",
    "--test-data": "[Dd]ata|npz|file|There is no|module",
    "--workers": "workers",
    "config": "file",
    "file": "file|looks like",
    "folder": "search",
    "images": "image|array|shape|There is no file",
    "name": "Known|module|no file",
    "space": "space|module",
    "suite": "[Ss]uite",
    "what": "Known",
}
"""What a message calls an option, where it is not its own name."""

SMALL = ["--data", "data.npz", "--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "1", "--pool", "4"]
FULL: dict[str, list[str]] = {
    "search": [*SMALL, "-m", "params", "--budget", "2", "--epochs", "1", "--batch-size", "8", "-o", "new"],
    "score": [*SMALL, "-m", "params", "--batch-size", "8", "-o", "new.parquet"],
    "train": ["--search", "run", "--data", "data.npz", "--epochs", "1", "-o", "new"],
    "predict": ["run", "some.npy"],
    "show": ["run"],
    "report": ["run"],
    "export": ["run", "-o", "new.json"],
    "list": ["metrics"],
    "space profile": ["nasbench201", "--sample", "1", "--jobs", "1"],
    "tables import": ["toy.csv", "-o", "new.parquet"],
    "tables build": [
        *("nasbench201", *SMALL, "-m", "params", "--epochs", "1", "--batch-size", "8", "--seeds", "1"),
        *("--folder", "new", "-o", "new.parquet"),
    ],
    "tables info": ["toy.csv"],
    "tables formats": [],
    "experiment": [
        *("--table", "toy.csv", "--objective", "val_acc", "--strategy", "random", "--budget", "3", "--seeds", "1"),
        *("--jobs", "1", "-o", "new"),
    ],
}
"""A whole command line of every command, in which one value is replaced."""


def leaves(command: Any, path: tuple[str, ...] = ()):
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


def parameters():
    """Every option and argument that takes a value, with the command that has it."""
    for path, command in leaves(typer.main.get_command(app)):
        for parameter in command.params:
            if parameter.name != "help" and not getattr(parameter, "is_flag", False):
                yield path, next((flag for flag in parameter.opts if flag.startswith("--")), parameter.name)


EVERY = list(parameters())
LATER = {place for place, (_, name) in enumerate(EVERY) if name in {other for _, other in EVERY[:place]}}
"""Options that an earlier command has too, read by the same code: tried there, and here among slow tests."""


@pytest.fixture(scope="module")
def place(images, tmp_path_factory) -> Path:
    """A folder with a finished search, a table, data, and things that are in the way."""
    folder = tmp_path_factory.mktemp("options")
    shutil.copy(images, folder / "data.npz")
    toy.frame().to_csv(folder / "toy.csv", index=False)
    (folder / "file").write_text("in the way")
    (folder / "binary").write_bytes(bytes(range(256)) * 4)
    (folder / "empty").write_text("")
    (folder / "unknown.toml").write_text("no_such = 3\n")
    (folder / "folder").mkdir()
    np.save(folder / "some.npy", np.zeros((1, 8, 8), np.uint8))
    np.save(folder / "wrong.npy", np.zeros((1, 9, 9), np.uint8))
    arguments = ["search", *FULL["search"][:-2], "--data", f"{folder}/data.npz", "-o", f"{folder}/run"]
    done = CliRunner().invoke(app, [*arguments, "--strategy", "random"])
    assert done.exit_code == 0, done.output
    return folder


def line_with(path: str, parameter: str, value: str) -> list[str]:
    """The command line with one value in place of the right one."""
    line = list(FULL[path])
    if not parameter.startswith("--"):
        if parameter == "name" and path == "list":
            return [*path.split(), *line, value]
        if parameter in {"config", "suite"}:
            return [*path.split(), value, *(line[:-2] if parameter == "config" else line[-4:])]
        at = 1 if parameter == "images" else 0
        return [*path.split(), *line[:at], value, *line[at + 1 :]]
    short = {"--folder": None if path == "tables build" else "-o", "--output": "-o", "--metrics": "-m"}.get(parameter)
    for flag in {parameter, short} - {"--space-set", None}:
        if flag in line:
            at = line.index(flag)
            line = [*line[:at], *line[at + 2 :]]
    reader = {"--data-root": ["--data", "torchvision:CIFAR10"], "--image-size": ["--data", "digits_segment"]}
    return [*path.split(), *line, *reader.get(parameter, []), f"{parameter}={value}"]


def test_the_table_has_every_option() -> None:
    assert {parameter for _, parameter in EVERY} <= set(WRONG)
    assert {path for path, _ in leaves(typer.main.get_command(app))} == set(FULL)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (place in LATER)) for place, each in enumerate(EVERY)],
    ids=str,
)
def test_a_wrong_value_is_one_sentence_before_any_work(place, monkeypatch, path, parameter) -> None:
    monkeypatch.chdir(place)

    def no_work(*_: object, **__: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr("robonas.scores.scoring.Scorer._run", no_work)
    monkeypatch.setattr("robonas.study.running.Runner.run", no_work)
    monkeypatch.setattr("robonas.retraining.run._Run.epochs", no_work)
    monkeypatch.setattr("robonas.experiments.runs.spread", no_work)
    before = sorted(path.name for path in place.iterdir() if not path.name.startswith("new"))
    called = re.compile(CALLED.get(parameter, parameter.strip("-").replace("-", ".")) + f"|{parameter}")
    faults = []
    for value in [*WRONG[parameter], *ALSO.get((path, parameter), [])]:
        result = CliRunner().invoke(app, line_with(path, parameter, value))
        told = result.stderr.strip()
        if result.exit_code != 2 or not told.startswith("Error: ") or len(told.splitlines()) > 1:
            faults.append((value[:30], result.exit_code, repr(result.exception), told))
        elif not called.search(told) or not told.endswith("."):
            faults.append((value[:30], "says not what is wrong", told))
    assert not faults, "\n".join(map(str, faults))
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith("new")) == before
