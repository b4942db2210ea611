"""HW-NAS-Bench's pickle: latency and energy of NAS-Bench-201's cells on six devices.

Source: Li et al., "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021, arXiv 2103.10584;
``HW-NAS-Bench-v1_0.pickle``. Not checked against the file: the layout is that of the authors' API. Their FBNet part is
a table of blocks, not of architectures, and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import looks_like_pickle, read_small, unpickle

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.tables.reader import Progress

_PART = "nasbench201"


class HWNASBench(TableReader):
    """``DEVICE_latency`` in milliseconds, ``DEVICE_energy`` in millijoule, by data set, as costs."""

    name: ClassVar[str] = "hwnasbench"
    description: ClassVar[str] = "HW-NAS-Bench pickle (HW-NAS-Bench-v1_0.pickle), its NAS-Bench-201 part"
    verified: ClassVar[str] = "documented layout only"

    def recognises(self, path: Path) -> bool:
        """Return a pickle of its name, or one that speaks of its parts early on."""
        named = looks_like_pickle(path) and path.name.startswith("HW-NAS-Bench")
        return named or looks_like_pickle(path, _PART.encode(), b"edgegpu", b"eyeriss")

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        content = unpickle(read_small(path), path)
        part = content.get(_PART) if isinstance(content, Mapping) else None
        if not isinstance(part, Mapping):
            raise TableError(f"'{path}' must map '{_PART}' to data sets; its FBNet part holds no architectures.")
        builder = Builder()
        for task, entries in part.items():
            if not isinstance(entries, Mapping) or not isinstance(entries.get("config"), (list, tuple)):
                raise TableError(f"'{path}' must list a 'config' of architectures for {task!r}; it has none.")
            measures = {str(name): values for name, values in entries.items() if name != "config"}
            for name, values in measures.items():
                if len(values) != len(entries["config"]):
                    raise TableError(
                        f"'{path}' must have a value of {name!r} for each of {len(entries['config'])} architectures of "
                        f"{task!r}; it has {len(values)}."
                    )
            columns = {name: _column(name, str(task)) for name in measures}
            for index, config in enumerate(entries["config"]):
                builder.add(_text(config), [Raw(columns[name], values[index]) for name, values in measures.items()])
                if progress is not None:
                    progress(index + 1, len(entries["config"]))
        left_out = sorted(str(name) for name in content if name != _PART)
        return builder.build(provenance(self.name, path, left_out=left_out))


def _text(config: Any) -> str:
    text = config.get("arch_str") if isinstance(config, Mapping) else config
    if not isinstance(text, str):
        raise TableError(f"A configuration must have an 'arch_str'; got {config!r}.")
    return text


def _column(name: str, task: str) -> Column:
    unit = "ms" if name.endswith("latency") else "mJ" if name.endswith("energy") else ""
    role: Role = "cost" if unit else "info"
    return Column(name, role, base=name, task=task, higher_is_better=not unit, unit=unit)
