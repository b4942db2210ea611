"""Standardising: each channel (x - mean) / std."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

_STANDARDISED: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
"""Tensors that were standardised, by their identity, for as long as they live."""


def by_channel(numbers: Sequence[float], shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return a number a channel, float32, in the shape that goes with inputs: (1, channels, 1, …).

    Args:
        numbers: One number for each channel.
        shape: Shape of one input, the channels first.
        device: Device of the inputs; None for the CPU.
    """
    ones = (1,) * (len(shape) - 1)
    return torch.tensor(numbers, dtype=torch.float32, device=device).reshape(1, -1, *ones)


def standardised(stored: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (x - mean) / std of stored inputs, float32; bytes are divided by 255 first.

    Args:
        stored: Inputs, (n, channels, …).
        mean: Mean of each channel, as `by_channel` returns it.
        std: Standard deviation of each channel, likewise.
    """
    values = stored.to(torch.float32) / 255 if stored.dtype == torch.uint8 else stored
    return (values - mean) / std


def noted(values: Tensor) -> Tensor:
    """Return a tensor that was standardised, and remember that it was."""
    _STANDARDISED[id(values)] = values
    return values


def is_standardised(values: Tensor) -> bool:
    """Return whether a tensor, or the one that it is a slice of, is known to have been standardised."""
    base = values._base  # noqa: SLF001
    return any(one is not None and _STANDARDISED.get(id(one)) is one for one in (values, base))
