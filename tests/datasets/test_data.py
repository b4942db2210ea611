"""Labelled data: checks, statistics, split, batch and fingerprint."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from robonas.datasets import from_arrays
from robonas.datasets.image_reading import ImageReading
from robonas.errors import ConfigError, DataError


def images(n=40, channels=2, side=4, n_classes=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, channels, side, side), dtype=np.uint8), np.arange(n) % n_classes


def test_bytes_are_divided_by_255_and_floats_stay():
    data = from_arrays(np.array([[[[0, 255]]], [[[51, 102]]]], np.uint8), [0, 1])
    assert data.input_shape == (1, 1, 2)
    assert data.inputs.dtype == torch.float32
    torch.testing.assert_close(data.inputs.flatten(), torch.tensor([0.0, 1.0, 0.2, 0.4]))
    floats = from_arrays(np.array([[3.0], [-7.5]]), [0, 1])
    assert floats.inputs.tolist() == [[3.0], [-7.5]]


def test_split_is_stratified_disjoint_and_complete():
    inputs = np.arange(30, dtype=np.float32)[:, None]
    labels = np.array([0] * 16 + [1] * 12 + [2] * 2)
    training, validation = from_arrays(inputs, labels).split(0.25, seed=3)
    assert torch.bincount(validation.labels).tolist() == [4, 3, 1]  # a quarter, a quarter, and at least one
    assert torch.bincount(training.labels).tolist() == [12, 9, 1]
    assert sorted([*training.rows.tolist(), *validation.rows.tolist()]) == list(range(30))


def test_a_larger_fraction_holds_out_the_same_samples_and_more():
    data = from_arrays(*images(200))
    small, large = (set(data.split(fraction, seed=1)[1].rows.tolist()) for fraction in (0.2, 0.4))
    assert small < large


def test_statistics_come_from_the_training_part_alone():
    inputs = np.array([[0.0, 5.0], [2.0, 5.0], [100.0, 7.0], [0.0, 5.0], [2.0, 5.0], [100.0, 7.0]], np.float32)
    data = from_arrays(inputs, [0, 0, 0, 1, 1, 1])
    training, validation = data.split(0.34, seed=0)
    kept = inputs[training.rows.numpy()].astype(np.float64)
    np.testing.assert_allclose(training.mean, kept.mean(axis=0), rtol=1e-6)
    std = kept.std(axis=0)
    np.testing.assert_allclose(training.std, np.where(std == 0, 1.0, std), rtol=1e-6)
    assert (validation.mean, validation.std) == (training.mean, training.std)
    torch.testing.assert_close(training.inputs.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    expected = (inputs[validation.rows.numpy()] - np.array(training.mean)) / np.array(training.std)
    torch.testing.assert_close(validation.inputs, torch.tensor(expected, dtype=torch.float32))


def test_a_constant_channel_becomes_zero():
    inputs = np.full((8, 1, 2, 2), 0.1, np.float32)
    training, _ = from_arrays(inputs, [0, 1] * 4).split()
    assert training.std == (1.0,)
    assert float(training.inputs.abs().max()) < 1e-6


def test_channels_are_standardised_apart():
    inputs, labels = images(64)
    inputs[:, 1] //= 10
    values = from_arrays(inputs, labels).split()[0].inputs
    torch.testing.assert_close(values.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(dim=(0, 2, 3), correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_split_depends_on_its_seed_and_nothing_else():
    data = from_arrays(*images(80))
    first = data.split(seed=0)[1].rows
    random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
    assert torch.equal(first, data.split(seed=0)[1].rows)
    assert not torch.equal(first, data.split(seed=1)[1].rows)


def test_global_generators_are_left_alone():
    data = from_arrays(*images(80))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    data.batch(8)
    data.fingerprint()
    assert before[0] == random.getstate()
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[2], torch.get_rng_state())


def test_batch_is_drawn_from_the_training_part_without_repeats():
    data = from_arrays(np.arange(100, dtype=np.float32)[:, None], np.arange(100) % 2)
    training, _ = data.split()
    batch = data.batch(50, seed=4)
    raw = (batch.inputs * training.std[0] + training.mean[0]).round().flatten().tolist()
    assert len(set(raw)) == 50
    assert set(raw) <= set(training.rows.tolist())
    assert batch.targets.tolist() == [value % 2 for value in raw]
    assert data.batch(50, seed=4).fingerprint() == batch.fingerprint() != data.batch(50, seed=5).fingerprint()


def test_fingerprint_sees_inputs_labels_and_classes_but_no_names():
    inputs, labels = images()
    data = from_arrays(inputs, labels, name="one")
    assert data.fingerprint() == from_arrays(inputs.copy(), labels, name="two", class_names="abcd").fingerprint()
    other = inputs.copy()
    other[3, 0, 0, 0] ^= 1
    swapped = labels.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    different = [
        from_arrays(other, labels),
        from_arrays(inputs, swapped),
        from_arrays(inputs, labels, n_classes=5),
        from_arrays(inputs.astype(np.float32), labels),
        from_arrays(inputs.transpose(0, 2, 3, 1), labels),
        data.split()[0],
    ]
    assert len({entry.fingerprint() for entry in [data, *different]}) == 7


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np; from robonas.datasets import from_arrays;"
        "data = from_arrays(np.arange(48, dtype='u1').reshape(6, 2, 2, 2), [0, 1] * 3);"
        "print(data.fingerprint(), data.split()[0].fingerprint())"
    )
    data = from_arrays(np.arange(48, dtype="u1").reshape(6, 2, 2, 2), [0, 1] * 3)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == [data.fingerprint(), data.split()[0].fingerprint()]


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "f2", "i4", ">i2", "u2", "u4", "?"])
def test_numeric_types_are_accepted(dtype):
    values = np.array([[0, 1], [1, 0]], dtype)
    assert from_arrays(values, np.array([0, 1], ">u2")).inputs.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_large_unsigned_numbers_keep_their_value():
    values = np.array([[2**63], [2**64 - 1]], np.uint64)
    assert from_arrays(values, [0, 1]).inputs.flatten().tolist() == [2.0**63, 2.0**64]


def test_read_only_inputs_are_not_changed():
    inputs, labels = images()
    inputs.flags.writeable = False
    kept = inputs.copy()
    from_arrays(inputs, labels).batch(8)
    assert np.array_equal(inputs, kept)


BAD = {
    "one class": (lambda: from_arrays(np.zeros((3, 1, 2, 2)), [0, 0, 0]), "at least 2 classes; all 3 are of class '0'"),
    "no samples": (lambda: from_arrays(np.zeros((0, 1)), np.zeros(0, int)), "is empty"),
    "lengths": (lambda: from_arrays(np.zeros((3, 1)), [0, 1]), "got 3 inputs and 2 labels"),
    "float labels": (lambda: from_arrays(np.zeros((2, 1)), [0.0, 1.0]), "Labels must be integers"),
    "text labels": (
        lambda: from_arrays(np.zeros((2, 1)), ["cat", "dog"]),
        "labels of 'arrays' must be an array of numbers",
    ),
    "one-hot labels": (lambda: from_arrays(np.zeros((2, 1)), [[0, 1], [1, 0]]), "one a sample"),
    "negative label": (lambda: from_arrays(np.zeros((2, 1)), [-1, 1]), "got -1"),
    "label too large": (lambda: from_arrays(np.zeros((2, 1)), [0, 2], n_classes=2), "from 0 to 1 for 2 classes; got 2"),
    "huge labels": (lambda: from_arrays(np.zeros((2, 1)), [0, 10**6]), "the largest is 1000000"),
    "beyond names": (lambda: from_arrays(np.zeros((2, 1)), [0, 2], class_names=["a", "b"]), "got 2"),
    "NaN": (lambda: from_arrays(np.array([[0.0], [np.nan]]), [0, 1]), "NaN or infinity in sample 1"),
    "infinite": (lambda: from_arrays(np.array([[np.inf], [0.0]]), [0, 1]), "NaN or infinity in sample 0"),
    "objects": (lambda: from_arrays(np.array([[{}], [None]], object), [0, 1]), "must be an array of numbers"),
    "ragged": (lambda: from_arrays([[1, 2], [3]], [0, 1]), "all rows of one shape"),
    "complex": (lambda: from_arrays(np.zeros((2, 1), complex), [0, 1]), "must be real numbers"),
    "no labels at all": (lambda: from_arrays(np.zeros((2, 1)), 3), "got 2 inputs and 0 labels"),
    "NaN label": (lambda: from_arrays(np.zeros((2, 1)), [0.0, np.nan]), "Labels must be integers"),
    "complex labels": (lambda: from_arrays(np.zeros((2, 1)), [0j, 1j]), "Labels must be integers"),
    "complex targets": (
        lambda: from_arrays(np.zeros((2, 1)), [0j, 1j], task="regression"),
        "must be floating point of shape",
    ),
    "sparse": (lambda: from_arrays(torch.eye(2).to_sparse(), [0, 1]), "inputs of 'arrays' must be a dense tensor"),
    "sparse matrix": (lambda: from_arrays(csr_matrix(np.eye(2)), [0, 1]), "must be an array of numbers"),
    "sparse labels": (lambda: from_arrays(np.eye(2), torch.tensor([0, 1]).to_sparse()), "labels of 'arrays' must be"),
    "nested": (
        lambda: from_arrays(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), [0, 1]),
        "got one that is nested",
    ),
    "masked": (lambda: from_arrays(np.ma.masked_equal(np.eye(2), 0), [0, 1]), "got a masked array"),
    "generator": (lambda: from_arrays((x for x in [[1.0], [2.0]]), [0, 1]), "got a generator"),
    "nothing": (lambda: from_arrays(None, [0, 1]), "got a NoneType"),
    "dates": (lambda: from_arrays(np.zeros((2, 1), "datetime64[s]"), [0, 1]), "must be an array of numbers"),
    "tensors with a gradient": (
        lambda: from_arrays([torch.ones(1, requires_grad=True)] * 2, [0, 1]),
        "must be an array of numbers",
    ),
    "no numbers": (lambda: from_arrays(np.zeros((2, 0)), [0, 1]), r"is empty: inputs of shape \(2, 0\)"),
    "no pixels": (lambda: from_arrays(np.zeros((2, 3, 0, 4)), [0, 1]), "is empty"),
    "too large for 32 bits": (
        lambda: from_arrays([[1.0], [1e300]], [0, 1]),
        "NaN or infinity in sample 1, as a number of 32 bits",
    ),
    "flat": (lambda: from_arrays(np.zeros(4), [0, 1, 0, 1]), r"got shape \(4,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_one_clear_sentence(case):
    make, sentence = BAD[case]
    with pytest.raises(DataError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_class_with_one_sample_cannot_be_split():
    data = from_arrays(np.zeros((5, 1)), [0, 0, 0, 0, 1], class_names=["cat", "dog"])
    with pytest.raises(DataError, match="class 'dog' has 1"):
        data.split()


def test_a_class_without_samples_is_no_hindrance():
    training, validation = from_arrays(np.arange(8.0)[:, None], [0, 2] * 4, n_classes=4).split()
    assert training.n_classes == validation.n_classes == 4


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        from_arrays(*images()).split(fraction)


@pytest.mark.parametrize(
    ("size", "sentence"), [(31, "30 samples; got 31"), (1, "at least 2"), (0, "at least 2"), (-3, "at least 2")]
)
def test_batch_size_out_of_range(size, sentence):
    with pytest.raises(DataError, match=sentence):
        from_arrays(*images(40, n_classes=2)).batch(size)


def test_identical_samples_are_no_batch():
    with pytest.raises(DataError, match="identical"):
        from_arrays(np.ones((20, 1, 2, 2)), [0, 1] * 10).batch(4)


def numbers(n=40):
    generator = np.random.default_rng(1)
    return generator.normal(size=(n, 3)), generator.normal(loc=100, scale=[1, 50], size=(n, 2))


def test_numbers_are_standardised_by_the_training_part():
    inputs, targets = numbers()
    data = from_arrays(inputs, targets, task="regression", class_names=["weight", "waist"])
    assert (data.task, data.n_classes, data.output_shape, len(data)) == ("regression", 2, (2,), 40)
    assert data.label_mean is None
    training, validation = data.split(0.25, 3)
    assert (len(training), len(validation)) == (30, 10)
    own = targets[training.rows.numpy()]
    np.testing.assert_allclose(training.label_mean, own.mean(0), rtol=1e-5)
    np.testing.assert_allclose(training.label_std, own.std(0), rtol=1e-5)
    expected = (targets[validation.rows.numpy()] - own.mean(0)) / own.std(0)
    np.testing.assert_allclose(validation.labels, expected, rtol=1e-3, atol=1e-4)
    assert data.batch(8).task == "regression"
    assert from_arrays(inputs, targets[:, 0], task="regression").output_shape == (1,)
    assert "task='regression'" in repr(data)


def test_maps_are_split_and_stay_as_they_are():
    inputs, _ = images(20)
    masks = inputs[:, 0] > 100
    data = from_arrays(inputs, masks.astype(np.uint8), task="segmentation", n_classes=3)
    assert data.output_shape == (3, 4, 4)
    training, validation = data.split()
    assert (len(training), len(validation)) == (15, 5)
    assert torch.equal(validation.labels, torch.from_numpy(masks[validation.rows.numpy()]).long())
    assert data.batch(4).output_shape == (3, 4, 4)
    pictures = from_arrays(inputs, inputs / 255, task="image")
    assert (pictures.n_classes, pictures.output_shape) == (2, (2, 4, 4))


def test_fingerprints_tell_tasks_apart():
    inputs, labels = images(20, n_classes=2)
    kinds = [
        from_arrays(inputs, labels),
        from_arrays(inputs, labels, task="regression"),
        from_arrays(inputs, np.stack([labels, 1 - labels], 1), task="regression"),
        from_arrays(inputs, np.stack([labels, 1 - labels], 1), task="multilabel"),
        from_arrays(inputs, inputs[:, 0] // 200, task="segmentation", n_classes=2),
    ]
    assert len({data.fingerprint() for data in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("targets", "task", "message"),
    [
        (np.zeros((40, 2, 2)), "regression", r"Data set 'arrays': Targets for regression must be floating point"),
        (np.full(40, np.nan), "regression", "must be finite"),
        (np.zeros((40, 1)), "segmentation", r"class indices of shape \(40, height, width\)"),
        (np.full((40, 1, 4, 4), 2.0), "image", "must be from -1 to 1"),
        (np.zeros(40), "detection", "The task of a batch must be one of classification"),
    ],
)
def test_targets_that_do_not_fit_their_task(targets, task, message):
    with pytest.raises(DataError, match=message):
        from_arrays(images()[0], targets, task=task)


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("inputs", [PIXELS, PIXELS / 25], ids=["bytes", "numbers"])
def test_standardising_twice_is_refused(inputs) -> None:
    whole = from_arrays(inputs, np.arange(12) % 2, name="mine")
    part, _ = whole.split()
    for twice in (part.inputs, part.inputs[2:5], part.standardise(part.raw), part.standardise(part.raw)[0:1]):
        with pytest.raises(DataError, match=r"Inputs of 'mine' are standardised already; .* as they are stored"):
            part.standardise(twice)
    for again in (part.standardised, part.split, lambda: part.standardised(whole.standardised())):
        with pytest.raises(DataError, match="'mine' is standardised already, as both parts of a split are"):
            again()
    with pytest.raises(DataError, match="'mine' is standardised already"):
        part.batch(4)
    assert torch.equal(part.standardise(part.raw), part.inputs)
    assert torch.equal(whole.standardise(whole.inputs), whole.inputs)  # before a split nothing is changed


def test_bytes_are_known_from_numbers_that_were_standardised() -> None:
    part, _ = from_arrays(PIXELS, np.arange(12) % 2, name="mine").split()
    with pytest.raises(DataError, match="standardised already"):
        part.standardise(part.inputs.clone())


def test_raw_inputs_are_as_they_are_stored() -> None:
    whole = from_arrays(PIXELS, np.arange(12) % 2)
    _, part = whole.split()
    assert part.raw.dtype == torch.uint8
    assert torch.equal(part.raw, torch.from_numpy(PIXELS)[part.rows])
    assert (whole.stored, from_arrays(PIXELS / 2, np.arange(12) % 2).stored) == ("uint8", "float32")
    assert whole.images == ImageReading("RGB", (4, 4))
    assert from_arrays(PIXELS[:, :2], np.arange(12) % 2).images is None
    assert from_arrays(PIXELS / 2, np.arange(12) % 2).images is None
