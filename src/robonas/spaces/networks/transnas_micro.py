"""The cells of TransNAS-Bench-101's micro space as modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from robonas.spaces.networks.blocks import Cell, FactorizedReduction, ReLUConvBN

if TYPE_CHECKING:
    from collections.abc import Mapping


def make_cell(operations: Mapping[tuple[int, int], str], c_in: int, c_out: int, stride: int) -> Cell:
    """Make one cell; edges from its input change the shape."""
    edges = {
        (source, target): _operation(name, c_in if source == 0 else c_out, c_out, stride if source == 0 else 1)
        for (source, target), name in operations.items()
    }
    return Cell(edges, c_out, stride)


def _operation(name: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    if name != "skip_connect":
        return ReLUConvBN(c_in, c_out, 1 if name == "nor_conv_1x1" else 3, stride)
    if c_in == c_out and stride == 1:
        return nn.Identity()
    return FactorizedReduction(c_in, c_out)
