"""`digits`: 1,797 handwritten digits of 8x8 pixels, which ship with scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robonas.datasets.data import LabelledData, from_arrays
from robonas.datasets.image_reading import reading_of


def load_digits() -> LabelledData:
    """Load 1,797 grey images (1, 8, 8) of the digits 0 to 9, pixels from 0 to 1 in steps of 1/16.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998; its
        test set, as in scikit-learn.
    """
    from sklearn.datasets import load_digits as load

    bunch = load()
    images = (np.asarray(bunch.images, dtype=np.float32) / 16)[:, None]
    names = [str(digit) for digit in range(10)]
    return with_images(from_arrays(images, np.asarray(bunch.target), class_names=names, name="digits"))


def with_images(data: LabelledData) -> LabelledData:
    """Return digits that say how an image becomes one: black is 0, white is 1."""
    return replace(data, images=reading_of(data.input_shape, (0.0, 1.0)))
