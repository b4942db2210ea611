"""The blocks of networks for signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Block(nn.Module):
    """A strided convolution with batch norm, plus a projection of the input, then ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, dilation: int, separable: bool) -> None:
        super().__init__()
        groups, c_mixed = (c_in, c_in) if separable else (1, c_out)
        padding = dilation * (kernel // 2)
        convolutions = [nn.Conv1d(c_in, c_mixed, kernel, 2, padding, dilation, groups, bias=False)]
        if separable:
            convolutions.append(nn.Conv1d(c_in, c_out, 1, bias=False))
        self.body = nn.Sequential(*convolutions, nn.BatchNorm1d(c_out))
        self.shortcut = nn.Sequential(nn.Conv1d(c_in, c_out, 1, stride=2, bias=False), nn.BatchNorm1d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return half the length, rounded up, `c_out` channels."""
        return torch.relu(self.body(x) + self.shortcut(x))
