"""`robonas search` on every space and, where a space has tasks, on every task, with small real data of its kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.spaces import SPACES
from robonas.spaces.transnas import TASKS

TASK_DATA = {
    "autoencoder": "digits_autoencoder",
    "class_object": "digits",
    "class_scene": "digits",
    "jigsaw": "digits_jigsaw",
    "normal": "digits_normal",
    "room_layout": "digits_moments",
    "segmentsemantic": "digits_segment",
}
VALUES = {
    "autoencoder": "validation SSIM",
    "normal": "validation SSIM",
    "room_layout": "validation R²",
    "segmentsemantic": "validation mean IoU",
}
SMALL = {
    "autoformer": [],
    "darts": ["channels=4", "layers=3"],
    "mobilenetv3": ["width=0.5"],
    "nasbench101": ["channels=8", "depth=1"],
    "nasbench201": ["channels=4", "depth=1"],
}
DATA = {"conv1d": "digits_signal", "mlp": "sklearn:diabetes"}
TINY = [
    *("--budget", "2", "--pool", "4", "--epochs", "1", "--jobs", "1", "--batch-size", "8", "-m", "snip,l2_norm"),
    *("--strategy", "robot", "--learning-rate", "0.01", "--no-report", "--json"),
]


def search(tmp_path, space, data, *arguments, settings=()):
    """The result of a tiny search."""
    sets = [part for setting in settings for part in ("--space-set", setting)]
    # Enough to tell that it trains; a small table is taken whole.
    few = [] if data.startswith("sklearn") else ["--training-fraction", "0.05", "--validation-fraction", "0.05"]
    given = ["search", "--space", space, "--data", data, *TINY, *few, *sets, *arguments, "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [query["state"] for query in found["queries"]] == ["complete", "complete"]
    assert (tmp_path / "run" / "search.safetensors").is_file()
    return found


def on_task(tmp_path, space, task):
    size = (
        ["--image-size", "64"]
        if space == "transnas_macro" and task in {"segmentsemantic", "normal", "autoencoder"}
        else []
    )
    found = search(tmp_path, space, TASK_DATA[task], *size, settings=["channels=2", f"task={task}"])
    assert found["value_name"] == VALUES.get(task, "validation accuracy")
    assert found["settings"]["space"]["settings"]["task"] == task


@pytest.mark.parametrize("name", ["conv1d", "mlp"])
def test_small_spaces(tmp_path, name):
    search(tmp_path, name, DATA[name])


@pytest.mark.parametrize("task", ["jigsaw", "room_layout"])
def test_two_tasks(tmp_path, task):
    on_task(tmp_path, "transnas_micro", task)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SPACES) - {"transnas_macro", "transnas_micro"}))
def test_every_space(tmp_path, name):
    search(tmp_path, name, DATA.get(name, "digits"), settings=SMALL.get(name, ()))


@pytest.mark.slow
@pytest.mark.parametrize("space", ["transnas_macro", "transnas_micro"])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task(tmp_path, space, task):
    on_task(tmp_path, space, task)


@pytest.mark.parametrize(
    ("data", "task"), [("digits_segment", "segmentsemantic"), ("digits_jigsaw", "jigsaw"), ("digits", "class_scene")]
)
def test_the_task_follows_the_data(tmp_path, data, task):
    from robonas.cli.reading import read_space
    from robonas.datasets import load_dataset

    assert read_space("transnas_micro", ["channels=2"], load_dataset(data)).settings["task"] == task


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "mlp", "--data", "digits_segment"], "the data's task is segmentation. Take another space"),
        (["--space", "transnas_micro", "--data", "digits_segment", "--space-set", "task=normal"], "is segmentation"),
        (["--space", "transnas_macro", "--data", "digits_segment"], "must be multiples of 64 for segmentsemantic"),
        (["--space", "conv1d", "--data", "digits"], "`input_shape` of conv1d must be (channels, length)"),
        (["--data", "digits_segment", "--image-size", "4"], "`size` of the digits must be at least 8"),
        (
            ["--space", "mlp", "--data", "sklearn:diabetes", "--measure", "accuracy"],
            "one of r2, mae, loss for regression",
        ),
        (["--space", "mlp", "--data", "sklearn:diabetes", "--label-smoothing", "0.1"], "`label_smoothing` needs cl"),
        (["--space", "transnas_micro", "--data", "digits_segment", "--flip"], "whose targets are no maps"),
        (["--at-least", "synflow"], "`--at-least` must read METRIC=VALUE, such as synflow=80; got 'synflow'"),
        (["--at-least", "synflow=x"], "`--at-least` must read METRIC=VALUE"),
        (["--at-most", "depth=3,depth=4"], "`--at-most` must bound a metric once; got 'depth' twice"),
        (["--at-most", "grasp=3"], "'grasp' costs double backward"),
        (["--at-most", "dept=3"], "Did you mean 'depth'"),
        (["--max-params", "10", "--pool", "20"], "0 of 20 satisfy the limits: the limit is 10 parameters, the small"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["search", *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_bounds_on_metrics_from_a_file_and_what_was_left_out(tmp_path):
    (tmp_path / "run.toml").write_text(
        'space = "mlp"\ndata = "sklearn:wine"\npool = 60\nbudget = 2\nepochs = 1\njobs = 1\nmetrics = ["snip"]\n'
        'batch-size = 16\nmax-params = 200000\nstrategy = "random"\n[at-least]\ndepth = 2\n[at-most]\ndepth = 4\n'
    )
    given = ["search", str(tmp_path / "run.toml"), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    for printed in (result.stderr, CliRunner().invoke(app, ["show", given[-1]]).stdout):
        text = " ".join(printed.replace("│", " ").split())
        assert "candidates were left out before they were scored: " in text
        assert " with depth above 4" in text
    assert "candidates were left out before they were scored" in (tmp_path / "run" / "report.html").read_text()
    shown = json.loads(CliRunner().invoke(app, ["show", given[-1], "--json"]).stdout)
    assert shown["settings"]["limits"] == {"params": 200_000.0, "depth >=": 2.0, "depth <=": 4.0}
    assert shown["pool"] + sum(shown["left_out"].values()) == 60


def test_profile_says_whether_bounds_can_be_met():
    given = ["space", "profile", "mlp", "--data", "sklearn:wine", "--sample", "40", "--jobs", "1", "--batch-size", "8"]
    shown = CliRunner().invoke(app, [*given, "--at-most", "depth=4", "--at-least", "l2_norm=1", "-m", "snip"])
    assert shown.exit_code == 0, shown.output
    for name in ("params", "macs", "memory", "depth", "l2_norm", "snip"):
        assert name in shown.stdout
    assert "% have at most depth 4." in shown.stdout
    assert "% of the sample." in shown.stdout
    value = json.loads(CliRunner().invoke(app, [*given, "--at-least", "depth=99", "--json"]).stdout)
    assert value["share_within_limits"] == 0
    assert "at least depth 99, and the largest is depth " in value["verdict"]
    assert "white noise" in CliRunner().invoke(app, ["space", "profile", "mlp", "--sample", "2", "-m", "snip"]).stderr


def test_the_bounds_of_the_example_leave_something(tmp_path):
    example = Path(__file__).resolve().parents[2] / "examples" / "small-device.toml"
    few = ["--pool", "40", "--budget", "1", "--epochs", "1", "--training-fraction", "0.05", "--batch-size", "8"]
    given = ["search", str(example), *few, "--strategy", "random", "--jobs", "1", "--no-report", "--json"]
    result = CliRunner().invoke(app, [*given, "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 1 <= found["pool"] < 40
    assert found["left_out"]["more than 30,000 parameters"] > 1
