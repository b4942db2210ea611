"""Reuse of the memory that scoring frees and takes again, on Linux with glibc; elsewhere nothing happens.

A forward and a backward pass take and free blocks of some megabytes hundreds of times. By default glibc gives such
blocks back to the system, which then has to hand out and clear the same pages again: 15 to 25 % of the time of scoring
a small network. While `keeping_memory` is on, freed blocks stay in the process, and the pages of its heap are huge
where the system grants that (`madvise`, see /sys/kernel/mm/transparent_hugepage/enabled).

It costs memory, not correctness: the process keeps what its dearest network took, until the end. Then glibc's usual
limits hold again (those that it reaches by itself in any process that works with large blocks) and free memory goes
back to the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt's parameters, <malloc.h>
_HUGE_PAGES = 14  # MADV_HUGEPAGE, <sys/mman.h>
_MIB = 1 << 20
LARGEST_BLOCK = 32 * _MIB
"""Larger blocks are always given back; glibc allows no higher limit."""
RESERVE = 1024 * _MIB
"""Addresses that the heap takes at once, so that its pages can be asked to be huge; only those used take memory."""
_USUAL = {_TRIM_THRESHOLD: 2 * LARGEST_BLOCK, _TOP_PAD: 128 * 1024, _MMAP_THRESHOLD: LARGEST_BLOCK}
_KEEPING = {_TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 64 * _MIB, _MMAP_THRESHOLD: LARGEST_BLOCK}

_lock = threading.Lock()
_holders = 0
_keeps = False  # whether the heap is as `keep_memory` leaves it


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return the C library, if it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def is_supported() -> bool:
    """Return whether this system's memory can be kept."""
    return _library() is not None


def keep_memory() -> None:
    """Keep freed memory from now on, until the process ends or a later `keeping_memory` does: for worker processes."""
    global _keeps  # noqa: PLW0603  (the allocator is the process's)
    library = _library()
    if library is None or _keeps:
        return
    _keeps = True
    _set(library, {**_KEEPING, _TOP_PAD: RESERVE})
    library.malloc.restype = ctypes.c_void_p
    library.free(
        ctypes.c_void_p(library.malloc(ctypes.c_size_t(LARGEST_BLOCK - _MIB)))
    )  # grows the heap by the reserve
    _set(library, _KEEPING)
    with contextlib.suppress(OSError, ValueError):
        _ask_for_huge_pages(library)


@contextlib.contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep freed memory until the block ends, then give it back. May be nested, and entered by several threads."""
    global _holders, _keeps  # noqa: PLW0603  (the allocator is the process's)
    with _lock:
        _holders += 1
        keep_memory()
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            library = _library()
            if _holders == 0 and library is not None:
                _keeps = False
                _set(library, _USUAL)
                library.malloc_trim(ctypes.c_size_t(0))


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(ctypes.c_int(parameter), ctypes.c_int(value))


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Ask for huge pages for the heap; a system without them refuses, and nothing changes."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        if line.endswith("[heap]"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(_HUGE_PAGES))
