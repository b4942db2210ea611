"""Fifty architectures with three metrics, one of them good, and what they were measured at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robonas.experiments import Task
from robonas.tables.building import from_frame
from robonas.tables.columnar import describe

if TYPE_CHECKING:
    from robonas.tables import BenchmarkTable


def frame(n: int = 50, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=n)
    return pd.DataFrame(
        {
            "arch": [f"({i // 25}, {i // 5 % 5}, {i % 5})" for i in range(n)],
            "jacov": quality + 0.3 * generator.normal(size=n),
            "plain": generator.normal(size=n),
            "synflow": quality + generator.normal(size=n),
            "val_acc": 90 + quality,
            "test_acc": 91 + quality + 0.1 * generator.normal(size=n),
            "train_seconds": generator.uniform(1, 2, size=n),
        }
    )


def table(n: int = 50, seed: int = 0) -> BenchmarkTable:
    data = frame(n, seed)
    return from_frame(data, "arch", [describe(name) for name in data.columns if name != "arch"], {"source": "toy.csv"})


def task(name: str = "toy", n: int = 50, seed: int = 0, **settings) -> Task:
    given = {"objective": "val_acc", "final": "test_acc", "cost": "train_seconds", **settings}
    return Task.from_table(table(n, seed), name=name, **given)
