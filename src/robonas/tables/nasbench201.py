"""NAS-Bench-201's own ``.pth``: 5 GB of learning curves, read as a stream.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020, arXiv
2001.00326; ``NAS-Bench-201-v1_1-096897.pth`` and ``v1_0-e61699.pth``. Not checked against the files: their layout is
that of the authors' ``state_dict``, which NATS-Bench's files, read elsewhere, repeat.

``torch.load`` needs some 28 GB for it, with or without ``weights_only``, because the file is one object. Here each
architecture's record is turned into numbers as soon as it is complete, and forgotten. What stays is two bytes for every
object of the file (some hundred million) and the table.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from robonas.errors import TableError
from robonas.tables.base import BenchmarkTable, Column
from robonas.tables.building import Builder, Raw, provenance
from robonas.tables.nas_results import values_of
from robonas.tables.pickle_containers import MAX_CONTAINERS, MAX_ROOM, MAX_STEPS
from robonas.tables.plain_data import Kind, Name
from robonas.tables.reader import TableReader
from robonas.tables.torch_files import pickle_of
from robonas.tables.unpickling import SafeUnpickler, load_one

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from robonas.tables.reader import Progress

_SHORT = 200
"""Texts up to this length are kept once each, however often they occur."""
_N_CELLS = 15_625
_BLOCK = 2**20
"""Entries of the memo that are set aside at once."""
_MOST_NAMES = 100_000
"""Names and types of numbers that the memo keeps."""


class NASBench201(TableReader):
    """Columns as those of NATS-Bench's topology space; see `nas_results`."""

    name: ClassVar[str] = "nasbench201"
    description: ClassVar[str] = "NAS-Bench-201 .pth (NAS-Bench-201-v1_*.pth), streamed"
    verified: ClassVar[str] = "documented layout only; its records are those of NATS-Bench's files"

    def recognises(self, path: Path) -> bool:
        """Return a ``.pth`` that begins with the list of architectures."""
        if path.suffix != ".pth" or not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(65_536)
        return b"meta_archs" in start or b"arch2infos" in start

    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """See `TableReader.read`."""
        builder = Builder()

        def take(record: dict[str, Any]) -> None:
            text, index = record.get("arch_str"), record.get("arch_index")
            if not isinstance(text, str):
                raise TableError(f"A record of trainings must name its architecture; got {text!r}.")
            new = text not in texts
            texts.add(text)
            builder.add(text, values_of(record, first=new))
            if new:
                builder.add(text, [Raw(Column("index", "info", base="index"), index)])
                if progress is not None:
                    progress(len(texts), _N_CELLS)

        texts: set[str] = set()
        with pickle_of(path) as file:
            load_one(StreamingUnpickler(file, take), path)
        return builder.build(provenance(self.name, path))


class _Memo:
    """The memory of a pickle: texts and types for ever, containers until they are forgotten."""

    def __init__(self) -> None:
        self._codes: list[array[int]] = []  # for each entry the number of its text, or 0; in blocks, never copied
        self._size = 0
        self._texts: list[str] = [""]
        self._numbers: dict[str, int] = {}
        self._kept: dict[int, object] = {}
        self._passing: dict[int, object] = {}

    def __len__(self) -> int:
        return self._size

    def append(self, value: object) -> None:
        """Add an entry."""
        self[self._size] = value

    def __setitem__(self, place: int, value: object) -> None:
        if place < self._size:  # an array that is complete
            (self._kept if place in self._kept else self._passing)[place] = value
            return
        if place > self._size:
            raise TableError("The pickle numbers its objects in no order. The file is damaged or hostile.")
        code = 0
        if type(value) is str and len(value) <= _SHORT:
            code = self._numbers.setdefault(value, len(self._texts))
            if code == len(self._texts):
                self._texts.append(value)
                if code == 2**16:
                    self._codes = [array("I", block) for block in self._codes]
        elif type(value) in {Name, Kind}:
            if len(self._kept) >= _MOST_NAMES:
                raise TableError(f"The pickle names more than {_MOST_NAMES:,} things. The file is damaged or hostile.")
            self._kept[place] = value
        else:
            self._passing[place] = value
        if self._size % _BLOCK == 0:
            self._codes.append(array("H" if len(self._texts) <= 2**16 else "I"))
        self._codes[-1].append(code)
        self._size += 1

    def __getitem__(self, place: int) -> object:
        if place >= self._size:
            raise KeyError(place)
        code = self._codes[place // _BLOCK][place % _BLOCK]
        if code:
            return self._texts[code]
        if place in self._kept:
            return self._kept[place]
        if place in self._passing:
            return self._passing[place]
        raise TableError(
            "The pickle refers back to a part of an architecture that was read and forgotten, so it cannot be streamed."
        )

    def forget_since(self, container: object) -> None:
        """Drop a container and everything after it but texts and types."""
        while self._passing:
            place = next(reversed(self._passing))
            if self._passing.pop(place) is container:
                return


class StreamingUnpickler(SafeUnpickler):
    """Hands over each dictionary that has ``all_results`` once it is complete, then empties it.

    Args:
        file: The pickle.
        take: Called with each; must keep nothing of it.
    """

    def __init__(self, file: BinaryIO, take: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(file, _TENSORS)
        self._record = take
        self.memo = _Memo()

    def do_setitem(self) -> None:
        """Add a pair, and see whether a record is complete."""
        super().do_setitem()
        self._look()

    def do_setitems(self) -> None:
        """Add pairs, and see whether a record is complete."""
        super().do_setitems()
        self._look()

    def _look(self) -> None:
        made = self.stack[-1]
        if "all_results" in made:
            self.check(made)
            self._record(made)
            made.clear()
            self.memo.forget_since(made)
            self.steps, self.containers, self.room = MAX_STEPS, MAX_CONTAINERS, MAX_ROOM

    def do_refer(self) -> None:
        """Skip the weights of a network."""
        self.stack[-1] = None


def _nothing(*_: object) -> None:
    """Stand for a tensor."""


_TENSORS = {
    ("torch._utils", "_rebuild_tensor_v2"): _nothing,
    ("torch._utils", "_rebuild_parameter"): _nothing,
    ("torch", "FloatStorage"): _nothing,
    ("torch", "LongStorage"): _nothing,
}
