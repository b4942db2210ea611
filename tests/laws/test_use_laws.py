"""A trained network, used without robonas on inputs as they come, is as good as was reported, for all kinds of data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

import robonas
from robonas.datasets import DATASETS, LabelledData, from_arrays, from_dataset, load_dataset
from robonas.datasets.targets import TASKS
from robonas.objectives import TrainingObjective
from robonas.prediction import Preprocessing
from robonas.report.export import export
from robonas.spaces import from_choices
from robonas.training.measures import measure_of
from tests.objectives.toy import task_data

if TYPE_CHECKING:
    from pathlib import Path

ALONE = """
import sys
from pathlib import Path

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "robonas":
            raise ImportError("robonas is not here")

sys.meta_path.insert(0, Refused())
import numpy as np
import torch

for place in map(Path, sys.argv[1:]):
    program = torch.export.load(place / "network.pt2").module()
    inputs = torch.from_numpy(np.load(place / "inputs.npy"))
    with torch.no_grad():
        parts = [program(part) for part in inputs.split(100)]
    np.save(place / "outputs.npy", torch.cat(parts).numpy())
assert not any(name.partition(".")[0] == "robonas" for name in sys.modules)
"""
GENERATOR = np.random.default_rng(0)


class Any(nn.Module):
    """A network for inputs and answers of any shape."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.maps = len(outputs) == 3
        n = int(np.prod(inputs))
        if self.maps:
            self.layers = nn.Sequential(nn.Conv2d(inputs[0], 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, outputs[0], 1))
        else:
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(n, 16), nn.BatchNorm1d(16), nn.ReLU())
            self.layers.append(nn.Linear(16, outputs[0]))

    def forward(self, x):
        return self.layers(x)


def space_of(data, input_shape=None):
    shape = input_shape or data.input_shape
    settings = {"output_shape": data.output_shape} if len(data.output_shape) == 3 else {}
    n = data.output_shape[0]
    return from_choices({"a": [1]}, lambda a: Any(shape, data.output_shape), input_shape=shape, n_classes=n, **settings)


def photos(folder: Path) -> str:
    """A folder of images of many kinds, none of which is square."""
    from PIL import Image

    for kind, shade in (("cats", 60), ("dogs", 150), ("owls", 230)):
        (folder / kind).mkdir(parents=True)
        for number in range(16):
            pixels = GENERATOR.normal(shade, 20, (12 + number % 3, 14, 3)).clip(0, 255).astype(np.uint8)
            image = Image.fromarray(pixels)
            image.convert(("RGB", "L", "P", "RGBA")[number % 4]).save(folder / kind / f"{number}.png")
    return f"folder:{folder}"


def arrays(folder: Path) -> str:
    """Bytes of pixels, channels last, in a file."""
    labels = np.arange(60) % 3
    pixels = (GENERATOR.normal(60 + 60 * labels[:, None, None, None], 20, (60, 6, 5, 3))).clip(0, 255).astype(np.uint8)
    np.savez(folder / "some.npz", x=pixels, y=labels, class_names=["low", "middle", "high"])
    return f"npz:{folder / 'some.npz'}"


def torchvision_files(folder: Path) -> dict:
    """A data set of torchvision, made by hand."""
    import pickle  # the format of CIFAR's own files

    names = [f"data_batch_{number}" for number in range(1, 6)]
    (folder / "cifar-10-batches-py").mkdir()
    for name in [*names, "test_batch"]:
        labels = (np.arange(20) % 10).tolist()
        values = {"data": GENERATOR.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": labels}
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(values))
    (folder / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return {}


def data_of(kind: str, folder: Path) -> LabelledData:
    """Data of a kind: one of the catalogue, a task, or another way in which they are kept."""
    if kind == "folder":
        return load_dataset(photos(folder / "photos"), size=(9, 8), mode="RGB")
    if kind == "npz":
        return load_dataset(arrays(folder))
    if kind == "hf":
        return load_dataset(f"hf:{photos(folder / 'photos').partition(':')[2]}", size=(9, 8), mode="RGB")
    if kind == "sklearn":
        return load_dataset("sklearn:diabetes")
    if kind == "table":
        return load_dataset("sklearn:wine")
    if kind == "lazy":
        return load_dataset(photos(folder / "photos"), size=(8, 8), mode="L", memory_limit=0)
    if kind == "tensors":
        x = torch.from_numpy(GENERATOR.normal(50, 9, (60, 2, 7)).astype(np.float32))
        return from_dataset(torch.utils.data.TensorDataset(x, (x.mean((1, 2)) > 50).long()))
    if kind in TASKS:
        x = GENERATOR.normal(3, 5, size=(60, 2, 6, 6)).astype(np.float32)
        z = (x - 3) / 5
        return task_data(kind, x, z)
    return load_dataset(kind, **({"size": 16} if kind in {"digits_segment", "digits_normal"} else {}))


KEPT = ["folder", "npz", "table", "lazy", "tensors"]
SHORT = [*TASKS, *KEPT]
LONG = sorted(set(DATASETS) - {"torchvision", "folder", "npz"})


def measured(data: LabelledData, measure: str, outputs: np.ndarray) -> float:
    """The value of answers in the unit of the data, as trainings are judged: in deviations for a regression's loss."""
    answers = torch.from_numpy(outputs)
    if data.label_mean is not None:
        answers = (answers - torch.tensor(data.label_mean)) / torch.tensor(data.label_std)
    _, judge = measure_of(data.task, measure)
    return judge.finish(judge.reduce(answers, data.labels))


def used(kinds: list[str], folder: Path) -> None:
    """Train on each kind, export, run the programs where robonas cannot be imported, and compare the values."""
    reported, parts, places = {}, {}, {}
    for kind in kinds:
        place = places[kind] = folder / kind
        place.mkdir()
        data = data_of(kind, place)
        objective = TrainingObjective(data, epochs=2, batch_size=16, learning_rate=0.05, threads=1, isolated=False)
        result = robonas.search(space_of(data), objective, strategy="random", pool=1, budget=1, folder=place / "search")
        part = parts[kind] = objective.validation_part
        reported[kind] = (objective.settings["measure"], result.value)
        export(result, place / "network.pt2")
        np.save(place / "inputs.npy", part.raw.numpy())
        how = Preprocessing.read(place / "network.pt2")
        assert how == result.preprocessing()
        assert how.class_names == data.class_names
        found = result.predict(part)
        assert measured(part, reported[kind][0], found.outputs) == pytest.approx(result.value, rel=1e-5, abs=1e-6)
        assert np.array_equal(result.predict(part.raw).outputs, found.outputs)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", ALONE, *map(str, places.values())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    for kind, place in places.items():
        measure, value = reported[kind]
        told = measured(parts[kind], measure, np.load(place / "outputs.npy"))
        assert told == pytest.approx(value, rel=1e-4, abs=1e-5), kind


def test_every_task_and_every_way_to_keep_data(tmp_path) -> None:
    used(SHORT, tmp_path)


@pytest.mark.slow
def test_every_kind_of_data(tmp_path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    used(LONG, tmp_path)


@pytest.mark.slow
def test_torchvision(tmp_path, monkeypatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    torchvision_files(tmp_path)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(
        torchvision.datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": None}
    )
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    data = load_dataset("torchvision:CIFAR10", root=tmp_path)
    objective = TrainingObjective(data, epochs=1, batch_size=16, threads=1, isolated=False)
    result = robonas.search(space_of(data), objective, strategy="random", pool=1, budget=1, folder=tmp_path / "search")
    export(result, tmp_path / "network.pt2")
    part = objective.validation_part
    outputs = torch.export.load(tmp_path / "network.pt2").module()(part.raw).detach().numpy()
    assert measured(part, "accuracy", outputs) == pytest.approx(result.value)
    from PIL import Image

    image = Image.fromarray(part.raw[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(result.predict(image).outputs, outputs[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["folder", "regression"])
def test_a_full_training_that_crops(kind, tmp_path) -> None:
    """Crops, a larger validation part and a test set: what was reported is what the exported program reaches."""
    data = data_of(kind, tmp_path)
    smaller = (data.input_shape[0], 5, 4)
    space = space_of(data, smaller)
    test = from_arrays(data.raw, data.labels, class_names=data.class_names, task=data.task)
    given = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "threads": 1, "device": "cpu"}
    trained = robonas.train(
        *(space.at(0), data), space=space, test=test, folder=tmp_path / "t", resized_crop=0.5, **given
    )
    program = torch.export.load(export(trained, tmp_path / "network.pt2")).module()
    outputs = program(data.raw).detach().numpy()
    settings = trained.settings
    training, validation = data.split(settings["validation_fraction"], settings["split_seed"])
    tested = test.standardised(training)
    assert measured(tested, settings["measure"], outputs) == pytest.approx(trained.test["value"], rel=1e-4)
    seen = program(validation.raw).detach().numpy()
    assert measured(validation, settings["measure"], seen) == pytest.approx(trained.validation["value"], rel=1e-4)
    again = robonas.load_trained(tmp_path / "t", space=space)
    assert again.preprocessing == trained.preprocessing
    assert again.preprocessing.crop
    np.testing.assert_allclose(again.predict(test).outputs, outputs, rtol=1e-4, atol=1e-4)
    assert json.loads(json.dumps(again.to_json()))["preprocessing"] == again.preprocessing.to_json()
