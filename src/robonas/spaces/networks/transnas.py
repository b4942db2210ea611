"""Stem, heads and decoders of TransNAS-Bench-101."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torch import Tensor, nn

from robonas.spaces.networks.blocks import Classifier, ConvBNAct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stem(nn.Sequential):
    """Two 3×3 convolutions with stride 2: a quarter of the size, `channels` wide."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__(
            ConvBNAct(c_in, channels // 2, 3, 2, activation=nn.ReLU), ConvBNAct(channels // 2, channels, 3, 2)
        )


class TransNASNetwork(nn.Module):
    """An encoder and the head of a task.

    Args:
        encoder: Module from images to maps.
        channels: Number of channels of the maps.
        halvings: Number of times that the encoder halves the size.
        head: Kind of the head: ``"linear"``, ``"patches"``, ``"segment"`` or ``"generate"``.
        n_outputs: Classes, numbers or channels of the answer.
        n_patches: Images of one sample, for jigsaw.
    """

    def __init__(
        self, encoder: nn.Module, channels: int, halvings: int, head: str, n_outputs: int, n_patches: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.patches = head == "patches"
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head: nn.Module
        if head == "linear":
            self.head = Classifier(channels, n_outputs)
        elif self.patches:
            self.head = nn.Linear(n_patches * channels, n_outputs)
        elif head == "segment":
            self.head = _decoder([channels, 1024, 512, 256, 128, 64, 32, 32], n_outputs, halvings, nn.ReLU)
        else:
            widths = [channels, 1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16]
            self.head = nn.Sequential(_decoder(widths, n_outputs, halvings, _Leaky), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Return answers; for jigsaw from (n, patches, channels, height, width)."""
        if self.patches:
            maps = self.encoder(x.flatten(0, 1))
            features = self.pool(maps).unflatten(0, (len(x), -1)).flatten(1)  # (n, patches·channels)
        else:
            features = self.encoder(x)
        answer: Tensor = self.head(features)
        return answer


class _Leaky(nn.LeakyReLU):
    """With the slope that generators use."""

    def __init__(self) -> None:
        super().__init__(0.2)


def _decoder(widths: Sequence[int], n_outputs: int, halvings: int, activation: type[nn.Module]) -> nn.Sequential:
    """Return 3×3 convolutions with biases; the last `halvings` before the answer double the size (transposed)."""
    steps = list(itertools.pairwise(widths))
    layers: list[nn.Module] = []
    for number, (c_in, c_out) in enumerate(steps):
        if number < len(steps) - halvings:
            layers.append(nn.Conv2d(c_in, c_out, 3, padding=1))
        else:
            layers.append(nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1))
        layers += [nn.BatchNorm2d(c_out), activation()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], n_outputs, 3, padding=1))
