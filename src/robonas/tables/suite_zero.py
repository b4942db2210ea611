"""NAS-Bench-Suite-Zero's JSON: thirteen training-free metrics and validation accuracies of many spaces and tasks.

Source: Krishnakumar et al., "NAS-Bench-Suite-Zero: Accelerating Research on Zero Cost Proxies", NeurIPS 2022, arXiv
2210.03230; files ``zc_*.json`` of NASLib's branch for it. Read: its ``zc_nasbench201.json``. The files of other spaces
have the same records; NAS-Bench-101's nests them one level deeper, which was not checked against the file.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import read_small_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from robonas.tables.reader import Progress

_HIDDEN = frozenset({"id", "idx", "arch", "hash"})
"""Entries of a record that are no measurements."""

_CELL = re.compile(r"\(([0-4]), ([0-4]), ([0-4]), ([0-4]), ([0-4]), ([0-4])\)")
"""NASLib's key of a NAS-Bench-201 cell: operations of the edges 0→1, 0→2, 0→3, 1→2, 1→3, 2→3."""
_CELL_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_CELL_TASKS = frozenset({"cifar10", "cifar100", "ImageNet16-120"})


class SuiteZero(TableReader):
    """Task, then architecture, then metric with its ``score`` and ``time``, beside ``val_accuracy``.

    NAS-Bench-201's cells, keyed by six numbers, get their official texts, such as ``|nor_conv_3x3~0|+|…``; other spaces
    keep their keys. Metrics keep their names, with ``seconds_`` costs; ``val_accuracy`` is the objective. A level more,
    above or below the architectures, becomes part of the task's name: architectures are the level with the most
    different keys.
    """

    name: ClassVar[str] = "suite_zero"
    description: ClassVar[str] = "NAS-Bench-Suite-Zero JSON (zc_*.json)"
    verified: ClassVar[str] = "a sample of zc_nasbench201.json; other spaces by their documented layout"

    def recognises(self, path: Path) -> bool:
        """Return a JSON file that speaks of scores early on."""
        if path.suffix != ".json" or not path.is_file():
            return False
        with path.open("rb") as file:
            return b'"score"' in file.read(20_000)

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        content = read_small_json(path)
        records = list(_records(content, ()))
        if not records:
            raise TableError(f"'{path}' holds no record with metrics, so it is not NAS-Bench-Suite-Zero's JSON.")
        depth = min(len(keys) for keys, _ in records)
        if any(len(keys) != depth for keys, _ in records):
            raise TableError(f"'{path}' must have all records at one depth; they differ.")
        official = _official_texts(records)
        variety = [len({keys[level] for keys, _ in records}) for level in range(depth)]
        which = max(range(depth), key=lambda level: (variety[level], level))
        builder = Builder()
        for done, (keys, record) in enumerate(records, start=1):
            above = [key for level, key in enumerate(keys) if level != which and variety[level] > 1]
            task = "_".join(above) or next((key for level, key in enumerate(keys) if level != which), None)
            builder.add(official.get(keys[which], keys[which]), _values(record, task))
            if progress is not None:
                progress(done, len(records))
        return builder.build(
            provenance(self.name, path, records=len(records), records_by_task=dict(_counts(records, which)))
        )


def _official_texts(records: list[tuple[tuple[str, ...], Mapping[str, Any]]]) -> dict[str, str]:
    """Return official texts by NASLib's keys, where all of the file is NAS-Bench-201; else nothing."""
    texts = {}
    for keys, _ in records:
        match = _CELL.fullmatch(keys[-1])
        if match is None or len(keys) != 2 or keys[0] not in _CELL_TASKS:
            return {}
        e01, e02, e03, e12, e13, e23 = (_CELL_OPERATIONS[int(digit)] for digit in match.groups())
        texts[keys[-1]] = f"|{e01}~0|+|{e02}~0|{e12}~1|+|{e03}~0|{e13}~1|{e23}~2|"
    return texts


def _records(node: object, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Return all records with the keys that lead to them."""
    if not isinstance(node, dict):
        return
    if "val_accuracy" in node or any(isinstance(entry, dict) and "score" in entry for entry in node.values()):
        yield keys, node
        return
    for key, entry in node.items():
        yield from _records(entry, (*keys, str(key)))


def _values(record: Mapping[str, Any], task: str | None) -> Iterator[Raw]:
    for name, entry in record.items():
        if isinstance(entry, dict) and "score" in entry:
            yield Raw(Column(name, "metric", base=name, task=task), entry["score"])
            if "time" in entry:
                cost = f"seconds_{name}"
                yield Raw(Column(cost, "cost", base=cost, task=task, higher_is_better=False, unit="s"), entry["time"])
        elif isinstance(entry, dict) and all(isinstance(inner, dict) for inner in entry.values()):
            yield from _values(entry, task)  # scores one level deeper, beside the accuracy
        elif name == "val_accuracy":
            yield Raw(Column(name, "objective", base=name, task=task, note="higher is better on every task"), entry)
        elif name not in _HIDDEN and isinstance(entry, (int, float)):
            role: Role = "final" if "test" in name else "objective" if "acc" in name or "val" in name else "info"
            yield Raw(Column(name, role, base=name, task=task), entry)


def _counts(records: list[tuple[tuple[str, ...], Mapping[str, Any]]], which: int) -> Counter[str]:
    return Counter("/".join(key for level, key in enumerate(keys) if level != which) for keys, _ in records)
