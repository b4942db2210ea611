"""A pickle's instructions that put a number, a text or bytes on the stack; the sizes that they state are checked."""

from __future__ import annotations

import pickle
import re
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from robonas.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ITEM = 256 * 2**20
"""Bytes of the largest text or array inside a pickle."""
MAX_LINE = 1024
"""Bytes of the longest name or number that is written as text, and of the largest whole number."""
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\\'\"abfnrtv]))")
_ESCAPED = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Return the byte that an escape in a quoted text stands for."""
    hexadecimal, octal, letter = match.groups()
    if letter is not None:
        return bytes([_ESCAPED.get(letter[0], letter[0])])
    return bytes([(int(hexadecimal, 16) if hexadecimal else int(octal, 8)) & 255])


class Scalars:
    """The stack of a pickle, and what puts single values on it.

    Args:
        file: Stream to read.
    """

    INSTRUCTIONS: ClassVar[Mapping[bytes, str]] = {
        pickle.NONE: "none",
        pickle.NEWTRUE: "true",
        pickle.NEWFALSE: "false",
        pickle.INT: "int_text",
        pickle.LONG: "long_text",
        pickle.BININT: "int_4",
        pickle.BININT1: "int_1",
        pickle.BININT2: "int_2",
        pickle.LONG1: "long_1",
        pickle.LONG4: "long_4",
        pickle.FLOAT: "float_text",
        pickle.BINFLOAT: "float_8",
        pickle.STRING: "string_text",
        pickle.BINSTRING: "string_4",
        pickle.SHORT_BINSTRING: "string_1",
        pickle.UNICODE: "unicode_text",
        pickle.BINUNICODE: "unicode_4",
        pickle.SHORT_BINUNICODE: "unicode_1",
        pickle.BINUNICODE8: "unicode_8",
        pickle.BINBYTES: "bytes_4",
        pickle.SHORT_BINBYTES: "bytes_1",
        pickle.BINBYTES8: "bytes_8",
        pickle.BYTEARRAY8: "bytearray_8",
    }
    """Method of each instruction, without its prefix."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.stack: list[Any] = []

    def _take(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        if not 0 <= size <= MAX_ITEM:
            raise TableError(
                f"The pickle states an item of {size:,} bytes; at most {MAX_ITEM:,} are read. "
                "The file is damaged or hostile."
            )
        data = self._file.read(size)
        if len(data) != size:
            raise EOFError("it ends inside an item")
        return data

    def _line(self, most: int = MAX_LINE) -> bytes:
        """Read up to the end of a line."""
        data = self._file.readline(most + 2)
        if not data.endswith(b"\n"):
            raise TableError(f"The pickle has a line without end, or of more than {most:,} bytes.")
        return data[:-1]

    def _number(self, width: str) -> int:
        (number,) = struct.unpack(width, self._take(struct.calcsize(width)))
        return int(number)

    def do_none(self) -> None:  # noqa: D102
        self.stack.append(None)

    def do_true(self) -> None:  # noqa: D102
        self.stack.append(True)

    def do_false(self) -> None:  # noqa: D102
        self.stack.append(False)

    def do_int_text(self) -> None:  # noqa: D102
        text = self._line()
        self.stack.append({b"00": False, b"01": True}[text] if text in {b"00", b"01"} else int(text, 0))

    def do_long_text(self) -> None:  # noqa: D102
        self.stack.append(int(self._line().removesuffix(b"L"), 0))

    def do_int_4(self) -> None:  # noqa: D102
        self.stack.append(self._number("<i"))

    def do_int_1(self) -> None:  # noqa: D102
        self.stack.append(self._take(1)[0])

    def do_int_2(self) -> None:  # noqa: D102
        self.stack.append(self._number("<H"))

    def do_long_1(self) -> None:  # noqa: D102
        self.stack.append(int.from_bytes(self._take(self._take(1)[0]), "little", signed=True))

    def do_long_4(self) -> None:  # noqa: D102
        size = self._number("<i")
        if not 0 <= size <= MAX_LINE:
            raise TableError(f"The pickle states a whole number of {size:,} bytes; at most {MAX_LINE:,} are read.")
        self.stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def do_float_text(self) -> None:  # noqa: D102
        self.stack.append(float(self._line()))

    def do_float_8(self) -> None:  # noqa: D102
        self.stack.append(struct.unpack(">d", self._take(8))[0])

    def do_string_text(self) -> None:  # noqa: D102
        text = self._line(MAX_ITEM)
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in {b"'", b'"'}:
            raise ValueError("a text without quotes")
        self.stack.append(_ESCAPE.sub(_unescaped, text[1:-1]).decode("latin1"))

    def do_string_4(self) -> None:  # noqa: D102
        self.stack.append(self._take(self._number("<i")).decode("latin1"))

    def do_string_1(self) -> None:  # noqa: D102
        self.stack.append(self._take(self._take(1)[0]).decode("latin1"))

    def do_unicode_text(self) -> None:  # noqa: D102
        self.stack.append(str(self._line(MAX_ITEM), "raw-unicode-escape"))

    def do_unicode_4(self) -> None:  # noqa: D102
        self.stack.append(str(self._take(self._number("<I")), "utf-8", "surrogatepass"))

    def do_unicode_1(self) -> None:  # noqa: D102
        self.stack.append(str(self._take(self._take(1)[0]), "utf-8", "surrogatepass"))

    def do_unicode_8(self) -> None:  # noqa: D102
        self.stack.append(str(self._take(self._number("<Q")), "utf-8", "surrogatepass"))

    def do_bytes_4(self) -> None:  # noqa: D102
        self.stack.append(self._take(self._number("<I")))

    def do_bytes_1(self) -> None:  # noqa: D102
        self.stack.append(self._take(self._take(1)[0]))

    def do_bytes_8(self) -> None:  # noqa: D102
        self.stack.append(self._take(self._number("<Q")))

    def do_bytearray_8(self) -> None:  # noqa: D102
        self.stack.append(bytearray(self._take(self._number("<Q"))))
