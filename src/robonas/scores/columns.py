"""Scores in memory while a run computes them."""

from __future__ import annotations

import math
import sys
from array import array
from typing import TYPE_CHECKING

import numpy as np

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from robonas.metrics import Score


TEXTS = ["architecture", "canonical", "scored_as"]
"""Columns of a table of scores that say which architecture a row is of."""


def check_names(names: Iterable[str]) -> None:
    """Raise where a metric or a cost is called as one of the columns that every table of scores has.

    Raises:
        ConfigError: One is.
    """
    for name in names:
        if name in TEXTS:
            raise ConfigError(
                f"A metric or cost cannot be called {name!r}, as a column of every table of scores is. Rename it."
            )


class ScoreColumns:
    """Scores by the text of the scored architecture, a column a metric: what a run of any length can hold in memory.

    Sixteen bytes a score, and its reason where it has none.
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._values: dict[str, array[float]] = {}
        self._seconds: dict[str, array[float]] = {}  # negative: never scored
        self._reasons: dict[tuple[int, str], str] = {}

    def add(self, canonical: str, found: Mapping[str, Score]) -> None:
        """Take the scores of one class, beside those that it has."""
        place = self._places.setdefault(canonical, len(self._places))
        for name, score in found.items():
            values, seconds = self._values.setdefault(name, array("d")), self._seconds.setdefault(name, array("d"))
            while len(values) <= place:
                values.append(math.nan)
                seconds.append(-1.0)
            values[place], seconds[place] = score.value, score.seconds
            if score.reason is not None:
                self._reasons[place, name] = sys.intern(score.reason)

    def has(self, canonical: str, metric: str) -> bool:
        """Return whether the class has been scored by the metric, with a value or with a reason."""
        place = self._places.get(canonical)
        seconds = self._seconds.get(metric, ())
        return place is not None and place < len(seconds) and seconds[place] >= 0

    def take(
        self, canonical: Sequence[str], metric: str, absent: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.object_]]:
        """Return values, seconds and reasons of one metric for these classes."""
        n = len(canonical)
        values, seconds, reasons = np.full(n, np.nan), np.zeros(n), np.full(n, None, dtype=object)
        for row, text in enumerate(canonical):
            if self.has(text, metric):
                place = self._places[text]
                values[row], seconds[row] = self._values[metric][place], self._seconds[metric][place]
                reasons[row] = self._reasons.get((place, metric))
            else:
                reasons[row] = absent
        return values, seconds, reasons
