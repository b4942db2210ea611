"""The value of one and the same answer to every input, which a network that has learned anything must beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robonas.errors import ObjectiveError

if TYPE_CHECKING:
    from robonas.datasets.data import LabelledData
    from robonas.training.measures import Measure

RANKINGS = ("AUROC", "average precision")
"""Measures that rank samples, which equal answers cannot do."""


def guess_of(measure: Measure, fitting: LabelledData, judging: LabelledData) -> dict[str, float | None] | None:
    """Return the value of the answer that suits the training part best, given to every input of another part.

    For classes these are the logarithms of their frequencies, so that the answer is the most frequent class; for labels
    the logits of their frequencies; for numbers their mean.

    Args:
        measure: Measure of the value.
        fitting: The training part.
        judging: The part on which networks are judged, with targets as the training part has them.

    Returns:
        Its ``value`` and the standard ``error`` of that (None where the value is no mean over samples); None for maps,
        for measures that rank samples, and where the measure has no value for such answers.
    """
    answer = _answer(fitting)
    if answer is None or measure.words in RANKINGS:
        return None
    rows = measure.reduce(answer.to(torch.float32).expand(len(judging), -1), judging.labels)
    try:
        value = measure.finish(rows)
    except ObjectiveError:
        return None
    return {"value": value, "error": measure.error(rows)} if math.isfinite(value) else None


def _answer(data: LabelledData) -> Tensor | None:
    labels = data.labels
    if data.task == "classification":
        return (torch.bincount(labels, minlength=data.n_classes).double() + 1).log()
    if data.task == "multilabel":
        return labels.double().mean(0).clamp(1e-6, 1 - 1e-6).logit()
    return labels.double().mean(0) if data.task == "regression" else None
