"""The one form of every benchmark: a row an architecture, columns that say what they are, and where all came from."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import pandas as pd

from robonas.common.files import write_parquet
from robonas.common.reading import parse_json, read_parquet, to_frame
from robonas.errors import TableError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

FORMAT = 1
"""Version of the file's layout; a newer one is refused, an older one is read."""
METADATA_KEY = b"robonas_table"
ARCHITECTURE = "architecture"

Role = Literal["metric", "objective", "final", "cost", "info"]
"""Purpose that a column may be used for.

A ``metric`` is known before any training; an ``objective`` is what a search may look at; a ``final`` measure judges a
search that is over; a ``cost`` is in seconds or another unit; an ``info`` is none of these.
"""


@dataclass(frozen=True)
class Column:
    """The description of a column of numbers."""

    name: str
    """Name in the table; unique."""
    role: Role
    """Use of the column."""
    base: str = ""
    """The name without task and epochs, such as ``"synflow"``; else the name."""
    task: str | None = None
    """Data set or task that it belongs to; None where it belongs to all."""
    epochs: int | None = None
    """Length of the training schedule that it was measured with."""
    higher_is_better: bool = True
    """Direction."""
    unit: str = ""
    """Unit, such as ``"%"`` or ``"s"``."""
    note: str = ""
    """Remark, such as the number of seeds of which it is the mean."""
    undefined: Mapping[str, int] = field(default_factory=dict)
    """Number of values that are NaN, by reason: ``absent``, ``nan``, ``infinite``, ``sentinel``, ``not a number``."""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise TableError(f"A column's role must be one of {', '.join(get_args(Role))}; got {self.role!r}.")
        if not self.base:
            object.__setattr__(self, "base", self.name)


def label(column: Column, *, with_task: bool) -> str:
    """Return the name ``BASE_TASK_EPOCHSep``, with the task if a file has several, and the epochs if they are known."""
    task = f"_{column.task}" if with_task and column.task is not None else ""
    epochs = f"_{column.epochs}ep" if column.epochs is not None else ""
    return f"{column.base}{task}{epochs}"


@dataclass(frozen=True, eq=False)
class BenchmarkTable:
    """Recorded measurements of many architectures."""

    frame: pd.DataFrame
    """One row an architecture: ``architecture`` (text, unique), then a float64 column for each of `columns`, NaN where
    undefined."""
    columns: tuple[Column, ...]
    """The columns in their order."""
    provenance: Mapping[str, Any]
    """Format, source file and its SHA-256, and what its reader has to say; JSON values."""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if list(self.frame.columns) != [ARCHITECTURE, *names]:
            raise TableError(
                f"A table's frame must have the columns {ARCHITECTURE}, {', '.join(names)}; "
                f"got {', '.join(map(str, self.frame.columns))}."
            )
        if len(self.frame) == 0:
            raise TableError("A table must hold at least one architecture; it is empty.")
        repeated = self.frame[ARCHITECTURE][self.frame[ARCHITECTURE].duplicated()]
        if len(repeated):
            raise TableError(f"A table must hold every architecture once; {str(repeated.iloc[0])!r} occurs twice.")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The texts of the architectures."""
        return tuple(self.frame[ARCHITECTURE])

    def names(self, role: Role) -> tuple[str, ...]:
        """Return names of the columns of a role."""
        return tuple(column.name for column in self.columns if column.role == role)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that have at least one value."""
        defined = self.frame[list(self.names("metric"))].notna().any()
        return tuple(str(name) for name in defined.index[defined])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that columns belong to."""
        return tuple(dict.fromkeys(column.task for column in self.columns if column.task is not None))

    def column(self, name: str) -> Column:
        """Return the column of exactly that name.

        Nothing is guessed: 12 or 200 epochs, validation or test, one data set or another must be said.

        Raises:
            TableError: There is none; the message has those that may be meant.
        """
        for column in self.columns:
            if column.name == name:
                return column
        meant = self._meant(name)
        if len(meant) > 1:
            raise TableError(f"Column {name!r} may be any of {_list(meant)}; name one of them.")
        names = [column.name for column in self.columns]
        why = ""
        for task in self.tasks:
            right = name.replace(task.removesuffix("-valid"), task)
            if task.endswith("-valid") and task not in name and right in names:
                meant = [right]
                why = f" {task.removesuffix('-valid')!r} was trained on all training images, so nothing validates it."
        hint = f" Did you mean {meant[0]!r}?" if meant else ""
        related = [known for known in names if known.split("_")[0] == name.split("_", maxsplit=1)[0]]
        raise TableError(f"The table has no column {name!r}.{why}{hint} It has {_list(related or names)}.")

    def _meant(self, name: str) -> list[str]:
        """Return the columns that a name without task or epochs, or with a slip, may stand for."""
        for match in (
            lambda column: column.base == name,
            lambda column: column.name.startswith(f"{name}_"),
            lambda column: set(name.split("_")) <= set(column.name.split("_")),
        ):
            found = [column.name for column in self.columns if match(column)]
            if found:
                return found
        return difflib.get_close_matches(name, [column.name for column in self.columns], n=1)

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a column's values, (n,), NaN where undefined.

        Raises:
            TableError: There is no such column, or it has no value at all.
        """
        column = self.column(name)
        values = self.frame[column.name].to_numpy(np.float64, copy=True)
        if np.isnan(values).all():
            why = ", ".join(f"{count:,} {kind}" for kind, count in column.undefined.items()) or "all missing"
            raise TableError(f"{column.role.capitalize()} {name!r} is undefined for all {len(self):,} rows ({why}).")
        return values

    def scores(self, metrics: Sequence[str]) -> NDArray[np.float64]:
        """Return the values of several metrics, (n, M), NaN where undefined.

        Raises:
            TableError: None are named, one twice, one that the table lacks or has no value of, or one that is an
                objective or final measure.
        """
        if not metrics:
            raise TableError(f"At least one metric must be named; the table has {_list(self.metrics)}.")
        for place, name in enumerate(metrics):
            if name in metrics[:place]:
                raise TableError(f"Each metric must be named once; {name!r} is named twice.")
            if self.column(name).role in {"objective", "final"}:
                raise TableError(
                    f"Column {name!r} is known only after training, so it cannot be a metric; "
                    f"metrics are {_list(self.metrics)}."
                )
        return np.column_stack([self.values(name) for name in metrics])

    def for_task(self, task: str) -> Self:
        """Return the columns of one task and those of all tasks, named without the task; rows that have any value.

        Raises:
            TableError: There is no such task.
        """
        if task not in self.tasks:
            raise TableError(f"The table has no task {task!r}; it has {_list(self.tasks)}.")
        kept = [column for column in self.columns if column.task in {None, task}]
        named = [
            replace(column, name=label(column, with_task=False), task=task)
            if column.name == label(column, with_task=True)
            else column
            for column in kept
        ]
        frame = self.frame[[ARCHITECTURE, *(column.name for column in kept)]]
        frame = frame.set_axis([ARCHITECTURE, *(column.name for column in named)], axis=1)
        own = [name.name for name, column in zip(named, kept, strict=True) if column.task == task]
        present = frame[own].notna().any(axis=1)
        gone = frame[~present].isna().sum()  # architectures that the task says nothing of
        named = [_without_absent(column, int(gone[column.name])) for column in named]
        return type(self)(frame[present].reset_index(drop=True), tuple(named), {**self.provenance, "task": task})

    def summary(self) -> pd.DataFrame:
        """Return one row a column: role, task, epochs, counts ``defined`` and ``undefined`` and why, and the range."""
        rows = []
        for column in self.columns:
            values = self.frame[column.name]
            rows.append(
                {
                    "column": column.name,
                    "role": column.role,
                    "task": column.task,
                    "epochs": column.epochs,
                    "defined": int(values.notna().sum()),
                    "undefined": int(values.isna().sum()),
                    "why": ", ".join(f"{count} {kind}" for kind, count in column.undefined.items()) or None,
                    "minimum": float(values.min()),
                    "median": float(values.median()),
                    "maximum": float(values.max()),
                }
            )
        frame = pd.DataFrame(rows)
        for name in ("task", "epochs", "why"):
            frame[name] = pd.Series([row[name] for row in rows], dtype=object)  # None stays None
        return frame.set_index("column")

    def warnings(self) -> list[str]:
        """Return what to know before using the table: one sentence, or none where all is well."""
        counts = [(sum(column.undefined.values()), column) for column in self.columns]
        partial = [(count, column) for count, column in counts if 0 < count < len(self)]
        useless = [column for count, column in counts if count == len(self)]
        parts = []
        if partial:
            count, worst = max(partial, key=lambda pair: pair[0])
            why = ", ".join(f"{number:,} {kind}" for kind, number in worst.undefined.items())
            told = f"undefined for {count:,} of {len(self):,} architectures ({why})"
            parts.append(
                f"{worst.role} {worst.name!r} is {told}"
                if len(partial) == 1
                else f"{len(partial)} of {len(self.columns)} columns lack some values, most of all {worst.role} "
                f"{worst.name!r}, {told}"
            )
        if useless:
            count = len(useless)
            named = "1 column has" if count == 1 else f"{count} columns have"
            listed = _list([f"{column.role} {column.name!r}" for column in useless], 8)
            parts.append(f"{named} no value at all and cannot be used: {listed}")
        sentence = "; ".join(parts)
        return [f"{sentence[0].upper()}{sentence[1:]}."] if parts else []

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet file, whole or not at all; readable by pandas, and by `read` with all it says of itself."""
        import pyarrow as pa

        content = pa.Table.from_pandas(self.frame, preserve_index=False)
        note = json.dumps(
            {"format": FORMAT, "columns": [asdict(column) for column in self.columns], "provenance": self.provenance}
        )
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), METADATA_KEY: note.encode()})
        write_parquet(path, content)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            TableError: The file is damaged, of a newer format, or not a benchmark table.
        """
        try:
            content, notes = read_parquet(Path(path))
            note = parse_json(notes[METADATA_KEY])
            _check_format(note["format"], path)
            columns = tuple(Column(**entry) for entry in note["columns"])
            names = [column.name for column in columns]
            frame = to_frame(content, [ARCHITECTURE, *names], names)
            return cls(frame, columns, dict(note["provenance"]))
        except (FileNotFoundError, TableError):
            raise
        except (AttributeError, KeyError, TypeError) as error:
            raise TableError(
                f"'{path}' is a Parquet file, but not robonas's benchmark table: {error}. Import it first."
            ) from error
        except (OSError, ValueError) as error:
            raise TableError(f"Table '{path}' is damaged ({error}). Import it again.") from error


def _without_absent(column: Column, count: int) -> Column:
    """Return the column with so many fewer absent values."""
    left = {**column.undefined, "absent": column.undefined.get("absent", 0) - count}
    return replace(column, undefined={kind: number for kind, number in left.items() if number > 0})


def _check_format(found: int, path: object) -> None:
    if found > FORMAT:
        raise TableError(f"Table '{path}' has format {found}; this robonas reads up to {FORMAT}. Update robonas.")


def _list(names: Iterable[str], most: int = 24) -> str:
    """Return names with commas, a count of the rest where there are many."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + rest) or "none"
