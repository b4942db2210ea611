"""The true quality of the best candidates of a search: trained again with other seeds, and tested once.

The best of many trainings is partly the luckiest. A mean over trainings with other seeds is not.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.study.query import Query

CONFIRMED, TESTED = "confirmation", "test"
"""User attributes of a study: what its confirmation and its test came to."""


@dataclass(frozen=True)
class Repeated:
    """A candidate that was trained again with other seeds."""

    query: int
    """Number of its query in the search."""
    architecture: str
    """The text of its architecture."""
    values: tuple[float | None, ...]
    """Value with each seed, in the objective's own direction; None where the training failed."""

    @property
    def mean(self) -> float | None:
        """Mean of its values; None where there is none."""
        known = self.known
        return statistics.fmean(known) if known else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of its values, by n - 1; None for fewer than two."""
        known = self.known
        return statistics.stdev(known) if len(known) > 1 else None

    @property
    def known(self) -> tuple[float, ...]:
        """Values of the trainings that did not fail."""
        return tuple(value for value in self.values if value is not None)

    @property
    def n_failed(self) -> int:
        """Number of trainings that failed."""
        return len(self.values) - len(self.known)


@dataclass(frozen=True)
class Confirmation:
    """The best candidates of a search, trained again with other seeds."""

    seeds: tuple[int, ...]
    """The other seeds."""
    candidates: tuple[Repeated, ...]
    """The candidates, the best of the search first."""
    chosen: int
    """Number of the query whose mean is best."""

    @property
    def winner(self) -> Repeated:
        """The candidate with the best mean."""
        return next(candidate for candidate in self.candidates if candidate.query == self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "seeds": list(self.seeds),
            "chosen": self.chosen,
            "mean": self.winner.mean,
            "spread": self.winner.spread,
            "candidates": [
                {
                    "query": candidate.query,
                    "architecture": candidate.architecture,
                    "values": list(candidate.values),
                    "mean": candidate.mean,
                    "spread": candidate.spread,
                }
                for candidate in self.candidates
            ],
        }


@dataclass(frozen=True)
class FinalTest:
    """The winner on the samples that were held out of everything."""

    query: int
    """Number of its query."""
    architecture: str
    """The text of its architecture."""
    value: float
    """Value of its trained network, in the objective's own direction."""
    n: int
    """Number of samples."""
    error: float | None
    """Standard error of the value, as far as it comes from the number of samples; None where it is unknown."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return dict(vars(self))


def best_queries(queries: Sequence[Query], sign: float, n: int) -> list[Query]:
    """Return the best completed queries, the best first and the earlier of equals before.

    Args:
        queries: All queries.
        sign: 1 where higher values are better, -1 where lower ones are.
        n: Largest number of them.
    """
    done = [query for query in queries if query.value is not None]
    return sorted(done, key=lambda query: (-sign * (query.value or 0.0), query.number))[:n]


def chosen_of(candidates: Sequence[Repeated], sign: float) -> int | None:
    """Return the number of the query with the best mean, the first of equals; None where no training came to an end.

    One of which a training failed comes after all of which none did.

    Args:
        candidates: The candidates, the best of the search first.
        sign: 1 where higher values are better, -1 where lower ones are.
    """
    able = [candidate for candidate in candidates if candidate.known]
    if not able:
        return None
    return max(able, key=lambda candidate: (-candidate.n_failed, sign * (candidate.mean or 0.0))).query


def confirmation_of(notes: Mapping[str, Any], n_queries: int) -> Confirmation | None:
    """Return the confirmation that a study's user attributes hold; None where there is none of all its queries.

    Args:
        notes: User attributes of the study.
        n_queries: Number of its queries; a confirmation of fewer is out of date.

    Raises:
        KeyError: It lacks a part of it.
        TypeError: A part is of another type.
        ValueError: No candidate was chosen.
    """
    note = notes.get(CONFIRMED)
    if note is None or note["n_queries"] != n_queries:
        return None
    candidates = tuple(
        Repeated(
            int(entry["query"]),
            str(entry["architecture"]),
            tuple(None if value is None else float(value) for value in entry["values"]),
        )
        for entry in note["candidates"]
    )
    chosen = int(note["chosen"])
    if chosen not in {candidate.query for candidate in candidates}:
        raise ValueError(f"query {chosen} was chosen, and is none of the candidates")
    return Confirmation(tuple(map(int, note["seeds"])), candidates, chosen)


def test_of(notes: Mapping[str, Any], query: Query | None) -> FinalTest | None:
    """Return the test of the winner that a study's user attributes hold; None where there is none.

    Args:
        notes: User attributes of the study.
        query: The winner now; a test of another one is out of date.

    Raises:
        KeyError: It lacks a part of it.
        TypeError: A part is of another type.
        ValueError: The value is no number.
    """
    note = notes.get(TESTED)
    if note is None or query is None or note["architecture"] != query.architecture:
        return None
    value, error = float(note["value"]), note["error"]
    if not math.isfinite(value):
        raise ValueError(f"the value is {value}")
    return FinalTest(query.number, query.architecture, value, int(note["n"]), None if error is None else float(error))
