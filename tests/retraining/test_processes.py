"""Several processes that `torchrun` starts, and processes that are killed: the same end as of one that runs through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from robonas.errors import CheckpointError, ConfigError
from robonas.retraining import load_trained
from robonas.retraining.checkpoint import read_checkpoint
from robonas.training.workers import Workers, working_together
from tests.published import ROOT
from tests.retraining import worker

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def start(command: list[str], *arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.Popen(
        [*command, *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(command: list[str], *arguments: str, code: int | None = 0) -> str:
    child = start(command, *arguments)
    out, err = child.communicate(timeout=300)
    assert code is None or child.returncode == code, err
    return out + err


def test_one_gpu_for_all(monkeypatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ConfigError, match=r"Several processes take a GPU each.* got the device 'cuda:0' for all"),
        working_together(torch.device("cuda:0")),
    ):
        pass


def test_parts_of_a_list() -> None:
    for n in (1, 2, 7, 8):
        parts = [Workers(rank, 3).share(torch.arange(n)) for rank in range(3)]
        assert torch.cat(parts).tolist() == list(range(n))
        assert [torch.arange(n)[Workers(rank, 3).share_range(n)].tolist() for rank in range(3)] == [
            part.tolist() for part in parts
        ]


def test_one_process_needs_no_group(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with working_together(torch.device("cpu")) as (workers, device):
        assert (workers.rank, workers.n, device) == (0, 1, torch.device("cpu"))
        assert not torch.distributed.is_initialized()


def test_more_processes_than_gpus(monkeypatch) -> None:
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ConfigError, match=r"process 3 of this machine found 2. Start torchrun with --nproc-per-node=2"),
        working_together(torch.device("cuda")),
    ):
        pass


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path) -> None:
    """Odd batches in pieces, augmentation, clipping, a parameter without gradient; no batch statistics."""
    finish([*TORCHRUN, "tests/retraining/worker.py"], str(tmp_path / "two"))
    one = worker.run(str(tmp_path / "one"))
    two = load_trained(tmp_path / "two", space=worker.space())
    assert two.settings["processes"] == 2
    mine, theirs = one.load_parameters(), two.load_parameters()
    for name, entry in mine.items():
        assert torch.allclose(entry, theirs[name], atol=1e-5), name
    for row, other in zip(one.log, two.log, strict=True):
        assert row.training_loss == pytest.approx(other.training_loss, abs=1e-5)
        assert (row.value, row.top1, row.top5) == (other.value, other.top1, other.top5)
        assert row.loss == pytest.approx(other.loss, abs=1e-5)
    assert one.test["n"] == two.test["n"] == 51
    assert one.test["top1"] == two.test["top1"]
    with pytest.raises(CheckpointError, match="processes was 2, is now 1"):
        worker.run(str(tmp_path / "two"))


@pytest.mark.slow
def test_two_processes_stopped_and_gone_on_are_two_uninterrupted(tmp_path) -> None:
    """With batch normalisation and dropout, which draw in each process."""
    command = [*TORCHRUN, "tests/retraining/worker.py"]
    finish(command, str(tmp_path / "cut"), "2", "norm", code=None)
    assert len(read_checkpoint(tmp_path / "cut").log) == 2
    finish(command, str(tmp_path / "cut"), "norm")
    finish(command, str(tmp_path / "whole"), "norm")
    whole, cut = (load_trained(tmp_path / name, space=worker.space(norm=True)) for name in ("whole", "cut"))
    for name, entry in whole.load_parameters().items():
        assert torch.equal(entry, cut.load_parameters()[name]), name
    assert [row.top1 for row in whole.log] == [row.top1 for row in cut.log]


@pytest.mark.slow
def test_the_command_line_under_torchrun(tmp_path) -> None:
    given = ["train", "--data", "digits", "--architecture", CELL, "--space-set", "channels=2", "--space-set", "depth=1"]
    given += ["--epochs", "2", "--device", "cpu", "--test-data", "digits", "-o", str(tmp_path / "run"), "--json"]
    printed = finish([*TORCHRUN, "-m", "robonas"], *given)
    value = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])  # once, by process 0 alone
    assert value["settings"]["processes"] == 2
    assert value["test"]["top1"] > 0.3
    assert value["test"]["n"] == 1797


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again(tmp_path) -> None:
    given = ["train", "--data", "digits", "--architecture", CELL, "--space-set", "channels=2", "--space-set", "depth=1"]
    given += ["--epochs", "6", "--crop", "1", "--clip", "5", "--threads", "1", "--device", "cpu", "-o"]
    command = [sys.executable, "-m", "robonas"]
    child = start(command, *given, str(tmp_path / "cut"))
    log = Path(tmp_path / "cut/log.csv")
    while child.poll() is None and not (log.is_file() and len(log.read_text().splitlines()) > 2):
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    n_done = len(read_checkpoint(tmp_path / "cut").log)
    assert 2 <= n_done < 6
    told = finish(command, *given, str(tmp_path / "cut"))
    assert f"epoch {n_done + 1:>4} of 6" in told
    assert f"epoch {n_done:>4} of 6" not in told
    finish(command, *given, str(tmp_path / "whole"))
    whole, cut = (load_trained(tmp_path / name) for name in ("whole", "cut"))
    for name, entry in whole.load_parameters().items():
        assert torch.equal(entry, cut.load_parameters()[name]), name
    assert [row.training_loss for row in whole.log] == [row.training_loss for row in cut.log]
