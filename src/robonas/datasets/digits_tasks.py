"""`digits_*`: the handwritten digits of scikit-learn with targets of other kinds, each made from the images.

They are small enough to try every kind of task on; none of them is a benchmark. Images are enlarged by linear
interpolation where a network needs more than 8x8 pixels.

Source: the images as in `digits`. Jigsaw puzzles after Noroozi and Favaro, "Unsupervised Learning of Visual
Representations by Solving Jigsaw Puzzles", ECCV 2016, arXiv 1603.09246. The other targets are ours.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from robonas.common.randomness import numpy_generator
from robonas.datasets.data import LabelledData, from_arrays
from robonas.datasets.digits import with_images
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 32
"""Pixels a side where networks answer with maps, which many must halve five times."""
INK = 0.5
"""Brightness from which a pixel is ink."""
RELIEF = 4.0
"""Height of full brightness, in pixels of the original image."""
PUZZLES = 24
"""Permutations of a jigsaw puzzle that a network has to tell apart."""
MOMENTS = ("centre_x", "centre_y", "spread_x", "spread_y", "tilt")


def digits_autoencoder(size: int = SIDE) -> LabelledData:
    """Return the image itself as the target, from -1 to 1."""
    images = _images(size)
    targets, names = 2 * images - 1, ["brightness"]
    return with_images(from_arrays(images, targets, class_names=names, name="digits_autoencoder", task="image"))


def digits_jigsaw(size: int = 24) -> LabelledData:
    """Load nine tiles of each digit, (9, 1, size/3, size/3), in one of 24 orders; the target is which.

    The orders are chosen one after another, each as far from those before as it gets, much as Noroozi and Favaro choose
    theirs; the benchmark has 1,000. Which image gets which is drawn once.
    """
    if size < 3 or size % 3:
        raise ConfigError(f"`size` of digits_jigsaw must be a multiple of 3; got {size}.")
    images, tile = _images(size), size // 3
    tiles = images.reshape(len(images), 1, 3, tile, 3, tile).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 9, 1, tile, tile)
    orders = permutations(PUZZLES)
    labels = np.arange(len(images)) % PUZZLES
    labels = numpy_generator("digits_jigsaw").permutation(labels)
    shuffled = np.take_along_axis(tiles, orders[labels][:, :, None, None, None], axis=1)
    names = ["".join(map(str, order)) for order in orders]
    return from_arrays(shuffled, labels, class_names=names, name="digits_jigsaw")


def digits_moments(size: int = 8) -> LabelledData:
    """Load the digits with five numbers on where the ink lies: its centre and spread, across and down, and its lean."""
    mass = _images(8)[:, 0].astype(np.float64)
    mass /= mass.sum(axis=(1, 2), keepdims=True)
    place = np.linspace(-1, 1, 8)
    x, y = (mass.sum(axis) @ place for axis in (1, 2))
    dx, dy = place[None, None, :] - x[:, None, None], place[None, :, None] - y[:, None, None]
    second = [(mass * product).sum((1, 2)) for product in (dx * dx, dy * dy, dx * dy)]
    targets = np.stack([x, y, *second], axis=1).astype(np.float32)
    data = from_arrays(_images(size), targets, class_names=MOMENTS, name="digits_moments", task="regression")
    return with_images(data)


def digits_normal(size: int = SIDE) -> LabelledData:
    """Load the digits with the direction of the surface whose height is the brightness: (3, size, size), of length 1.

    Synthetic: a digit is no relief. Right, down and towards the viewer are the positive directions.
    """
    images = _images(size)
    height = RELIEF * images[:, 0].astype(np.float64)
    down, right = (np.gradient(height, axis=axis) * size / 8 for axis in (1, 2))
    normals = np.stack([-right, -down, np.ones_like(height)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    names = ["right", "down", "towards"]
    targets = normals.astype(np.float32)
    return with_images(from_arrays(images, targets, class_names=names, name="digits_normal", task="image"))


def digits_segment(size: int = SIDE) -> LabelledData:
    """Return the class of every pixel: paper, or ink of the digit that the image shows."""
    images = _images(size)
    labels = np.where(images[:, 0] >= INK, 1 + _bunch()[1][:, None, None], 0)
    names = ["paper", *map(str, range(10))]
    return with_images(from_arrays(images, labels, class_names=names, name="digits_segment", task="segmentation"))


def digits_signal() -> LabelledData:
    """Return the digits as signals for one-dimensional networks: eight channels, one a row of pixels."""
    names = [str(digit) for digit in range(10)]
    return from_arrays(_images(8)[:, 0], _bunch()[1], class_names=names, name="digits_signal")


def permutations(n: int) -> NDArray[np.int64]:
    """Choose `n` orders of nine tiles that are far from each other, (n, 9).

    Greedily, of 1,000 drawn candidates the one whose smallest Hamming distance to those before is largest.
    """
    generator = numpy_generator("jigsaw permutations")
    candidates = np.array([generator.permutation(9) for _ in range(1000)])
    chosen = [0]
    distances = (candidates != candidates[0]).sum(1)
    for _ in range(n - 1):
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, (candidates != candidates[chosen[-1]]).sum(1))
    return candidates[chosen]


@functools.cache
def _bunch() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load images from 0 to 1, (1797, 1, 8, 8), and digits."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images: NDArray[np.float32] = np.asarray(bunch.images, dtype=np.float32)[:, None] / np.float32(16)
    return images, np.asarray(bunch.target, dtype=np.int64)


def _images(size: int) -> NDArray[np.float32]:
    """Return the images at that size."""
    import torch
    from torch.nn.functional import interpolate

    if size < 8:
        raise ConfigError(f"`size` of the digits must be at least 8, as they are; got {size}.")
    images = torch.from_numpy(_bunch()[0])
    if size > 8:
        images = interpolate(images, size=(size, size), mode="bilinear")
    resized: NDArray[np.float32] = images.numpy()
    return resized
