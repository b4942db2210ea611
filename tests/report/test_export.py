"""Results in the files that other programs read."""

from __future__ import annotations

import json
import logging
import math
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from robonas.datasets import from_arrays
from robonas.errors import ConfigError, DataError, MissingExtraError, ObjectiveError, OutputError, StudyError
from robonas.prediction import Preprocessing, ReadyNetwork
from robonas.report.export import WRITERS, _check, export
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


def linear(shape, n, **settings):
    """A result whose network takes inputs as they come."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (8, *shape), dtype=np.uint8) if settings.get("pixels") else None
    data = from_arrays(generator.normal(9, 4, (8, *shape)) if inputs is None else inputs, np.arange(8) % n)
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(settings.get("sees", shape)), n))
    how = Preprocessing.of(data.split()[0], settings.get("sees"), crop=settings.get("crop", False))
    return data, outcome(ReadyNetwork(layers, how))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((6,), {}),
        ((3, 8, 7), {"pixels": True}),
        ((1, 8, 7), {"pixels": True, "sees": (1, 4, 5)}),
        ((3, 8, 7), {"sees": (3, 6, 5), "crop": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_programs_take_inputs_as_they_come(suffix, shape, settings, tmp_path) -> None:
    data, winner = linear(shape, 3, **settings)
    path = export(winner, tmp_path / f"winner.{suffix}")
    expected = winner.build(logits=None).predict(data).outputs
    if suffix == "pt2":
        outputs = torch.export.load(path).module()(data.raw).detach().numpy()
    else:
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (outputs,) = session.run(None, {session.get_inputs()[0].name: data.raw.numpy()})
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert Preprocessing.read(path) == winner.build(logits=None).preprocessing


def test_a_program_for_one_size_of_batches_is_refused(tmp_path) -> None:
    class Two(torch.nn.Module):
        def forward(self, x):
            return x.reshape(2, 3) + 0

    with pytest.raises(StudyError, match=r"does not take 7 inputs at once|cannot export"):
        export(outcome(Two().eval()), tmp_path / "winner.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_a_program_that_computes_something_else_is_refused(suffix, tmp_path) -> None:
    class Liar(torch.nn.Module):
        def forward(self, x):
            return x + (1 if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export() else 0)

    with pytest.raises(StudyError, match=r"does not compute what the network computes: .* differ by up to 1"):
        export(outcome(Liar().eval()), tmp_path / f"winner.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_model_may_return_several_tensors(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    class Pair(torch.nn.Module):
        def forward(self, x):
            return x + 1, x * 2

    path = export(outcome(Pair().eval()), tmp_path / "winner.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"inputs": np.ones((2, 3), dtype=np.float32)})
    np.testing.assert_array_equal(found, np.full((2, 2, 3), 2.0))


def test_a_program_that_returns_less_is_refused() -> None:
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x + 1, x * 2

    with pytest.raises(StudyError, match="it returns 1 tensors instead of 2"):
        _check(Pair(), lambda x: x + 1, torch.ones(2, 3), "The program")


def test_onnx_names_the_batch_and_says_nothing_of_packages_that_nobody_needs(tmp_path, monkeypatch, caplog) -> None:
    onnx = pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    _, winner = linear((3, 8, 7), 3, pixels=True)
    path = export(winner, tmp_path / "winner.onnx")
    assert [record.message for record in caplog.records if record.name.startswith("torch.onnx")] == []
    assert logger.level == before
    graph = onnx.load(str(path)).graph
    sizes = [[size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] for value in graph.input]
    assert sizes == [["batch", 3, 8, 7]]
    (output,) = graph.output
    assert output.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_without_the_packages_for_onnx_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'robonas\[onnx\]' \(in a clone: pip install '\.\[onnx\]'\)"
    ):
        export(outcome(torch.nn.Linear(3, 2).eval()), tmp_path / "winner.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_onnx_file_is_told(tmp_path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "a.onnx").write_bytes(b"\xff\xff\xff nothing")
    with pytest.raises(DataError, match=r"Cannot read '.*a\.onnx'"):
        Preprocessing.read(tmp_path / "a.onnx")


def test_a_hook_picks_what_the_program_returns(tmp_path) -> None:
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x, x.flatten(1)[:, :3] * 2

    data = from_arrays(np.random.default_rng(0).normal(size=(8, 6)), np.arange(8) % 3)
    how = Preprocessing.of(data.split()[0])
    space = SimpleNamespace(input_shape_of=lambda _: (6,), parse=lambda text: text)
    winner = SimpleNamespace(text="a", space=space, build=lambda *, logits: ReadyNetwork(Pair(), how, logits=logits))
    path = export(winner, tmp_path / "winner.pt2", logits=lambda returned: returned[1])
    expected = how.prepare(data.raw)[:, :3] * 2
    torch.testing.assert_close(torch.export.load(path).module()(data.raw), expected)


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
