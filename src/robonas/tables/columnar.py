"""Any CSV or Parquet file with one row an architecture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from robonas.common.reading import read_parquet
from robonas.errors import TableError
from robonas.tables.base import METADATA_KEY, BenchmarkTable, Column, Role
from robonas.tables.building import METRIC_NAMES, from_frame, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import MAX_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.tables.reader import Progress

_TEXTS = ("architecture", "arch", "arch_str", "arch_text", "genotype", "hash")
_EPOCHS = re.compile(r"_(\d+)ep\b")
_FINAL = re.compile(r"(?<![a-z])(test|final)", re.IGNORECASE)
_COST = re.compile(r"(seconds|latency|energy|cost|time)(?![a-z])", re.IGNORECASE)
_OBJECTIVE = re.compile(r"(?<![a-z])(val|valid|acc|accuracy|objective|value|loss)", re.IGNORECASE)
_LOWER = re.compile(r"(?<![a-z])(loss|err|error)(?![a-z])", re.IGNORECASE)


class Columnar(TableReader):
    """One column names the architecture; each column of numbers has the role that its name suggests.

    The architecture is ``architecture``, ``arch``, ``arch_str``, ``genotype``, ``hash``, or else the only column of
    texts; other texts are left out. Names of known metrics, also with a task behind them as in ``zen_class_object``,
    are metrics; ``test`` or ``final`` makes a final measure; ``seconds``, ``time``, ``cost``, ``latency`` or ``energy``
    a cost; ``val``, ``acc``, ``loss``, ``objective`` or ``value`` an objective. A role only guards against mistakes:
    any information may be named as a metric or an objective.
    """

    name: ClassVar[str] = "columnar"
    description: ClassVar[str] = "any CSV or Parquet file with one row an architecture"
    verified: ClassVar[str] = "tables of this project's tests"

    def recognises(self, path: Path) -> bool:
        """Recognise the file by its ending."""
        return path.is_file() and path.suffix in {".csv", ".parquet"}

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        try:
            if path.suffix == ".parquet":
                content, notes = read_parquet(path)
                if METADATA_KEY in notes:
                    return BenchmarkTable.read(path)
                frame = content.to_pandas()
            else:
                frame = _read_csv(path)
        except (ValueError, OverflowError, OSError) as error:  # those of pandas' own are of the first kind
            raise TableError(f"'{path}' is not a readable {path.suffix[1:]} file ({error}).") from error
        frame.columns = pd.Index([str(name) for name in frame.columns])
        if frame.columns.duplicated().any():
            raise TableError(f"'{path}' has the column {frame.columns[frame.columns.duplicated()][0]!r} twice.")
        key = _key(frame, path)
        numeric = [str(name) for name in frame.columns if name != key and pd.api.types.is_numeric_dtype(frame[name])]
        left_out = [str(name) for name in frame.columns if name != key and name not in numeric]
        if progress is not None:
            progress(len(frame), len(frame))
        return from_frame(
            frame, key, [describe(name) for name in numeric], provenance(self.name, path, left_out=left_out)
        )


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file whose columns all have names of their own; pandas would number those that occur twice."""
    size = path.stat().st_size
    if size > MAX_FILE:
        raise TableError(f"'{path}' has {size:,} bytes; CSV files are read up to {MAX_FILE:,}. Convert it to Parquet.")
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig").iloc[0]
    twice = [str(name) for name in header[header.duplicated()]]
    if twice:
        raise TableError(f"'{path}' has the column {twice[0]!r} twice. Give each column a name of its own.")
    texts = dict.fromkeys({str(name) for name in header} & set(_TEXTS), str)
    return pd.read_csv(path, dtype=texts, low_memory=False, encoding="utf-8-sig", compression=None)


def _key(frame: pd.DataFrame, path: Path) -> str:
    named = [name for name in _TEXTS if name in frame.columns]
    texts = [str(name) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    if named:
        return named[0]
    if len(texts) == 1:
        return texts[0]
    raise TableError(
        f"'{path}' must have one column that names the architecture, called 'architecture'; it has "
        f"{', '.join(map(str, frame.columns)) or 'none'}."
    )


def describe(name: str) -> Column:
    """Return what a column of that name is likely to be."""
    epochs = _EPOCHS.search(name)
    metric = next(
        (
            known
            for known in sorted(METRIC_NAMES, key=len, reverse=True)
            if name == known or name.startswith(f"{known}_")
        ),
        None,
    )
    role: Role = (
        "metric"
        if metric is not None
        else "final"
        if _FINAL.search(name)
        else "cost"
        if _COST.search(name)
        else "objective"
        if _OBJECTIVE.search(name)
        else "info"
    )
    lower = role == "cost" or (role != "metric" and _LOWER.search(name.replace("_", " ")) is not None)
    return Column(
        name,
        role,
        base=metric or name.replace(epochs[0], "") if epochs else metric or name,
        epochs=int(epochs[1]) if epochs else None,
        higher_is_better=not lower,
        unit="s" if "seconds" in name else "",
    )
