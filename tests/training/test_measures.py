"""What trained networks are judged by, on answers small enough to judge by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from sklearn.metrics import jaccard_score, r2_score

from robonas.datasets.targets import TASKS
from robonas.errors import ConfigError
from robonas.training.measures import MEASURES, measure_of

LOGITS = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0], [0.0, 1.0, 0.0]])
CLASSES = torch.tensor([0, 0, 0, 1])


def value(task, name, outputs, targets, parts=1):
    """The measure, the samples in one batch or in several."""
    measure = MEASURES[task][name]
    rows = [measure.reduce(one, other) for one, other in zip(outputs.chunk(parts), targets.chunk(parts), strict=True)]
    return measure.finish(torch.cat(rows))


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_classes():
    assert value("classification", "accuracy", LOGITS, CLASSES) == 0.75
    balanced = value("classification", "balanced_accuracy", LOGITS, CLASSES)
    assert balanced == pytest.approx((2 / 3 + 1) / 2)  # class 2 is absent
    right, wrong, other = math.log(1 + 2 * math.exp(-2)), math.log(2 + math.exp(3)), math.log(1 + 2 * math.exp(-1))
    assert value("classification", "loss", LOGITS, CLASSES) == pytest.approx((2 * right + wrong + other) / 4)


def test_r2_is_the_statisticians():
    outputs, targets = drawn(20, 3), drawn(20, 3).flip(0)
    assert value("regression", "r2", outputs, targets) == pytest.approx(r2_score(targets, outputs))
    assert value("regression", "r2", targets, targets) == 1
    mean = targets.mean(0, keepdim=True).expand(20, 3)
    assert value("regression", "r2", mean, targets) == pytest.approx(0, abs=1e-6)
    same = torch.ones(4, 1)
    assert value("regression", "r2", same, same) == 1
    assert value("regression", "r2", same + 1, same) == 0
    assert value("regression", "loss", outputs, targets) == pytest.approx(float((outputs - targets).square().mean()))


def test_overlaps_are_of_all_samples_together():
    outputs, targets = drawn(6, 4, 5, 5), torch.randint(0, 3, (6, 5, 5), generator=torch.Generator().manual_seed(0))
    answers = outputs.argmax(1)
    labels = [label for label in range(4) if bool((answers == label).any() | (targets == label).any())]
    expected = jaccard_score(targets.flatten(), answers.flatten(), labels=labels, average="macro")
    assert value("segmentation", "mean_iou", outputs, targets) == pytest.approx(expected)
    assert value("segmentation", "pixel_accuracy", outputs, targets) == pytest.approx(
        float((answers == targets).double().mean())
    )
    absent = torch.zeros(2, 3, 2, 2)
    absent[:, 0] = 1
    assert value("segmentation", "mean_iou", absent, torch.zeros(2, 2, 2, dtype=torch.int64)) == 1, "no class 1 or 2"


@pytest.mark.parametrize("shape", [(16, 13), (12, 11), (6, 4), (1, 1)])
def test_ssim_by_its_definition(shape):
    x, y = (drawn(2, 2, *shape).clamp(-1, 1) for _ in range(2))
    y = (y.flip(0) + 0.3 * x).clamp(-1, 1)
    side = min(11, *shape)
    side -= 1 - side % 2
    line = np.exp(-((np.arange(side) - side // 2) ** 2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2
    half = side // 2

    def mean(image):
        rows, columns = image.shape
        return correlate(image, window)[half : rows - half, half : columns - half]

    expected = []
    for a, b in zip(x.double().flatten(0, 1).numpy(), y.double().flatten(0, 1).numpy(), strict=True):
        p, q = mean(a), mean(b)
        v, w, c = mean(a * a) - p * p, mean(b * b) - q * q, mean(a * b) - p * q
        top, bottom = (2 * p * q + 0.0004) * (2 * c + 0.0036), (p * p + q * q + 0.0004) * (v + w + 0.0036)
        expected.append((top / bottom).mean())
    assert value("image", "ssim", y, x) == pytest.approx(np.mean(expected), rel=1e-9)
    assert value("image", "ssim", x, x) == pytest.approx(1)
    assert value("image", "loss", y, x) == pytest.approx(float((x - y).abs().mean()))


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in MEASURES[task]])
def test_values_do_not_depend_on_the_batches(task, name):
    outputs = drawn(8, 3, 4, 4) if task in {"segmentation", "image"} else drawn(8, 3)
    targets = {
        "classification": torch.arange(8) % 3,
        "segmentation": torch.arange(128).reshape(8, 4, 4) % 3,
        "multilabel": (drawn(8, 3) > 0).float(),
        "regression": drawn(8, 3),
        "image": drawn(8, 3, 4, 4).clamp(-1, 1),
    }[task]
    whole = value(task, name, outputs, targets)
    assert value(task, name, outputs, targets, parts=4) == pytest.approx(whole)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    assert value(task, name, outputs[order], targets[order]) == pytest.approx(whole)


def test_the_usual_measure_comes_first_and_others_are_told():
    assert [measure_of(task, None)[0] for task in TASKS] == ["accuracy", "loss", "r2", "mean_iou", "ssim"]
    with pytest.raises(ConfigError, match="`measure` must be one of r2, loss for regression; got 'accuracy'"):
        measure_of("regression", "accuracy")
