"""NAS-Bench-Macro's JSON: three test accuracies, parameters and FLOPs of 6,561 networks on CIFAR-10.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021, arXiv 2103.11922.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import read_small_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from robonas.tables.reader import Progress

_TASK = "cifar10"
_START = re.compile(rb'\s*\{\s*"[0-2]{8}"\s*:\s*\{\s*"test_acc"')


class NASBenchMacro(TableReader):
    """Eight digits an architecture, with ``test_acc`` of three trainings, their mean, ``params`` and ``flops``.

    There is no validation measure: ``test_acc`` (the mean) and ``test_acc_run0`` and so on are final measures.
    """

    name: ClassVar[str] = "nasbenchmacro"
    description: ClassVar[str] = "NAS-Bench-Macro JSON (nas-bench-macro_cifar10.json)"
    verified: ClassVar[str] = "the whole published file"

    def recognises(self, path: Path) -> bool:
        """Return a JSON file that begins with such a record."""
        if path.suffix != ".json" or not path.is_file():
            return False
        with path.open("rb") as file:
            return _START.match(file.read(200)) is not None

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        content = read_small_json(path)
        if not isinstance(content, dict):
            raise TableError(f"'{path}' must be a JSON object with a record an architecture.")
        builder = Builder()
        for done, (text, record) in enumerate(content.items(), start=1):
            if not isinstance(record, dict) or "mean_acc" not in record:
                raise TableError(f"'{path}' must have a mean_acc for every architecture; {text!r} has none.")
            builder.add(text, _values(record))
            if progress is not None:
                progress(done, len(content))
        return builder.build(provenance(self.name, path))


def _values(record: dict[str, object]) -> Iterator[Raw]:
    for name in ("params", "flops"):
        yield Raw(Column(name, "metric", base=name, task=_TASK), record.get(name))
    yield Raw(Column("test_acc", "final", base="test_acc", task=_TASK, unit="%", note="mean"), record["mean_acc"])
    runs = record.get("test_acc")
    for place, run in enumerate(runs if isinstance(runs, list) else []):
        name = f"test_acc_run{place}"
        yield Raw(Column(name, "final", base=name, task=_TASK, unit="%", note="one training"), run)
