"""Layers of perceptrons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Residual(nn.Module):
    """A layer that adds its input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return same shape."""
        y: Tensor = x + self.layer(x)
        return y
