"""What trained networks are judged by, on answers small enough to judge by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    r2_score,
    roc_auc_score,
)

from robonas.datasets.targets import TASKS
from robonas.errors import ConfigError, ObjectiveError
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


def test_f1_and_matthews_by_hand():
    # answers 0, 0, 2, 1 for the classes 0, 0, 0, 1
    assert value("classification", "f1", LOGITS, CLASSES, parts=2) == pytest.approx((0.8 + 1 + 0) / 3)
    # c s - Σ p t = 3·4 - (2·3 + 1·1) = 5, of √(16 - (4 + 1 + 1)) √(16 - (9 + 1))
    assert value("classification", "matthews", LOGITS, CLASSES) == pytest.approx(5 / math.sqrt(10 * 6))
    one = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    assert value("classification", "matthews", one, CLASSES) == 0


def test_auroc_by_hand():
    """Of 2 · 3 pairs, class 1 is above in four, and equal in one; the same seen from class 0."""
    logits = torch.tensor([[0.0, 3.0], [0.0, 1.0], [0.0, 2.0], [0.0, 1.0], [0.0, -5.0]])
    classes = torch.tensor([1, 1, 0, 0, 0])
    assert value("classification", "auroc", logits, classes, parts=5) == pytest.approx(4.5 / 6)
    # precision at each step of recall: 1/1, then 2/4 with the tie; and for class 0, 1/1, 2/3, 3/5 as its ties come
    one = 0.5 * 1 + 0.5 * 2 / 4
    other = 1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4
    assert value("classification", "average_precision", logits, classes) == pytest.approx((one + other) / 2)


def test_sure_answers_keep_their_order():
    """Probabilities that all round to 1: no tie in AUROC."""
    logits = torch.tensor([[0.0, 60.0], [0.0, 50.0], [0.0, 70.0], [0.0, 80.0]])
    assert value("classification", "auroc", logits, torch.tensor([0, 0, 1, 1])) == 1
    assert value("classification", "auroc", logits, torch.tensor([1, 1, 0, 0])) == 0


def test_many_classes_as_in_scikit_learn():
    logits, generator = drawn(60, 5).round(decimals=1), torch.Generator().manual_seed(1)
    classes = torch.randint(0, 4, (60,), generator=generator)  # class 4 is answered, and never right
    answers, odds = logits.argmax(1), logits.double().softmax(1)
    assert value("classification", "f1", logits, classes) == pytest.approx(f1_score(classes, answers, average="macro"))
    assert value("classification", "matthews", logits, classes) == pytest.approx(matthews_corrcoef(classes, answers))
    hard = np.eye(5)[classes]
    areas = [roc_auc_score(hard[:, label], odds[:, label]) for label in range(4)]
    assert value("classification", "auroc", logits, classes, parts=3) == pytest.approx(np.mean(areas))
    precisions = [average_precision_score(hard[:, label], odds[:, label]) for label in range(4)]
    assert value("classification", "average_precision", logits, classes) == pytest.approx(np.mean(precisions))


def test_several_labels_as_in_scikit_learn():
    logits, labels = drawn(40, 4), (drawn(40, 4).flip(0) > 0.3).float()
    labels[:, 2] = 1  # everybody has it: no area
    labels[:, 3], logits[:, 3] = 0, -1  # nobody has it, and nobody is said to
    guessed = logits > 0
    three = f1_score(labels[:, :3], guessed[:, :3], average="macro")
    assert value("multilabel", "f1", logits, labels, parts=4) == pytest.approx(three)
    assert value("multilabel", "auroc", logits, labels) == pytest.approx(roc_auc_score(labels[:, :2], logits[:, :2]))
    precision = average_precision_score(labels[:, :3], logits[:, :3])
    assert value("multilabel", "average_precision", logits, labels) == pytest.approx(precision)
    with pytest.raises(ObjectiveError, match=r"undefined on the held-out part: no label is there"):
        value("multilabel", "auroc", logits[:, 2:], labels[:, 2:])
    assert measure_of("multilabel", "f1", labels)[0] == "f1"
    with pytest.raises(ConfigError, match=r"`measure` 'f1' needs labels that are 0 or 1; got 0\.5\. Use 'loss'"):
        measure_of("multilabel", "f1", labels / 2)


def test_distance_and_dice_by_hand():
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, -4.0]]), torch.tensor([[0.0, 2.0], [1.0, 4.0]])
    assert value("regression", "mae", outputs, targets, parts=2) == pytest.approx(10 / 4)
    answers = torch.tensor([[[0, 0], [0, 1]]])
    logits = torch.nn.functional.one_hot(answers, 3).movedim(-1, 1).float()
    # class 0: 2 right of 3 and 2; class 1: 1 right of 1 and 2; class 2 is nowhere
    wanted = torch.tensor([[[0, 0], [1, 1]]])
    assert value("segmentation", "dice", logits, wanted) == pytest.approx((4 / 5 + 2 / 3) / 2)


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in MEASURES[task]])
def test_every_value_is_in_its_range(task, name):
    measure = MEASURES[task][name]
    assert measure.meaning.endswith(".")
    maps = {"segmentation": (4, 5, 5), "image": (4, 5, 5)}.get(task, (4,))
    outputs = drawn(30, *maps)
    targets = {
        "classification": torch.arange(30) % 4,
        "multilabel": (drawn(30, 4).flip(0) > 0).float(),
        "regression": drawn(30, 4).flip(0),
        "segmentation": (torch.arange(750) % 4).reshape(30, 5, 5),
        "image": drawn(30, 4, 5, 5).flip(0).tanh(),
    }[task]
    assert measure.lowest <= value(task, name, outputs, targets) <= measure.highest
    best = {
        "classification": 50 * torch.eye(4)[torch.arange(30) % 4],
        "multilabel": 50 * (2 * targets.float() - 1),
        "segmentation": 50 * torch.eye(4)[targets.long() % 4].movedim(-1, 1) if task == "segmentation" else None,
    }.get(task, targets)
    expected = measure.highest if measure.direction == "maximize" else measure.lowest
    assert value(task, name, best, targets) == pytest.approx(expected, abs=1e-6)


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
    with pytest.raises(ConfigError, match="`measure` must be one of r2, mae, loss for regression; got 'accuracy'"):
        measure_of("regression", "accuracy")
