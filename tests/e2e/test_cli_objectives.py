"""A function or a program in the place of robonas's training, and logs, on the command line."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from robonas import NASBench201
from robonas.cli.app import app

SMALL = [
    *("--data", "digits", "--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "0", "--pool", "6"),
    *("-m", "params", "--budget", "3", "--batch-size", "8", "--strategy", "random", "-o", "run", "--no-report"),
]
FUNCTION = """
from robonas.objectives import FunctionObjective


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(architecture, seed):
    return sum("conv" in option for option in architecture.values()) + seed / 10


ready = FunctionObjective(size, direction="minimize", name="weights")
"""
PROGRAM = """
import json, sys
question = json.load(sys.stdin)
assert sys.argv[1] == question["text"]
print("counting")
print(sum("conv" in option for option in question["architecture"].values()))
"""


def convolutions(text: str) -> int:
    """The convolutions of the canonical architecture, which is what is evaluated."""
    space = NASBench201()
    return sum("conv" in str(option) for option in space.canonical(space.parse(text)).values())


def run(*arguments):
    return CliRunner().invoke(app, ["search", *SMALL, *arguments])


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "mine.py").write_text(FUNCTION, encoding="utf-8")
    (tmp_path / "count.py").write_text(PROGRAM, encoding="utf-8")
    yield
    sys.modules.pop("mine", None)


def test_a_function_of_ones_own_evaluates_the_networks() -> None:
    done = run("--function", "mine:convolutions", "--takes", "architecture", "--value-name", "convs", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["objective"], found["value_name"], found["direction"]) == ("function", "convs", "maximize")
    counts = [convolutions(query["architecture"]) for query in found["queries"]]
    assert [query["value"] for query in found["queries"]] == counts
    ready = run("--function", "mine:ready", "--name", "ready", "--json")
    assert ready.exit_code == 0, ready.output
    assert json.loads(ready.stdout)["direction"] == "minimize"


def test_a_program_evaluates_the_networks() -> None:
    done = run("--command", f"{sys.executable} count.py {{text}}", "--minimize", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["objective"], found["direction"]) == ("command", "minimize")
    counts = [convolutions(query["architecture"]) for query in found["queries"]]
    assert [query["value"] for query in found["queries"]] == counts
    assert found["best"]["value"] == min(counts)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--function", "mine:size", "--command", "x"], "give `--function` or `--command`, not both."),
        (["--function", "mine:size", "--epochs", "3"], "`--epochs` is for robonas's own training, which `--function`"),
        (["--command", "x", "--device", "cpu"], "`--device` is for robonas's own training, which `--command` replaces"),
        (["--minimize"], "`--minimize` is for `--function` and `--command`"),
        (["--takes", "network"], "`--takes` is for `--function` and `--command`; got 'network'"),
        (["--command", "x", "--takes", "network"], "`--takes` is for `--function`; got 'network' for a program"),
        (["--function", "mine:ready", "--minimize"], "'mine:ready' is an Objective, which says so itself"),
        (["--function", "mine:size", "--takes", "weights"], "`takes` must be 'network' or 'architecture'"),
        (["--command", "no-such-program"], "Cannot run command 'no-such-program'"),
        (["--data-set", "size=3", "--image-size", "3"], "`--data-set` gives 'size' again"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(arguments, sentence) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr


def test_a_search_and_a_training_are_logged_for_tensorboard(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    done = run("--function", "mine:size", "--log", "tensorboard")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "run" / "tensorboard" / "search").glob("events.*"))) == 1
    assert len(list((tmp_path / "run" / "tensorboard" / "search").glob("query-00*/events.*"))) == 3
    full = CliRunner().invoke(
        app, ["train", "--search", "run", "--epochs", "1", "-o", "full", "--log", "tensorboard", "--threads", "1"]
    )
    assert full.exit_code == 0, full.output
    assert len(list((tmp_path / "full" / "tensorboard" / "training").glob("events.*"))) == 1
