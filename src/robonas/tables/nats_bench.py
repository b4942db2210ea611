"""NATS-Bench's "simple" folders: a compressed pickle an architecture, read one at a time.

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", TPAMI 2021, arXiv
2009.00437. Read: three architectures of the topology space (``NATS-tss-v1_0-3ffb9-simple``); the size space
(``NATS-sss-v1_0-50262-simple``) has the same records with schedules of 1, 12 and 90 epochs, not checked against files.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from robonas.common.reading import FOLD
from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.nas_results import values_of
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import unpickle

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.tables.reader import Progress

MAX_ONE = 64 * 2**20
"""Bytes of the largest architecture's pickle, decompressed; published ones have a third of a million."""
_SMALL = 4 * 2**20
"""Bytes to which a file of any size may grow."""
_FILE = re.compile(r"(\d{6})\.pickle\.pbz2")


class NATSBench(TableReader):
    """A folder of ``000000.pickle.pbz2`` and so on, whole or in part; one architecture is in memory at a time."""

    name: ClassVar[str] = "nats_bench"
    description: ClassVar[str] = "NATS-Bench topology or size, 'simple' folder of bz2 pickles"
    verified: ClassVar[str] = "three architectures of the topology space; the size space by its documented layout"

    def recognises(self, path: Path) -> bool:
        """Return a folder with such files."""
        return path.is_dir() and any(_FILE.fullmatch(entry.name) for entry in path.iterdir())

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        files = sorted(entry for entry in path.iterdir() if _FILE.fullmatch(entry.name)) if path.is_dir() else []
        if not files:
            raise TableError(
                f"'{path}' must be a folder with files like '000000.pickle.pbz2', unpacked from the 'simple' archive; "
                "it has none."
            )
        builder = Builder()
        for done, file in enumerate(files, start=1):
            self._add(builder, file)
            if progress is not None:
                progress(done, len(files))
        return builder.build(provenance(self.name, path, files=len(files)))

    @staticmethod
    def _add(builder: Builder, file: Path) -> None:
        record = unpickle(decompress(file), file)
        if not isinstance(record, Mapping) or not all(isinstance(entry, Mapping) for entry in record.values()):
            raise TableError(f"'{file}' must map schedules to trainings; it holds a {type(record).__name__}.")
        index, text, first = int(file.name[:6]), "", True
        for schedule in record.values():
            text = schedule.get("arch_str")
            if not isinstance(text, str) or schedule.get("arch_index") != index:
                raise TableError(f"'{file}' must hold architecture {index}; it says {text!r}.")
            builder.add(text, values_of(schedule, first=first))
            first = False
        builder.add(text, [Raw(Column("index", "info", base="index"), index)])


def decompress(file: Path) -> bytes:
    """Return the bytes of a bz2 file of modest size.

    Raises:
        TableError: It is damaged, or grows beyond any real one.
    """
    most = min(MAX_ONE, max(_SMALL, FOLD * file.stat().st_size))
    try:
        with bz2.open(file) as stream:
            data = stream.read(most + 1)
    except (OSError, EOFError, ValueError) as error:
        raise TableError(f"'{file}' is not a whole bz2 file ({error}). Fetch it again.") from error
    if len(data) > most:
        raise TableError(f"'{file}' grows beyond {most:,} bytes, as no architecture's record does; it was not read.")
    return data
