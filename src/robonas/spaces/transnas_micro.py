"""TransNAS-Bench-101, micro: 4,096 cells in one network.

Source: Duan et al., CVPR 2021, arXiv 2105.11871; see `transnas`. Parameter counts of all 4,096 cells agree with those
that NAS-Bench-Suite-Zero published.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from robonas.architecture import Architecture, Option, text_of
from robonas.errors import ArchitectureError
from robonas.spaces.edges import EDGE_NAMES, EDGES, alive, cells_of_classes, live_edges
from robonas.spaces.isomorphism import is_made_by
from robonas.spaces.transnas import TransNASSpace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
STAGES = (4, 1, 4, 1, 4)
"""Modules of two cells: 4 halves the size and doubles the channels, 1 changes nothing."""
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(dict.fromkeys(EDGE_NAMES, OPERATIONS))
_OFFICIAL = re.compile(r"(?:\d+-41414-)?([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")
_KEY = re.compile(r"\(?([0-3]), ?([0-3]), ?([0-3]), ?([0-3]), ?([0-3]), ?([0-3])\)?")


class TransNASMicro(TransNASSpace):
    """The 4,096 cells of TransNAS-Bench-101's micro space, on any of its seven tasks.

    A cell sums, at each of three nodes, the results of the operations on its incoming edges: nothing, skip, 1×1 or 3×3
    convolution. The first cell of a shrinking module applies stride 2 on all edges from its input, where a skip becomes
    a strided 1×1 convolution. The network is a stem that quarters the size and five modules of two cells.

    Edges on no path from input to output that is free of ``none`` are dead, and ``none`` in the canonical form. That
    leaves 2,128 classes. Skips between equal shapes only add what arrives at one node to another, so that some of these
    are still the same sums of the same operations: 1,376 scoring classes.

    Texts are the official ones, ``64-41414-3_33_123``: operations by number, of edges 0→1, then 0→2 and 1→2, then 0→3,
    1→3 and 2→3. `parse` also reads them without the network, ``3_33_123``, and as the keys of NAS-Bench-Suite-Zero's
    tables, ``(3, 3, 3, 1, 2, 3)``.

    Arguments are those of `TransNASSpace`.

    Example:
        >>> space = TransNASMicro()
        >>> space.count_parameters(space.parse("64-41414-3_33_123"))
        28677471
    """

    name = "transnas_micro"

    most_halvings = 5

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """An operation for each of the six edges."""
        return _CHOICES

    def format(self, architecture: Architecture) -> str:
        """Return the official text."""
        architecture = self.check(architecture)
        n = [OPERATIONS.index(str(architecture[name])) for name in EDGE_NAMES]
        return f"{self.channels}-41414-{n[0]}_{n[1]}{n[2]}_{n[3]}{n[4]}{n[5]}"

    def parse(self, text: str) -> Architecture:
        """Return the cell of an official text, or of a table's key.

        Raises:
            ArchitectureError: The text has another form.
        """
        match = _OFFICIAL.fullmatch(text_of(text).strip()) or _KEY.fullmatch(text_of(text).strip())
        if match is None:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '64-41414-3_33_123' or '(3, 3, 3, 1, 2, 3)', "
                f"with digits from 0 to 3; got {text!r}."
            )
        return Architecture(
            {name: OPERATIONS[int(digit)] for name, digit in zip(EDGE_NAMES, match.groups(), strict=True)}
        )

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the cell with every dead edge set to ``none``."""
        return alive(self.check(architecture))

    def scoring_class(self, architecture: Architecture) -> Architecture:
        """Return the cell that stands for all that are the same sums of the same operations; see the class."""
        if not is_made_by(self, TransNASMicro):
            return self.canonical(architecture)
        # Cells that are one with a stride are one without: then a skip from the input is the identity for both.
        return cells_of_classes(OPERATIONS, strided=True)[tuple(self.check(architecture).values())]

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with this cell; see the class."""
        from robonas.spaces.networks.transnas import Stem
        from robonas.spaces.networks.transnas_micro import make_cell

        architecture = self.check(architecture)
        live = live_edges(architecture)
        operations = {
            edge: str(architecture[name]) for edge, name in zip(EDGES, EDGE_NAMES, strict=True) if name in live
        }
        width = self.channels
        modules: list[nn.Module] = [Stem(self.input_shape[-3], width)]
        for stage in STAGES:
            c_out, stride = (2 * width, 2) if stage == 4 else (width, 1)
            modules += [make_cell(operations, width, c_out, stride), make_cell(operations, c_out, c_out, 1)]
            width = c_out
        return self.network(modules, width, self.most_halvings)
