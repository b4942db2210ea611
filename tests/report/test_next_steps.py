"""The commands that a page offers are commands of ours, for the right folder, data and recipe."""

from __future__ import annotations

import re
import shlex
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from typer.main import get_command

import robonas
from robonas.cli.app import app
from robonas.report import next_steps
from tests.report import sample
from tests.report.test_learned import SESSION, known


def searched(command=SESSION["command"], folder="runs/one", **settings):
    result = replace(known(sample.result(6)), folder=Path(folder), study="search")
    objective = {"settings": {"measure": "accuracy", "epochs": 8, "flip": True, "batch_size": 32, **settings}}
    session = {**SESSION, "command": command}
    origin = {**result.provenance, "first": session, "latest": session}
    return replace(result, provenance=origin, settings={**result.settings, "objective": objective})


def test_the_three_commands():
    train, predict, export = next_steps.steps(searched())
    assert train.command == (
        "robonas train --search runs/one --data photos --image-size 8 --epochs 80 --train-batch-size 32 --flip"
    )
    assert predict.command == "robonas predict runs/one-train IMAGE.png"
    assert export.command == "robonas export runs/one-train -o network.pt2"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("robonas search examples/demo.toml --folder x", "train examples/demo.toml --search"),
        ("robonas search --budget 5 examples/demo.toml", "train examples/demo.toml --search"),
        ("python -m robonas search --data=digits", "--data=digits --epochs"),
        ("python my_script.py search", "--data folder:photos --image-size 8 --image-mode L --epochs"),
        (None, "--data folder:photos --image-size 8 --image-mode L"),
        ("robonas search --data 'a b", "--data folder:photos"),
    ],
)
def test_the_data_are_those_of_the_command_line_else_by_name(command, words):
    assert words in next_steps.steps(searched(command))[0].command


@pytest.mark.parametrize("settings", [{}, {"crop": 2, "nesterov": False, "clip": 5.0, "schedule": "linear"}], ids=str)
def test_the_commands_are_understood(settings):
    group = get_command(app)
    for step in next_steps.steps(searched(folder="a folder", **settings)):
        program, name, *rest = shlex.split(step.command)
        assert program == "robonas"
        if name in group.commands:
            with group.make_context("robonas", [], resilient_parsing=True) as context:
                made = group.commands[name].make_context(name, rest, parent=context)
            if name == "train":
                assert made.params["epochs"] == 80
                assert str(made.params["search"]) == "a folder"
                assert {key: made.params[key] for key in settings} == settings


def test_a_settings_file_may_name_the_folder_of_the_search():
    train, *_ = next_steps.steps(searched("robonas search examples/demo.toml --folder x"))
    assert train.command.endswith("--folder runs/one-train")


def test_code_of_the_users_own_is_named_again():
    result = searched("robonas search --data hf:x --data-set target=fine --space my.py:S --strategy mine:Best")
    result = replace(result, space=copy(result.space))
    result.space.reference = "/home/me/my.py:S"
    result = replace(result, settings={**result.settings, "strategy": {"name": "mine:Best", "settings": {}}})
    train, predict, export = next_steps.steps(result)
    named = "--search runs/one --space /home/me/my.py:S --data hf:x --data-set target=fine --epochs"
    assert named in train.command
    assert predict.command == "robonas predict runs/one-train --space /home/me/my.py:S IMAGE.png"
    assert export.command == "robonas export runs/one-train --space /home/me/my.py:S -o network.pt2"
    (alone,) = next_steps.steps(replace(result, objective="table"))
    assert alone.command == ("robonas export runs/one --space /home/me/my.py:S -o result.json")


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("{here}/my.py:S", "--space ./my.py:S IMAGE.png"),
        ("{here}/deep er/my.py:S", "--space './deep er/my.py:S' IMAGE.png"),
        ("{here}er/my.py:S", "--space {here}er/my.py:S IMAGE.png"),
        ("my.module:S", "--space my.module:S IMAGE.png"),
    ],
)
def test_a_file_in_the_current_folder_is_named_from_there(tmp_path, monkeypatch, reference, named):
    monkeypatch.chdir(tmp_path)
    result = searched()
    result = replace(result, space=copy(result.space))
    result.space.reference = reference.format(here=tmp_path)
    _, predict, _ = next_steps.steps(result)
    assert predict.command == f"robonas predict runs/one-train {named.format(here=tmp_path)}"


def test_a_full_training_has_ten_times_the_epochs_everywhere():
    in_memory = replace(searched(epochs=3), folder=None)
    assert next_steps.steps(in_memory)[0].command == "trained = robonas.train(result, data, epochs=30)"
    assert "--epochs 30" in next_steps.steps(searched(epochs=3))[0].command
    assert [step.name for step in next_steps.steps(replace(in_memory, objective="function"))] == ["Export"]


def test_lines_of_python_name_functions_that_there_are():
    lines = [step.command for step in next_steps.steps(replace(searched(), folder=None))]
    named = re.findall(r"robonas\.(\w+)", " ".join(lines))
    assert named == ["train", "export"]
    assert all(callable(getattr(robonas, name)) for name in named)


def test_other_studies_objectives_and_memory():
    named = next_steps.steps(replace(searched(), study="mine"))
    assert "--search runs/one --name mine" in named[0].command
    (export,) = next_steps.steps(replace(searched(), objective="table"))
    assert export.command == "robonas export runs/one -o result.json"
    assert "robonas.train(result, data, epochs=" in next_steps.steps(sample.result(3))[0].command
    assert next_steps.steps(sample.result(2, failures=(1, 2))) == ()
    assert next_steps.files(sample.result(3)) == ()
    assert dict(next_steps.files(searched()))["study.db"]
