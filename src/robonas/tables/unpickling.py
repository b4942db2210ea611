"""Reading pickles of others without running their code: containers, numbers, texts and NumPy's arrays, nothing else.

A pickle is a program. This reader obeys only the instructions that build data, knows only the callables in its table,
and checks every size that a pickle states before it believes it.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

import numpy as np

from robonas.errors import TableError
from robonas.tables.plain_data import ALLOWED, check_dtype, check_extent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from robonas.tables.plain_data import Global

MAX_FILE = 512 * 2**20
"""Bytes of the largest pickle, decompressed, that is read into memory at once."""
MAX_ITEM = 256 * 2**20
"""Bytes of the largest text or array inside a pickle."""
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


class UnsafePickleError(TableError):
    """A pickle that asks for more than data.

    Attributes:
        wanted: What it asked for, such as ``"os.system"``.
    """

    def __init__(self, message: str, wanted: str) -> None:
        super().__init__(message)
        self.wanted = wanted


# ── the reader ──


_Reader: Any = pickle._Unpickler  # noqa: SLF001
"""The reader written in Python: its instructions can be chosen."""


class SafeUnpickler(_Reader):
    """Obeys the instructions that build data; see the module.

    Args:
        file: What to read from; several pickles may stand behind each other, one reader each.
        extra: More callables by module and name.
    """

    stack: list[Any]
    memo: Any
    dispatch: ClassVar[dict[int, Any]] = dict(_Reader.dispatch)

    def __init__(self, file: BinaryIO, extra: Mapping[tuple[str, str], Global] | None = None) -> None:
        super().__init__(file, fix_imports=False, encoding="latin1")
        self._known = {**ALLOWED, **(extra or {})}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for what a pickle names.

        Raises:
            UnsafePickleError: It is not one of the few that are allowed.
        """
        try:
            return self._known[module, name]
        except KeyError:
            raise UnsafePickleError(
                f"The pickle asks for '{module}.{name}', which is not plain data; it was not run. "
                "If you trust the file, convert it to CSV or Parquet yourself.",
                f"{module}.{name}",
            ) from None

    def load_reduce(self) -> None:
        """Call one of the allowed callables."""
        args = self.stack.pop()
        make = self.stack[-1]
        if not callable(make) or isinstance(make, type) or not isinstance(args, tuple):
            raise TableError(f"A pickle must call what it names with its parts; got {type(make).__name__}.")
        self.stack[-1] = make(*args)

    def load_build(self) -> None:
        """Fill an array or say a type's byte order; nothing else has a state."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, np.dtype):
            if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
                raise TableError("A pickle's arrays must hold plain numbers or texts; got a type with fields.")
            self.stack[-1] = self._with_order(made, state[1])
            for place, value in list(self.memo.items())[-8:]:  # the memo holds the one without byte order
                if value is made:
                    self.memo[place] = self.stack[-1]
        elif isinstance(made, np.ndarray):
            self._fill(made, state)
        elif isinstance(state, dict) and not state:
            return
        else:
            raise UnsafePickleError(
                f"The pickle sets the state of a {type(made).__name__}, which is not plain data; it was not run.",
                type(made).__name__,
            )

    @staticmethod
    def _with_order(dtype: np.dtype[Any], order: object) -> np.dtype[Any]:
        return dtype.newbyteorder(cast("Any", order)) if order in {"<", ">"} else dtype

    @staticmethod
    def _fill(made: np.ndarray[Any, Any], state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise TableError("A pickle's array must have a state of five parts.")
        _, shape, dtype, _, data = state
        check_dtype(dtype)
        if isinstance(data, str):
            data = data.encode("latin1")
            state = (*state[:4], data)
        if dtype.hasobject:
            if not isinstance(data, list):
                raise TableError("A pickle's array of objects must bring a list.")
            check_extent(shape, len(data) * dtype.itemsize, dtype)
        else:
            check_extent(shape, len(data), dtype)
        made.__setstate__(state)

    def load_append(self) -> None:
        """Add to a list."""
        value = self.stack.pop()
        _check(self.stack[-1], list).append(value)

    def load_appends(self) -> None:
        """Add several to a list."""
        items = self.pop_mark()
        _check(self.stack[-1], list).extend(items)

    def load_setitem(self) -> None:
        """Add a pair to a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        _check(self.stack[-1], dict)[key] = value

    def load_setitems(self) -> None:
        """Add pairs to a dictionary."""
        items = self.pop_mark()
        _check(self.stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))

    def load_additems(self) -> None:
        """Add to a set."""
        items = self.pop_mark()
        _check(self.stack[-1], set).update(items)

    def refuse(self) -> None:
        """Any other instruction."""
        raise UnsafePickleError(
            "The pickle makes objects that are not plain data, or refers outside itself; it was not run. "
            "If you trust the file, convert it to CSV or Parquet yourself.",
            "object",
        )


def _check(made: Any, kind: type) -> Any:
    if not isinstance(made, kind):
        raise TableError(f"The pickle is damaged: it treats a {type(made).__name__} as a {kind.__name__}.")
    return made


def _sized(width: str, convert: Callable[[SafeUnpickler, bytes], Any]) -> Callable[[SafeUnpickler], None]:
    """An instruction with a size before its data, which is checked before anything of that size is asked for."""

    def load(reader: SafeUnpickler) -> None:
        (size,) = struct.unpack(width, reader.read(struct.calcsize(width)))
        if not 0 <= size <= MAX_ITEM:
            raise TableError(
                f"The pickle states an item of {size:,} bytes; at most {MAX_ITEM:,} are read. "
                "The file is damaged or hostile."
            )
        data = reader.read(size)
        if len(data) != size:
            raise EOFError("the pickle ends inside an item")
        reader.append(convert(reader, data))

    return load


def _utf8(_: SafeUnpickler, data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


def _latin1(_: SafeUnpickler, data: bytes) -> str:
    return data.decode("latin1")


def _bytes(_: SafeUnpickler, data: bytes) -> bytes:
    return data


def _instructions() -> None:
    """Fill in the table of instructions."""
    table = SafeUnpickler.dispatch
    for code, load in (
        (pickle.REDUCE, SafeUnpickler.load_reduce),
        (pickle.BUILD, SafeUnpickler.load_build),
        (pickle.APPEND, SafeUnpickler.load_append),
        (pickle.APPENDS, SafeUnpickler.load_appends),
        (pickle.SETITEM, SafeUnpickler.load_setitem),
        (pickle.SETITEMS, SafeUnpickler.load_setitems),
        (pickle.ADDITEMS, SafeUnpickler.load_additems),
        (pickle.BINUNICODE, _sized("<I", _utf8)),
        (pickle.BINUNICODE8, _sized("<Q", _utf8)),
        (pickle.BINBYTES, _sized("<I", _bytes)),
        (pickle.BINBYTES8, _sized("<Q", _bytes)),
        (pickle.BYTEARRAY8, _sized("<Q", lambda _, data: bytearray(data))),
        (pickle.BINSTRING, _sized("<i", _latin1)),
        (pickle.LONG4, _sized("<i", lambda _, data: pickle.decode_long(data))),
    ):
        table[code[0]] = load
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.PERSID, pickle.BINPERSID, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    ):
        table[code[0]] = SafeUnpickler.refuse


_instructions()


def unpickle(data: bytes, where: object) -> Any:
    """The one object of a pickle.

    Args:
        data: The pickle.
        where: The file, for the error.

    Raises:
        UnsafePickleError: It asks for more than data.
        TableError: It is damaged.
    """
    return next(unpickle_all(io.BytesIO(data), where))


def unpickle_all(file: BinaryIO, where: object) -> Iterator[Any]:
    """The objects of all pickles that stand behind each other in a file, one at a time.

    Raises:
        UnsafePickleError: One asks for more than data.
        TableError: One is damaged, or there is none.
    """
    number = 0
    while True:
        start = file.tell()
        if not file.read(1):
            if number == 0:
                raise TableError(f"'{where}' must hold a pickle; it is empty.")
            return
        file.seek(start)
        yield load_one(SafeUnpickler(file), where)
        number += 1


def load_one(reader: SafeUnpickler, where: object) -> Any:
    """What a reader's next pickle holds, with errors that name the file."""
    try:
        return reader.load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"'{where}' is refused. {error}", error.wanted) from error
    except TableError as error:
        raise TableError(f"'{where}' cannot be read. {error}") from error
    except _BROKEN as error:
        raise TableError(
            f"'{where}' is not a readable pickle ({type(error).__name__}: {str(error)[:200]}). Fetch the file again."
        ) from error


def read_small(path: Path, limit: int = MAX_FILE) -> bytes:
    """The bytes of a file that must fit into memory with room to spare.

    Raises:
        TableError: It is larger than `limit`.
    """
    size = path.stat().st_size
    if size > limit:
        raise TableError(f"'{path}' has {size:,} bytes; files of this format are read up to {limit:,}.")
    return path.read_bytes()


def looks_like_pickle(path: Path, *parts: bytes, within: int = 65_536) -> bool:
    """Whether a file is named like a pickle and has any of these byte strings near its start.

    Without byte strings the name decides.
    """
    if path.suffix not in {".p", ".pickle", ".pkl"} or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(within)
    return not parts or any(part in start for part in parts)
