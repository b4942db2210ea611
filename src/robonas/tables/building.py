"""From values of any kind to a table: what is undefined becomes NaN and is counted, names follow one rule."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from robonas.errors import TableError
from robonas.tables.base import ARCHITECTURE, BenchmarkTable, Column, Role, label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SENTINEL = -1e7
"""Values at or below it are marks of failure: NAS-Bench-Suite-Zero writes -1e8 where a metric was NaN or infinite."""
METRIC_NAMES = frozenset(
    [
        "az_nas",
        "epe_nas",
        "fisher",
        "flop",
        "flops",
        "grad_norm",
        "grasp",
        "jacob_cov",
        "jacov",
        "l2_norm",
        "meco",
        "naswot",
        "near",
        "nwot",
        "params",
        "plain",
        "regions",
        "snip",
        "swap",
        "synflow",
        "synflow_bn",
        "vkdnw",
        "zen",
        "zico",
    ]
)
"""Names that are metrics in a file which does not say so."""


@dataclass(frozen=True)
class Raw:
    """A value as it comes from a file, with the column that it belongs to."""

    column: Column
    """Its `name` and `undefined` are filled in by `build`."""
    value: object
    """Anything."""


def number(value: object) -> tuple[float, str | None]:
    """Return the value as a finite float, or NaN and why it is undefined.

    Complex numbers without an imaginary part count as real: NumPy's general eigenvalues are of that type.
    """
    if value is None:
        return math.nan, "absent"
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        if value.imag != 0:
            return math.nan, "not a number"
        value = value.real
    try:
        real = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.nan, "infinite"
    except (TypeError, ValueError):
        return math.nan, "not a number"
    if math.isnan(real):
        return real, "nan"
    if math.isinf(real):
        return math.nan, "infinite"
    return (math.nan, "sentinel") if real <= SENTINEL else (real, None)


def clean(values: Iterable[object]) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Return all values as float64 with NaN where undefined, and how many there are of each kind of undefined."""
    found, why = [], Counter[str]()
    for value in values:
        real, reason = number(value)
        found.append(real)
        if reason is not None:
            why[reason] += 1
    return np.array(found, dtype=np.float64), dict(sorted(why.items()))


class Builder:
    """Collects values architecture by architecture and makes the table."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, float | str]] = {}  # a value, or why there is none
        self._places: dict[tuple[str, str | None, int | None], int] = {}
        self._columns: list[Column] = []

    def add(self, architecture: str, values: Iterable[Raw]) -> None:
        """Add values of an architecture; they may come in parts.

        Raises:
            TableError: A second value for the same column.
        """
        row = self._rows.setdefault(architecture, {})
        for raw in values:
            column = raw.column
            place = self._places.setdefault((column.base, column.task, column.epochs), len(self._columns))
            if place == len(self._columns):
                self._columns.append(column)
            if place in row:
                raise TableError(f"The file has architecture {architecture!r} twice with a value of {column.base!r}.")
            value, reason = number(raw.value)
            row[place] = value if reason is None else reason

    def __len__(self) -> int:
        return len(self._rows)

    def build(self, provenance: Mapping[str, Any]) -> BenchmarkTable:
        """Build the table, rows in the order in which they came, columns by role, then as they came.

        Raises:
            TableError: There are no rows.
        """
        if not self._rows:
            raise TableError(f"'{provenance.get('source')}' holds no architecture.")
        tasks = {column.task for column in self._columns if column.task is not None}
        order = {role: place for place, role in enumerate(get_args(Role))}
        data: dict[str, Any] = {ARCHITECTURE: list(self._rows)}
        columns = []
        for place in sorted(range(len(self._columns)), key=lambda place: order[self._columns[place].role]):
            entries = [row.get(place, "absent") for row in self._rows.values()]
            undefined = Counter(entry for entry in entries if isinstance(entry, str))
            name = label(self._columns[place], with_task=len(tasks) > 1)
            data[name] = np.array(
                [math.nan if isinstance(entry, str) else entry for entry in entries], dtype=np.float64
            )
            columns.append(replace(self._columns[place], name=name, undefined=dict(sorted(undefined.items()))))
        return BenchmarkTable(pd.DataFrame(data), tuple(columns), provenance)


def from_frame(
    frame: pd.DataFrame, key: str, columns: Sequence[Column], provenance: Mapping[str, Any]
) -> BenchmarkTable:
    """Return a table from a frame whose column `key` holds the texts.

    Raises:
        TableError: A text that is missing or occurs twice.
    """
    if frame[key].isna().any():
        raise TableError(f"Every row must name its architecture; {int(frame[key].isna().sum())} have no {key!r}.")
    data: dict[str, Any] = {ARCHITECTURE: frame[key].astype(str).to_list()}
    described = []
    for column in columns:
        data[column.name], undefined = clean(frame[column.name].tolist())
        described.append(replace(column, undefined=undefined))
    return BenchmarkTable(pd.DataFrame(data), tuple(described), provenance)


def provenance(format_name: str, path: Path, **more: Any) -> dict[str, Any]:
    """Return where a table comes from: format, file name, size and SHA-256, and what else its reader says."""
    return {"format": format_name, "source": path.name, **fingerprint(path), **more}


def fingerprint(path: Path) -> dict[str, Any]:
    """Return the size and SHA-256 of a file; of a folder those of its files' names and contents, by name."""
    if path.is_file():
        with path.open("rb") as file:
            return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    digest, size = hashlib.sha256(), 0
    for entry in sorted(entry for entry in path.iterdir() if entry.is_file()):
        one = fingerprint(entry)
        digest.update(f"{entry.name}\0{one['sha256']}\n".encode())
        size += one["bytes"]
    return {"bytes": size, "sha256": digest.hexdigest()}
