"""The published benchmark tables in `benchmarks/tables`, for tests that need them."""

from __future__ import annotations

import atexit
import functools
import lzma
import shutil
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "benchmarks" / "tables"


@functools.cache
def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def table(name: str) -> pd.DataFrame:
    """One table, such as ``nb201-cifar10``."""
    return _read(TABLES / f"{name}.parquet").copy()


@functools.cache
def original(name: str) -> Path:
    """A file or a folder as its authors publish it: unpacked into a folder that lasts as long as the process."""
    path = TABLES / "original" / name
    if path.is_dir():
        return path
    folder = Path(tempfile.mkdtemp(prefix="robonas-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / name).write_bytes(lzma.decompress((TABLES / "original" / f"{name}.xz").read_bytes()))
    return folder / name
