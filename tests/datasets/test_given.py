"""Data that somebody holds: data sets of PyTorch for every task, loaders, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from robonas.datasets import from_dataset, load_dataset
from robonas.errors import ConfigError, DataError, UnknownNameError
from tests.datasets.test_sources import Items


def pairs(n=8):
    return [(torch.full((1, 4, 4), float(row)), row % 2) for row in range(n)]


TARGETS = {
    "multilabel": (lambda row: [row % 2, 1.0, 0.5], (8, 3), (3,)),
    "regression": (lambda row: row / 2, (8, 1), (1,)),
    "segmentation": (lambda row: np.full((4, 4), row % 3), (8, 4, 4), (3, 4, 4)),
    "image": (lambda row: torch.full((1, 4, 4), row / 8), (8, 1, 4, 4), (1, 4, 4)),
}


@pytest.mark.parametrize("limit", [2**20, 0], ids=["in memory", "lazy"])
@pytest.mark.parametrize("task", TARGETS)
def test_every_task_has_its_targets(task, limit) -> None:
    make, shape, output = TARGETS[task]
    dataset = Items([(torch.full((1, 4, 4), float(row)), make(row)) for row in range(8)])
    data = load_dataset(dataset, task=task, memory_limit=limit)
    assert data.task == task
    assert tuple(data.labels.shape) == shape
    assert data.output_shape == output
    assert torch.equal(data.labels[3], torch.as_tensor(make(3)).to(data.labels.dtype).reshape(shape[1:]))
    assert torch.equal(data.inputs[5], torch.full((1, 4, 4), 5.0))
    training, validation = data.split(0.25)
    assert len(training) + len(validation) == 8


def test_pillow_images_are_targets_too() -> None:
    mask = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8))
    data = load_dataset(Items([(Image.new("RGB", (2, 2)), mask)] * 2), task="segmentation")
    assert data.labels[0].tolist() == [[0, 1], [2, 1]]
    picture = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    data = load_dataset(Items([(Image.new("L", (2, 1)), picture)] * 2), task="image")
    assert data.labels[0].tolist() == [[[-1.0, 1.0]]]


class Restless(Items):
    """Targets that change, as under a random transform."""

    def __getitem__(self, index):
        value, target = self.items[index]
        self.seen = getattr(self, "seen", 0) + 1
        return value, target + self.seen


BAD = {
    "shapes differ": (Items([(torch.zeros(1, 2, 2), [1.0]), (torch.zeros(1, 2, 2), [1.0, 2.0])]), "one shape"),
    "a map": (Items([(torch.zeros(1, 2, 2), torch.zeros(2, 2))] * 2), "must be a number or a list of them"),
    "not finite": (Items([(torch.zeros(1, 2, 2), float("nan"))] * 2), "NaN or infinity in the target at item 0"),
    "texts": (Items([(torch.zeros(1, 2, 2), "high")] * 2), "target at item 0 must be an array of numbers"),
}


@pytest.mark.parametrize("limit", [2**20, 0])
@pytest.mark.parametrize("case", BAD)
def test_targets_that_do_not_fit_are_one_sentence(case, limit) -> None:
    dataset, sentence = BAD[case]
    with pytest.raises(DataError, match=sentence):
        from_dataset(dataset, task="regression", memory_limit=limit)


def test_targets_that_change_are_told() -> None:
    data = from_dataset(Restless([(torch.zeros(1, 2, 2), 1.0)] * 4), task="regression", memory_limit=0)
    with pytest.raises(DataError, match="A random transform must not change targets"):
        _ = data.inputs


def test_an_unknown_task_is_told() -> None:
    with pytest.raises(ConfigError, match="`task` must be one of classification, multilabel"):
        load_dataset(Items(pairs()), task="detection")


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_gives_the_samples_of_its_data_set_in_their_order(shuffle) -> None:
    before = torch.get_rng_state()
    data = load_dataset(DataLoader(Items(pairs()), batch_size=3, shuffle=shuffle, drop_last=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert data.fingerprint() == load_dataset(Items(pairs())).fingerprint()
    assert data.name == "Items"


def test_a_loader_may_take_a_part_and_make_its_own_batches() -> None:
    items = Items(pairs())
    part = load_dataset(DataLoader(items, sampler=SubsetRandomSampler([5, 2, 3])))
    assert part.fingerprint() == load_dataset(Subset(items, [2, 3, 5])).fingerprint()

    def collate(batch):
        return torch.stack([value for value, _ in batch]) * 2, torch.tensor([label for _, label in batch])

    doubled = load_dataset(DataLoader(items, collate_fn=collate, batch_size=4))
    assert torch.equal(doubled.inputs[3], torch.full((1, 4, 4), 6.0))
    assert load_dataset(DataLoader(items, batch_size=None)).fingerprint() == load_dataset(items).fingerprint()


class Stream(IterableDataset):
    def __iter__(self):
        return iter(pairs())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (DataLoader(Items(pairs()), sampler=WeightedRandomSampler([1.0] * 8, 8)), "a WeightedRandomSampler"),
        (DataLoader(Items(pairs()), sampler=RandomSampler(Items(pairs()), replacement=True)), "a RandomSampler"),
        (DataLoader(Stream()), "a stream has not"),
        (Stream(), "a stream has not"),
        (np.zeros((4, 3)), "got a ndarray. Use `from_arrays`"),
        ({"x": 1}, "got a dict"),
        (DataLoader(Items(pairs()), collate_fn=lambda batch: {"x": batch}), r"must be \(input, label\); got a dict"),
    ],
)
def test_what_is_no_data_is_one_sentence(data, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load_dataset(data)


def test_ready_data_are_taken_as_they_are() -> None:
    data = load_dataset(pairs())
    assert load_dataset(data) is data
    with pytest.raises(ConfigError, match="are ready made and take no 'size'"):
        load_dataset(data, size=3)
    with pytest.raises(ConfigError, match="does not take these settings"):
        load_dataset(pairs(), size=3)


def test_a_missing_folder_is_told_as_a_missing_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        load_dataset("photos")
    assert str(caught.value).startswith(f"There is no folder or file 'photos' in '{tmp_path}', and no data set of that")
    assert "digits" in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"and no data set of that name\. Did you mean 'digits'"):
        load_dataset("digit")


def test_the_classes_of_a_data_set_are_no_names_of_numbers() -> None:
    dataset = Items([(torch.zeros(1, 2, 2), float(row)) for row in range(4)])
    dataset.classes = ("cat", "dog")
    assert load_dataset(dataset, task="regression").class_names == ("0",)
