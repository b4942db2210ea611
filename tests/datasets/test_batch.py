"""Batches are checked when made."""

import subprocess
import sys

import pytest
import torch

from robonas.datasets.batch import Batch
from robonas.datasets.targets import check_labels
from robonas.errors import DataError

INPUTS = torch.arange(4 * 3 * 2 * 2, dtype=torch.float32).reshape(4, 3, 2, 2)
LABELS = torch.tensor([0, 1, 2, 0])


def test_a_good_batch():
    batch = Batch(INPUTS, LABELS, 3)
    assert len(batch) == 4
    assert batch.input_shape == (3, 2, 2)
    assert batch.task == "classification"
    assert batch.inputs is INPUTS


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int16, torch.int64])
def test_labels_of_any_integer_type_fit_cross_entropy(dtype):
    labels = LABELS.to(dtype)
    batch = Batch(INPUTS, labels, 3)
    assert batch.targets.dtype == torch.int64
    assert labels.dtype == dtype
    assert torch.isfinite(torch.nn.functional.cross_entropy(torch.zeros(4, 3), batch.targets))


def test_other_tasks():
    targets = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.5, 0.25]])
    assert Batch(INPUTS, targets, 2, "multilabel").targets is targets
    assert Batch(INPUTS, targets * 100 - 50, 2, "regression").n_classes == 2


@pytest.mark.parametrize(
    ("inputs", "targets", "n_classes", "task", "message"),
    [
        (INPUTS.long(), LABELS, 3, "classification", "floating point; got torch.int64. Scale images"),
        (INPUTS.byte(), LABELS, 3, "classification", "floating point; got torch.uint8"),
        (INPUTS.numpy(), LABELS, 3, "classification", "Inputs of a batch must be a tensor; got a ndarray"),
        (INPUTS, [0, 1, 2, 0], 3, "classification", "Targets of a batch must be a tensor; got a list"),
        (INPUTS.to_sparse(), LABELS, 3, "classification", "Inputs of a batch must be a dense tensor"),
        (INPUTS, LABELS.to_sparse(), 3, "classification", "Targets of a batch must be a dense tensor"),
        (INPUTS.to("meta"), LABELS, 3, "classification", "must hold values; got a tensor on the device 'meta'"),
        (INPUTS[:, :, :0], LABELS, 3, "classification", r"must hold numbers; got inputs of shape \(4, 3, 0, 2\)"),
        (INPUTS[:1], LABELS[:1], 3, "classification", "at least 2 samples; got 1"),
        (INPUTS[:0], LABELS[:0], 3, "classification", "at least 2 samples; got 0"),
        (INPUTS[:, 0, 0, 0], LABELS, 3, "classification", r"must be \(samples, ...\); got shape \(4,\)"),
        (torch.tensor(1.0), LABELS, 3, "classification", r"got shape \(\)"),
        (INPUTS / 0, LABELS, 3, "classification", "must be finite"),
        (INPUTS[:1].expand(4, 3, 2, 2), LABELS, 3, "classification", "all 4 are identical"),
        (torch.zeros(4, 3), LABELS, 3, "classification", "all 4 are identical"),
        (INPUTS, LABELS[:3], 3, "classification", r"one target a sample \(4\); got targets of shape \(3,\)"),
        (INPUTS, torch.tensor(1), 3, "classification", r"got targets of shape \(\)"),
        (INPUTS, LABELS.float(), 3, "classification", "Labels must be integers, one a sample; got torch.float32"),
        (INPUTS, LABELS[:, None], 3, "classification", r"of shape \(4, 1\)"),
        (INPUTS, LABELS, 2, "classification", "Labels must be from 0 to 1 for 2 classes; got 2"),
        (INPUTS, LABELS - 1, 3, "classification", "got -1"),
        (INPUTS, LABELS, 3, "multilabel", r"floating point of shape \(4, 3\); got torch.int64 of shape \(4,\)"),
        (INPUTS, torch.zeros(4, 2), 3, "regression", r"got torch.float32 of shape \(4, 2\)"),
        (INPUTS, torch.zeros(4, 3) / 0, 3, "regression", "Targets for regression must be finite"),
        (INPUTS, torch.full((4, 3), 2.0), 3, "multilabel", "must be from 0 to 1; got 2 to 2"),
        (INPUTS, LABELS, 3, "detection", "one of classification, .*, image; got 'detection'"),
        (
            INPUTS,
            LABELS,
            3,
            "segmentation",
            r"class indices of shape \(4, height, width\); got torch.int64",
        ),
        (INPUTS, INPUTS[:, 0], 3, "segmentation", "got torch.float32 of shape"),
        (INPUTS, INPUTS[:, 0].long(), 3, "segmentation", "Labels must be from 0 to 2 for 3 classes; got"),
        (INPUTS, INPUTS, 3, "image", "Targets for image must be from -1 to 1; got 0 to 47"),
        (INPUTS, INPUTS, 2, "image", r"floating point of shape \(4, 2, height, width\); got"),
        (INPUTS, INPUTS[:, :, 0], 3, "image", r"floating point of shape \(4, 3, height, width\); got"),
    ],
)
def test_bad_batches(inputs, targets, n_classes, task, message):
    with pytest.raises(DataError, match=message):
        Batch(inputs, targets, n_classes, task)


def test_maps_as_targets():
    segments = Batch(INPUTS, torch.zeros(4, 5, 6, dtype=torch.uint8), 3, "segmentation")
    assert segments.output_shape == (3, 5, 6)
    assert segments.targets.dtype == torch.int64
    assert Batch(INPUTS, torch.zeros(4, 7, 5, 6), 7, "image").output_shape == (7, 5, 6)
    assert Batch(INPUTS, LABELS, 3).output_shape == (3,)
    with pytest.raises(DataError, match="their targets for segmentation are maps of a size of their own"):
        segments.resized((3, 4, 4))


def test_no_labels():
    with pytest.raises(DataError, match="at least one label"):
        check_labels(torch.tensor([], dtype=torch.int64), 3)


def test_a_batch_cannot_be_changed():
    with pytest.raises(AttributeError):
        Batch(INPUTS, LABELS, 3).n_classes = 4


def test_fingerprints_tell_all_parts_apart():
    batches = [
        Batch(INPUTS, LABELS, 3),
        Batch(INPUTS, LABELS, 4),
        Batch(INPUTS + 1, LABELS, 3),
        Batch(INPUTS.double(), LABELS, 3),
        Batch(INPUTS.bfloat16(), LABELS, 3),
        Batch(INPUTS.reshape(4, 3, 4), LABELS, 3),
        Batch(INPUTS.flip(0), LABELS, 3),
        Batch(INPUTS, LABELS.flip(0), 3),
        Batch(INPUTS, torch.zeros(4, 3), 3, "regression"),
        Batch(INPUTS, torch.zeros(4, 3), 3, "multilabel"),
    ]
    assert len({batch.fingerprint() for batch in batches}) == len(batches)


def test_fingerprints_see_values_only():
    whole = Batch(INPUTS, LABELS, 3)
    assert Batch(INPUTS.clone(), LABELS.int(), 3).fingerprint() == whole.fingerprint()
    view = INPUTS.repeat_interleave(2, 0)[::2]
    assert not view.is_contiguous()
    assert Batch(view, LABELS, 3).fingerprint() == whole.fingerprint()
    assert Batch(INPUTS.clone().requires_grad_(), LABELS, 3).fingerprint() == whole.fingerprint()


def test_fingerprint_in_another_process():
    code = (
        "import torch; from robonas.datasets.batch import Batch;"
        "x = torch.arange(48, dtype=torch.float32).reshape(4, 3, 2, 2);"
        "print(Batch(x, torch.tensor([0, 1, 2, 0]), 3).fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == Batch(INPUTS, LABELS, 3).fingerprint()


def test_resized_batches():
    batch = Batch(INPUTS, LABELS, 3)
    assert batch.resized((3, 2, 2)) is batch
    larger = batch.resized((3, 4, 6))
    assert larger.input_shape == (3, 4, 6)
    assert torch.equal(larger.targets, batch.targets)
    flat = Batch(torch.full((2, 1, 4, 4), 3.0) + torch.arange(2.0)[:, None, None, None], LABELS[:2], 3)
    assert torch.allclose(flat.resized((1, 2, 2)).inputs, flat.inputs[:, :, :2, :2]), "a constant stays a constant"
    signal = Batch(torch.arange(8.0).reshape(2, 1, 4), LABELS[:2], 3).resized((1, 8))
    assert signal.input_shape == (1, 8)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 2), (3, 2, 2, 2)])
def test_only_the_size_of_samples_can_change(shape):
    with pytest.raises(DataError, match="cannot be resized to"):
        Batch(INPUTS, LABELS, 3).resized(shape)
