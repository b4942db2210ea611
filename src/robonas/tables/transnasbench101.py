"""TransNAS-Bench-101's ``.pth``: seven tasks of two spaces, one of which must be named.

Source: Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural
Architecture Search", CVPR 2021, arXiv 2105.11871; ``transnas-bench_v10141024.pth``. Not checked against the file: read
is any nesting of dictionaries with a level whose keys are architectures, then tasks, then measures (numbers, or lists
by epoch).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.building import Builder, Raw, number, provenance
from robonas.tables.reader import TableReader
from robonas.tables.torch_files import read_torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from robonas.tables.reader import Progress

MAX_FILE = 2**30
"""Bytes of the largest file that is read."""
MAX_STEPS = 200_000_000
"""Instructions of the largest pickle: some 15 million measures, a dozen instructions each."""
MAX_CONTAINERS = 20_000_000
"""Containers of the largest pickle; a measure may be one for a while."""
_DEEPEST = 4
_MARKS = (b"41414-", b"-basic", b"search_spaces", b"class_scene")


class _TransNAS(TableReader):
    """Every measure at the last epoch, and as ``_best`` at its best epoch, for each task.

    ``valid_*`` are objectives, ``test_*`` final measures, ``train_*`` information; losses say that lower is better.
    """

    verified: ClassVar[str] = "documented layout only"
    text: ClassVar[re.Pattern[str]]
    """Pattern of the space's architecture texts."""

    def recognises(self, path: Path) -> bool:
        """Return a ``.pth`` with its words near the start."""
        if path.suffix != ".pth" or not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(2**22)
        return b"arch2infos" not in start[:65_536] and any(mark in start for mark in _MARKS)

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        found = list(self._find(_load(path), 0))
        builder = Builder()
        total = sum(map(len, found))
        for records in found:
            for text, record in records.items():
                if self.text.fullmatch(str(text)):
                    for task, measures in record.items():
                        if isinstance(measures, Mapping):
                            builder.add(str(text), _values(str(task), measures))
                if progress is not None:
                    progress(len(builder), total)
        if not len(builder):
            raise TableError(f"'{path}' holds no architecture of {self.name}, such as {self.text.pattern!r}.")
        return builder.build(provenance(self.name, path))

    def _find(self, node: object, depth: int) -> Iterator[Mapping[Any, Any]]:
        """Return the dictionaries whose keys are architectures."""
        if not isinstance(node, Mapping) or depth > _DEEPEST:
            return
        first = next(iter(node.items()), None)
        if first is not None and self.text.fullmatch(str(first[0])) and isinstance(first[1], Mapping):
            yield node
            return
        for entry in node.values():
            yield from self._find(entry, depth + 1)


class TransNASMicro(_TransNAS):
    """The 4,096 cells."""

    name: ClassVar[str] = "transnas_micro"
    description: ClassVar[str] = "TransNAS-Bench-101 .pth, its micro space"
    text: ClassVar[re.Pattern[str]] = re.compile(r"\d+-[1-4]+-\d_\d{2}_\d{3}")


class TransNASMacro(_TransNAS):
    """The 3,256 skeletons."""

    name: ClassVar[str] = "transnas_macro"
    description: ClassVar[str] = "TransNAS-Bench-101 .pth, its macro space"
    text: ClassVar[re.Pattern[str]] = re.compile(r"\d+-[1-4]{4,6}-basic")


def _load(path: Path) -> object:
    """Return what the file holds."""
    if path.stat().st_size > MAX_FILE:
        raise TableError(
            f"'{path}' has {path.stat().st_size:,} bytes; files of this format are read up to {MAX_FILE:,}."
        )
    return read_torch(path, steps=MAX_STEPS, containers=MAX_CONTAINERS)


def _values(task: str, measures: Mapping[Any, Any]) -> Iterator[Raw]:
    for key, entry in measures.items():
        name = str(key)
        if isinstance(entry, Mapping):
            yield from _values(task, entry)
        elif isinstance(entry, np.ndarray):
            yield Raw(_column(name, task), entry)
        elif isinstance(entry, Sequence) and not isinstance(entry, (str, bytes, bytearray)):
            curve = [value for value, reason in map(number, entry) if reason is None]
            column = _column(name, task)
            yield Raw(column, entry[-1] if len(entry) else None)
            best = max if column.higher_is_better else min
            if column.role != "cost":
                yield Raw(_column(f"{name}_best", task), best(curve) if curve else None)
        elif isinstance(entry, (int, float)):
            yield Raw(_column(name, task), entry)


def _column(name: str, task: str) -> Column:
    role: Role = (
        "objective"
        if name.startswith("valid")
        else "final"
        if name.startswith("test")
        else "cost"
        if "time" in name
        else "metric"
        if "params" in name.lower() or "flops" in name.lower()
        else "info"
    )
    lower_is_better = role == "cost" or ("loss" in name and "neg" not in name)
    return Column(name, role, base=name, task=task, higher_is_better=not lower_is_better)
