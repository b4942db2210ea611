"""Damaged and hostile files of others, made by chance from whole ones: what a reader does with each."""

from __future__ import annotations

import importlib
import json
import pickle
import random
import struct
import sys
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np

from robonas.errors import TableError
from robonas.tables import read_table
from robonas.tables.unpickling import unpickle
from tests.tables import records

WATCHED = ("import", "exec", "compile", "os.", "subprocess.", "ctypes.", "pickle.", "socket.", "shutil.")
"""Beginnings of the names of Python's audit events that no reading of a pickle may cause."""
_seen: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if _seen is not None and event.startswith(WATCHED):
        _seen.append(f"{event} {str(arguments)[:80]}")


def wholes() -> list[bytes]:
    """Pickles of every kind that is read."""
    shared = ["a", 1.5]
    data = {
        "numbers": [1, -1, 300, 70_000, 2**40, 2**100, 1.25, True, None, np.float64(2), np.int32(7), 1 + 2j],
        "texts": ["x", "é" * 300, b"bytes", b"y" * 300, np.str_("z")],
        "arrays": [np.arange(6.0).reshape(2, 3), np.array(["a", "bc"]), np.array([1, "x"], dtype=object), np.ones(0)],
        "more": [(1, 2, 3, 4), (), {1, 2}, frozenset([3]), OrderedDict(a=1), defaultdict(list, b=[2]), bytearray(b"q")],
        ("cifar10", 777): {"nested": {"deeper": [shared, shared]}},
    }
    found = [pickle.dumps(data, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    found += [pickle.dumps(records.schedule(0, records.TEXTS[0], 3, (1,)), protocol) for protocol in (2, 4)]
    return [*found, pickle.dumps([np.float32(n) for n in range(20)], 2)]


CODES = bytes(value[0] for name, value in vars(pickle).items() if name.isupper() and type(value) is bytes and value)


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to eight changes: bytes, sizes, instructions, pieces cut out, doubled or taken from another file."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        place = chance.randrange(len(made) + 1)
        length = min(int(chance.expovariate(0.1)) + 1, 400)
        kind = chance.randrange(8)
        if kind == 0 and place < len(made):
            made[place] = chance.randrange(256)
        elif kind == 1 and place < len(made):
            made[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            made[place:place] = bytes([chance.choice(CODES)]) * chance.choice([1, 1, 2, 50, 2000])
        elif kind == 3:
            del made[place : place + length]
        elif kind == 4:
            made[place:place] = made[place : place + length]
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            made[place : place + length] = other[start : start + length]
        elif kind == 6:
            number = chance.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1])
            width = chance.choice(["<I", "<Q", "<B"])
            size = struct.calcsize(width)
            made[place : place + size] = struct.pack(width, number % 2 ** (8 * size))
        else:
            made[place:place] = chance.choice(
                [
                    b"cos\nsystem\n",
                    b"cbuiltins\neval\n",
                    b"\x8c\x02os\x8c\x06system\x93",
                    b"cnumpy\nndarray\n",
                    b"R",
                    b"b",
                ]
            )
    return bytes(made)


def run(seed: int, n: int, folder: Path) -> dict:
    """Read `n` damaged pickles and files of `torch.save`; returns what became of them."""
    global _seen  # noqa: PLW0603
    sys.addaudithook(_watch)
    chance = random.Random(f"files of others {seed}")
    whole = wholes()
    folder.mkdir(exist_ok=True, parents=True)
    paths = []
    for zipped in (True, False):
        paths.append((records.transnas(folder / f"{seed}-t{zipped}.pth", zipped=zipped), "transnas_micro"))
        paths.append((records.nasbench201(folder / f"{seed}-n{zipped}.pth", n=2, zipped=zipped), "nasbench201"))
    files = [(path, path.read_bytes(), name) for path, name in paths]
    target = folder / f"{seed}.pth"
    counts, imported, other = Counter({"read": 0, "refused": 0}), [], []
    for path, name in paths:
        read_table(path, format=name)  # what the readers import by themselves
    importlib.import_module("encodings.cp437")  # of names in archives: when the first strange one is met
    for data in whole:
        unpickle(data, "f.p")
    for number in range(n):
        if number % 5 == 4:
            path, source, name = chance.choice(files)
            if source.startswith(b"PK") and chance.random() < 0.9:  # else the archive's own sums tell of the damage
                with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
                    for member in old.namelist():
                        content = old.read(member)
                        new.writestr(member, mutated(content, whole, chance) if member.endswith(".pkl") else content)
            else:
                target.write_bytes(mutated(source, whole, chance))
        else:
            data = mutated(chance.choice(whole), whole, chance)
        _seen = []
        try:
            if number % 5 == 4:
                read_table(target, format=name)
            else:
                unpickle(data, "f.p")
            counts["read"] += 1
        except TableError:
            counts["refused"] += 1
        except BaseException as error:
            other.append(f"{seed} {number} {type(error).__name__}: {error}"[:300])
        finally:
            events, _seen = _seen, None
        imported += [f"{number} {event}" for event in events if "__future__" not in event]
    return {**counts, "imported": imported, "other": other}


if __name__ == "__main__":
    import resource

    import torch  # noqa: F401  # writes the files; before the limit

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))  # noqa: T201
