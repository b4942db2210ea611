"""The graph of four-node cells, which several spaces share.

Source: NAS-Bench-201 (Dong and Yang, ICLR 2020); TransNAS-Bench-101 and NATS-Bench use it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robonas.architecture import Architecture

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of a four-node cell, in the order of the official texts: node 0 is its input, node 3 its output."""
EDGE_NAMES = tuple(f"edge_{source}_{target}" for source, target in EDGES)
NodeInputs = tuple[tuple[str, int], tuple[str, int]]
"""The two (operation, source) of a node of a DARTS cell, the lower source first."""
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""All ways from input to output, as places in `EDGES`: 0→3, 0→1→3, 0→2→3, 0→1→2→3."""


def live_edges(architecture: Architecture) -> frozenset[str]:
    """Return names of the edges on at least one path from input to output without ``none``."""
    return frozenset(
        EDGE_NAMES[place]
        for path in PATHS
        if all(architecture[EDGE_NAMES[step]] != "none" for step in path)
        for place in path
    )
