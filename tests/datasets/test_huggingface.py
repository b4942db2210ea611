"""Data sets of Hugging Face, from local files alone."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image as Images

from robonas.datasets import load_dataset
from robonas.errors import ConfigError, DataError, MissingExtraError, UnknownNameError

datasets = pytest.importorskip("datasets")
LABELS = datasets.ClassLabel(num_classes=2)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No network, no cache but the test's own, and no bars."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def picture(shade: int, side: int = 6, mode: str = "RGB") -> Images.Image:
    return Images.new(mode, (side, side), shade if mode == "L" else (shade, 0, 0))


def photos(n: int = 8):
    return datasets.Dataset.from_dict(
        {"image": [picture(10 * row) for row in range(n)], "label": [row % 2 for row in range(n)]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}),
    )


def test_a_saved_folder_is_read_part_by_part(tmp_path) -> None:
    datasets.DatasetDict(train=photos(), test=photos(4)).save_to_disk(str(tmp_path / "saved"))
    data = load_dataset(f"hf:{tmp_path / 'saved'}")
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 1] * 4
    assert data.input_shape == (3, 6, 6)
    assert torch.equal(data.inputs[3, 0], torch.full((6, 6), 30 / 255))
    assert len(load_dataset(f"hf:{tmp_path / 'saved'}", part="test", size=3, mode="L")) == 4
    with pytest.raises(UnknownNameError, match=r"has no part 'val'\. Known: train, test\."):
        load_dataset(f"hf:{tmp_path / 'saved'}", part="val")
    with pytest.raises(ConfigError, match="takes no options; got revision"):
        load_dataset(f"hf:{tmp_path / 'saved'}", revision="x")


def test_a_folder_of_images_and_one_of_csv_are_read(tmp_path) -> None:
    for name, shade in (("cats", 10), ("dogs", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            picture(shade).save(tmp_path / "photos" / name / f"{number}.png")
    data = load_dataset(f"hf:{tmp_path / 'photos'}", size=4, mode="L")
    assert data.class_names == ("cats", "dogs")
    assert data.input_shape == (1, 4, 4)
    (tmp_path / "table").mkdir()
    with (tmp_path / "table" / "rows.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["width", "height", "kind", "price"], [1, 2, "b", 0.5], [3, 4, "a", 1.5], [5, 6, "b", 2.5]])
    data = load_dataset(f"hf:{tmp_path / 'table'}", target="kind", input=["width", "height"])
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [1, 0, 1]
    assert data.inputs.tolist() == [[1, 2], [3, 4], [5, 6]]
    data = load_dataset(f"hf:{tmp_path / 'table'}", target="price", task="regression")
    assert data.labels.flatten().tolist() == [0.5, 1.5, 2.5]
    assert data.input_shape == (2,)
    data = load_dataset(f"hf:{tmp_path / 'table'}", target=["price", "width"], task="regression", input=["height"])
    assert data.class_names == ("price", "width")


def test_a_table_that_is_held_is_taken_lazily_too() -> None:
    eager, lazy = load_dataset(photos()), load_dataset(photos(), memory_limit=0)
    assert torch.equal(eager.inputs, lazy.inputs)
    assert eager.class_names == lazy.class_names


def test_maps_and_arrays_are_targets_and_inputs() -> None:
    masks = [Images.fromarray(np.full((6, 6), row % 3, dtype=np.uint8)) for row in range(6)]
    table = datasets.Dataset.from_dict(
        {"image": [picture(9)] * 6, "mask": masks},
        features=datasets.Features({"image": datasets.Image(), "mask": datasets.Image()}),
    )
    data = load_dataset(table, task="segmentation", input="image", target="mask", size=3)
    assert data.output_shape == (3, 3, 3)
    assert data.labels[:, 0, 0].tolist() == [0, 1, 2] * 2
    signals = datasets.Dataset.from_dict(
        {"signal": [np.full((2, 5), row, dtype=np.float32) for row in range(4)], "label": [0, 1, 0, 1]},
        features=datasets.Features(
            {"signal": datasets.Array2D((2, 5), "float32"), "label": datasets.ClassLabel(num_classes=2)}
        ),
    )
    assert load_dataset(signals).input_shape == (2, 5)


def test_what_could_mean_several_columns_is_asked() -> None:
    table = photos().add_column("coarse", [0] * 8).cast_column("coarse", datasets.ClassLabel(names=["animal", "plant"]))
    with pytest.raises(ConfigError, match="2 columns of class labels, so the one to learn must be named by `target`"):
        load_dataset(table)
    assert load_dataset(table, target="label").n_classes == 2
    with pytest.raises(UnknownNameError, match=r"has no column 'fine'\. Known: image, label, coarse"):
        load_dataset(table, target="fine")
    with pytest.raises(ConfigError, match="`size` and `mode` are for images"):
        load_dataset(table, input="coarse", target="label", size=3)
    with pytest.raises(DataError, match="Give one part of it"):
        load_dataset(datasets.DatasetDict(train=photos()))
    with pytest.raises(DataError, match="no stream"):
        load_dataset(photos().to_iterable_dataset())


def test_what_is_not_there_and_what_is_damaged_are_one_sentence(tmp_path) -> None:
    with pytest.raises(DataError, match="Cannot find data set 'hf:nobody/nothing': it is no folder here"):
        load_dataset("hf:nobody/nothing")
    cell = {"bytes": b"no image", "path": None}
    table = datasets.Dataset.from_dict(
        {"image": [cell] * 2, "label": [0, 1]},
        features=datasets.Features(
            {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(num_classes=2)}
        ),
    )
    with pytest.raises(DataError, match="Cannot read image of row 0: it is damaged"):
        load_dataset(table)


def test_a_label_that_is_missing_is_no_class() -> None:
    table = datasets.Dataset.from_dict({"size": [1.0, 2.0, 3.0], "name": ["a", None, "b"]})
    with pytest.raises(DataError, match="Column 'name' has no label in row 1, and every sample needs one"):
        load_dataset(table, input="size", target="name")


def test_no_other_program_is_started_for_an_image() -> None:
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n"
    table = datasets.Dataset.from_dict(
        {"image": [{"bytes": drawing, "path": None}] * 2, "label": [0, 1]},
        features=datasets.Features(
            {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(num_classes=2)}
        ),
    )
    with pytest.raises(DataError, match="not an image"):
        load_dataset(table)


def test_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'robonas\[datasets\]'"):
        load_dataset("hf:cifar10")
