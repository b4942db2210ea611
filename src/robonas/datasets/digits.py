"""`digits`: 1,797 handwritten digits of 8x8 pixels, which ship with scikit-learn."""

from __future__ import annotations

import numpy as np

from robonas.datasets.data import LabelledData, from_arrays


def load_digits() -> LabelledData:
    """1,797 grey images (1, 8, 8) of the digits 0 to 9, pixels from 0 to 1 in steps of 1/16.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998; its
        test set, as in scikit-learn.
    """
    from sklearn.datasets import load_digits as load

    bunch = load()
    images = (np.asarray(bunch.images, dtype=np.float32) / 16)[:, None]
    return from_arrays(images, np.asarray(bunch.target), class_names=[str(digit) for digit in range(10)], name="digits")
