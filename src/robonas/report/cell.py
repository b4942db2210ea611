"""A drawing of an architecture: a graph for cells whose choices are edges, a table of choices for any other space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.report.palette import N_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.architecture import Architecture, Option
    from robonas.spaces.base import SearchSpace

_EDGE = re.compile(r"edge_(\d+)_(\d+)")
_NOTHING = frozenset({"none", "zero", "zeroize"})
"""Options that pass nothing on."""
_MOST_NODES = 8
_SPACING, _LANE, _TOP = 112.0, 96.0, 30.0
_NODE_RADIUS = 17.0
_CHARACTER, _PADDING, _HEIGHT = 7.3, 18.0, 24.0


@dataclass(frozen=True)
class Choice:
    """One choice of an architecture, for the table."""

    name: str
    """Its name."""
    option: str
    """Option of the choice."""
    colour: int
    """Which of the palette's option colours it has."""
    nothing: bool
    """It passes nothing on."""
    dead: bool
    """It changes nothing: the canonical form sets it otherwise."""


def choices(space: SearchSpace, architecture: Architecture) -> tuple[Choice, ...]:
    """Return the choices of an architecture, in its space's order."""
    canonical = space.canonical(architecture)
    return tuple(
        Choice(
            name=name,
            option=str(architecture[name]),
            colour=_place(options, architecture[name]) % N_OPTIONS,
            nothing=str(architecture[name]) in _NOTHING,
            dead=name not in canonical or canonical[name] != architecture[name],
        )
        for name, options in space.choices.items()
        if name in architecture
    )


def _place(options: Sequence[Option], option: Option) -> int:
    """Return where an option stands among those of its choice; the last colour for one that is not listed."""
    return next(
        (place for place, known in enumerate(options) if type(known) is type(option) and known == option), N_OPTIONS - 1
    )


@dataclass(frozen=True)
class Edge:
    """One edge of a drawn cell."""

    source: int
    """Node where it begins."""
    target: int
    """Node where it ends."""
    choice: Choice
    """Choice that lies on the edge."""
    path: str
    """Its line, as SVG path data."""
    x: float
    """Centre of its label."""
    y: float
    """Centre of its label."""
    width: float
    """Width of its label."""


@dataclass(frozen=True)
class Drawing:
    """A cell as a graph, from its input on top to its output at the foot."""

    nodes: tuple[tuple[int, float, float, str], ...]
    """(number, x, y, name) of each node."""
    edges: tuple[Edge, ...]
    """Edges, those that do nothing first, so that others are drawn over them."""
    box: tuple[float, float, float, float]
    """SVG view box: x, y, width, height."""
    description: str
    """The same in words."""


def draw(picks: Sequence[Choice]) -> Drawing | None:
    """Lay out a cell whose choices are all named ``edge_SOURCE_TARGET``; None for others, and for too large ones.

    Nodes stand in a column. An edge to the next node is straight; a longer one bows to the side and lane where it
    meets no other.
    """
    found = [(choice, _EDGE.fullmatch(choice.name)) for choice in picks]
    ends = [(choice, int(match[1]), int(match[2])) for choice, match in found if match is not None]
    if not ends or len(ends) != len(found) or any(source >= target for _, source, target in ends):
        return None
    nodes = sorted({node for _, source, target in ends for node in (source, target)})
    if len(nodes) > _MOST_NODES:
        return None
    heights = {node: _TOP + _SPACING * place for place, node in enumerate(nodes)}
    lanes = _lanes([(heights[source], heights[target]) for _, source, target in ends])
    widest = max(len(choice.option) for choice in picks) * _CHARACTER + _PADDING
    lane_width = max(_LANE, widest + 8)
    edges = []
    for (choice, source, target), lane in zip(ends, lanes, strict=True):
        top, foot = heights[source], heights[target]
        reach = lane * lane_width
        if lane == 0:
            path = f"M0 {top + _NODE_RADIUS:g} L0 {foot - _NODE_RADIUS - 5:g}"
        else:
            side = 1 if lane > 0 else -1
            start, control = side * _NODE_RADIUS, reach * 4 / 3
            path = f"M{start:g} {top:g} C{control:g} {top:g} {control:g} {foot:g} {start + side * 5:g} {foot:g}"
        width = len(choice.option) * _CHARACTER + _PADDING
        edges.append(Edge(source, target, choice, path, reach, (top + foot) / 2, width))
    names = {nodes[0]: "in", nodes[-1]: "out"}
    half = widest / 2 + 8
    left, right = (
        min([lane * lane_width for lane in lanes] + [0]) - half,
        max([lane * lane_width for lane in lanes] + [0]) + half,
    )
    return Drawing(
        nodes=tuple((node, 0.0, heights[node], names.get(node, str(node))) for node in nodes),
        edges=tuple(sorted(edges, key=lambda edge: not (edge.choice.nothing or edge.choice.dead))),
        box=(left, 0.0, right - left, heights[nodes[-1]] + _TOP),
        description="; ".join(
            f"node {source} to node {target}: {choice.option}"
            + (" (no effect)" if choice.dead and not choice.nothing else "")
            for choice, source, target in ends
        ),
    )


def _lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return a lane for each (top, foot): 0 for the shortest, else the nearest free one; positive to the right."""
    taken: dict[int, list[tuple[float, float]]] = {}
    lanes = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda place: (spans[place][1] - spans[place][0], spans[place][0])):
        top, foot = spans[place]
        if foot - top <= _SPACING:
            continue
        lane = next(
            candidate
            for step in range(1, len(spans) + 1)
            for candidate in (step, -step)
            if all(foot <= other_top or top >= other_foot for other_top, other_foot in taken.get(candidate, []))
        )
        taken.setdefault(lane, []).append((top, foot))
        lanes[place] = lane
    return lanes
