"""Trade-offs on the command line: a search stopped and gone on with, its front shown, exported and trained."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import robonas
from robonas.cli.app import app
from robonas.study.events import QueryFinished

RUNNER = CliRunner()
SMALL = ["--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "0", "--pool", "12"]
CPU = ["--epochs", "1", "--device", "cpu", "--threads", "1"]


def call(*arguments: str, code: int = 0):
    result = RUNNER.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def found(images, tmp_path_factory) -> str:
    """The folder of a search with trade-offs that was stopped after its second training, and gone on with."""
    folder = str(tmp_path_factory.mktemp("run") / "search")
    line = ["search", "--data", images, *SMALL, *CPU, "-m", "params", "--against", "params", "-T", "5", "-o", folder]
    seen = []

    def stop(event) -> None:
        seen.append(event)
        if sum(isinstance(one, QueryFinished) for one in seen) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("robonas.study.progress.SearchBars.__call__", lambda _, event: stop(event))
        call(*line, code=130)
    assert [query["state"] for query in json.loads(call("show", folder, "--json").stdout)["queries"]][:2] == [
        "complete",
        "complete",
    ]
    told = call(*line)
    assert "Front against params" in told.stdout
    return folder


def test_show_and_report_tell_the_front(found) -> None:
    result = robonas.load_result(found)
    told = call("show", found).stdout
    assert "Front against params" in told
    assert "knee" in told
    assert json.loads(call("show", found, "--json").stdout)["front"]["queries"] == [q.number for q in result.front]
    call("report", found)


def test_the_network_at_a_cost_and_the_whole_front_are_exported(found, tmp_path) -> None:
    result = robonas.load_result(found)
    cheapest = result.front[-1]
    file = tmp_path / "net.safetensors"
    call("export", found, "-o", str(file), "--at", f"params={cheapest.costs[0]}")
    own = result.load_parameters(cheapest)
    assert all(torch.equal(value, own[key]) for key, value in load_file(file).items())
    call("export", found, "-o", str(tmp_path / "all.safetensors"), "--all")
    written = sorted(path.name for path in tmp_path.glob("all-*"))
    assert written == sorted(f"all-{query.number}.safetensors" for query in result.front)
    program = tmp_path / "net.pt2"
    call("export", found, "-o", str(program), "--at", f"params={cheapest.costs[0]}")
    images = torch.randint(256, (3, *result.space.input_shape), dtype=torch.uint8)
    expected = result.build(cheapest)(images)
    torch.testing.assert_close(torch.export.load(program).module()(images), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "params=1"], "No completed query has params at most 1"),
        (["--at", "latency=1"], "no cost 'latency'. Known: params"),
        (["--at", "params"], "`--at` must read COST=VALUE"),
        (["--at", "params=1", "--at", "params=2"], "bound each cost once"),
        (["--all", "--at", "params=1e9"], "leave out `--at`"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence(found, tmp_path, arguments, words) -> None:
    assert words in call("export", found, "-o", str(tmp_path / "x.safetensors"), *arguments, code=2).stderr


def test_one_network_is_no_history(found, tmp_path) -> None:
    for arguments in (["--all"], ["--at", "params=1e9"]):
        told = call("export", found, "-o", str(tmp_path / "x.csv"), *arguments, code=2).stderr
        assert ".safetensors or .pt2" in told


def test_the_network_at_a_cost_is_trained_in_full(found, images, tmp_path) -> None:
    result = robonas.load_result(found)
    cheapest, space = result.front[-1], result.space
    folder = str(tmp_path / "train")
    at = ["--at", f"params={cheapest.costs[0]}"]
    call("train", "--search", found, "--data", images, *CPU, *at, "-o", folder)
    assert robonas.load_trained(folder).text == space.format(space.canonical(space.parse(cheapest.architecture)))
    told = call("train", "--search", found, "--data", images, *CPU, *at, "--architecture", "x", "-o", folder, code=2)
    assert "leave it out, or `--architecture`" in told.stderr
    assert "is a full training" in call("export", folder, "-o", str(tmp_path / "x.pt2"), *at, code=2).stderr
