"""A pickle's instructions that make containers, and the limits of how many, how large and how costly they are."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from robonas.errors import TableError
from robonas.tables.pickle_memory import Memory
from robonas.tables.plain_data import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sized

MAX_STEPS = 20_000_000
"""Instructions of the longest pickle, unless its reader says otherwise."""
MAX_CONTAINERS = 4_000_000
"""Lists, dictionaries, sets, tuples and arrays of the largest pickle, unless its reader says otherwise."""
MAX_ROOM = 2**30
"""Bytes of the texts and bytes that calls are made with, counted as often as they are given to one."""
MAX_MARKS = 1000
"""Containers that may be begun inside each other at once."""
_COMPARED = 8
"""Keys that are compared in the time of one instruction."""


class Containers(Memory):
    """Maker of lists, tuples, dictionaries and sets.

    Args:
        file: Stream to read.
    """

    INSTRUCTIONS: ClassVar[Mapping[bytes, str]] = {
        **Memory.INSTRUCTIONS,
        pickle.MARK: "mark",
        pickle.EMPTY_LIST: "empty_list",
        pickle.LIST: "list",
        pickle.APPEND: "append",
        pickle.APPENDS: "appends",
        pickle.EMPTY_TUPLE: "empty_tuple",
        pickle.TUPLE: "tuple",
        pickle.TUPLE1: "tuple_1",
        pickle.TUPLE2: "tuple_2",
        pickle.TUPLE3: "tuple_3",
        pickle.EMPTY_DICT: "empty_dict",
        pickle.DICT: "dict",
        pickle.SETITEM: "setitem",
        pickle.SETITEMS: "setitems",
        pickle.EMPTY_SET: "empty_set",
        pickle.ADDITEMS: "additems",
        pickle.FROZENSET: "frozenset",
    }
    """Method of each instruction, without its prefix."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._below: list[list[Any]] = []
        self.steps = MAX_STEPS
        """Instructions that are left."""
        self.containers = MAX_CONTAINERS
        """Containers that are left."""
        self.room = MAX_ROOM
        """Bytes that calls may still copy."""

    def _spend(self, steps: int) -> None:
        """Count work as so many instructions."""
        self.steps -= steps
        if self.steps < 0:
            raise TableError("The pickle has more instructions than any real one; it was not read.")

    def _check_key(self, key: object, among: Sized) -> None:
        """Raise unless a value may be a key, and count what finding it may cost.

        Tuples can be chosen such that all have one hash; each is then compared with all that are there.
        """
        if type(key) is not str:
            parts = check_key(key)
            if parts > 1:
                self._spend(parts + len(among) // _COMPARED)

    def _new(self, container: Any) -> None:
        """Put a new container on the stack."""
        self.containers -= 1
        if self.containers < 0:
            raise TableError("The pickle has more containers than any real one; it was not read.")
        self.stack.append(container)

    def _marked(self) -> list[Any]:
        """Take everything since the last mark."""
        items = self.stack
        self.stack = self._below.pop()
        return items

    def do_mark(self) -> None:  # noqa: D102
        if len(self._below) >= MAX_MARKS:
            raise TableError(f"The pickle begins more than {MAX_MARKS:,} containers inside each other.")
        self._below.append(self.stack)
        self.stack = []

    def do_empty_list(self) -> None:  # noqa: D102
        self._new([])

    def do_list(self) -> None:  # noqa: D102
        self._new(self._marked())

    def do_append(self) -> None:  # noqa: D102
        value = self.stack.pop()
        self._target(list).append(value)

    def do_appends(self) -> None:  # noqa: D102
        items = self._marked()
        self._target(list).extend(items)

    def do_empty_tuple(self) -> None:  # noqa: D102
        self.stack.append(())

    def do_tuple(self) -> None:  # noqa: D102
        self._new(tuple(self._marked()))

    def do_tuple_1(self) -> None:  # noqa: D102
        self._new((self.stack.pop(),))

    def do_tuple_2(self) -> None:  # noqa: D102
        second, first = self.stack.pop(), self.stack.pop()
        self._new((first, second))

    def do_tuple_3(self) -> None:  # noqa: D102
        third, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._new((first, second, third))

    def do_empty_dict(self) -> None:  # noqa: D102
        self._new({})

    def do_dict(self) -> None:  # noqa: D102
        items = self._marked()
        made: dict[Any, Any] = {}
        self._put_all(made, items)
        self._new(made)

    def do_setitem(self) -> None:  # noqa: D102
        value, key = self.stack.pop(), self.stack.pop()
        self._put_all(self._target(dict), [key, value])

    def do_setitems(self) -> None:  # noqa: D102
        items = self._marked()
        self._put_all(self._target(dict), items)

    def _put_all(self, made: dict[Any, Any], items: list[Any]) -> None:
        """Put keys and values, in turn, into a dictionary."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._check_key(key, made)
            made[key] = value

    def do_empty_set(self) -> None:  # noqa: D102
        self._new(set())

    def do_additems(self) -> None:  # noqa: D102
        items = self._marked()
        self._add_all(self._target(set), items)

    def do_frozenset(self) -> None:  # noqa: D102
        made: set[Any] = set()
        self._add_all(made, self._marked())
        self._new(frozenset(made))

    def _add_all(self, made: set[Any], items: Iterable[Any]) -> None:
        """Put members into a set."""
        for item in items:
            self._check_key(item, made)
            made.add(item)

    def _target(self, kind: type) -> Any:
        made = self.stack[-1]
        if type(made) is not kind:
            raise TableError(f"The pickle is damaged: it treats a {type(made).__name__} as a {kind.__name__}.")
        return made
