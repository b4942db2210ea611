"""Data for the command line."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> str:
    """Two hundred digits in an .npz file."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=digits.images[:200, :, :, None].astype(np.uint8) * 15, y=digits.target[:200])
    return str(path)
