"""One-dimensional convolution networks for signals.

Source: Ours, after the residual networks that are strong on time series (Wang et al., IJCNN 2017, arXiv 1611.06455).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import nn
from robonas.errors import ConfigError
from robonas.spaces.layered import LayeredSpace, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.architecture import Architecture, Option

_STAGES = (
    Stage(
        "blocks",
        (1, 2, 3, 4, 5, 6),
        {"operation": ("conv", "separable"), "kernel": (3, 7, 15, 31), "dilation": (1, 2, 4)},
    ),
)
_POOLS: Mapping[str, str] = {"mean": "AdaptiveAvgPool1d", "max": "AdaptiveMaxPool1d"}
"""By name of the class in `torch.nn`."""


class Conv1d(LayeredSpace):
    """Residual networks of one to six blocks for signals such as sound, motion or heart beats.

    Each block is a convolution, plain or depthwise-separable, of a chosen kernel and dilation, with batch norm and
    ReLU, plus a projection of its input; it halves the length, rounded up. The first two blocks have the chosen width,
    the next two the double, the last two four times as much. Then the mean or the maximum over time, and a linear
    layer.

    Texts are like ``{"width":16,"pool":"mean","blocks":[["conv",7,1],…]}``.

    Args:
        input_shape: (channels, length).
        n_classes: Width of the last layer.

    Raises:
        ConfigError: A size that the network cannot have.
    """

    name = "conv1d"

    def __init__(self, *, input_shape: Sequence[int] = (1, 128), n_classes: int = 10) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        if len(self.input_shape) != 2:
            raise ConfigError(
                f"`input_shape` of {self.name} must be (channels, length); got {self.input_shape}. Signals in an .npz "
                "file are read as such by kind='signals' (--data-set kind=signals)."
            )

    @property
    def whole(self) -> Mapping[str, tuple[Option, ...]]:
        """Width of the first blocks, and how time is pooled."""
        return {"width": (16, 32, 64), "pool": tuple(_POOLS)}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The blocks."""
        return _STAGES

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of these blocks; see the class."""
        from robonas.spaces.networks.conv1d import Block

        architecture = self.check(architecture)
        c, first = self.input_shape[0], int(str(architecture["width"]))
        layers: list[nn.Module] = []
        for number, layer in enumerate(self.layers(architecture, self.stages[0])):
            c_out = first * 2 ** (number // 2)
            layers.append(Block(c, c_out, layer["kernel"], layer["dilation"], layer["operation"] == "separable"))
            c = c_out
        pool = getattr(nn, _POOLS[str(architecture["pool"])])(1)
        return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(c, self.n_classes))
