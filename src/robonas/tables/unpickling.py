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

from robonas.common.reading import parse_json
from robonas.errors import TableError
from robonas.tables.pickle_containers import Containers
from robonas.tables.pickle_tree import check_tree
from robonas.tables.plain_data import ALLOWED, Beginning, Kind, Name, array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

MAX_FILE = 512 * 2**20
"""Bytes of the largest pickle, decompressed, that is read into memory at once."""
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
_BYTES = frozenset({str, bytes, bytearray})


class SafeUnpickler(Containers):
    """Interprets the instructions that build data; see the module.

    Args:
        file: Stream to read; several pickles may stand behind each other, with one reader each.
        extra: More names, by module and name, and what stands for a call of each.
    """

    INSTRUCTIONS: ClassVar[Mapping[bytes, str]] = {
        pickle.PROTO: "protocol",
        pickle.FRAME: "frame",
        **Containers.INSTRUCTIONS,
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
                self._spend(0)
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
        self._pay(args)
        made = self._with_keys(named, args) if named.keyed else named.make(*args)
        if type(made) in _COUNTED:
            self._new(made)
        else:
            self.stack.append(made)

    def _pay(self, parts: tuple[Any, ...]) -> None:
        """Count what a call copies, since a pickle may give one large part to many calls."""
        for part in parts:
            if type(part) in _BYTES:
                self.room -= len(part)
                if self.room < 0:
                    raise TableError("The pickle copies its texts and bytes more often than any real one does.")
            elif type(part) in {list, tuple}:
                self._spend(len(part))

    def _with_keys(self, named: Name, args: tuple[Any, ...]) -> Any:
        """Return the set or dictionary that a call of its class stands for."""
        items = args[0] if args and type(args[0]) in {list, tuple} else ()
        made = named.make()
        if type(made) is dict:
            if not all(type(pair) in {list, tuple} and len(pair) == 2 for pair in items):
                raise TableError("A pickle's ordered dictionary must be made of pairs.")
            self._put_all(made, [part for pair in items for part in pair])
            return made
        members: set[Any] = set()
        self._add_all(members, items)
        return type(made)(members)

    def do_build(self) -> None:  # noqa: D102
        state = self.stack.pop()
        made = self.stack[-1]
        if type(made) is Kind:
            made.describe(state)
        elif type(made) is Beginning:
            self._pay(state if type(state) is tuple else ())
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


def read_small_json(path: Path) -> Any:
    """Return what a file of JSON says, which must fit into memory with room to spare.

    Raises:
        TableError: It is larger than `MAX_FILE`, or not JSON.
    """
    content = read_small(path)
    try:
        return parse_json(content)
    except ValueError as error:
        raise TableError(f"'{path}' is not readable JSON ({str(error)[:200]}). Fetch the file again.") from error


def looks_like_pickle(path: Path, *parts: bytes, within: int = 65_536) -> bool:
    """Return whether a file is named like a pickle and has any of these byte strings near its start.

    Without byte strings the name decides.
    """
    if path.suffix not in {".p", ".pickle", ".pkl"} or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(within)
    return not parts or any(part in start for part in parts)
