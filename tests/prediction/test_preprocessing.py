"""The preprocessing of a network: the same numbers as in its training, as plain data, and back from every file."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from safetensors.torch import save_file

from robonas.datasets import from_arrays, load_dataset
from robonas.datasets.batch import middle, resize
from robonas.datasets.image_reading import ImageReading
from robonas.errors import ConfigError, DataError
from robonas.prediction import Preprocessing, ReadyNetwork

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (20, 3, 8, 6), dtype=np.uint8)
COLOURS = from_arrays(PIXELS, np.arange(20) % 2, class_names=["night", "day"], name="colours")
NUMBERS = from_arrays(GENERATOR.normal(5, 2, (30, 4)), GENERATOR.normal(100, 9, (30, 2)), task="regression", name="n")


def of(data, **settings):
    return Preprocessing.of(data.split()[0], **settings)


@pytest.mark.parametrize("data", [COLOURS, NUMBERS, load_dataset("digits")], ids=lambda data: data.name)
def test_inputs_are_prepared_as_in_the_training(data) -> None:
    training, validation = data.split()
    how = Preprocessing.of(training)
    assert torch.equal(how.prepare(validation.raw), validation.inputs)
    network = ReadyNetwork(torch.nn.Identity(), how)
    raised = None if how.target_mean is None else (torch.tensor(how.target_std), torch.tensor(how.target_mean))
    if raised is None:
        assert torch.equal(network(validation.raw), validation.inputs)
    assert list(network.state_dict()) == []


def test_images_are_cropped_or_resized_as_in_the_training() -> None:
    training, validation = COLOURS.split()
    cropped, resized = (Preprocessing.of(training, (3, 6, 4), crop=crop) for crop in (True, False))
    assert torch.equal(cropped.prepare(validation.raw), middle(validation.inputs, (3, 6, 4)))
    assert torch.equal(resized.prepare(validation.raw), resize(validation.inputs, (3, 6, 4)))


def test_bytes_and_shares_of_255_are_the_same_and_numbers_are_not_divided() -> None:
    how = of(COLOURS)
    torch.testing.assert_close(how.prepare(COLOURS.raw / 255), how.prepare(COLOURS.raw), rtol=1e-6, atol=1e-6)
    how = of(NUMBERS)
    whole = torch.arange(8, dtype=torch.uint8).reshape(2, 4)
    assert torch.equal(how.prepare(whole), how.prepare(whole.double()))
    assert how.prepare(whole.double()).dtype == torch.float32


def test_a_regression_answers_in_the_unit_of_the_data() -> None:
    how = of(NUMBERS)
    linear = torch.nn.Linear(4, 2)
    answers = ReadyNetwork(linear, how)(NUMBERS.raw)
    expected = linear(how.prepare(NUMBERS.raw)) * torch.tensor(how.target_std) + torch.tensor(how.target_mean)
    assert torch.equal(answers, expected)


def test_inputs_that_are_standardised_already_are_refused_by_the_network_too() -> None:
    training, _ = COLOURS.split()
    network = ReadyNetwork(torch.nn.Flatten(), Preprocessing.of(training))
    for twice in (training.inputs, training.inputs[:3]):
        with pytest.raises(DataError, match="standardised already"):
            network(twice)
    assert torch.equal(network.network(training.inputs), network(training.raw))


def test_data_that_are_not_standardised_have_none() -> None:
    with pytest.raises(DataError, match="'colours' has no mean and deviation yet"):
        Preprocessing.of(COLOURS)


@pytest.mark.parametrize(
    "how",
    [
        of(COLOURS),
        of(COLOURS, input_shape=(3, 6, 4), crop=True),
        of(NUMBERS),
        of(load_dataset("digits")),
        of(load_dataset("digits_segment", size=8)),
    ],
    ids=lambda how: how.data,
)
def test_plain_data_and_back(how) -> None:
    assert Preprocessing.from_text(how.to_text()) == how
    assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how


def test_plain_data_say_all_that_another_program_needs() -> None:
    value = of(COLOURS).to_json()
    assert value["divide_by"] == 255
    assert value["class_names"] == ["night", "day"]
    assert value["images"] == {"mode": "RGB", "size": [8, 6], "values": None}
    assert value["answers"] == "logits of the classes; their softmax is the probabilities"
    mean, std = (np.array(value[key])[:, None, None] for key in ("mean", "std"))
    np.testing.assert_allclose((PIXELS / value["divide_by"] - mean) / std, of(COLOURS).prepare(COLOURS.raw), rtol=1e-4)
    assert of(load_dataset("digits")).images == ImageReading("L", (8, 8), (0.0, 1.0))


GOOD = of(COLOURS, input_shape=(3, 6, 4), crop=True).to_json()
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(set(GOOD) - {"data", "answers", "divide_by"})), JUNK)
def test_damaged_data_are_told_and_nothing_else_happens(key, junk) -> None:
    value = {**GOOD, key: junk}
    try:
        found = Preprocessing.from_json(value)
    except ValueError:
        return
    assert Preprocessing.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": 2}, "of format 1; got '2'"),
        ({"task": "magic"}, "its task must be one of"),
        ({"std": [1.0, 0.0, 1.0]}, "a positive deviation for each channel"),
        ({"mean": [1.0, 1.0]}, "a mean and a positive deviation"),
        ({"mean": [10**400, 1.0, 1.0]}, "lacks a part, or one is of another kind"),
        ({"data_shape": [3, 10**9, 6]}, "a few positive whole numbers"),
        ({"input_shape": [3, 9, 4]}, "the middle can be taken of larger images only"),
        ({"input_shape": [1, 6, 4]}, "the channels and dimensions of the data"),
        ({"images": {"mode": "L", "size": [8, 6], "values": None}}, "images must have the shape of the inputs"),
        ({"class_names": []}, "names of the answers"),
        ({"class_names": [1, 2]}, "names must be texts"),
        ({"target_mean": [1.0, 2.0]}, "other answers have none"),
        ({"stored": "int4"}, "'uint8' or 'float32'"),
    ],
)
def test_each_fault_has_its_sentence(change, fault) -> None:
    with pytest.raises(ValueError, match=fault.replace("(", r"\(")):
        Preprocessing.from_json({**GOOD, **change})
    with pytest.raises(ValueError, match="lacks a part"):
        Preprocessing.from_json({key: value for key, value in GOOD.items() if key not in change} | {"format": 1}) if (
            "format" not in change
        ) else Preprocessing.from_json({"format": 1})


def test_files_without_it_or_damaged_are_told(tmp_path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "plain.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "odd.safetensors", metadata={"preprocessing": "[" * 3000})
    (tmp_path / "cut.safetensors").write_bytes(b"123")
    (tmp_path / "cut.pt2").write_bytes(b"123")
    (tmp_path / "cut.json").write_bytes(b"{")
    (tmp_path / "plain.json").write_text('{"best": {"value": 1}}')
    with zipfile.ZipFile(tmp_path / "plain.pt2", "w") as archive:
        archive.writestr("archive/models/model.json", "{}")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/extra/robonas.json", b" " * 2**27)
    (tmp_path / "bomb.pt2").write_bytes(content.getvalue())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/extra/robonas.json", "{}")
    locked = content.getvalue()
    for head in (b"PK\x03\x04\x14\x00", b"PK\x01\x02\x14\x03\x14\x00"):  # the flag after it says: encrypted
        locked = locked.replace(head + b"\x00", head + b"\x01")
    (tmp_path / "locked.pt2").write_bytes(locked)
    with zipfile.ZipFile(tmp_path / "bzip.pt2", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("archive/extra/robonas.json", "{}")
    for name, message in (
        ("plain.safetensors", "holds no preprocessing"),
        ("plain.json", "holds no preprocessing"),
        ("plain.pt2", "holds no preprocessing"),
        ("odd.safetensors", "The preprocessing in .* is damaged|cannot be read: it is nested"),
        ("cut.safetensors", "Cannot read"),
        ("cut.pt2", "Cannot read"),
        ("cut.json", "Cannot read"),
        ("bomb.pt2", "Cannot read .*states"),
        ("locked.pt2", "Cannot read .*encrypted"),
        ("bzip.pt2", "Cannot read .*must be stored or deflated"),
        ("none.pt2", "Cannot read"),
    ):
        with pytest.raises(DataError, match=message):
            Preprocessing.read(tmp_path / name)
    with pytest.raises(ConfigError, match=r"end in \.safetensors, \.pt2, \.onnx, \.json; got"):
        Preprocessing.read(tmp_path / "network.pth")
