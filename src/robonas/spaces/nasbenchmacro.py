"""NAS-Bench-Macro: eight layers, each left out or one of two inverted residuals.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021, arXiv 2103.11922 (Apache
2.0). Parameters and multiply–accumulates of all 6,561 networks agree with the published ``params`` and ``flops``.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from robonas.architecture import Architecture, Option, text_of
from robonas.common.lazy import nn
from robonas.errors import ArchitectureError
from robonas.spaces.base import SearchSpace
from robonas.spaces.shapes import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LAYER_NAMES = tuple(f"layer_{place}" for place in range(1, 9))
OPERATIONS = ("identity", "mb3_3x3", "mb6_5x5")
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(dict.fromkeys(LAYER_NAMES, OPERATIONS))
_WIDTHS = (64, 64, 128, 128, 128, 256, 256, 256)
_CHANGES = (0, 2, 5)
"""Places of the layers that halve the size and double the channels."""
_ALIKE = ((3, 4), (6, 7))
"""Places of neighbouring layers of one shape."""


class NASBenchMacro(SearchSpace):
    """The 6,561 networks of NAS-Bench-Macro.

    A 3×3 stem of 32 channels, eight layers, a 1×1 convolution to 1,280 channels, global average pooling and a linear
    layer. A layer is the identity (``0``), an inverted residual of expansion 3 and kernel 3 (``1``), or of expansion 6
    and kernel 5 (``2``). Layers 1, 3 and 6 halve the size and double the channels, where the identity becomes a strided
    1×1 convolution.

    Layers 4 and 5 have one shape, and so do 7 and 8: whether an identity comes before or after the other makes no
    difference, so that 3,969 classes remain. The benchmark trained each of the 6,561.

    Args:
        input_shape: (channels, height, width).
        n_classes: Width of the last layer.

    Raises:
        ConfigError: A size that the network cannot have.

    Example:
        >>> space = NASBenchMacro()
        >>> space.count_parameters(space.parse("02012100"))
        890666
    """

    name = "nasbenchmacro"

    def __init__(self, *, input_shape: Sequence[int] = (3, 32, 32), n_classes: int = 10) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape)

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """An operation for each of the eight layers."""
        return _CHOICES

    def format(self, architecture: Architecture) -> str:
        """Return the official text, a digit a layer, such as ``02012100``."""
        return "".join(str(OPERATIONS.index(str(name))) for name in self.check(architecture).values())

    def parse(self, text: str) -> Architecture:
        """Return the architecture of an official text.

        Raises:
            ArchitectureError: The text has another form.
        """
        digits = text_of(text).strip()
        if re.fullmatch("[012]{8}", digits) is None:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '02012100', eight digits from 0 to 2; got {text!r}."
            )
        return Architecture({name: OPERATIONS[int(digit)] for name, digit in zip(LAYER_NAMES, digits, strict=True)})

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture with identities after what has the same shape."""
        layers = list(self.check(architecture).values())
        for first, second in _ALIKE:
            if layers[first] == "identity":
                layers[first], layers[second] = layers[second], layers[first]
        return Architecture(dict(zip(LAYER_NAMES, layers, strict=True)))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with these layers; see the class."""
        from robonas.spaces.networks.blocks import Classifier, ConvBNAct, InvertedResidual

        architecture = self.check(architecture)
        width = 32
        layers: list[nn.Module] = [ConvBNAct(self.input_shape[0], width, 3, activation=nn.ReLU6)]
        for place, (operation, c_out) in enumerate(zip(architecture.values(), _WIDTHS, strict=True)):
            stride = 2 if place in _CHANGES else 1
            if operation == "mb3_3x3":
                layers.append(InvertedResidual(width, c_out, 3, stride, 3))
            elif operation == "mb6_5x5":
                layers.append(InvertedResidual(width, c_out, 5, stride, 6))
            elif stride == 2:
                layers.append(ConvBNAct(width, c_out, 1, stride))
            width = c_out
        return nn.Sequential(*layers, ConvBNAct(width, 1280, 1, activation=nn.ReLU6), *Classifier(1280, self.n_classes))
