"""Measures by which trained networks are judged on samples that they have not seen, for every kind of task.

A measure reduces the answers to each batch of samples to a few numbers a sample, so that maps of many samples are never
in memory together, and ends in one number over all samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from robonas.datasets.targets import loss_of
from robonas.errors import ConfigError
from robonas.training import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.datasets.targets import Task

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Measure:
    """A measure of answers against targets."""

    reduce: Callable[[Tensor, Tensor], Tensor]
    """Function from the outputs (n, …) and targets (n, …) of some samples to numbers (n, …), on the CPU, in float64."""
    finish: Callable[[Tensor], float]
    """Function from the numbers of all samples to the value."""
    direction: Direction
    """Whether a larger value is better."""
    words: str
    """Name in tables, such as ``"accuracy"``."""
    meaning: str
    """Definition in a sentence."""
    lowest: float = 0.0
    """Smallest value that it can have."""
    highest: float = 1.0
    """Largest value that it can have."""
    whole_labels: bool = False
    """Whether labels from 0 to 1 must be 0 or 1."""

    def error(self, rows: Tensor) -> float | None:
        """Return the standard error of the value over samples, s/√n; None where the value is no mean over them.

        Args:
            rows: Numbers of all samples, as `reduce` gives them, (n, …).
        """
        if self.finish not in {_mean, _first_mean} or len(rows) < 2:
            return None
        each = rows[:, 0] if self.finish is _first_mean else rows.flatten(1).mean(1) if rows.ndim > 1 else rows
        return float(each.std()) / math.sqrt(len(each))


def measure_of(task: Task, name: str | None, targets: Tensor | None = None) -> tuple[str, Measure]:
    """Return the measure of that name for a task; the task's first where there is no name.

    Args:
        task: Kind of the targets.
        name: Name of the measure.
        targets: Targets that networks will be judged by, where they are known.

    Raises:
        ConfigError: The task has no such measure, or the measure is not for such targets.
    """
    known = MEASURES[task]
    name = name if name is not None else next(iter(known))
    if name not in known:
        raise ConfigError(f"`measure` must be one of {', '.join(known)} for {task}; got {name!r}.")
    if known[name].whole_labels and targets is not None and bool(((targets != 0) & (targets != 1)).any()):
        odd = float(targets[(targets != 0) & (targets != 1)][0])
        raise ConfigError(f"`measure` {name!r} needs labels that are 0 or 1; got {odd:g}. Use 'loss'.")
    return name, known[name]


# ── classes ──


def _right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return whether the largest logit is the target's, and the target."""
    return torch.stack([outputs.argmax(dim=1) == targets, targets], dim=1).double()


def guesses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return whether the class is the likeliest, and whether it is among the five likeliest: float64, (n, 2).

    Args:
        outputs: Logits, (n, classes).
        targets: Class indices, (n,).
    """
    right = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == targets[:, None]
    return torch.stack([right[:, 0], right.any(dim=1)], dim=1).double()


def _balanced(rows: Tensor) -> float:
    """Return the mean share over the classes that occur."""
    right, targets = rows.unbind(1)
    return float(torch.stack([right[targets == label].mean() for label in torch.unique(targets)]).mean())


def _pixels_right(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) == targets).flatten(1).double().mean(1)


def _overlaps(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the pixels of every class in both the answer and the target, and in either: (n, classes, 2)."""
    n_classes = outputs.shape[1]
    answers = F.one_hot(outputs.argmax(dim=1).flatten(1), n_classes)
    wanted = F.one_hot(targets.flatten(1), n_classes)
    both, either = (answers & wanted).sum(1), (answers | wanted).sum(1)
    return torch.stack([both, either], dim=2).double()


def _mean_iou(overlaps: Tensor) -> float:
    both, either = overlaps.sum(0).unbind(1)
    there = either > 0
    return float((both[there] / either[there]).mean())


def _dice(overlaps: Tensor) -> float:
    both, either = overlaps.sum(0).unbind(1)
    there = either > 0
    return float((2 * both[there] / (both[there] + either[there])).mean())


# ── real numbers and images ──


def _r2(rows: Tensor) -> float:
    """Return 1 − Σ(y − ŷ)² / Σ(y − ȳ)², averaged over the outputs; one that is constant counts 1 where met, else 0."""
    outputs, targets = rows.unbind(1)
    residual = (targets - outputs).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    constant = spread == 0
    explained = 1 - residual / torch.where(constant, 1, spread)
    return float(torch.where(constant, (residual == 0).double(), explained).mean())


def ssim(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the structural similarity of images in [-1, 1], (n, channels, height, width): a number each, 1 if equal.

    The mean over channels and positions of (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)),
    moments in a Gaussian window of deviation 1.5 and 11 pixels a side (or the largest odd side that fits), at positions
    where the window lies in the image; C₁ = (0.01 · 2)², C₂ = (0.03 · 2)².

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE Transactions on Image Processing, 2004, equation 13.
    """
    side = min(11, *outputs.shape[-2:])
    side -= 1 - side % 2
    offsets = torch.arange(side, dtype=torch.float64, device=outputs.device) - side // 2
    line = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = torch.outer(line, line)[None, None] / line.sum().square()
    x, y = (images.double().flatten(0, 1)[:, None] for images in (outputs, targets))

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(values, window)

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y, cov = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    c1, c2 = 0.02**2, 0.06**2
    index = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return index.reshape(len(outputs), -1).mean(1)


# ── the catalogue ──


def _mean(rows: Tensor) -> float:
    return float(rows.mean())


def _loss(task: Task, meaning: str) -> Measure:
    """Return the task's own loss, without label smoothing; every sample counts alike."""

    def reduce(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss_of(outputs, targets, task, each=True).double()

    return Measure(reduce, _mean, "minimize", "loss", meaning, highest=math.inf)


def _pairs(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.stack([outputs, targets], dim=1).double()


def _first_mean(rows: Tensor) -> float:
    return _mean(rows[:, 0])


def _distance(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().double().mean(1)


MEASURES: Mapping[Task, Mapping[str, Measure]] = {
    "classification": {
        "accuracy": Measure(_right, _first_mean, "maximize", "accuracy", "Share of samples whose class is right."),
        "balanced_accuracy": Measure(
            _right, _balanced, "maximize", "balanced accuracy", "Mean, over the classes, of the share that is right."
        ),
        "f1": Measure(
            counted.answers_and_targets,
            counted.f1,
            "maximize",
            "macro F1",
            "Mean, over the classes that occur or are answered, of the harmonic mean of precision and recall.",
        ),
        "auroc": Measure(
            counted.margins_and_targets,
            counted.auroc,
            "maximize",
            "AUROC",
            "Mean, over the classes that occur, of the area under the curve of true against false positives, of one "
            "class against all others: the probability that a sample of the class has a larger probability of it than "
            "another sample has; 0.5 by chance.",
        ),
        "average_precision": Measure(
            counted.margins_and_targets,
            counted.average_precision,
            "maximize",
            "average precision",
            "Mean, over the classes that occur, of the precision averaged over recall, of one class against all "
            "others.",
        ),
        "matthews": Measure(
            counted.answers_and_targets,
            counted.matthews,
            "maximize",
            "Matthews correlation",
            "Correlation of answers and classes; 0 by chance, and where all answers are one class.",
            lowest=-1.0,
        ),
        "loss": _loss("classification", "Cross-entropy, in nats."),
    },
    "image": {
        "ssim": Measure(ssim, _mean, "maximize", "SSIM", "Mean structural similarity.", lowest=-1.0),
        "loss": _loss("image", "Mean absolute error."),
    },
    "multilabel": {
        "loss": _loss("multilabel", "Binary cross-entropy, in nats."),
        "f1": Measure(
            _pairs,
            counted.f1_of_labels,
            "maximize",
            "macro F1",
            "Mean of the harmonic mean of precision and recall over the labels that occur or are answered, where an "
            "answer is a probability above 0.5.",
            whole_labels=True,
        ),
        "auroc": Measure(
            _pairs,
            counted.auroc_of_labels,
            "maximize",
            "AUROC",
            "Mean area under the curve of true against false positives over the labels that some samples have and "
            "others have not.",
            whole_labels=True,
        ),
        "average_precision": Measure(
            _pairs,
            counted.average_precision_of_labels,
            "maximize",
            "average precision",
            "Mean of the precision averaged over recall, over the labels that occur.",
            whole_labels=True,
        ),
    },
    "regression": {
        "r2": Measure(
            _pairs, _r2, "maximize", "R²", "Share of the variance that is explained, averaged.", lowest=-math.inf
        ),
        "mae": Measure(
            _distance,
            _mean,
            "minimize",
            "mean absolute error",
            "Mean absolute error, in standard deviations of the training part's targets.",
            highest=math.inf,
        ),
        "loss": _loss("regression", "Mean squared error, in squares of these deviations."),
    },
    "segmentation": {
        "mean_iou": Measure(
            _overlaps,
            _mean_iou,
            "maximize",
            "mean IoU",
            "Mean, over the classes that occur or are answered, of intersection over union, of all pixels together.",
        ),
        "dice": Measure(
            _overlaps,
            _dice,
            "maximize",
            "Dice",
            "Mean, over the same classes, of twice the intersection over the sum of both areas.",
        ),
        "pixel_accuracy": Measure(
            _pixels_right, _mean, "maximize", "pixel accuracy", "Share of pixels whose class is right."
        ),
        "loss": _loss("segmentation", "Cross-entropy, in nats a pixel."),
    },
}
"""The measures of every kind of task by name, the usual one first."""
