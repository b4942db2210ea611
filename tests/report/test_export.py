"""Results in the files that other programs read."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from robonas.errors import ConfigError, ObjectiveError, OutputError, StudyError
from robonas.report.export import WRITERS, export
from robonas.study.loop import search
from tests.fakes import CountParameters, small_space


def run(folder=None, objective=None):
    plan = {"pool": 20, "budget": 3, "strategy": "random"}
    return search(small_space(), objective or CountParameters(), folder=folder, **plan)


def outcome(network):
    """What has a trained network and nothing that prepares its inputs."""
    space = SimpleNamespace(input_shape_of=lambda _: (3,), parse=lambda text: text)
    return SimpleNamespace(text="a", space=space, build=lambda *, logits: network)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run"))


def test_json_holds_the_result(result, tmp_path) -> None:
    path = export(result, str(tmp_path / "new" / "winner.json"))
    assert path == tmp_path / "new" / "winner.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(result.to_json()))


def test_csv_has_a_line_a_query(result, tmp_path) -> None:
    frame = pd.read_csv(export(result, tmp_path / "history.csv"))
    assert frame["architecture"].tolist() == [query.architecture for query in result.queries]
    assert frame["value"].tolist() == [query.value for query in result.queries]


def test_safetensors_are_the_winners_parameters(result, tmp_path) -> None:
    found = load_file(export(result, tmp_path / "winner.safetensors"))
    assert found["count"].item() == pytest.approx(1000 * result.value)


def test_a_program_computes_what_the_network_computes(tmp_path) -> None:
    network = torch.nn.Linear(3, 2)
    winner = outcome(network.eval())
    program = torch.export.load(export(winner, tmp_path / "winner.pt2")).module()
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(program(inputs), network(inputs))


def test_a_network_that_is_no_program_is_told_and_leaves_no_file(tmp_path) -> None:
    class Guess(torch.nn.Module):
        def forward(self, x):
            return x if x.sum().item() > 0 else -x

    winner = outcome(Guess().eval())
    with pytest.raises(StudyError, match="cannot export this network as a program"):
        export(winner, tmp_path / "winner.pt2")
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_told_with_the_known_ones(result, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"one of \.json, .*\.pt2, \.onnx; got .*winner\.txt"):
        export(result, tmp_path / "winner.txt")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_search_without_a_winner_writes_nothing(tmp_path, suffix) -> None:
    class Fails(CountParameters):
        def evaluate(self, *_, **__):
            raise ObjectiveError("diverged")

    with pytest.raises(StudyError, match=r"no completed evaluation.*diverged"):
        export(run(objective=Fails()), tmp_path / f"winner{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_parameters_that_were_not_kept_are_told_and_the_old_file_stays(tmp_path) -> None:
    target = tmp_path / "winner.safetensors"
    target.write_text("an earlier export")
    with pytest.raises(StudyError, match="kept no trained parameters"):
        export(run(), target)
    assert target.read_text() == "an earlier export"
    assert [path.name for path in tmp_path.iterdir()] == ["winner.safetensors"]


def test_a_place_that_cannot_be_written_is_told(result, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        export(result, tmp_path / "file" / "winner.json")
