"""Predictions for everything that can be given, with their names, and clear words for what cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from robonas.datasets import from_arrays, from_dataset, load_dataset
from robonas.errors import ConfigError, DataError, NetworkError, OutputError
from robonas.prediction import Predictions, Preprocessing, ReadyNetwork

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (12, 3, 4, 5), dtype=np.uint8)
DATA = from_arrays(PIXELS, np.arange(12) % 3, class_names=["a", "b", "c"], name="pixels")
GREY = from_arrays(PIXELS[:, :1], np.arange(12) % 3, name="grey")
SERIES = from_arrays(GENERATOR.normal(3, 2, (12, 2, 6)), np.arange(12) % 2, name="series")


def ready(data, network=None, **settings):
    n_inputs = int(np.prod(data.input_shape))
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, data.n_classes))
    return ReadyNetwork(network, Preprocessing.of(data.split()[0]), **settings)


NETWORK = ready(DATA)
EXPECTED = NETWORK.predict(DATA).outputs


def same(given, expected=EXPECTED, network=NETWORK) -> Predictions:
    found = network.predict(given)
    np.testing.assert_allclose(found.outputs, expected, rtol=1e-5, atol=1e-6)
    return found


def test_arrays_tensors_and_data_sets_of_every_form_are_the_same() -> None:
    last = PIXELS.transpose(0, 2, 3, 1)
    forms = [PIXELS, DATA.raw, list(PIXELS), list(last), last, PIXELS.astype(np.int64), PIXELS / 255, PIXELS.tolist()]
    for given in (*forms, DATA.split()[0].samples.values, NETWORK.predict(PIXELS, batch_size=5) and PIXELS):
        same(given)
    for given in (PIXELS[3], last[3], [PIXELS[3]], DATA.raw[3]):
        assert len(same(given, EXPECTED[3:4])) == 1
    training = DATA.split()[0]
    same(training, EXPECTED[training.rows.numpy()])
    grey = ready(GREY)
    expected = grey.predict(GREY).outputs
    for given in (PIXELS[:, 0], PIXELS[:, :1], PIXELS[:, 0][..., None]):
        same(given, expected, grey)
    same(PIXELS[2, 0], expected[2:3], grey)


def test_images_and_files_are_read_as_those_of_the_training(tmp_path) -> None:
    images = [Image.fromarray(one.transpose(1, 2, 0)) for one in PIXELS]
    paths = [tmp_path / f"{row}.png" for row in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    same(images)
    found = same(paths)
    assert found.names == tuple(map(str, paths))
    assert same(str(paths[1]), EXPECTED[1:2]).names == (str(paths[1]),)
    same([images[0], paths[1]], EXPECTED[:2])
    wide = Image.new("L", (30, 8), 90)
    wide.paste(200, (8, 0, 22, 8))  # the middle, of the aspect ratio 5:4, is all that is seen
    all_light = NETWORK.predict(np.full((3, 4, 5), 200, np.uint8)).outputs
    same(wide, all_light)
    sideways = images[0].transpose(Image.Transpose.ROTATE_90)
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "turned.png", exif=exif)
    same(tmp_path / "turned.png", EXPECTED[:1])


def test_a_folder_of_images_gives_each_file_the_class_that_its_training_gave(tmp_path) -> None:
    for kind, shade in (("dark", 40), ("light", 210)):
        (tmp_path / kind).mkdir()
        for number in range(8):
            pixels = GENERATOR.normal(shade, 20, (9 + number, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.jpg")
    data = load_dataset(tmp_path, size=6)
    network = ready(data)
    paths = sorted(tmp_path.rglob("*.jpg"))
    assert [path.parent.name for path in paths] == [data.class_names[label] for label in data.labels]
    np.testing.assert_allclose(network.predict(paths).outputs, network.predict(data).outputs, rtol=1e-6, atol=1e-6)


def test_numbers_are_taken_as_they_are_also_whole_ones() -> None:
    network = ready(SERIES)
    expected = network.predict(SERIES).outputs
    same(SERIES.raw.double(), expected, network)
    whole = np.ones((2, 6), np.uint8)
    same(whole, network.predict(whole.astype(np.float32)).outputs, network)


def test_files_of_numpy(tmp_path) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    same(tmp_path / "a.npy")
    network = ready(SERIES)
    expected = network.predict(SERIES).outputs
    for kind in ({}, {"kind": "signals"}):
        np.savez(tmp_path / "a.npz", x=SERIES.raw.numpy(), y=np.zeros(12), **kind)
        same(str(tmp_path / "a.npz"), expected, network)
    np.savez(tmp_path / "a.npz", x=SERIES.raw.numpy(), kind="images")
    with pytest.raises(DataError, match=r"must have shape \(2, 6\).* got \(12, 1, 2, 6\)"):
        network.predict(tmp_path / "a.npz")
    grey = ready(GREY)
    for kind in ({}, {"kind": "images"}):
        np.savez(tmp_path / "a.npz", x=PIXELS[:, 0], **kind)
        same(tmp_path / "a.npz", grey.predict(GREY).outputs, grey)


class Items(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, row):
        return Image.fromarray(PIXELS[row].transpose(1, 2, 0)), row % 3


def test_data_that_are_read_lazily() -> None:
    data = from_dataset(Items(), memory_limit=0)
    same(data)
    assert ready(data).preprocessing.stored == "uint8"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one input"),
        (np.zeros((0, 3, 4, 5), np.uint8), "at least one input"),
        (np.zeros((2, 3, 4, 6), np.uint8), r"must have shape \(3, 4, 5\).* several \(n, 3, 4, 5\); got \(2, 3, 4, 6\)"),
        ([np.zeros((3, 4, 5)), np.zeros((3, 4, 6))], r"one shape; got \(3, 4, 5\) at 0 and \(3, 4, 6\) at 1"),
        (np.full((3, 4, 5), 255.0), r"from 0 to 1 \(bytes divided by 255\); got 255 to 255"),
        (np.full((3, 4, 5), 256), "whole numbers from 0 to 255; got 256"),
        (np.full((3, 4, 5), np.nan), "must be finite"),
        ({"images": PIXELS}, "got a mapping"),
        ("nowhere.png", "Cannot read image 'nowhere.png': it is gone"),
        (["nowhere.png", "either.png"], "'nowhere.png': it is gone"),
        (Image.new("F", (5, 4)), "Cannot use image 0 of those given: .*got mode 'F'"),
        (SERIES, r"uint8 inputs of shape \(3, 4, 5\).*'series' holds float32 of shape \(2, 6\)"),
        (DATA.split()[0].inputs, "standardised already, and the network does that itself"),
        (DATA.split()[0].inputs[:2], "standardised already"),
        (object(), "must be an array of numbers"),
    ],
)
def test_what_cannot_be_predicted_is_told(given, message) -> None:
    with pytest.raises(DataError, match=message):
        NETWORK.predict(given)


def test_images_for_a_network_of_numbers_are_refused(tmp_path) -> None:
    Image.new("L", (6, 2)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="nobody knows how an image becomes one of these"):
        ready(SERIES).predict(tmp_path / "a.png")


def test_a_damaged_image_is_named(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError, match=r"a\.png': it is damaged or not an image"):
        NETWORK.predict([tmp_path / "a.png"])


def test_networks_that_return_something_else() -> None:
    class Pair(nn.Module):
        def forward(self, x):
            return x, x.flatten(1)[:, :3]

    with pytest.raises(NetworkError, match=r"shape \(12, 3\), answers by input and name; got a tuple"):
        ready(DATA, Pair()).predict(DATA)
    picked = ready(DATA, Pair(), logits=lambda returned: returned[1])
    assert picked.predict(DATA).outputs.shape == (12, 3)
    with pytest.raises(NetworkError, match=r"got \(12, 60\)"):
        ready(DATA, nn.Flatten()).predict(DATA)


def test_predicting_leaves_the_mode_and_the_gradients_alone() -> None:
    network = ready(DATA).train()
    network.predict(DATA)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    with pytest.raises(ConfigError, match="batch_size"):
        network.predict(DATA, batch_size=0)


def answers(task, outputs, names=("x", "y", "z")) -> Predictions:
    outputs = np.asarray(outputs, np.float32)
    return Predictions(task, names, tuple(map(str, range(len(outputs)))), outputs)


def test_classes_by_hand() -> None:
    found = answers("classification", [[0, np.log(3), 0], [1000, 0, -1000]])
    np.testing.assert_allclose(found.probabilities, [[0.2, 0.6, 0.2], [1, 0, 0]], rtol=1e-6, atol=1e-9)
    assert found.classes == ["y", "x"]
    assert found.labels.tolist() == [1, 0]
    assert found.top(2)[0] == [("y", pytest.approx(0.6)), ("x", pytest.approx(0.2))]
    assert [len(row) for row in found.top(50)] == [3, 3]
    value = found.to_json(1)
    assert value[0] == {
        "input": "0", "class": "y", "probability": pytest.approx(0.6),
        "top": [{"name": "y", "probability": pytest.approx(0.6)}],
    }  # fmt: skip
    assert json.dumps(value)
    assert list(found.to_frame().columns) == ["class", "x", "y", "z"]
    named = answers("classification", [[0.0, 1.0]], names=("order", "class"))
    assert named.to_frame().iloc[0, 0] == "class"
    assert len(found) == 2
    with pytest.raises(ConfigError, match="top_k"):
        found.top(0)


def test_several_labels_by_hand() -> None:
    found = answers("multilabel", [[0, np.log(3), -5], [-1e9, -3, -3]])
    np.testing.assert_allclose(found.probabilities[0, :2], [0.5, 0.75], rtol=1e-6)
    assert found.classes == [("x", "y"), ()]
    assert found.to_json(1)[0]["classes"] == ["x", "y"]
    assert found.to_json(1)[0]["top"][0]["name"] == "y"


def test_numbers_by_hand() -> None:
    found = answers("regression", [[3.5, -1.0, 0.25]])
    assert found.top(1) == [[("x", 3.5), ("y", -1.0), ("z", 0.25)]]
    assert found.to_json() == [
        {"input": "0", "top": [{"name": name, "value": value} for name, value in found.top()[0]]}
    ]
    for attribute in ("classes", "labels", "probabilities"):
        with pytest.raises(ConfigError, match="no classes for regression"):
            getattr(found, attribute)


def test_maps_by_hand(tmp_path) -> None:
    maps = np.zeros((1, 3, 2, 2))
    maps[0, 1, 0, :] = 5
    maps[0, 2, 1, 1] = 5
    found = answers("segmentation", maps)
    assert found.labels.tolist() == [[[1, 1], [0, 2]]]
    assert found.top(2) == [[("y", 0.5), ("x", 0.25)]]
    assert found.to_json(1)[0]["top"] == [{"name": "y", "share_of_pixels": 0.5}]
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    with pytest.raises(ConfigError, match="no one class of an input for segmentation"):
        _ = found.classes
    found.write(tmp_path / "new" / "maps.npz")
    with np.load(tmp_path / "new" / "maps.npz") as kept:
        assert set(kept) == {"outputs", "names", "class_names", "probabilities", "labels"}
        assert kept["labels"].tolist() == found.labels.tolist()
    with pytest.raises(OutputError, match="Cannot write"):
        found.write(tmp_path / "new" / "maps.npz" / "below.npz")
    image = answers("image", maps)
    assert image.top()[0][1] == ("y", 2.5)
    image.write(tmp_path / "images.npz")
