"""Cells that are the same function of equally distributed parameters: a normal form of sums and operations.

A cell's node is a sum. An identity on the way to it only adds the terms of the sum that it starts from, so that nodes
which identities connect merge, and the order of a sum means nothing. What is left are states (the different sums) and
terms (the operations, each applied to one state and added to some). Operations are told apart, even where they have no
parameters: two poolings of one state stay two, so that cells of one form do the same work.

Two cells with one form are equal under a mapping of the parameters, term by term. Parameters are drawn independently
for each term, so both have the same distribution, and so has whatever is computed from them without regard to the names
and the order of modules.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from robonas.spaces.base import SearchSpace

Edge: TypeAlias = "tuple[str | None, int]"
"""An operation, or None for an identity, and the place of the node that it starts from."""
_Sum: TypeAlias = "tuple[tuple[int, int], ...]"
"""Number of times that each input or term is in a state: (its number, times), in order."""


class Term(NamedTuple):
    """An operation on one state."""

    operation: str
    """Name of the operation."""
    source: int
    """Number of the state that it is applied to."""
    counts: tuple[int, ...]
    """Number of times that its result is in each state."""


class Form(NamedTuple):
    """A cell without the numbers of its nodes. The first states are the inputs, one each."""

    terms: tuple[Term, ...]
    """The operations, in order."""
    inputs: tuple[tuple[int, ...], ...]
    """For each input of the cell, how often it is in each state."""
    outputs: tuple[int, ...]
    """For each state, how many of the cell's results it is."""


def form_of(n_inputs: int, nodes: Sequence[Sequence[Edge]], outputs: Sequence[int]) -> Form:
    """Return the normal form of a cell: equal for two cells exactly if renaming nodes and terms makes them one.

    Args:
        n_inputs: Number of the cell's inputs, which are its first nodes.
        nodes: For each further node the edges that it sums; each must have a part in some output.
        outputs: Places of the nodes that are the cell's results, in any order.
    """
    sums: list[_Sum] = [((place, 1),) for place in range(n_inputs)]
    made: list[tuple[str, _Sum]] = []
    for edges in nodes:
        total: Counter[int] = Counter()
        for operation, source in edges:
            if operation is None:
                total.update(dict(sums[source]))
            else:
                total[n_inputs + len(made)] += 1
                made.append((operation, sums[source]))
        sums.append(tuple(sorted(total.items())))
    results = Counter(sums[place] for place in outputs)
    fixed = sums[:n_inputs]
    free = [state for state in dict.fromkeys([*(source for _, source in made), *results]) if state not in fixed]
    return min(_written(n_inputs, [*fixed, *order], made, results) for order in _orders(free, made, results))


def _orders(free: Sequence[_Sum], made: Sequence[tuple[str, _Sum]], results: Counter[_Sum]) -> Iterator[list[_Sum]]:
    """Yield the orders of states that must be compared: states that differ by themselves have one order."""
    alike: dict[tuple[object, ...], list[_Sum]] = {}
    for state in free:
        uses = sorted(operation for operation, source in made if source == state)
        alike.setdefault((results[state], sum(times for _, times in state), tuple(uses)), []).append(state)
    groups = [alike[key] for key in sorted(alike)]
    for orders in itertools.product(*map(itertools.permutations, groups)):
        yield list(itertools.chain.from_iterable(orders))


def _written(n_inputs: int, states: Sequence[_Sum], made: Sequence[tuple[str, _Sum]], results: Counter[_Sum]) -> Form:
    """Return the form with the states in this order."""
    places = {state: place for place, state in enumerate(states)}
    columns = [dict(state) for state in states]

    def counts(number: int) -> tuple[int, ...]:
        return tuple(column.get(number, 0) for column in columns)

    terms = sorted(
        Term(operation, places[source], counts(number)) for number, (operation, source) in enumerate(made, n_inputs)
    )
    return Form(tuple(terms), tuple(map(counts, range(n_inputs))), tuple(results[state] for state in states))


def is_made_by(space: SearchSpace, kind: type[SearchSpace]) -> bool:
    """Return whether networks and canonical forms are those of this class of spaces, and not of a subclass of it."""
    return type(space).build is kind.build and type(space).canonical is kind.canonical
