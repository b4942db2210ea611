"""Dividing samples into parts, class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SingleError(ValueError):
    """A group of a single sample, which cannot be divided.

    Attributes:
        group: The group.
    """

    def __init__(self, group: int) -> None:
        super().__init__(f"Group {group} has a single sample.")
        self.group = group


def divide(
    groups: NDArray[np.int64], fraction: float, generator: np.random.Generator, rest_fraction: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the samples that are left and of those that are held out, both ascending.

    Every group is divided apart: `fraction` of its samples, rounded, at least one and never all, are held out. With the
    same generator, a larger fraction holds out the same samples and some more.

    Args:
        groups: Group of each sample, such as its class, (n,).
        fraction: Share to hold out, in (0, 1).
        generator: Generator of the order in each group.
        rest_fraction: Share of every group that is left, rounded, at least one sample; None for all that is not held
            out.

    Raises:
        SingleError: A group has a single sample.
    """
    order = np.argsort(groups, kind="stable")
    held_out, unused = np.zeros(len(groups), dtype=bool), np.zeros(len(groups), dtype=bool)
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        places = generator.permutation(members)
        if len(places) == 1:
            raise SingleError(int(groups[places[0]]))
        n_held_out = min(max(1, round(fraction * len(places))), len(places) - 1)
        held_out[places[:n_held_out]] = True
        if rest_fraction is not None:
            unused[places[n_held_out + max(1, round(rest_fraction * len(places))) :]] = True
    return np.flatnonzero(~(held_out | unused)), np.flatnonzero(held_out)
