"""Parts that the networks of several spaces share.

Source: Ours; see `robonas.spaces.edges` for the cells' graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Return the multiple of the divisor nearest to a width, at least one, and not below nine tenths of it."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )


class ConvBNAct(nn.Sequential):
    """Convolution without bias, batch norm, and an activation where one is given."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = None,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(c_out),
        ]
        super().__init__(*layers, *([] if activation is None else [activation()]))


class FactorizedReduction(nn.Module):
    """A skip with stride 2: ReLU, two 1×1 convolutions on grids that are shifted by one pixel, batch norm."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return half the size, rounded up, `c_out` channels."""
        x = self.relu(x)
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        y: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return y


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise convolution, 1×1 projection; added to its input where the shapes agree.

    Args:
        c_in: Channels in.
        c_out: Channels out.
        kernel: Kernel size of the depthwise convolution.
        stride: Stride of the depthwise convolution.
        expansion: Width inside, in widths of the input.
        activation: After the first two convolutions.
        squeeze: True to weight channels by squeeze-and-excitation, at about a quarter of the inner width.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int,
        expansion: int,
        activation: type[nn.Module] = nn.ReLU6,
        *,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        inner = c_in * expansion
        layers: list[nn.Module] = [ConvBNAct(c_in, inner, 1, activation=activation)] if expansion > 1 else []
        layers.append(ConvBNAct(inner, inner, kernel, stride, groups=inner, activation=activation))
        if squeeze:
            layers.append(SqueezeExcitation(inner, make_divisible(inner // 4)))
        self.body = nn.Sequential(*layers, ConvBNAct(inner, c_out, 1))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return same size over the stride, `c_out` channels."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


class SqueezeExcitation(nn.Module):
    """Weights of the channels, from their means (Hu et al., CVPR 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            _HardSigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return same shape."""
        weighted: Tensor = x * self.weigh(x)
        return weighted


class _HardSigmoid(nn.Module):
    """PyTorch's `Hardsigmoid`, in operations that can be derived twice."""

    def forward(self, x: Tensor) -> Tensor:
        return (x / 6 + 0.5).clamp(0, 1)


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions; a 1×1 one on the shortcut where the shapes differ (ResNet)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBNAct(c_in, c_out, 3, stride, activation=nn.ReLU),
            ConvBNAct(c_out, c_out, 3),
        )
        same = stride == 1 and c_in == c_out
        self.shortcut = nn.Identity() if same else ConvBNAct(c_in, c_out, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return same size over the stride, `c_out` channels."""
        y: Tensor = self.relu(self.shortcut(x) + self.body(x))
        return y


class Reduction(nn.Module):
    """NAS-Bench-201's residual block with stride 2: an odd size is rounded up on both ways."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ReLUConvBN(c_in, c_out, 3, stride=2), ReLUConvBN(c_out, c_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return half the size, `c_out` channels."""
        y: Tensor = self.shortcut(x) + self.body(x)
        return y


class Cell(nn.Module):
    """The live edges of a four-node cell; a node sums what its edges bring.

    Args:
        edges: Modules by (source, target); only live ones.
        c_out: Channels out, for a cell whose output no path reaches.
        stride: Stride by which the cell shrinks its input, for the same.
    """

    def __init__(self, edges: Mapping[tuple[int, int], nn.Module], c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.edges = nn.ModuleDict({f"{source}_{target}": module for (source, target), module in edges.items()})
        self.incoming = tuple(
            tuple((source, f"{source}_{target}") for source, end in edges if end == target) for target in (1, 2, 3)
        )
        self.c_out, self.stride = c_out, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return same size over the stride, `c_out` channels."""
        nodes: list[Tensor | None] = [x]
        for incoming in self.incoming:
            total: Tensor | None = None
            for source, name in incoming:
                value = self.edges[name](nodes[source])
                total = value if total is None else total + value
            nodes.append(total)
        if nodes[-1] is None:
            # No path to the output: zeros, as the official `none` gives, still connected so that gradients are zero.
            return (x[:, :1, :: self.stride, :: self.stride] * 0.0).repeat(1, self.c_out, 1, 1)
        return nodes[-1]


class Classifier(nn.Sequential):
    """Global average pooling and a linear layer."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes))
