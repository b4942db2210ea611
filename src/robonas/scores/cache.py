"""The cache of scores on disk: what was scored survives any stop, and is not scored again."""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from filelock import FileLock

from robonas.common.files import unwritable
from robonas.common.reading import parse_json
from robonas.errors import ScoreTableError
from robonas.metrics import Score
from robonas.scores.columns import ScoreColumns
from robonas.scores.table import ScoreTable, check_provenance

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping

NOT_SCORED = "not scored yet"
"""Reason in a file that holds more metrics for some architectures than for others."""
Scores: TypeAlias = dict[str, Score]
"""Scores of one network by the names of the metrics."""


class Journal:
    """Scores on disk: a Parquet file that is complete, and beside it the lines that came since."""

    def __init__(self, path: str | os.PathLike[str] | None, origin: Mapping[str, Any]) -> None:
        self.scores = ScoreColumns()
        self._path = Path(path) if path is not None else None
        self._origin = origin
        self._stream: io.FileIO | None = None
        self._lines: list[str] = []
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One run at a time: a second one waits, and then finds what the first has scored.
            self._open.enter_context(FileLock(self._path.with_name(f".{self._path.name}.lock")))
        except OSError as error:
            raise unwritable(self._partial, error) from error
        try:
            return self._read()
        except BaseException:
            self._open.close()
            raise

    def _read(self) -> Self:
        assert self._path is not None
        if self._path.exists():
            table = ScoreTable.read(self._path)
            check_provenance(table.provenance, self._origin, self._path)
            self._take(table)
        partial = self._partial
        try:
            kept = self._replay(partial) if partial.exists() else None
            # Without a buffer, which would be written when the file is closed, and fail there once more.
            self._stream = self._open.enter_context(partial.open("ab", buffering=0))
            if kept is not None and kept < partial.stat().st_size:
                self._stream.truncate(kept)  # the torn line of a run that was killed while writing
        except OSError as error:
            raise unwritable(self._partial, error) from error
        if kept is None:
            self._lines.append(json.dumps({"provenance": self._origin}))
        self.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._open.close()
        except OSError as error:
            if kind is None:
                raise unwritable(self._partial, error) from error

    @property
    def _partial(self) -> Path:
        assert self._path is not None
        return self._path.with_name(self._path.name + ".partial")

    def _take(self, table: ScoreTable) -> None:
        for name in table.metrics:
            parts = (table.frame[prefix + name] for prefix in ("", "reason:", "seconds:"))
            for text, value, reason, seconds in zip(table.networks(name), *parts, strict=True):
                if reason != NOT_SCORED:
                    self.scores.add(text, {name: Score(value, reason if isinstance(reason, str) else None, seconds)})

    def _replay(self, partial: Path) -> int | None:
        """Take the lines of a journal; returns how many bytes of it are whole, or None where no line is."""
        size = 0
        with partial.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = parse_json(line)
                    if number == 1:
                        check_provenance(entry["provenance"], self._origin, partial)
                    else:
                        found = {
                            name: Score(math.nan if value is None else value, reason, seconds)
                            for name, (value, reason, seconds) in entry["scores"].items()
                        }
                        self.scores.add(entry["canonical"], found)
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    raise ScoreTableError(
                        f"Line {number} of '{partial}' is damaged ({error}). "
                        "Restore the file, or delete it to score its architectures again."
                    ) from error
                size += len(line)
        if size == 0:
            partial.unlink()
            return None
        return size

    def add(self, text: str, found: Scores) -> None:
        """Remember the scores of one network, by the text of its architecture, to be written by `flush`."""
        self.scores.add(text, found)
        if self._stream is not None:
            values = {
                name: (None if math.isnan(entry.value) else entry.value, entry.reason, round(entry.seconds, 6))
                for name, entry in found.items()
            }
            self._lines.append(json.dumps({"canonical": text, "scores": values}))

    def flush(self) -> None:
        """Write what was added, and make it safe from a kill and a power cut.

        Raises:
            OutputError: The disk is full. Whole lines that fitted are kept, and what follows them is not read.
        """
        if self._stream is None:
            return
        left = memoryview("".join(f"{line}\n" for line in self._lines).encode())
        self._lines.clear()
        try:
            while left:
                left = left[self._stream.write(left) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise unwritable(self._partial, error) from error

    def finish(self, table: ScoreTable) -> None:
        """Write the whole table, together with what earlier runs left of other architectures, and drop the journal."""
        if self._path is None or self._stream is None:
            return
        self._merged(table).write(self._path)
        try:
            self._stream.close()
            self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._partial, error) from error

    def _merged(self, table: ScoreTable) -> ScoreTable:
        assert self._path is not None
        if not self._path.exists():
            return table
        old = ScoreTable.read(self._path)
        names = list(dict.fromkeys((*old.metrics, *table.metrics)))
        pairs: dict[tuple[str, str], None] = {}
        classes: dict[str, str] = {}
        for one in (old, table):
            pairs |= dict.fromkeys(zip(one.frame["architecture"], one.frame["canonical"], strict=True))
            classes |= zip(one.frame["canonical"], one.frame["scored_as"], strict=True)
        by_class = table.by_class | (old.by_class - set(table.metrics))
        return ScoreTable.from_columns(
            pairs, self.scores, names, self._origin, absent=NOT_SCORED, classes=classes, by_class=by_class
        )
