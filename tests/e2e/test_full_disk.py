"""A disk that is full: one line, nothing lost, and the same command goes on after room is made."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.experiments import toy
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.scores.table import ScoreTable

SMALL = ["--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "1", "--pool", "24", "-m", "params"]
SHORT = ["--epochs", "1", "--batch-size", "16", "--budget", "2", "--strategy", "random"]


@pytest.fixture(scope="module")
def place(images, tmp_path_factory) -> Path:
    """A folder with a finished search, a table and data."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copy(images, folder / "data.npz")
    toy.frame().to_csv(folder / "toy.csv", index=False)
    with np.load(images) as arrays:
        np.save(folder / "one.npy", arrays["x"][:1].transpose(0, 3, 1, 2))
    arguments = ["search", "--data", f"{folder}/data.npz", *SMALL, *SHORT, "-o", f"{folder}/run"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return folder


def commands(place: Path, out: Path) -> dict[str, list[str]]:
    """Every command that writes, from a folder of what it reads to another one."""
    data, run = f"{place}/data.npz", f"{place}/run"
    return {
        "score": ["score", "--data", data, *SMALL, "--batch-size", "16", "-o", f"{out}/s.parquet"],
        "search": ["search", "--data", data, *SMALL, *SHORT, "-o", f"{out}/run"],
        "search with scores": [
            *("search", "--data", data, *SMALL, *SHORT, "--strategy", "average_rank"),
            *("-o", f"{out}/run"),
        ],
        "train": ["train", "--search", run, "--data", data, "--epochs", "2", "-o", f"{out}/train"],
        "report": ["report", run, "-o", f"{out}/page.html"],
        "export json": ["export", run, "-o", f"{out}/x.json"],
        "export csv": ["export", run, "-o", f"{out}/x.csv"],
        "export safetensors": ["export", run, "-o", f"{out}/x.safetensors"],
        "export pt2": ["export", run, "-o", f"{out}/x.pt2"],
        "import": ["tables", "import", f"{place}/toy.csv", "-o", f"{out}/t.parquet"],
        "experiment": [
            *("experiment", "--table", f"{place}/toy.csv", "--objective", "val_acc", "--strategy", "random"),
            *("--budget", "5", "--seeds", "2", "--jobs", "1", "--format", "csv", "-o", f"{out}/exp"),
        ],
        "score csv": ["score", "--data", data, *SMALL, "--batch-size", "16", "-o", f"{out}/s.csv"],
        "search with a log": ["search", "--data", data, *SMALL, *SHORT, "--log", "tensorboard", "-o", f"{out}/run"],
        "export onnx": ["export", run, "-o", f"{out}/x.onnx"],
        "predict": ["predict", run, f"{place}/one.npy", "-o", f"{out}/p.npz"],
        "build": [
            *("tables", "build", "nasbench201", *SMALL[:-4], "--data", data, "--pool", "2", "-m", "params"),
            *("--seeds", "1", "--epochs", "1", "--batch-size", "16", "-o", f"{out}/b.parquet"),
        ],
    }  # fmt: skip


NEEDS = {"export onnx": "onnxscript", "search with a log": "tensorboard"}
"""Packages without which a command cannot be tried."""
NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None, reason=f"needs {NEEDS.get(name)}"
        ),
    )
    for name in commands(Path(), Path())
]


def test_every_command_that_writes_is_tried() -> None:
    import typer

    def writers(group, before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                found |= writers(command, (*before, name))
            elif any(set(option.opts) & {"-o", "--output", "--folder"} for option in command.params):
                found.add((*before, name))
        return found

    tried = {tuple(command[:size]) for command in commands(Path(), Path()).values() for size in (1, 2)}
    assert writers(typer.main.get_command(app)) <= tried


@contextlib.contextmanager
def room_for(n_bytes: int):
    """Within: no file can have more bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def told_in_one_line(result) -> str:
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == errors[0], "nothing comes after it"
    assert re.search(r"Cannot write|cannot be used|No room for|Cannot create", errors[0]), errors
    assert "Traceback" not in result.output
    return errors[0]


@pytest.mark.parametrize("n_bytes", [200])
@pytest.mark.parametrize("name", NAMES)
def test_no_room_is_one_line_and_the_same_command_goes_on(place, tmp_path, name, n_bytes) -> None:
    command = commands(place, tmp_path)[name]
    with room_for(n_bytes):
        stopped = CliRunner().invoke(app, command)
    told_in_one_line(stopped)
    assert not list(tmp_path.rglob("*.tmp")), "no half file is left"
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output


class _Full:
    """A disk that is full from the n-th call on of a function of the system."""

    def __init__(self, real, n: int) -> None:
        self.real, self.left = real, n

    def __call__(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.real(*arguments)


@pytest.mark.parametrize("n", [0])
@pytest.mark.parametrize("name", NAMES)
def test_no_room_at_the_last_moment(place, tmp_path, monkeypatch, name, n) -> None:
    command = commands(place, tmp_path)[name]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _Full(os.fsync, n))
        stopped = CliRunner().invoke(app, command)
    if stopped.exit_code:
        assert re.search("No space left on device|disk is full", told_in_one_line(stopped))
    assert CliRunner().invoke(app, command).exit_code == 0


def test_scores_that_were_written_before_are_kept(place, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("robonas.scores.scoring.CHUNK", 1)
    command = commands(place, tmp_path)["score"]
    with room_for(2500):
        told_in_one_line(CliRunner().invoke(app, command))
    kept = (tmp_path / "s.parquet.partial").read_bytes()
    n_kept = kept.count(b"\n") - 1
    assert n_kept > 3
    again = CliRunner().invoke(app, command)
    assert f"scoring {24 - n_kept} of 24 networks" in again.stderr or n_kept == 24
    whole = CliRunner().invoke(app, [*command[:-1], f"{tmp_path}/whole.parquet"])
    assert whole.exit_code == 0
    one, other = (ScoreTable.read(tmp_path / name) for name in ("s.parquet", "whole.parquet"))
    assert one.fingerprint() == other.fingerprint()


@pytest.fixture
def disk(tmp_path):
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or os.geteuid() or mount is None:
        pytest.skip("needs the right to mount a file system")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=200k", "none", folder], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this place does not let a file system be mounted")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("left_kb", [4])
@pytest.mark.parametrize("name", NAMES)
def test_a_real_disk_without_room(place, disk, name, left_kb) -> None:
    command = commands(place, disk)[name]
    with (disk / "ballast").open("wb") as ballast:
        ballast.write(bytes((200 - left_kb) * 1024))
    stopped = CliRunner().invoke(app, command)
    if stopped.exit_code:
        told_in_one_line(stopped)
    (disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
