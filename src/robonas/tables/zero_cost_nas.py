"""zero-cost-nas's pickles: one dictionary an architecture, each pickled by itself, behind each other in one file.

Source: Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, arXiv 2101.08134; files such as
``nb2_cf10_seed42_dlrandom_dlinfo1_initwnone_initbnone.p``. Not checked against a file: the layout is that of the
scripts that wrote them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import looks_like_pickle, read_small, unpickle_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from robonas.tables.reader import Progress

_TEXTS = ("arch", "arch_str", "hash", "name", "arch_vec")
_ACCURACIES: Mapping[str, tuple[str, Role]] = {
    "trainacc": ("train_acc", "info"),
    "valacc": ("val_acc", "objective"),
    "testacc": ("test_acc", "final"),
}


class ZeroCostNAS(TableReader):
    """``logmeasures`` (nothing in them is a logarithm) are metrics; accuracies are of the longest schedule."""

    name: ClassVar[str] = "zero_cost_nas"
    description: ClassVar[str] = "zero-cost-nas pickles (nb2_*.p and others), a dictionary an architecture"
    verified: ClassVar[str] = "documented layout only"

    def recognises(self, path: Path) -> bool:
        """Return a pickle that speaks of its measures early on."""
        return looks_like_pickle(path, b"logmeasures")

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        builder = Builder()
        for done, record in enumerate(unpickle_all(io.BytesIO(read_small(path)), path), start=1):
            if not isinstance(record, Mapping) or not isinstance(record.get("logmeasures"), Mapping):
                raise TableError(f"'{path}' must hold dictionaries with 'logmeasures'; number {done} is none.")
            text = next((record[key] for key in _TEXTS if key in record), None)
            if text is None:
                raise TableError(f"'{path}' must name every architecture; number {done} has only {', '.join(record)}.")
            builder.add(str(text), _values(record))
            if progress is not None:
                progress(done, 0)
        return builder.build(provenance(self.name, path))


def _values(record: Mapping[str, object]) -> Iterator[Raw]:
    measures = record["logmeasures"]
    for name, value in measures.items() if isinstance(measures, Mapping) else ():
        yield Raw(Column(str(name), "metric", base=str(name)), value)
    for name, (base, role) in _ACCURACIES.items():
        if name in record:
            yield Raw(Column(base, role, base=base), record[name])
    if isinstance(record.get("i"), int):
        yield Raw(Column("index", "info", base="index"), record["i"])
