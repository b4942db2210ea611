"""The network around a cell of NAS-Bench-201."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robonas.spaces.networks.blocks import Cell, Reduction, ReLUConvBN

if TYPE_CHECKING:
    from collections.abc import Mapping


def _cell(operations: Mapping[tuple[int, int], str], channels: int) -> Cell:
    """Return a cell of this width."""
    return Cell({edge: _operation(name, channels) for edge, name in operations.items()}, channels)


def _operation(name: str, channels: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return ReLUConvBN(channels, channels, 1 if name == "nor_conv_1x1" else 3)


class Network(nn.Module):
    """Stem, stages of cells with reductions between them, head."""

    def __init__(
        self, operations: Mapping[tuple[int, int], str], in_channels: int, n_classes: int, channels: int, depth: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        blocks: list[nn.Module] = []
        for stage in range(3):
            if stage > 0:
                blocks.append(Reduction(channels, 2 * channels))
                channels *= 2
            blocks += [_cell(operations, channels) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(channels, n_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the maps before global pooling, (n, 4·channels, height/4, width/4)."""
        x = self.blocks(self.stem(x))
        return torch.relu(self.head[0](x))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.head(self.blocks(self.stem(x))))
        return logits
