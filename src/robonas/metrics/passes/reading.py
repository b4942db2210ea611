"""Numbers that are read from the device at once: on a GPU each reading waits for all that was begun before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def numbers(values: Iterable[Tensor]) -> list[float]:
    """Read scalars of one dtype and device, in one step."""
    waiting = list(values)
    return torch.stack(waiting).tolist() if waiting else []


def total(values: Iterable[Tensor]) -> float:
    """Read scalars in one step; returns their sum, added one after the other in double precision."""
    return float(sum(numbers(values)))


def any_true(flags: Iterable[Tensor]) -> bool:
    """Read booleans in one step; returns whether one of them is true."""
    waiting = list(flags)
    return bool(waiting) and bool(torch.stack(waiting).any())
