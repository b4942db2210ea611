"""Keeping freed memory: what it saves, that it ends, and that it changes nothing elsewhere."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from robonas.scores import memory

needs_glibc = pytest.mark.skipif(not memory.is_supported(), reason="the C library is not glibc")

FAULTS = """
import resource, sys
from robonas.scores.memory import keeping_memory
import contextlib, ctypes
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
size = 4 << 20
def work():
    for _ in range(50):
        blocks = [library.malloc(ctypes.c_size_t(size)) for _ in range(4)]
        for block in blocks:
            ctypes.memset(ctypes.c_void_p(block), 1, size)
        for block in blocks:
            library.free(ctypes.c_void_p(block))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
with keeping_memory() if sys.argv[1] == "keep" else contextlib.nullcontext():
    work()
    before = faults()
    work()
    print(faults() - before)
resident = int(open("/proc/self/statm").read().split()[1]) * 4096
print(resident)
"""


def run(mode: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    faults, resident = map(int, done.stdout.split())
    return faults, resident


@needs_glibc
def test_freed_blocks_are_not_asked_for_again_and_go_back_at_the_end() -> None:
    usual, resident = run("usual")
    kept, after = run("keep")
    assert usual > 1000, "this system keeps memory anyway"
    assert kept < usual / 10
    assert after < resident + (8 << 20)


def test_it_may_be_nested_and_entered_again() -> None:
    with memory.keeping_memory(), memory.keeping_memory():
        pass
    with memory.keeping_memory():
        memory.keep_memory()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_library", lambda: None)
    assert not memory.is_supported()
    memory.keep_memory()
    with memory.keeping_memory():
        pass
