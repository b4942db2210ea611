"""The cell that stands for all normal cells of DARTS of one form: written anew from the form alone.

A node has exactly two edges from different nodes before it, and every operation is one edge. So a cell can be written
in several ways only where it has two identities at least. In reduction cells a skip from an input has parameters of its
own, and the identities that are left never make two cells one (`tests/golden` counts both).
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, NamedTuple

from robonas.spaces.isomorphism import form_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.spaces.isomorphism import Form
    from robonas.spaces.networks.darts import NodeInputs

N_INPUTS = 2
N_NODES = 4
SKIP = "skip_connect"


class _Part(NamedTuple):
    """The part of a node's sum that comes by one edge."""

    operation: str
    term: int | None
    """Number of the operation's term; None for an identity."""
    counts: tuple[int, ...]
    """Number of times that each input and each term is in what it brings."""


def form_of_nodes(nodes: tuple[NodeInputs, ...]) -> Form:
    """Return the form of a cell, in which equally distributed cells are equal.

    Args:
        nodes: The two edges of each node.
    """
    edges = [[(None if name == SKIP else name, source) for name, source in node] for node in nodes]
    return form_of(N_INPUTS, edges, range(N_INPUTS, N_INPUTS + N_NODES))


@functools.lru_cache(maxsize=1 << 16)
def rewritten(nodes: tuple[NodeInputs, ...]) -> tuple[NodeInputs, ...]:
    """Return a cell of the same form, which is the same for all cells of that form but for the numbers of its nodes.

    Args:
        nodes: The two edges of each node.
    """
    n_identities = sum(name == SKIP for node in nodes for name, _ in node)
    if n_identities < 2:
        return nodes
    form = form_of_nodes(nodes)
    return next(_writings(form, [0, 1], list(form.outputs), frozenset()))


def _writings(
    form: Form, placed: list[int], left: list[int], written: frozenset[int]
) -> Iterator[tuple[NodeInputs, ...]]:
    """Yield the ways to write the nodes that are left.

    Args:
        form: Form of the cell.
        placed: The state of each node so far, inputs included.
        left: Number of nodes of each state that are left.
        written: Numbers of the terms that have their edge.
    """
    if len(placed) == N_INPUTS + N_NODES:
        if len(written) == len(form.terms):
            yield ()
        return
    for state in [number for number, count in enumerate(left) if count]:
        wanted = _counts(form, state)
        rest = [count - (number == state) for number, count in enumerate(left)]
        for one, other in itertools.combinations(range(len(placed)), 2):
            for first in _parts(form, placed, one, written):
                taken = written if first.term is None else written | {first.term}
                for second in _parts(form, placed, other, taken):
                    if tuple(map(sum, zip(first.counts, second.counts, strict=True))) != wanted:
                        continue
                    now = taken if second.term is None else taken | {second.term}
                    for others in _writings(form, [*placed, state], rest, now):
                        yield ((first.operation, one), (second.operation, other)), *others


def _parts(form: Form, placed: list[int], place: int, written: frozenset[int]) -> Iterator[_Part]:
    """Yield what an edge from a node can bring; of terms that nothing tells apart, the first that is not written."""
    yield _Part(SKIP, None, _counts(form, placed[place]))
    known = set()
    for number, term in enumerate(form.terms):
        if term.source == placed[place] and number not in written and term not in known:
            known.add(term)
            units = [0] * (N_INPUTS + len(form.terms))
            units[N_INPUTS + number] = 1
            yield _Part(term.operation, number, tuple(units))


def _counts(form: Form, state: int) -> tuple[int, ...]:
    """Return how often each input and each term is in a state."""
    return (*(counts[state] for counts in form.inputs), *(term.counts[state] for term in form.terms))
