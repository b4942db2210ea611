"""Reading pickles of others without running their code: containers, numbers, texts and NumPy's arrays, nothing else.

A pickle is a program. This reader interprets it by itself: it knows the instructions that build data and the few names
in its table, imports and calls nothing, and checks every size that a pickle states before it believes it. How many
steps it takes, how many containers it makes, how deep they lie in each other and how large they are once written out
is limited.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np

from robonas.errors import TableError
from robonas.tables.pickle_memory import Memory
from robonas.tables.pickle_tree import check_tree
from robonas.tables.plain_data import ALLOWED, Beginning, Kind, Name, array_of, check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

MAX_FILE = 512 * 2**20
"""Bytes of the largest pickle, decompressed, that is read into memory at once."""
MAX_STEPS = 20_000_000
"""Instructions of the longest pickle, unless its reader says otherwise."""
MAX_CONTAINERS = 4_000_000
"""Lists, dictionaries, sets, tuples and arrays of the largest pickle, unless its reader says otherwise."""
MAX_MARKS = 1000
"""Containers that may be begun inside each other at once."""
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
_CONVERT = "If you trust the file, convert it to CSV or Parquet yourself."


class UnsafePickleError(TableError):
    """A pickle that asks for more than data.

    Attributes:
        wanted: Name of the object that it asked for, such as ``"os.system"``.
    """

    def __init__(self, message: str, wanted: str) -> None:
        super().__init__(message)
        self.wanted = wanted


# ── the reader ──

_COUNTED = frozenset({dict, list, set, frozenset, np.ndarray, Beginning})


class SafeUnpickler(Memory):
    """Interprets the instructions that build data; see the module.

    Args:
        file: Stream to read; several pickles may stand behind each other, with one reader each.
        extra: More names, by module and name, and what stands for a call of each.
    """

    INSTRUCTIONS: ClassVar[Mapping[bytes, str]] = {
        pickle.PROTO: "protocol",
        pickle.FRAME: "frame",
        pickle.MARK: "mark",
        **Memory.INSTRUCTIONS,
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
        pickle.GLOBAL: "name_text",
        pickle.STACK_GLOBAL: "name",
        pickle.REDUCE: "reduce",
        pickle.BUILD: "build",
        pickle.BINPERSID: "refer",
    }
    """Method of each instruction, without its prefix."""
    REFUSED: ClassVar[frozenset[bytes]] = frozenset(
        {
            *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
            *(pickle.PERSID, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
        }
    )
    """Instructions that make objects, or refer outside the pickle."""

    def __init__(self, file: BinaryIO, extra: Mapping[tuple[str, str], Callable[..., Any]] | None = None) -> None:
        super().__init__(file)
        self._names: dict[tuple[str, str], Name] = {
            **ALLOWED,
            **{key: Name(".".join(key), make) for key, make in (extra or {}).items()},
        }
        self._below: list[list[Any]] = []
        self.steps = MAX_STEPS
        """Instructions that are left."""
        self.containers = MAX_CONTAINERS
        """Containers that are left."""

    def load(self) -> Any:
        """Return the object of one pickle.

        Raises:
            UnsafePickleError: It asks for more than data.
            TableError: It breaks a limit, or contradicts itself.
            Exception: One of a few of Python's, where it is damaged; see `load_one`.
        """
        methods = [self._unknown] * 256
        for code in self.REFUSED:
            methods[code[0]] = self._refuse
        for code, method in self.INSTRUCTIONS.items():
            methods[code[0]] = getattr(self, f"do_{method}")
        read = self._file.read
        while True:
            code = read(1)
            if code == b".":
                break
            if not code:
                raise EOFError("it ends before its last instruction")
            self.steps -= 1
            if self.steps < 0:
                raise TableError("The pickle has more instructions than any real one; it was not read.")
            methods[code[0]]()
        made = self.stack.pop()
        self.check(made)
        return made

    def check(self, made: object) -> None:
        """Raise unless what was made lies no deeper than `DEEPEST`, and is of reasonable size once written out.

        Raises:
            TableError: It is deeper or larger, or contains itself.
        """
        check_tree(made)

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

    def _refuse(self) -> None:
        raise UnsafePickleError(
            "The pickle makes objects that are not plain data, or refers outside itself; it was not run. " + _CONVERT,
            "object",
        )

    def _unknown(self) -> None:
        raise ValueError("it has an instruction that plain data do not need")

    # instructions

    def do_protocol(self) -> None:  # noqa: D102
        number = self._take(1)[0]
        if number > 5:
            raise ValueError(f"it is of protocol {number}")

    def do_frame(self) -> None:  # noqa: D102
        self._take(8)

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
        self._new({})
        self._put_all(items)

    def do_setitem(self) -> None:  # noqa: D102
        value, key = self.stack.pop(), self.stack.pop()
        self._put_all([key, value])

    def do_setitems(self) -> None:  # noqa: D102
        self._put_all(self._marked())

    def _put_all(self, items: list[Any]) -> None:
        """Put keys and values, in turn, into the dictionary on top."""
        made = self._target(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                check_key(key)
            made[key] = value

    def do_empty_set(self) -> None:  # noqa: D102
        self._new(set())

    def do_additems(self) -> None:  # noqa: D102
        items = self._marked()
        made = self._target(set)
        for item in items:
            check_key(item)
            made.add(item)

    def do_frozenset(self) -> None:  # noqa: D102
        items = self._marked()
        for item in items:
            check_key(item)
        self._new(frozenset(items))

    def _target(self, kind: type) -> Any:
        made = self.stack[-1]
        if type(made) is not kind:
            raise TableError(f"The pickle is damaged: it treats a {type(made).__name__} as a {kind.__name__}.")
        return made

    def do_name_text(self) -> None:  # noqa: D102
        module, name = self._line(), self._line()
        self._name(module.decode("utf-8"), name.decode("utf-8"))

    def do_name(self) -> None:  # noqa: D102
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TableError("A pickle must name things by texts.")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        known = self._names.get((module, name))
        if known is None:
            wanted = f"{module}.{name}"[:200]
            raise UnsafePickleError(
                f"The pickle asks for '{wanted}', which is not plain data; it was not run. {_CONVERT}", wanted
            )
        self.stack.append(known)

    def do_reduce(self) -> None:  # noqa: D102
        args = self.stack.pop()
        named = self.stack.pop()
        if type(named) is not Name or type(args) is not tuple:
            raise TableError(f"A pickle must call what it names with its parts; got {type(named).__name__}.")
        made = named.make(*args)
        if type(made) in _COUNTED:
            self._new(made)
        else:
            self.stack.append(made)

    def do_build(self) -> None:  # noqa: D102
        state = self.stack.pop()
        made = self.stack[-1]
        if type(made) is Kind:
            made.describe(state)
        elif type(made) is Beginning:
            array = array_of(state)
            self.stack[-1] = array
            for place in made.places:
                self.memo[place] = array
        elif type(made) is not dict or type(state) is not dict or state:
            raise UnsafePickleError(
                f"The pickle sets the state of a {type(made).__name__}, which is not plain data; it was not run.",
                type(made).__name__,
            )

    def do_refer(self) -> None:
        """Take what lies outside of the pickle."""
        self._refuse()


def unpickle(data: bytes, where: object) -> Any:
    """Return the one object of a pickle.

    Args:
        data: The pickle.
        where: The file, for the error.

    Raises:
        UnsafePickleError: It asks for more than data.
        TableError: It is damaged.
    """
    return next(unpickle_all(io.BytesIO(data), where))


def unpickle_all(file: BinaryIO, where: object) -> Iterator[Any]:
    """Return the objects of all pickles that stand behind each other in a file, one at a time.

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
    """Return what a reader's next pickle holds, with errors that name the file."""
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
    """Read the bytes of a file that must fit into memory with room to spare.

    Raises:
        TableError: It is larger than `limit`.
    """
    size = path.stat().st_size
    if size > limit:
        raise TableError(f"'{path}' has {size:,} bytes; files of this format are read up to {limit:,}.")
    return path.read_bytes()


def looks_like_pickle(path: Path, *parts: bytes, within: int = 65_536) -> bool:
    """Return whether a file is named like a pickle and has any of these byte strings near its start.

    Without byte strings the name decides.
    """
    if path.suffix not in {".p", ".pickle", ".pkl"} or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(within)
    return not parts or any(part in start for part in parts)
