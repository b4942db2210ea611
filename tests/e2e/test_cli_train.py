"""`robonas train`, and settings files for more than one command, end to end on small real trainings."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import robonas
from robonas.cli.app import app
from robonas.study.events import QueryFinished

RUNNER = CliRunner()
SMALL = ["--space-set", "channels=2", "--space-set", "depth=1"]
CPU = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def found(images, tmp_path_factory) -> str:
    """The folder of a finished search."""
    folder = str(tmp_path_factory.mktemp("run") / "search")
    call(
        *("search", "--data", images, *SMALL, "--jobs", "1", "--pool", "4", "--strategy", "random", "--budget", "2"),
        *("--epochs", "1", *CPU, "-o", folder, "--no-report"),
    )
    return folder


def call(*arguments: str, code: int = 0):
    result = RUNNER.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if code == 2:
        assert "Traceback" not in result.output
    return result


def test_the_winner_of_a_search_is_trained_in_its_own_space(found, images, tmp_path) -> None:
    folder = str(tmp_path / "train")
    given = ["train", "--search", found, "--data", images, "--test-data", images, "--epochs", "2", *CPU, "-o", folder]
    told = call(*given)
    assert "epoch    2 of 2" in told.stderr
    assert "trained" in told.stdout
    assert "test" in told.stdout
    again = json.loads(call(*given, "--json").stdout)
    assert json.loads(call("show", folder, "--json").stdout) == again
    assert "kept epoch" in " ".join(call("show", folder).stdout.split())
    winner = json.loads(call("show", found, "--json").stdout)
    space = again["settings"]["space"]
    assert space == winner["settings"]["space"]
    assert again["test"]["n"] == 200
    assert again["settings"]["recipe"]["epochs"] == 2
    larger = ["--space-set", "channels=4", "-o", f"{folder}-larger", "--json"]
    value = json.loads(call(*given, *larger).stdout)
    assert value["settings"]["space"]["settings"] == {**space["settings"], "channels": 4}
    assert value["parameters"] > again["parameters"]


def test_the_commands_that_follow_run_for_a_space_of_ones_own(images, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import math\nfrom torch import nn\nfrom robonas.spaces import from_choices\n\n\n"
        "def make(input_shape, n_classes, widest=4):\n"
        "    def build(width):\n"
        "        first = nn.Linear(math.prod(input_shape), width)\n"
        "        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(width, n_classes))\n\n"
        "    return from_choices({'width': list(range(2, widest + 1))}, build, input_shape=input_shape,"
        " n_classes=n_classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = ["--data", images, "--space", "./mine.py:make", "--space-set", "widest=9", "-m", "snip", "--jobs", "1"]
    told = call("search", *given, "--budget", "1", "--epochs", "1", "--batch-size", "16", "-o", "run").stderr
    train, predict, export = (
        shlex.split(line.removeprefix("Next:").partition("#")[0])[1:]
        for line in told[told.index("Next:") :].splitlines()[:3]
    )
    np.save(tmp_path / "INPUTS.npy", np.zeros((2, 1, 8, 8), np.uint8))
    Image.new("L", (9, 9)).save(tmp_path / "IMAGE.png")
    for which in (train, predict, export):
        done = call(*which)
        if which is train:
            assert "training         10 epochs" in done.stdout
            again = shlex.split(done.stderr[done.stderr.index("Next:") :].splitlines()[0].partition("#")[0])
            assert again[2:] == predict
    assert (tmp_path / "network.pt2").exists()
    value = json.loads(call("show", "run-train", "--space", "./mine.py:make", "--json").stdout)
    assert value["settings"]["space"]["arguments"] == {"widest": 9}
    assert value["settings"]["recipe"]["epochs"] == 10


def test_export_of_a_trained_network(found, images, tmp_path) -> None:
    folder = str(tmp_path / "train")
    call("train", "--search", found, "--data", images, "--epochs", "2", *CPU, "-o", folder)
    for suffix in ("json", "csv", "safetensors", "pt2"):
        call("export", folder, "-o", str(tmp_path / f"out.{suffix}"))
    assert json.loads((tmp_path / "out.json").read_text())["epoch"] in {1, 2}
    assert (tmp_path / "out.csv").read_text().startswith("epoch,epochs,learning_rate,training_loss,value,")
    assert "classifier.weight" in load_file(tmp_path / "out.safetensors")
    pixels = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    assert torch.export.load(tmp_path / "out.pt2").module()(pixels).shape == (5, 10)
    how = robonas.load_trained(folder).preprocessing
    for suffix in ("json", "safetensors", "pt2"):
        assert robonas.Preprocessing.read(tmp_path / f"out.{suffix}") == how
    (Path(folder) / "training.json").unlink()
    (Path(folder) / "checkpoint.pt").write_bytes(b"nothing")
    assert "is damaged" in call("export", folder, "-o", str(tmp_path / "x.json"), code=2).stderr


def test_one_file_for_both_commands(images, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("both.toml").write_text(
        f'data = "{images}"\nspace = "nasbench201"\nseed = 4\ndevice = "cpu"\nthreads = 1\njson = true\n'
        '[search]\nfolder = "s"\nstrategy = "random"\npool = 4\nbudget = 2\nepochs = 1\njobs = 1\nreport = false\n'
        "[search.space-set]\nchannels = 2\ndepth = 1\n"
        '[train]\nsearch = "s"\nfolder = "t"\nepochs = 2\nvalidation-fraction = 0.2\nclip = 5.0\ncrop = 1\n'
        'mixed-precision = "bf16"\nnesterov = false\n'
        "[train.space-set]\nchannels = 4\ndepth = 1\n"
    )
    searched = json.loads(call("search", "both.toml").stdout)
    trained = json.loads(call("train", "both.toml", "--epochs", "1").stdout)
    assert searched["settings"]["space"]["settings"]["channels"] == 2
    assert searched["settings"]["objective"]["settings"]["epochs"] == 1
    settings = trained["settings"]
    assert settings["space"]["settings"]["channels"] == 4
    assert (settings["recipe"]["epochs"], settings["recipe"]["clip"], settings["seed"]) == (1, 5.0, 4)
    assert (settings["recipe"]["nesterov"], settings["precision"]) == (False, "bfloat16")
    call("score", "both.toml", "--pool", "2", "-m", "params", *SMALL)  # it has what it shares


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[train]\nepocs = 3\n", "has an unknown setting 'epocs' in [train]. Did you mean 'epochs'?"),
        ("[search]\ntest-data = 3\n", "has an unknown setting 'test-data' in [search]"),
        ("[trian]\nepochs = 3\n", "has an unknown setting 'trian'"),
        ("[train]\nepochs = 'many'\n", "epochs"),
    ],
)
def test_a_slip_in_a_table_is_told_by_every_command(tmp_path, content, message) -> None:
    (tmp_path / "run.toml").write_text(content)
    command = "train" if "many" in content else "search"
    told = call(command, str(tmp_path / "run.toml"), code=2)
    assert message in " ".join(told.stderr.split())


def test_what_cannot_be_trained_is_one_clear_line(found, images, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    cell = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    for arguments, message in (
        (["--search", "/nowhere"], "There is no search in '/nowhere'"),
        (["--search", found, "--name", "other"], "There is no study 'other'"),
        (["--architecture", "nonsense"], "nasbench201"),
        (["--architecture", cell, "--space-set", "input_shape=[1,9,9]"], "must be made for the data"),
        (["--architecture", cell, "--resized-crop", "0.5", "--space-set", "input_shape=[1,9,9]"], "or a smaller"),
        (["--search", found, "--space", "darts"], "must be that of the search, 'nasbench201'"),
        (["--architecture", cell, "--drop-path", "0.2", *SMALL], "`drop_path` needs a network"),
        (
            ["--architecture", cell, *SMALL, "--test-data", "sklearn:wine"],
            "must have inputs of shape (1, 8, 8); got (13,)",
        ),
        (["--architecture", cell, "--clip", "-1"], "`clip` must be positive"),
        (["--architecture", cell, "--mixed-precision", "half"], "`mixed_precision` must be"),
    ):
        told = call("train", "--data", images, "--epochs", "1", *CPU, *arguments, code=2).stderr
        assert message in told
        assert len(told.strip().splitlines()) == 1


def test_a_folder_of_another_training(images, tmp_path) -> None:
    cell = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    given = ["train", "--data", images, "--architecture", cell, *SMALL, *CPU, "-o", str(tmp_path), "--epochs"]
    call(*given, "1")
    assert "recipe.epochs was 1, is now 2" in call(*given, "2", code=2).stderr


def test_the_best_so_far_of_a_search_that_was_stopped(images, tmp_path) -> None:
    data = robonas.load_dataset(images)
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=10, channels=2, depth=1)
    objective = robonas.TrainingObjective(data, epochs=1, device="cpu", threads=1)

    def stop(event) -> None:
        if isinstance(event, QueryFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        robonas.search(space, objective, strategy="random", pool=3, budget=3, folder=tmp_path / "s", callbacks=[stop])
    given = [
        "train",
        "--search",
        str(tmp_path / "s"),
        "--data",
        images,
        "--epochs",
        "1",
        *CPU,
        "-o",
        str(tmp_path / "t"),
    ]
    assert "is not finished: what is trained is its best so far" in call(*given).stderr


def test_a_search_without_a_winner(images, tmp_path) -> None:
    folder = str(tmp_path / "search")
    call(
        *("search", "--data", images, *SMALL, "--jobs", "1", "--pool", "3", "--strategy", "random", "--budget", "1"),
        *("--epochs", "1", "--learning-rate", "1e30", *CPU, "-o", folder, "--no-report"),
        code=2,
    )
    told = call("train", "--search", folder, "--data", images, *CPU, "-o", str(tmp_path / "train"), code=2).stderr
    assert "has no completed evaluation" in told
    assert not (tmp_path / "train").exists()
