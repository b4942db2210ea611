"""F1, AUROC and average precision by torchmetrics, and Matthews' correlation by scikit-learn.

torchmetrics takes seconds to import, and is imported when one of these measures is first computed.

| symbol | meaning | shape |
|---|---|---|
| n, C | samples, and classes or labels | |
| rows | what a measure keeps of every sample, float64 | (n, …) |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robonas.errors import ObjectiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def answers_and_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the likeliest class and the right one, (n, 2).

    Args:
        outputs: Logits, (n, C).
        targets: Class indices, (n,).
    """
    return torch.stack([outputs.argmax(dim=1), targets], dim=1).double()


def margins_and_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the logit of each class's probability, and the right class in the last column, (n, C + 1).

    The logit z - log Σ exp(others) has the order of the probability, and does not become 1 for every sure answer.

    Args:
        outputs: Logits, (n, C).
        targets: Class indices, (n,).
    """
    logits = outputs.double()
    others = [logits.roll(-shift, dims=1) for shift in range(1, logits.shape[1])]
    rest = others[0]
    for other in others[1:]:
        rest = torch.logaddexp(rest, other)
    return torch.cat([logits - rest, targets[:, None].double()], dim=1)


def f1(rows: Tensor) -> float:
    """Return the macro F1 of `answers_and_targets`, over the classes that occur or are answered."""
    from torchmetrics.functional.classification import multiclass_f1_score

    answers, targets = rows.long().unbind(1)
    return float(multiclass_f1_score(answers, targets, num_classes=_n_classes(rows), average="macro"))


def matthews(rows: Tensor) -> float:
    """Return Matthews' correlation of `answers_and_targets`; 0 where all answers, or all targets, are one class."""
    from sklearn.metrics import matthews_corrcoef  # torchmetrics 1.9 says 0.58 where three of four are right by chance

    answers, targets = rows.long().unbind(1)
    return float(matthews_corrcoef(targets.numpy(), answers.numpy()))


def auroc(rows: Tensor) -> float:
    """Return the mean AUROC of each class that occurs against all others, of `margins_and_targets`."""
    from torchmetrics.functional.classification import binary_auroc

    return _mean_over(binary_auroc, _one_against_others(rows))


def average_precision(rows: Tensor) -> float:
    """Return the mean average precision of each class that occurs against all others, of `margins_and_targets`."""
    from torchmetrics.functional.classification import binary_average_precision

    return _mean_over(binary_average_precision, _one_against_others(rows))


def f1_of_labels(rows: Tensor) -> float:
    """Return the macro F1 over the labels that occur or are answered.

    Args:
        rows: Logits and labels, (n, 2, C).

    Raises:
        ObjectiveError: There are none.
    """
    from torchmetrics.functional.classification import binary_f1_score

    outputs, targets = rows.unbind(1)
    there = [label for label in range(rows.shape[2]) if bool((outputs[:, label] > 0).any() | targets[:, label].any())]
    pairs = (((outputs[:, label] > 0).double(), targets[:, label].long()) for label in there)
    return _mean_over(binary_f1_score, pairs, ordered=False)


def auroc_of_labels(rows: Tensor) -> float:
    """Return the mean AUROC over the labels that some samples have and others have not; see `f1_of_labels`.

    Raises:
        ObjectiveError: There are none.
    """
    from torchmetrics.functional.classification import binary_auroc

    return _mean_over(binary_auroc, (pair for pair in _labels(rows) if 0 < int(pair[1].sum()) < len(rows)))


def average_precision_of_labels(rows: Tensor) -> float:
    """Return the mean average precision over the labels that occur; see `f1_of_labels`.

    Raises:
        ObjectiveError: There are none.
    """
    from torchmetrics.functional.classification import binary_average_precision

    return _mean_over(binary_average_precision, (pair for pair in _labels(rows) if bool(pair[1].any())))


def _n_classes(rows: Tensor) -> int:
    """Return a number of classes that holds all that occur; the others count nowhere."""
    return max(2, int(rows.max()) + 1)


def _one_against_others(rows: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Return scores and labels of every class that occurs, 1 for its own samples."""
    targets = rows[:, -1].long()
    return ((rows[:, label], (targets == label).long()) for label in torch.unique(targets).tolist())


def _labels(rows: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Return scores and labels of every label."""
    return ((rows[:, 0, label], rows[:, 1, label].long()) for label in range(rows.shape[2]))


def _mean_over(
    measure: Callable[[Tensor, Tensor], Tensor], pairs: Iterable[tuple[Tensor, Tensor]], *, ordered: bool = True
) -> float:
    """Return the mean of a measure over pairs of scores and labels, (n,) each.

    Args:
        measure: Function of torchmetrics, which takes scores from 0 to 1.
        pairs: The pairs.
        ordered: True where only the order of the scores counts: their ranks then take their place.

    Raises:
        ObjectiveError: There is no pair.
    """
    values = [float(measure(_ranks(scores) if ordered else scores, labels)) for scores, labels in pairs]
    if not values:
        raise ObjectiveError(
            "The measure is undefined on the held-out part: no label is there that some of its samples have and others "
            "have not. Use 'loss', or hold out more."
        )
    return sum(values) / len(values)


def _ranks(scores: Tensor) -> Tensor:
    """Return the ranks of scores as numbers from 0 to 1, equal for equal scores, float64."""
    _, places = torch.unique(scores, return_inverse=True)
    ranks: Tensor = places.double() / max(1, int(places.max()))
    return ranks
