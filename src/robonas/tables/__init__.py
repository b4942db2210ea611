"""Benchmark tables: readers of the files that others publish, into one form.

Adding a format: a file beside this one with a subclass of `TableReader`, and a line in `TABLE_FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from robonas.common.registry import lookup
from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.columnar import Columnar
from robonas.tables.hwnasbench import HWNASBench
from robonas.tables.nasbench201 import NASBench201
from robonas.tables.nasbenchmacro import NASBenchMacro
from robonas.tables.nats_bench import NATSBench
from robonas.tables.reader import TableReader
from robonas.tables.robot import RobotPickle
from robonas.tables.suite_zero import SuiteZero
from robonas.tables.transnasbench101 import TransNASMacro, TransNASMicro
from robonas.tables.unpickling import UnsafePickleError
from robonas.tables.zero_cost_nas import ZeroCostNAS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from robonas.tables.reader import Progress

TABLE_FORMATS: Mapping[str, type[TableReader]] = {
    "columnar": Columnar,
    "hwnasbench": HWNASBench,
    "nasbench201": NASBench201,
    "nasbenchmacro": NASBenchMacro,
    "nats_bench": NATSBench,
    "robot": RobotPickle,
    "suite_zero": SuiteZero,
    "transnas_macro": TransNASMacro,
    "transnas_micro": TransNASMicro,
    "zero_cost_nas": ZeroCostNAS,
}
"""Every format by name."""


def detect_format(path: str | os.PathLike[str]) -> str:
    """Return the name of the format that a file or folder looks like.

    Raises:
        TableError: There is no such file, or it looks like none or several.
    """
    path = _existing(path)
    found = [name for name, reader in TABLE_FORMATS.items() if reader().recognises(path)]
    if len(found) == 1:
        return found[0]
    what = "may be of any of the formats " + ", ".join(found) if found else "looks like none of the known formats"
    raise TableError(f"'{path}' {what}. Name its format, one of {', '.join(TABLE_FORMATS)}.")


def read_table(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    task: str | None = None,
    progress: Progress | None = None,
) -> BenchmarkTable:
    """Read a benchmark in any known format, or what `BenchmarkTable.write` wrote.

    Pickles are read without running them. What a source marks as undefined (NaN, infinities, values at or below -1e7)
    is NaN and counted.

    Args:
        path: File or folder.
        format: A name in `TABLE_FORMATS`; None to tell by the file.
        task: Keep only this task's columns, named without it; None keeps all.
        progress: Called with how many architectures are done, and how many there are.

    Raises:
        UnknownNameError: There is no such format.
        TableError: The file is absent, damaged, unsafe or of another format, or has no such task.
    """
    path = _existing(path)
    reader = lookup("table format", format or detect_format(path), TABLE_FORMATS)()
    table = reader.read(path, progress)
    return table if task is None else table.for_task(task)


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.exists():
        raise TableError(f"There is no benchmark file '{path}'. Fetch it from its authors; see its README.")
    return path


__all__ = [
    "TABLE_FORMATS",
    "BenchmarkTable",
    "Column",
    "Role",
    "TableReader",
    "UnsafePickleError",
    "detect_format",
    "read_table",
]
