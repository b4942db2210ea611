"""Depth and size of data from a pickle, once they are written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from robonas.errors import TableError

MAX_PARTS = 100_000_000
"""Values of the largest pickle, each counted as often as it is referred to."""
DEEPEST = 100
"""Levels of containers inside each other."""


def check_tree(made: object, most: int = MAX_PARTS) -> None:
    """Raise unless a value lies no deeper than `DEEPEST` and has no more parts, counted as often as they occur.

    A pickle may refer to a part many times; a reader that goes through all of it meets the part as often.

    Raises:
        TableError: It is deeper, larger, or contains itself.
    """
    sizes: dict[int, int] = {}  # of the containers of containers
    begun: set[int] = set()
    waiting = [made] if type(made) in _CONTAINERS else []
    while waiting:
        value = waiting[-1]
        number = id(value)
        if number in sizes:
            waiting.pop()
            continue
        parts = _parts_of(value)
        if number not in begun:
            begun.add(number)
            if len(begun) - len(sizes) > DEEPEST:
                raise TableError(f"The pickle's data lie more than {DEEPEST} levels deep in each other.")
            for part in parts:
                if type(part) in _CONTAINERS and id(part) not in sizes:
                    if id(part) in begun:
                        raise TableError("The pickle's data contain themselves. The file is damaged or hostile.")
                    if any(type(inner) in _CONTAINERS for inner in _parts_of(part)):
                        waiting.append(part)
            continue
        waiting.pop()
        size = len(parts) + sum(sizes.get(id(part)) or _size_of(part) for part in parts if type(part) in _CONTAINERS)
        if size > most:
            raise TableError(
                "The pickle refers to its parts so often that it would be unreasonably large once written out. "
                "The file is damaged or hostile."
            )
        sizes[number] = size


_CONTAINERS = frozenset({dict, list, tuple, np.ndarray})


def _parts_of(value: Any) -> Any:
    """Return the values in a container; keys are small, and arrays of numbers have no parts of their own."""
    if type(value) is dict:
        return value.values()
    if type(value) is np.ndarray:
        return value.ravel().tolist() if value.dtype.kind == "O" else ()
    return value


def _size_of(value: Any) -> int:
    return int(value.size) if type(value) is np.ndarray else len(value)
