"""RoBoT's own pickles: a number or a few for each cell of NAS-Bench-201, in the official order.

Source: the repository of He et al., ICLR 2024, arXiv 2403.07591. Read: ``nb2_cf100_test_accuracy.p``. Others that hold
tuples or dictionaries by index are read by the same rule, not checked against files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column, Role
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.reader import TableReader
from robonas.tables.unpickling import looks_like_pickle, read_small, unpickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from robonas.tables.reader import Progress

_N_CELLS = 15_625


class RobotPickle(TableReader):
    """A list of numbers, or a dictionary from index to numbers, in the official order of the 15,625 cells.

    The file's name names the column and its role: one that says ``test`` holds a final measure. A list of another
    length has its rows called ``0``, ``1`` and so on.
    """

    name: ClassVar[str] = "robot"
    description: ClassVar[str] = "RoBoT's pickles (nb2_*_accuracy.p), numbers in NAS-Bench-201's order"
    verified: ClassVar[str] = "nb2_cf100_test_accuracy.p; tuples and dictionaries by their documented layout"

    def recognises(self, path: Path) -> bool:
        """Return a pickle that is not of the formats which say what they are."""
        return looks_like_pickle(path) and not looks_like_pickle(
            path, b"logmeasures", b"nasbench201", b"edgegpu", b"eyeriss"
        )

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        content = unpickle(read_small(path), path)
        if isinstance(content, np.ndarray):
            content = content.tolist()
        if isinstance(content, Mapping):
            entries = list(content.items())
        elif isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
            entries = list(enumerate(content))
        else:
            raise TableError(
                f"'{path}' must hold a list of numbers or a dictionary; it holds a {type(content).__name__}."
            )
        texts = _official_texts() if len(entries) == _N_CELLS else None
        builder = Builder()
        for done, (key, entry) in enumerate(entries, start=1):
            by_index = texts is not None and isinstance(key, (int, np.integer)) and 0 <= key < _N_CELLS
            builder.add(texts[key] if texts is not None and by_index else str(key), _values(path.stem, entry))
            if progress is not None:
                progress(done, len(entries))
        return builder.build(provenance(self.name, path))


def _official_texts() -> list[str]:
    from robonas.spaces import NASBench201

    space = NASBench201()
    return [space.format(architecture) for architecture in space]


def _values(stem: str, entry: Any) -> Iterator[Raw]:
    if isinstance(entry, Mapping):
        for name, value in entry.items():
            yield Raw(_column(str(name)), value)
    elif isinstance(entry, (Sequence, np.ndarray)) and not isinstance(entry, (str, bytes)):
        for place, value in enumerate(entry):
            yield Raw(_column(f"{stem}_{place}"), value)
    else:
        yield Raw(_column(stem), entry)


def _column(name: str) -> Column:
    role: Role = "final" if "test" in name else "objective" if "val" in name or "acc" in name else "info"
    return Column(name, role, base=name)
