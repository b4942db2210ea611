"""Mean and standard deviation of each channel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable


def moments(blocks: Iterable[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each row of (channels, values), over blocks of values.

    Rounded to seven digits, so that sums in another order on another machine end in the same numbers. A deviation that
    is 0, or is so but for rounding, is 1.
    """
    parts = [(values.shape[1], values.mean(dim=1), values.var(dim=1, unbiased=False)) for values in blocks]
    weights = torch.tensor([count for count, _, _ in parts], dtype=torch.float64)[:, None]
    means = torch.stack([mean for _, mean, _ in parts])
    mean = (weights * means).sum(0) / weights.sum()
    # Within the blocks plus between them: no difference of large squares.
    variance = (weights * (torch.stack([var for _, _, var in parts]) + (means - mean) ** 2)).sum(0) / weights.sum()
    rounded_mean = tuple(float(f"{value:.7g}") for value in mean.tolist())
    deviations = (float(f"{math.sqrt(value):.7g}") for value in variance.tolist())
    return rounded_mean, tuple(
        deviation if deviation > 1e-6 * abs(centre) else 1.0
        for deviation, centre in zip(deviations, rounded_mean, strict=True)
    )
