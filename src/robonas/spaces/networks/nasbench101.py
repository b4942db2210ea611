"""The cells of NAS-Bench-101 as modules."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from robonas.spaces.networks.blocks import ConvBNAct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def vertex_channels(matrix: NDArray[np.int64], c_in: int, c_out: int) -> list[int]:
    """Return how many channels each vertex of a pruned cell has.

    Vertices that feed the output share its channels, the first ones taking one more where they cannot be divided; every
    other vertex has as many as the widest that it feeds.
    """
    n = len(matrix)
    channels = [c_in] + [0] * (n - 2) + [c_out]
    feeding = [vertex for vertex in range(1, n - 1) if matrix[vertex, n - 1]]
    for number, vertex in enumerate(feeding):
        channels[vertex] = c_out // len(feeding) + (number < c_out % len(feeding))
    for vertex in range(n - 3, 0, -1):
        if not matrix[vertex, n - 1]:
            channels[vertex] = max(channels[target] for target in range(vertex + 1, n - 1) if matrix[vertex, target])
    return channels


class CellOfVertices(nn.Module):
    """One cell of a pruned graph."""

    def __init__(self, matrix: NDArray[np.int64], operations: Sequence[str], c_in: int, c_out: int) -> None:
        super().__init__()
        n = len(matrix)
        self.channels = vertex_channels(matrix, c_in, c_out)
        self.sources = [[int(source) for source in np.flatnonzero(matrix[:, target])] for target in range(n)]
        self.projections = nn.ModuleDict(
            {
                str(target): ConvBNAct(c_in, self.channels[target], 1, activation=nn.ReLU)
                for target in range(1, n)
                if matrix[0, target]
            }
        )
        self.operations = nn.ModuleList(
            _operation(name, self.channels[vertex]) for vertex, name in enumerate(operations, start=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return same size, `c_out` channels."""
        tensors = [x]
        for vertex, operation in enumerate(self.operations, start=1):
            width = self.channels[vertex]
            arriving = [tensors[source][:, :width] for source in self.sources[vertex] if source > 0]
            if 0 in self.sources[vertex]:
                arriving.append(self.projections[str(vertex)](x))
            tensors.append(operation(functools.reduce(torch.add, arriving)))
        last = len(self.sources) - 1
        brought = [tensors[source] for source in self.sources[last] if source > 0]
        if not brought:
            projected: Tensor = self.projections[str(last)](x)
            return projected
        joined = torch.cat(brought, dim=1)
        return joined + self.projections[str(last)](x) if 0 in self.sources[last] else joined


def _operation(name: str, channels: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return ConvBNAct(channels, channels, 3 if name == "conv3x3-bn-relu" else 1, activation=nn.ReLU)
