"""The published protocol of the DARTS space: its files say what the source says, and both stages run from them."""

from __future__ import annotations

import json
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tests.published import ROOT
from typer.testing import CliRunner

import robonas.datasets
import robonas.retraining
import robonas.study.loop
from robonas.cli.app import app
from robonas.common.defaults import PAPER_METRICS
from robonas.datasets import from_arrays
from robonas.training.recipe import Recipe, drop_path_rate, learning_rate

RUNNER = CliRunner()
EXAMPLES = ROOT / "examples"
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
FILES = {"darts-cifar10": (32, 10), "darts-cifar100": (32, 100), "darts-imagenet": (256, 1000)}


class Seen(BaseException):
    """A command has come as far as its work; no command takes it for a fault."""


def plan(monkeypatch, file: str, command: str) -> SimpleNamespace:
    """What a command would do with an example, up to reading data and working."""
    side, n_classes = FILES[file]
    asked: list = []

    def load(name, **settings):
        asked.append((name, {key: value for key, value in settings.items() if value is not None}))
        labels = torch.arange(2 * n_classes) % n_classes
        return from_arrays(torch.zeros(1, dtype=torch.uint8).expand(len(labels), 3, side, side), labels)

    def work(*arguments, **settings):
        raise Seen(arguments, settings)

    monkeypatch.setattr(robonas.datasets, "load_dataset", load)
    monkeypatch.setattr(robonas.study.loop, "search", work)
    monkeypatch.setattr(robonas.retraining, "train", work)
    given = ["--device", "cpu", *(["--architecture", DARTS_V2] if command == "train" else [])]
    with pytest.raises(Seen) as seen:
        RUNNER.invoke(app, [command, str(EXAMPLES / f"{file}.toml"), *given])
    arguments, settings = seen.value.args
    return SimpleNamespace(arguments=arguments, settings=settings, data=asked)


@pytest.mark.parametrize("file", FILES)
def test_the_search_is_that_of_the_source(monkeypatch, file) -> None:
    found = plan(monkeypatch, file, "search")
    space, objective = found.arguments
    recipe, imagenet = objective.recipe, file == "darts-imagenet"
    assert (space.name, space.layers, space.channels) == ("darts", 5, 16)
    assert space.stem == ("imagenet" if imagenet else "cifar")
    assert space.input_shape == ((3, 224, 224) if imagenet else (3, 32, 32))
    assert found.settings["pool"] == 60_000
    assert found.settings["budget"] == (10 if imagenet else 25)
    assert found.settings["metrics"] == list(PAPER_METRICS)
    assert (found.settings["batch_size"], found.settings["seed"], found.settings["strategy"].name) == (64, 0, "robot")
    if imagenet:
        assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (3, 800, 1.0)
        assert (recipe.drop_path, recipe.label_smoothing) == (0, 0.1)
        assert (objective.training_fraction, objective.validation_fraction) == (0.25, 0.25)
        assert recipe.resized_crop == 0.08
        assert recipe.flip
    else:
        assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (10, 576, 0.1)
        assert (recipe.drop_path, recipe.label_smoothing) == (0.2, 0)
        assert (objective.training_fraction, objective.validation_fraction) == (None, 0.5)
        assert not recipe.augments
    assert (recipe.final_learning_rate, recipe.schedule, recipe.momentum, recipe.nesterov) == (
        5e-3,
        "cosine",
        0.9,
        False,
    )
    assert (recipe.weight_decay, recipe.clip, recipe.auxiliary_weight) == (3e-4, 5, 0)
    assert space.failure(space.parse(DARTS_V2)) is None


@pytest.mark.parametrize("file", FILES)
def test_the_full_training_is_the_published_recipe(monkeypatch, file) -> None:
    found = plan(monkeypatch, file, "train")
    space, given = found.settings["space"], found.settings
    recipe = Recipe(**{name: given[name] for name in Recipe.__dataclass_fields__})
    assert found.arguments[0] == DARTS_V2
    assert given["validation_fraction"] == 0
    assert (recipe.momentum, recipe.nesterov, recipe.clip, recipe.decay_all) == (0.9, False, 5, True)
    rates = [learning_rate(recipe, epoch, 1) for epoch in range(recipe.epochs)]
    bare = robonas.make_space("darts", **{**space.settings, "auxiliary": False})
    size = bare.count_parameters(bare.parse(DARTS_V2)) / 1e6
    assert space.auxiliary
    assert space.drop_path == 0
    if file == "darts-imagenet":
        assert (recipe.epochs, recipe.batch_size, recipe.weight_decay, recipe.label_smoothing) == (250, 1024, 3e-5, 0.1)
        assert (space.layers, space.channels, recipe.auxiliary_weight, recipe.drop_path) == (14, 48, 0.4, 0)
        assert rates[:6] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
        assert rates[-1] == pytest.approx(0.5 / 245)
        assert size == pytest.approx(4.7, abs=0.1)
        assert found.data[1][0] == "folder:imagenet/val"
        return
    hundred = file == "darts-cifar100"
    assert (recipe.epochs, recipe.batch_size, recipe.cutout, recipe.crop, recipe.flip) == (600, 96, 16, 4, True)
    assert (space.layers, space.channels) == (20, 36)
    assert recipe.auxiliary_weight == (0.6 if hundred else 0.4)
    assert drop_path_rate(recipe, 600) == pytest.approx((0.3 if hundred else 0.2) * 599 / 600)
    assert rates[0] == (0.035 if hundred else 0.025)
    assert rates[-1] == pytest.approx(1e-4 if hundred else 0, abs=1e-6)
    assert size == pytest.approx(3.35 if not hundred else 3.40, abs=0.02)
    assert found.data[1] == (found.data[0][0], {"root": found.data[0][1]["root"], "part": "test"})


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_that_nobody_ran_it(file) -> None:
    text = (EXAMPLES / f"{file}.toml").read_text()
    assert "NEVER RUN HERE" in text
    assert {"search", "train"} <= tomllib.loads(text).keys()


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_both_stages_run_from_the_file(file, tmp_path, monkeypatch) -> None:
    """On digits as coloured pictures, with everything small."""
    monkeypatch.chdir(tmp_path)
    digits, side = load_digits(), 40 if file == "darts-imagenet" else 16
    for part, rows in (("train", range(240)), ("val", range(240, 300))):
        for row in rows:
            folder = tmp_path / part / str(digits.target[row])
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (digits.images[row] * 15).astype(np.uint8)
            Image.fromarray(pixels).convert("RGB").resize((side, side)).save(folder / f"{row}.png")
    size = "input_shape=[3,32,32]" if file == "darts-imagenet" else "drop_path=0"
    small = ["--data", "folder:train", "--image-size", str(side), "--device", "cpu", "--threads", "1"]
    small += ["--train-batch-size", "24", "--json", "--workers", "0", "--space-set", "layers=3", "--space-set", size]
    if file == "darts-imagenet":
        small += ["--space-set", "stem=imagenet"]
    config = [str(EXAMPLES / f"{file}.toml")]
    searched = RUNNER.invoke(
        app,
        [
            *("search", *config, *small, "--space-set", "channels=2", "--pool", "8", "--budget", "2", "--epochs", "2"),
            *("--batch-size", "16", "--jobs", "1", "--no-report"),
        ],
    )
    assert searched.exit_code == 0, searched.output
    best = json.loads(searched.stdout)["best"]
    trained = RUNNER.invoke(
        app,
        [
            *("train", *config, *small, "--space-set", "channels=4", "--space-set", "auxiliary=true"),
            *("--epochs", "7", "--test-data", "folder:val", "--learning-rate", "0.05"),
        ],
    )
    assert trained.exit_code == 0, trained.output
    value = json.loads(trained.stdout)
    assert value["test"]["n"] == 60
    assert value["validation"] is None
    assert value["epoch"] == 7
    assert value["log"][-1]["training_loss"] < value["log"][0]["training_loss"]
    assert best["choices"].keys() == value["choices"].keys()
    assert (tmp_path / f"{file}-train" / "network.safetensors").is_file()
