"""Measures by which trained networks are judged on samples that they have not seen, for every kind of task.

A measure reduces the answers to each batch of samples to a few numbers a sample, so that maps of many samples are never
in memory together, and ends in one number over all samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from robonas.datasets.targets import loss_of
from robonas.errors import ConfigError

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


def measure_of(task: Task, name: str | None) -> tuple[str, Measure]:
    """Return the measure of that name for a task; the task's first where there is no name.

    Raises:
        ConfigError: The task has no such measure.
    """
    known = MEASURES[task]
    name = name if name is not None else next(iter(known))
    if name not in known:
        raise ConfigError(f"`measure` must be one of {', '.join(known)} for {task}; got {name!r}.")
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
    """Mean share over the classes that occur."""
    right, targets = rows.unbind(1)
    return float(torch.stack([right[targets == label].mean() for label in torch.unique(targets)]).mean())


def _pixels_right(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) == targets).flatten(1).double().mean(1)


def _overlaps(outputs: Tensor, targets: Tensor) -> Tensor:
    """Pixels of every class in both the answer and the target, and in either of them: (n, classes, 2)."""
    n_classes = outputs.shape[1]
    answers = F.one_hot(outputs.argmax(dim=1).flatten(1), n_classes)
    wanted = F.one_hot(targets.flatten(1), n_classes)
    both, either = (answers & wanted).sum(1), (answers | wanted).sum(1)
    return torch.stack([both, either], dim=2).double()


def _mean_iou(overlaps: Tensor) -> float:
    both, either = overlaps.sum(0).unbind(1)
    there = either > 0
    return float((both[there] / either[there]).mean())


# ── real numbers and images ──


def _r2(rows: Tensor) -> float:
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)², averaged over the outputs; one that is constant counts 1 where it is met, else 0."""
    outputs, targets = rows.unbind(1)
    residual = (targets - outputs).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    constant = spread == 0
    explained = 1 - residual / torch.where(constant, 1, spread)
    return float(torch.where(constant, (residual == 0).double(), explained).mean())


def ssim(outputs: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity of images in [-1, 1], (n, channels, height, width): one number a sample, 1 where equal.

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


def _loss(task: Task) -> Measure:
    """Return the task's own loss, without label smoothing; every sample counts alike."""

    def reduce(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss_of(outputs, targets, task, each=True).double()

    return Measure(reduce, _mean, "minimize", "loss")


def _pairs(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.stack([outputs, targets], dim=1).double()


def _first_mean(rows: Tensor) -> float:
    return _mean(rows[:, 0])


MEASURES: Mapping[Task, Mapping[str, Measure]] = {
    "classification": {
        "accuracy": Measure(_right, _first_mean, "maximize", "accuracy"),
        "balanced_accuracy": Measure(_right, _balanced, "maximize", "balanced accuracy"),
        "loss": _loss("classification"),
    },
    "image": {"ssim": Measure(ssim, _mean, "maximize", "SSIM"), "loss": _loss("image")},
    "multilabel": {"loss": _loss("multilabel")},
    "regression": {"r2": Measure(_pairs, _r2, "maximize", "R²"), "loss": _loss("regression")},
    "segmentation": {
        "mean_iou": Measure(_overlaps, _mean_iou, "maximize", "mean IoU"),
        "pixel_accuracy": Measure(_pixels_right, _mean, "maximize", "pixel accuracy"),
        "loss": _loss("segmentation"),
    },
}
"""The measures of every kind of task by name, the usual one first."""
