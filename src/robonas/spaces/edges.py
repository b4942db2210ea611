"""The graph of four-node cells, which several spaces share.

Source: NAS-Bench-201 (Dong and Yang, ICLR 2020); TransNAS-Bench-101 and NATS-Bench use it too.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

from robonas.architecture import Architecture
from robonas.spaces.isomorphism import form_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.architecture import Option
    from robonas.spaces.isomorphism import Edge, Form

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of a four-node cell, in the order of the official texts: node 0 is its input, node 3 its output."""
EDGE_NAMES = tuple(f"edge_{source}_{target}" for source, target in EDGES)
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""All ways from input to output, as places in `EDGES`: 0→3, 0→1→3, 0→2→3, 0→1→2→3."""


def live_edges(architecture: Architecture) -> frozenset[str]:
    """Return names of the edges on at least one path from input to output without ``none``."""
    return frozenset(EDGE_NAMES[place] for place in _live([architecture[name] for name in EDGE_NAMES]))


def alive(architecture: Architecture) -> Architecture:
    """Return the cell with every dead edge set to ``none``."""
    return Architecture(dict(zip(EDGE_NAMES, _alive([architecture[name] for name in EDGE_NAMES]), strict=True)))


def form_of_cell(options: Sequence[Option], *, strided: bool) -> Form:
    """Return the form of a cell without dead edges, in which equally distributed cells are equal.

    Args:
        options: The operations of the edges.
        strided: True where a skip from the cell's input changes the shape, and so has parameters of its own.
    """
    nodes: list[list[Edge]] = [[], [], []]
    for (source, target), operation in zip(EDGES, options, strict=True):
        if operation != "none":
            identity = operation == "skip_connect" and not (strided and source == 0)
            nodes[target - 1].append((None if identity else str(operation), source))
    return form_of(1, nodes, [3])


@functools.cache
def cells_of_classes(operations: tuple[Option, ...], *, strided: bool) -> Mapping[tuple[Option, ...], Architecture]:
    """Return for the operations of every cell the cell that stands for its scoring class.

    That is the one with the fewest edges, and of these the first in the order of the operations.

    Args:
        operations: The options of every edge.
        strided: True where a skip from the cell's input changes the shape.
    """
    cells = list(itertools.product(operations, repeat=len(EDGES)))
    forms = {cell: form_of_cell(cell, strided=strided) for cell in cells if _alive(cell) == cell}
    first: dict[Form, Architecture] = {}
    for cell in sorted(forms, key=lambda one: -one.count("none")):  # those with as many edges stay in their order
        if forms[cell] not in first:
            first[forms[cell]] = Architecture(dict(zip(EDGE_NAMES, cell, strict=True)))
    return {cell: first[forms[_alive(cell)]] for cell in cells}


def _live(options: Sequence[Option]) -> set[int]:
    """Return the places of the edges on a path without ``none``."""
    return {place for path in PATHS if all(options[step] != "none" for step in path) for place in path}


def _alive(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the operations with ``none`` on dead edges."""
    live = _live(options)
    return tuple(option if place in live else "none" for place, option in enumerate(options))
