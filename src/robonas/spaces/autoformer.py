"""Vision transformers with chosen width, depth, heads and expansions, in the style of AutoFormer.

Source: Chen et al., "AutoFormer: Searching Transformers for Visual Recognition", ICCV 2021, arXiv 2107.00651. The
choices are the paper's; the blocks are those of a plain vision transformer (Dosovitskiy et al., ICLR 2021), with
learned positions and the mean over patches before the classifier. AutoFormer adds relative positions inside attention
and shares weights among all architectures; ours do neither.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from robonas.errors import ConfigError
from robonas.spaces.layered import LayeredSpace, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from robonas.architecture import Architecture, Option

Size = Literal["tiny", "small", "base"]
_CHOICES: Mapping[str, tuple[tuple[int, ...], Stage]] = MappingProxyType(
    {
        "tiny": ((192, 216, 240), Stage("blocks", (12, 13, 14), {"heads": (3, 4), "expansion": (3.5, 4.0)})),
        "small": ((320, 384, 448), Stage("blocks", (12, 13, 14), {"heads": (5, 6, 7), "expansion": (3.0, 3.5, 4.0)})),
        "base": ((528, 576, 624), Stage("blocks", (14, 15, 16), {"heads": (8, 9, 10), "expansion": (3.0, 3.5, 4.0)})),
    }
)


class AutoFormer(LayeredSpace):
    """Vision transformers: an embedding width, 12 to 16 blocks, and for each block its heads and its expansion.

    An image is cut into patches, each a vector; blocks of attention (heads of 64 numbers) and of a two-layer network
    follow, both after layer norm and added to their input; the mean over patches goes to a linear layer.

    Texts are like ``{"embedding":192,"blocks":[[3,3.5],[4,4.0],…]}``.

    Args:
        input_shape: (channels, height, width), with sides that are multiples of `patch`.
        n_classes: Width of the last layer.
        patch: Side of a patch; 16 in the paper, for images of 224.
        size: Name of one of the paper's three spaces: ``"tiny"``, ``"small"`` or ``"base"``.

    Raises:
        ConfigError: A size that the network cannot have.
    """

    name = "autoformer"

    def __init__(
        self,
        *,
        input_shape: Sequence[int] = (3, 32, 32),
        n_classes: int = 10,
        patch: int = 4,
        size: Size = "tiny",
    ) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        if patch < 1 or len(self.input_shape) != 3 or any(side % patch for side in self.input_shape[1:]):
            raise ConfigError(
                f"`input_shape` of {self.name} must be (channels, height, width) with sides that are multiples of "
                f"`patch` ({patch}); got {self.input_shape}."
            )
        if size not in get_args(Size):
            raise ConfigError(f"`size` of {self.name} must be one of {', '.join(get_args(Size))}; got {size!r}.")
        self.patch = patch
        self.scale: Size = size

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {**super().settings, "patch": self.patch, "size": self.scale}

    @property
    def whole(self) -> Mapping[str, tuple[Option, ...]]:
        """The embedding's width."""
        return {"embedding": _CHOICES[self.scale][0]}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The blocks."""
        return (_CHOICES[self.scale][1],)

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the transformer; see the class."""
        from robonas.spaces.networks.autoformer import Block, Transformer

        architecture = self.check(architecture)
        width = int(str(architecture["embedding"]))
        blocks = [
            Block(width, layer["heads"], int(width * layer["expansion"]))
            for layer in self.layers(architecture, self.stages[0])
        ]
        return Transformer(self.input_shape, self.patch, width, blocks, self.n_classes)
