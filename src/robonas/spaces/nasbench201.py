"""NAS-Bench-201: cells of four nodes and six edges.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020,
arXiv 2001.00326. The order of the 15,625 cells, their texts and the network around them are those of the authors'
benchmark (MIT licence).
"""

from __future__ import annotations

import functools
import itertools
import random
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from robonas.architecture import Architecture, Option, text_of
from robonas.common.settings import whole
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces.base import SearchSpace
from robonas.spaces.edges import EDGE_NAMES, EDGES, alive, cells_of_classes, live_edges
from robonas.spaces.isomorphism import is_made_by
from robonas.spaces.shapes import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_TEXT = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


@functools.cache
def _official_order() -> tuple[tuple[str, ...], ...]:
    """Return the official order: the lexicographic order, shuffled by Python's generator with seed 88."""
    cells = list(itertools.product(OPERATIONS, repeat=len(EDGES)))
    random.Random(88).shuffle(cells)
    return tuple(cells)


class NASBench201(SearchSpace):
    """The 15,625 cells of NAS-Bench-201, in a network of any width, depth and input size.

    A cell sums, at each of three nodes, the results of the operations on its incoming edges. The network is a 3×3 stem
    convolution, three stages of `depth` equal cells with a residual block that halves the size and doubles the channels
    between them, then batch norm, ReLU, global average pooling and a linear layer.

    Edges on no path from input to output that is free of ``none`` are dead: they change nothing, are never built, and
    are ``none`` in the canonical form. That leaves 9,445 classes. Skips only add what arrives at one node to another,
    so that some of these are still the same sums of the same operations: 5,425 scoring classes.

    Args:
        input_shape: (channels, height, width); each side at least 4, since it is halved twice.
        n_classes: Width of the last layer.
        channels: Width of the first stage; 16 in the benchmark.
        depth: Cells a stage; 5 in the benchmark.

    Raises:
        ConfigError: A size that the network cannot have.

    Example:
        >>> space = NASBench201()
        >>> space.format(space.at(0))
        '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
    """

    name = "nasbench201"

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...] = (3, 32, 32),
        n_classes: int = 10,
        channels: int = 16,
        depth: int = 5,
    ) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape, least=4)
        channels, depth = whole("channels", channels), whole("depth", depth)
        if channels < 1 or depth < 1:
            raise ConfigError(f"`channels` and `depth` of {self.name} must be at least 1; got {channels} and {depth}.")
        self.channels = channels
        self.depth = depth

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {**super().settings, "channels": self.channels, "depth": self.depth}

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """An operation for each of the six edges."""
        return _CHOICES

    def at(self, index: int) -> Architecture:
        """Return the cell with that official index."""
        index = self.check_index(index)
        return Architecture(dict(zip(EDGE_NAMES, _official_order()[index], strict=True)))

    def __iter__(self) -> Iterator[Architecture]:
        for operations in _official_order():
            yield Architecture(dict(zip(EDGE_NAMES, operations, strict=True)))

    def format(self, architecture: Architecture) -> str:
        """Return the official text, such as ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…~0|…~1|…~2|``."""
        architecture = self.check(architecture)
        e = [architecture[name] for name in EDGE_NAMES]
        return f"|{e[0]}~0|+|{e[1]}~0|{e[2]}~1|+|{e[3]}~0|{e[4]}~1|{e[5]}~2|"

    def parse(self, text: str) -> Architecture:
        """Return the cell of an official text.

        Raises:
            ArchitectureError: The text has another form, or an operation that does not exist.
        """
        match = _TEXT.fullmatch(text_of(text).strip())
        if match is None:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|' "
                f"with op one of {', '.join(OPERATIONS)}; got {text!r}."
            )
        return self.check(Architecture(dict(zip(EDGE_NAMES, match.groups(), strict=True))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the cell with every dead edge set to ``none``."""
        return alive(self.check(architecture))

    def scoring_class(self, architecture: Architecture) -> Architecture:
        """Return the cell that stands for all that are the same sums of the same operations; see the class."""
        if not is_made_by(self, NASBench201):
            return self.canonical(architecture)
        return cells_of_classes(OPERATIONS, strided=False)[tuple(self.check(architecture).values())]

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with this cell; see the class."""
        from robonas.spaces.networks.nasbench201 import Network

        architecture = self.check(architecture)
        operations = {
            edge: str(architecture[name])
            for edge, name in zip(EDGES, EDGE_NAMES, strict=True)
            if name in live_edges(architecture)
        }
        return Network(operations, self.input_shape[0], self.n_classes, self.channels, self.depth)

    def count_parameters(self, architecture: Architecture) -> int:
        """Return how many parameters the built network has, without building it: dead edges count nothing."""
        c, architecture = self.channels, self.check(architecture)
        widths = (c, 2 * c, 4 * c)
        edge_size: dict[Option, Callable[[int], int]] = {
            "nor_conv_1x1": lambda w: w * w + 2 * w,
            "nor_conv_3x3": lambda w: 9 * w * w + 2 * w,
        }
        cells: int = sum(
            self.depth * edge_size[architecture[name]](width)
            for name in live_edges(architecture)
            if architecture[name] in edge_size
            for width in widths
        )
        # A residual block from w to 2w: convolutions 9·w·2w and 9·2w·2w, shortcut w·2w, two batch norms 2·2w.
        reductions = sum(9 * w * 2 * w + 9 * 4 * w * w + 2 * w * w + 8 * w for w in widths[:2])
        stem = 9 * self.input_shape[0] * c + 2 * c
        head = 2 * 4 * c + 4 * c * self.n_classes + self.n_classes
        return stem + cells + reductions + head


_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(dict.fromkeys(EDGE_NAMES, OPERATIONS))
