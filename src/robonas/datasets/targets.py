"""Kinds of tasks: what a network must output for each, its targets, and its loss.

| task | target of a sample | answer of the network | loss |
|---|---|---|---|
| classification | class index | (classes,) | cross-entropy |
| multilabel | a number from 0 to 1 for each class | (classes,) | binary cross-entropy of logits |
| regression | real numbers | (numbers,) | mean squared error |
| segmentation | class index of every pixel, (height, width) | (classes, height, width) | cross-entropy over pixels |
| image | image in [-1, 1], (channels, height, width) | the same | mean absolute error |
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

from robonas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Task: TypeAlias = Literal["classification", "multilabel", "regression", "segmentation", "image"]
"""A kind of task; see the module."""
TASKS: tuple[Task, ...] = get_args(Task)
NUMBERS: tuple[Task, ...] = ("classification", "multilabel", "regression")
"""Tasks that are answered by numbers; the others want maps."""
MOST_CLASSES = 1_000_000
"""More is taken for a mistake; so are more classes than samples, where nobody says how many there are."""


class LikeData(Protocol):
    """Data or a batch, as far as a space must suit them."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one answer."""
        ...

    @property
    def task(self) -> Task:
        """Kind of the targets."""
        ...


def output_shape(task: Task, n_outputs: int, targets: Tensor) -> tuple[int, ...]:
    """Return the shape of one answer to targets of this kind, (n, …)."""
    return (n_outputs,) if task in NUMBERS else (n_outputs, *targets.shape[-2:])


def check_targets(targets: Tensor, n_outputs: int, task: Task) -> Tensor:
    """Return the targets of `n` samples as the losses take them: class indices as int64, the others as they are.

    Raises:
        DataError: An unknown task, or targets of another shape, type or range than the task's.
    """
    import torch

    if task not in TASKS:
        raise DataError(f"The task of a batch must be one of {', '.join(TASKS)}; got {task!r}.")
    if task == "classification":
        check_labels(targets, n_outputs)
        return targets.long()
    n = len(targets)
    if task == "segmentation":
        if targets.ndim != 3 or targets.is_floating_point():
            raise DataError(
                f"Targets for segmentation must be class indices of shape ({n}, height, width); "
                f"got {targets.dtype} of shape {tuple(targets.shape)}."
            )
        check_labels(targets.flatten(), n_outputs)
        return targets.long()
    maps = task not in NUMBERS
    fits = targets.ndim == (4 if maps else 2) and targets.shape[:2] == (n, n_outputs)
    if not fits or not targets.is_floating_point():
        told = f"({n}, {n_outputs}, height, width)" if maps else f"({n}, {n_outputs})"
        raise DataError(
            f"Targets for {task} must be floating point of shape {told}; "
            f"got {targets.dtype} of shape {tuple(targets.shape)}."
        )
    if not torch.isfinite(targets).all():
        raise DataError(f"Targets for {task} must be finite; got NaN or infinity. Check the data.")
    low = {"multilabel": 0, "image": -1}.get(task)
    if low is not None and n and (float(targets.min()) < low or float(targets.max()) > 1):
        raise DataError(
            f"Targets for {task} must be from {low} to 1; got {float(targets.min()):g} to {float(targets.max()):g}."
        )
    return targets


def check_labels(labels: Tensor, n_classes: int) -> None:
    """Raise unless the labels are integers from 0 to `n_classes` - 1, shape (n,).

    Raises:
        DataError: They are not; the message shows the first offender.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"Labels must be integers, one a sample; got {labels.dtype} of shape {tuple(labels.shape)}. "
            "Convert class names or floats to class indices first."
        )
    if len(labels) == 0:
        raise DataError("There must be at least one label; got none. Check how the data are read.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        wrong = low if low < 0 else high
        raise DataError(f"Labels must be from 0 to {n_classes - 1} for {n_classes} classes; got {wrong}.")


def check_classes(
    name: str,
    labels: Tensor,
    class_names: Sequence[str] | None,
    n_classes: int | None,
    task: Task = "classification",
) -> tuple[tuple[str, ...], Tensor]:
    """Return the name of each class, or of each output of another task, and the labels as the losses take them.

    Raises:
        ConfigError: `n_classes` is no number of classes, or not that of the names.
        DataError: Labels do not fit the task or the classes; or there are far more classes than samples, which comes
            of labels that are no class indices.
    """
    given: Any = n_classes
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if given is not None and not (whole and 1 <= given <= MOST_CLASSES):
        raise ConfigError(
            f"`n_classes` of {name!r} must be a whole number from 1 to {MOST_CLASSES:,}; got {n_classes!r}."
        )
    if class_names is not None and n_classes not in {None, len(class_names)}:
        raise ConfigError(
            f"`n_classes` of {name!r} must be the number of `class_names`, {len(class_names)}; got {n_classes}."
        )
    known = len(class_names) if class_names is not None else n_classes
    if known is None and task in {"classification", "segmentation"}:
        indices = not (labels.is_floating_point() or labels.is_complex()) and labels.numel() > 0
        count = max(1, int(labels.max()) + 1) if indices else 1
    else:
        count = known if known is not None else labels.shape[1]
    try:
        labels = check_targets(labels, count, task)
    except DataError as error:
        raise DataError(f"Data set {name!r}: {error}") from error
    if known is None and count > labels.numel():
        raise DataError(
            f"Labels of {name!r} must be class indices from 0; "
            f"the largest is {count - 1}, and there are only {len(labels)} samples. "
            "Number the classes from 0, or give `n_classes`."
        )
    return tuple(map(str, range(count) if class_names is None else class_names)), labels


def loss_of(
    outputs: Tensor, targets: Tensor, task: Task, *, label_smoothing: float = 0.0, each: bool = False
) -> Tensor:
    """Return the task's mean loss, a scalar ≥ 0; lower is better.

    Args:
        outputs: Outputs of the network, (n, …); see the module.
        targets: Targets as `check_targets` returns them, on the outputs' device; for classes also a probability for
            each, (n, classes).
        task: The kind.
        label_smoothing: Share of the target spread over all classes, where there are classes.
        each: The mean loss of every sample instead, (n,).
    """
    from torch.nn import functional

    how = "none" if each else "mean"
    if task in {"classification", "segmentation"}:
        loss = functional.cross_entropy(outputs, targets, label_smoothing=label_smoothing, reduction=how)
    elif task == "multilabel":
        loss = functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), reduction=how)
    else:
        function = functional.l1_loss if task == "image" else functional.mse_loss
        loss = function(outputs, targets.to(outputs.dtype), reduction=how)
    return loss.flatten(1).mean(1) if loss.ndim > 1 else loss
