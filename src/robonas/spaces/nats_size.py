"""NATS-Bench's size space: five widths of one topology.

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", TPAMI 2021, arXiv
2009.00437 (MIT licence). No published numbers of this space were at hand to check parameter counts against.
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

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
LAYER_NAMES = tuple(f"width_{place}" for place in range(1, 6))
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(dict.fromkeys(LAYER_NAMES, WIDTHS))


class NATSSize(SearchSpace):
    """The 32,768 widths of NATS-Bench's size space.

    The network is NAS-Bench-201's with one cell a stage: stem, cell, residual block, cell, residual block, cell, head.
    All cells have 3×3 convolutions on all edges but the one from input to output, which is a skip (a 1×1 convolution
    with batch norm where the width changes). What is chosen is how many channels each of the five parts returns; the
    stem has as many as the first cell. No two of these networks are the same.

    Args:
        input_shape: (channels, height, width).
        n_classes: Width of the last layer.

    Raises:
        ConfigError: A size that the network cannot have.

    Example:
        >>> space = NATSSize()
        >>> space.format(space.at(0)), space.size
        ('8:8:8:8:8', 32768)
    """

    name = "nats_size"

    def __init__(self, *, input_shape: Sequence[int] = (3, 32, 32), n_classes: int = 10) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape, least=4)

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """The width of each of the five parts."""
        return _CHOICES

    def format(self, architecture: Architecture) -> str:
        """Return the official text, such as ``8:64:32:16:64``."""
        return ":".join(str(width) for width in self.check(architecture).values())

    def parse(self, text: str) -> Architecture:
        """Return the architecture of an official text.

        Raises:
            ArchitectureError: The text has another form, or a width that is not a choice.
        """
        if re.fullmatch(r"\d{1,9}(:\d{1,9}){4}", text_of(text).strip()) is None:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '8:64:32:16:64', five widths; got {text!r}."
            )
        widths = [int(width) for width in text_of(text).strip().split(":")]
        return self.check(Architecture(dict(zip(LAYER_NAMES, widths, strict=True))))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of these widths; see the class."""
        from robonas.spaces.networks.blocks import Classifier, ConvBNAct, Reduction
        from robonas.spaces.networks.nats_size import make_cell

        one, two, three, four, five = (int(str(width)) for width in self.check(architecture).values())
        return nn.Sequential(
            ConvBNAct(self.input_shape[0], one, 3),
            make_cell(one, one),
            Reduction(one, two),
            make_cell(two, three),
            Reduction(three, four),
            make_cell(four, five),
            nn.BatchNorm2d(five),
            nn.ReLU(),
            *Classifier(five, self.n_classes),
        )
