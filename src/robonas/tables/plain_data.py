"""The callables that a pickle of others may name, each with a stand-in that only builds plain data."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Global: TypeAlias = Callable[..., Any]

_DTYPE = re.compile(r"[<>|=]?[biufcSU?]\d{0,3}|O8|O")


def _dtype(name: object, *_: object) -> np.dtype[Any]:
    """NumPy's type of plain numbers, short texts or objects."""
    if isinstance(name, bytes):
        name = name.decode("ascii")
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise TableError(f"A pickle's arrays must hold plain numbers or texts; got type {name!r}.")
    return np.dtype(name)


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    """One number of NumPy's."""
    check_dtype(dtype)
    if dtype.hasobject or len(data) != dtype.itemsize:
        raise TableError(f"A pickle's number of type {dtype} must have {dtype.itemsize} bytes; got {len(data)}.")
    return np.frombuffer(data, dtype=dtype)[0]


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray[Any, Any]:
    """The empty array that a pickle fills by its state."""
    if kind is not _ndarray or shape not in ((0,), 0) or code not in (b"b", "b"):
        raise TableError(f"A pickle's array must start empty; got shape {shape!r}.")
    return np.empty(0, dtype=np.int8)


def _ndarray(*_: object) -> Any:
    """Stands for the class of arrays, which a pickle names and never calls."""
    raise TableError("A pickle must not call numpy.ndarray.")


def _from_buffer(data: bytes | bytearray, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> Any:
    """An array of protocol 5."""
    check_dtype(dtype)
    check_extent(shape, len(data), dtype)
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as protocols below 3 write them."""
    if encoding != "latin1":
        raise TableError(f"A pickle's bytes must be in latin1; got {encoding!r}.")
    return text.encode("latin1")


def _no_bytes(*_: object) -> bytes:
    """Empty bytes, which protocols below 3 write as a call without parts."""
    return b""


def _default_dict(*_: object) -> dict[Any, Any]:
    """A dictionary without its factory."""
    return {}


def _ordered(*items: Any) -> OrderedDict[Any, Any]:
    """An ordered dictionary from nothing or from a list of pairs."""
    return OrderedDict(*items) if not items or isinstance(items[0], (list, tuple)) else OrderedDict()


def _set(items: Any = ()) -> set[Any]:
    return set(items) if isinstance(items, (list, tuple)) else set()


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(items) if isinstance(items, (list, tuple)) else frozenset()


def _complex(real: float, imaginary: float = 0.0) -> complex:
    return complex(float(real), float(imaginary))


def _allowed() -> dict[tuple[str, str], Global]:
    names: dict[tuple[str, str], Global] = {
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): _ordered,
        ("collections", "defaultdict"): _default_dict,
        ("numpy", "dtype"): _dtype,
        ("numpy", "ndarray"): _ndarray,
    }
    for module in ("builtins", "__builtin__"):
        names[module, "bytes"] = _no_bytes
        names[module, "set"] = _set
        names[module, "frozenset"] = _frozenset
        names[module, "complex"] = _complex
        for kind in ("dict", "list", "int", "float"):  # factories of default dictionaries, never called with data
            names[module, kind] = _default_dict
    for core in ("numpy.core", "numpy._core"):  # NumPy 2 moved its private modules, and pickles name them
        names[f"{core}.multiarray", "scalar"] = _scalar
        names[f"{core}.multiarray", "_reconstruct"] = _empty_array
        names[f"{core}.numeric", "_frombuffer"] = _from_buffer
    return names


ALLOWED: Mapping[tuple[str, str], Global] = _allowed()
"""By module and name, what builds each thing that a pickle may name."""


def check_dtype(dtype: object) -> None:
    """Raise unless it is NumPy's type of plain numbers, texts or objects."""
    if not isinstance(dtype, np.dtype) or dtype.fields is not None or dtype.subdtype is not None:
        raise TableError(f"A pickle's arrays must hold plain numbers or texts; got type {dtype!r}.")


def check_extent(shape: object, n_bytes: int, dtype: np.dtype[Any]) -> None:
    """Raise unless an array of this shape has exactly the data that came with it."""
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise TableError(f"A pickle's array must have a shape of numbers; got {shape!r}.")
    wanted = math.prod(shape) * max(dtype.itemsize, 1)
    if wanted != n_bytes:
        raise TableError(
            f"A pickle's array states shape {shape}, {wanted:,} bytes, and brings {n_bytes:,}. The file is damaged or "
            "hostile."
        )
