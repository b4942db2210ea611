"""The names that a pickle of others may use, and what each is read as.

A name is never imported. It is a record, and so is each type of numbers and each array that a pickle begins to
describe: what they say is checked, and the arrays are made here, from the bytes, with a type from a short list. NumPy
itself never sees a pickled state: there are flags in it that make it follow raw bytes as addresses.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_KIND = re.compile(r"[<>|=]?(?:b1|\?|i[1248]|u[1248]|f[248]|c8|c16|S\d{1,4}|U\d{1,4}|O8?)")
_OBJECTS = 63
"""Flags of NumPy's type of objects."""
_TEXTS = 8
"""Flag of NumPy's type of texts: its memory must be set."""
_LARGEST_CHARACTER = 0x10FFFF
_LETTERS = 100
"""Characters of a text that count as one part of a key."""
MAX_KEY = 1000
"""Parts of the largest key of a dictionary or a set, counted as often as they occur."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a pickle, of a class or a function."""

    text: str
    """The name, such as ``"numpy.dtype"``."""
    make: Callable[..., Any]
    """Record of ours that stands for a call of it."""
    keyed: bool = False
    """Whether a call makes a set or a dictionary of what it is given; `make` then makes an empty one."""


@dataclass(slots=True, eq=False)
class Kind:
    """A type of numbers, texts or objects, as a pickle describes it."""

    code: str
    """NumPy's code without the order of bytes, such as ``"f8"``."""
    order: str = "<"
    """``<`` or ``>``; says nothing for types of one byte."""

    @property
    def is_objects(self) -> bool:
        """Whether its values are objects."""
        return self.code.startswith("O")

    def dtype(self) -> np.dtype[Any]:
        """Return NumPy's type, one of a short list and never of objects.

        Raises:
            TableError: It is that of objects.
        """
        if self.is_objects:
            raise TableError("A pickle's numbers must not be objects.")
        return np.dtype(f"{self.order}{self.code}")

    def describe(self, state: object) -> None:
        """Take what the pickle says of the type beyond its code.

        Raises:
            TableError: It contradicts the code.
        """
        if (
            not isinstance(state, tuple)
            or not 8 <= len(state) <= 9
            or any(part is not None for part in state[2:5])
            or not all(type(part) is int for part in (state[0], *state[5:8]))
        ):
            raise TableError("A pickle's arrays must hold plain numbers or texts; got a type with fields.")
        _, order, _, _, _, size, _, flags = state[:8]
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if type(order) is not str:
            raise TableError(f"A pickle's type must state its order of bytes by a text; got {told(order)}.")
        known = {-1, 8} if self.is_objects else {-1, self.dtype().itemsize}
        allowed = {_OBJECTS} if self.is_objects else {0, _TEXTS} if self.code[0] in "SU" else {0}
        if order not in {"<", ">", "|", "="} or size not in known or flags not in allowed:
            raise TableError(
                f"A pickle's type {self.code!r} states order {order!r}, size {size} and flags {flags}, which such a "
                "type does not have. The file is damaged or hostile."
            )
        if order == ">":
            self.order = ">"


@dataclass(slots=True, eq=False)
class Beginning:
    """An array that a pickle has begun to describe."""

    places: list[int] = field(default_factory=list)
    """Places by which the pickle may refer back to it."""


def told(value: object) -> str:
    """Return a value of a pickle for an error, in a few words; one part of it may be referred to 2^60 times."""
    if isinstance(value, (str, bytes)):
        return repr(value[:100])
    if isinstance(value, (int, float, complex, type(None))):
        return repr(value)[:100]
    if isinstance(value, tuple) and len(value) <= 32 and all(type(part) is int for part in value):
        return repr(value)[:200]
    return f"a {type(value).__name__}"


def array_of(state: object) -> NDArray[Any]:
    """Return the array that a pickle describes by shape, type and data.

    Raises:
        TableError: They contradict each other, or the type is not on the list.
    """
    if not isinstance(state, tuple) or len(state) != 5:
        raise TableError("A pickle's array must have a state of five parts.")
    _, shape, kind, fortran, data = state
    return _array(shape, kind, "F" if fortran is True or fortran == 1 else "C", data)


def _array(shape: object, kind: object, order: str, data: object) -> NDArray[Any]:
    if not isinstance(kind, Kind):
        raise TableError(f"A pickle's arrays must hold plain numbers or texts; got type {type(kind).__name__}.")
    if kind.is_objects:
        if not isinstance(data, list):
            raise TableError("A pickle's array of objects must bring a list.")
        check_extent(shape, 8 * len(data), 8)
        flat = np.empty(len(data), dtype=object)
        for place, value in enumerate(data):
            flat[place] = value
    else:
        dtype = kind.dtype()
        if isinstance(data, str):
            data = data.encode("latin1")  # as protocols below 3 have it
        if not isinstance(data, (bytes, bytearray)):
            raise TableError(f"A pickle's array must bring bytes; got a {type(data).__name__}.")
        check_extent(shape, len(data), dtype.itemsize)
        flat = _from_bytes(data, dtype)
    try:
        made: NDArray[Any] = flat.reshape(shape, order="F" if order == "F" else "C")  # type: ignore[call-overload]
    except ValueError as error:
        raise TableError(f"A pickle's array cannot have the shape {told(shape)} ({error}).") from error
    return made


def _from_bytes(data: bytes | bytearray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy of raw bytes as numbers or texts; truth values and characters are those that exist."""
    if not data or not dtype.itemsize:
        return np.zeros(0, dtype=dtype)
    if dtype.kind == "b":
        return np.asarray(np.frombuffer(data, dtype=np.uint8) != 0)
    if dtype.kind == "U":
        characters = np.frombuffer(data, dtype=np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if characters.max() > _LARGEST_CHARACTER:
            raise TableError("A pickle's texts must be of characters; the file is damaged or hostile.")
    return np.frombuffer(data, dtype=dtype).copy()


def check_extent(shape: object, n_bytes: int, itemsize: int) -> None:
    """Raise unless an array of this shape has exactly the data that came with it.

    Raises:
        TableError: It has more or less, or the shape is none.
    """
    if (
        not isinstance(shape, tuple)
        or len(shape) > 32
        or not all(type(side) is int and 0 <= side < 2**63 for side in shape)
    ):
        raise TableError(f"A pickle's array must have a shape of numbers; got {told(shape)}.")
    wanted = math.prod(shape) * itemsize
    if wanted != n_bytes or (itemsize == 0 and math.prod(shape)):
        raise TableError(
            f"A pickle's array states shape {shape}, {wanted:,} bytes, and brings {n_bytes:,}. The file is damaged or "
            "hostile."
        )


def check_key(key: object) -> int:
    """Return the parts of a value that may be a key of a dictionary or a member of a set, and is cheap to compare.

    Raises:
        TableError: It is neither a text, a real number, a truth value nor a small tuple of such.
    """
    parts, seen = [key], 0
    while parts:
        part = parts.pop()
        seen += 1
        if seen > MAX_KEY:
            raise TableError(f"A pickle's keys must have at most {MAX_KEY:,} parts. The file is damaged or hostile.")
        kind = type(part)
        if kind is tuple:
            if len(part) > MAX_KEY:  # type: ignore[arg-type]
                parts = [0] * (MAX_KEY + 1)
            else:
                parts.extend(part)  # type: ignore[arg-type]
        elif kind is int:
            if not -(2**63) <= part < 2**64:  # type: ignore[operator]
                raise TableError("A pickle's keys must be numbers of at most 64 bits. The file is damaged or hostile.")
        elif kind in {str, bytes} and part is not key:  # readers write keys out; one text can be many of its parts
            seen += len(part) // _LETTERS  # type: ignore[arg-type]
        elif kind not in {str, bytes, float, bool, type(None)}:  # complex numbers can all have one hash
            raise TableError(f"A pickle's keys must be texts and real numbers; got a {kind.__name__}.")
    return seen


# ── what stands for a call ──


def _kind(name: object, *_: object) -> Kind:
    """Return NumPy's type of plain numbers, short texts or objects."""
    if isinstance(name, bytes):
        name = name.decode("latin1")
    if not isinstance(name, str) or not _KIND.fullmatch(name):
        raise TableError(f"A pickle's arrays must hold plain numbers or texts; got type {told(name)}.")
    code = name.lstrip("<>|=")
    return Kind("b1" if code == "?" else "O8" if code == "O" else code, ">" if name.startswith(">") else "<")


def _scalar(kind: object, data: object = None) -> Any:
    """Return one number of NumPy's, as Python's."""
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(kind, Kind) or not isinstance(data, bytes):
        raise TableError("A pickle's number must have a type and bytes.")
    dtype = kind.dtype()
    if len(data) != dtype.itemsize:
        raise TableError(f"A pickle's number of type {dtype} must have {dtype.itemsize} bytes; got {len(data)}.")
    if not data:
        return "" if dtype.kind == "U" else b""
    return _from_bytes(data, dtype)[0].item()


def _beginning(kind: object, shape: object, code: object) -> Beginning:
    """Return the empty array that a pickle fills by its state."""
    if kind is not _NDARRAY or shape not in ((0,), 0) or code not in (b"b", "b"):
        raise TableError(f"A pickle's array must start empty; got shape {told(shape)}.")
    return Beginning()


def _never(*_: object) -> Any:
    """Raise, in the place of a class that a pickle names and never calls."""
    raise TableError("A pickle must not call numpy.ndarray.")


def _from_buffer(data: object, kind: object, shape: object, order: object) -> NDArray[Any]:
    """Return an array of protocol 5."""
    return _array(shape, kind, "F" if order == "F" else "C", data)


def _encode(text: object, encoding: object) -> bytes:
    """Return bytes, as protocols below 3 write them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise TableError(f"A pickle's bytes must be in latin1; got {told(encoding)}.")
    return text.encode("latin1")


def _no_bytes(*_: object) -> bytes:
    """Return empty bytes, which protocols below 3 write as a call without parts."""
    return b""


def _bytearray(content: object = b"", encoding: object = "latin-1") -> bytearray:
    """Return bytes that can be changed, as protocols below 5 write them."""
    if isinstance(content, str) and encoding == "latin-1":
        content = content.encode("latin1")
    if not isinstance(content, bytes):
        raise TableError("A pickle's bytes must come as bytes or in latin-1.")
    return bytearray(content)


def _empty(*_: object) -> dict[Any, Any]:
    """Return a dictionary; of a default dictionary, without its factory."""
    return {}


def _complex(real: object, imaginary: object = 0.0) -> complex:
    if not isinstance(real, (int, float)) or not isinstance(imaginary, (int, float)):
        raise TableError("A pickle's complex number must have two parts that are numbers.")
    return complex(float(real), float(imaginary))


_NDARRAY = Name("numpy.ndarray", _never)


def _allowed() -> dict[tuple[str, str], Name]:
    makers: dict[tuple[str, str], Callable[..., Any]] = {
        ("_codecs", "encode"): _encode,
        ("collections", "defaultdict"): _empty,
        ("numpy", "dtype"): _kind,
    }
    for module in ("builtins", "__builtin__"):
        makers[module, "bytes"] = _no_bytes
        makers[module, "bytearray"] = _bytearray
        makers[module, "complex"] = _complex
        for kind in ("dict", "list", "int", "float"):  # factories of default dictionaries, never called with data
            makers[module, kind] = _empty
    for core in ("numpy.core", "numpy._core"):  # NumPy 2 moved its private modules, and pickles name them
        makers[f"{core}.multiarray", "scalar"] = _scalar
        makers[f"{core}.multiarray", "_reconstruct"] = _beginning
        makers[f"{core}.numeric", "_frombuffer"] = _from_buffer
    names = {key: Name(".".join(key), make) for key, make in makers.items()}
    names["numpy", "ndarray"] = _NDARRAY
    names["collections", "OrderedDict"] = Name("collections.OrderedDict", dict, keyed=True)
    for module in ("builtins", "__builtin__"):
        names[module, "set"] = Name(f"{module}.set", set, keyed=True)
        names[module, "frozenset"] = Name(f"{module}.frozenset", frozenset, keyed=True)
    return names


ALLOWED: Mapping[tuple[str, str], Name] = _allowed()
"""By module and name, what a pickle may use."""
