"""`sklearn`: the tables that ship with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from robonas.common.registry import lookup
from robonas.datasets.data import LabelledData, from_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.datasets.targets import Task

TABLES: Mapping[str, Task] = {
    "breast_cancer": "classification",
    "diabetes": "regression",
    "iris": "classification",
    "linnerud": "regression",
    "wine": "classification",
}
"""Tables that can be had, and the kind of each."""


def load_sklearn(name: str) -> LabelledData:
    """Load a table with classes (breast_cancer, iris, wine) or with numbers to predict (diabetes, linnerud).

    Source: scikit-learn's own copies; ``sklearn.datasets`` names where each comes from.

    Raises:
        UnknownNameError: There is no such table.
    """
    import sklearn.datasets

    task = lookup("table of scikit-learn", name, TABLES)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    names = getattr(bunch, "target_names", [name])
    targets = np.asarray(bunch.target)
    if task == "regression":
        targets = targets.astype(np.float32).reshape(len(targets), -1)
    features = np.asarray(bunch.data, dtype=np.float32)
    return from_arrays(features, targets, class_names=list(map(str, names)), name=f"sklearn:{name}", task=task)
