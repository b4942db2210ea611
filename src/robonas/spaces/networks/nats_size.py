"""The one cell of NATS-Bench's size space as a module."""

from __future__ import annotations

from torch import nn

from robonas.spaces.networks.blocks import Cell, ConvBNAct, ReLUConvBN

_CONVOLUTIONS = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3))
"""Edges of the one cell that are 3×3 convolutions; the edge 0→3 is a skip."""


def make_cell(c_in: int, c_out: int) -> Cell:
    """Make the one cell; edges from its input change the width."""
    edges: dict[tuple[int, int], nn.Module] = {
        (source, target): ReLUConvBN(c_in if source == 0 else c_out, c_out, 3) for source, target in _CONVOLUTIONS
    }
    edges[0, 3] = nn.Identity() if c_in == c_out else ConvBNAct(c_in, c_out, 1)
    return Cell(edges, c_out)
