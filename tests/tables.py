"""The published benchmark tables, for tests that need them; skips where there are none."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


def tables_folder() -> Path:
    """Where the tables lie: `ROBONAS_DATA`, else `shared/data` beside the checkout."""
    folder = Path(os.environ.get("ROBONAS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the benchmark tables: set ROBONAS_DATA to their folder (looked in {folder})")
    return folder


@functools.cache
def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def table(name: str) -> pd.DataFrame:
    """One table, such as ``nb201-cifar10``."""
    path = tables_folder() / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"needs the benchmark table {path.name} in {path.parent}")
    return _read(path).copy()
