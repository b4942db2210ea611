"""A pickle's instructions that number what was made, and refer back to it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from robonas.errors import TableError
from robonas.tables.pickle_scalars import Scalars
from robonas.tables.plain_data import Beginning

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE: Any = object()


class Memory(Scalars):
    """The objects to which a pickle may refer back.

    Args:
        file: Stream to read.
    """

    INSTRUCTIONS: ClassVar[Mapping[bytes, str]] = {
        **Scalars.INSTRUCTIONS,
        pickle.PUT: "put_text",
        pickle.BINPUT: "put_1",
        pickle.LONG_BINPUT: "put_4",
        pickle.MEMOIZE: "memoize",
        pickle.GET: "get_text",
        pickle.BINGET: "get_1",
        pickle.LONG_BINGET: "get_4",
    }
    """Method of each instruction, without its prefix."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.memo: Any = []

    def _remember(self, place: int) -> None:
        """Let the pickle refer back to what is on top by a number; numbers are counted up from 0 or 1."""
        value, memo = self.stack[-1], self.memo
        if place == len(memo) + 1:
            memo.append(_NONE)
        if place == len(memo):
            memo.append(value)
        elif 0 <= place < len(memo):
            memo[place] = value
        else:
            raise TableError("The pickle numbers its objects in no order. The file is damaged or hostile.")
        if type(value) is Beginning:
            value.places.append(place)

    def do_put_text(self) -> None:  # noqa: D102
        self._remember(int(self._line()))

    def do_put_1(self) -> None:  # noqa: D102
        self._remember(self._take(1)[0])

    def do_put_4(self) -> None:  # noqa: D102
        self._remember(self._number("<I"))

    def do_memoize(self) -> None:  # noqa: D102
        self._remember(len(self.memo))

    def _recall(self, place: int) -> None:
        value = self.memo[place]
        if value is _NONE or type(value) is Beginning:
            raise TableError("The pickle refers to what is not there yet. The file is damaged or hostile.")
        self.stack.append(value)

    def do_get_text(self) -> None:  # noqa: D102
        place = int(self._line())
        if place < 0:
            raise ValueError("it refers back to a negative number")
        self._recall(place)

    def do_get_1(self) -> None:  # noqa: D102
        self._recall(self._take(1)[0])

    def do_get_4(self) -> None:  # noqa: D102
        self._recall(self._number("<I"))
