"""The front of a search that trades its objective off against costs: which queries no other one beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robonas.common.lazy import np
from robonas.common.registry import unknown_name
from robonas.common.settings import real
from robonas.errors import ConfigError, StudyError
from robonas.strategies.fronts import BEYOND_DEAREST, hypervolume, is_on_front

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from robonas.study.query import Query


@dataclass(frozen=True)
class CostAxis:
    """A cost against which a search traded its objective off."""

    name: str
    """Name of the cost, such as ``"params"``."""
    unit: str = ""
    """Its unit, such as ``"ms"``; empty for a count."""

    def told(self, value: float) -> str:
        """Return a cost with its unit, such as ``"4.1 ms"``."""
        text = f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
        return f"{text} {self.unit}".strip()


@dataclass(frozen=True, eq=False)
class Front:
    """The completed queries of a search that no other one beats in value and costs.

    Args:
        queries: All queries, in the order of asking.
        sign: 1 where higher values are better, -1 where lower ones are.
        axes: Costs of the search, one or two.
        costs: Costs of every candidate of the pool, (N, K).
    """

    queries: Sequence[Query]
    sign: float
    axes: tuple[CostAxis, ...]
    costs: NDArray[np.float64]

    @property
    def members(self) -> tuple[Query, ...]:
        """Queries on the front, the best value first, so the dearest first where there is one cost."""
        done = self.done
        if not done:
            return ()
        kept = is_on_front(*self._points(done))
        members = [query for query, on_front in zip(done, kept, strict=True) if on_front]
        return tuple(sorted(members, key=lambda query: (-self.sign * (query.value or 0.0), query.number)))

    @property
    def done(self) -> list[Query]:
        """The completed queries."""
        return [query for query in self.queries if query.value is not None]

    @property
    def reference(self) -> dict[str, float]:
        """Point from which hypervolume counts.

        It is the worst value of a completed query, as ``"value"``, and of each cost a tenth of the pool's range beyond
        the dearest candidate.

        Raises:
            StudyError: No query has completed.
        """
        values = [query.value for query in self.done if query.value is not None]
        if not values:
            raise StudyError("There is no reference point yet: no query has completed.")
        low, high = self.costs.min(axis=0), self.costs.max(axis=0)
        ends = high + BEYOND_DEAREST * (high - low)
        return {"value": self.sign * min(self.sign * value for value in values)} | {
            axis.name: float(end) for axis, end in zip(self.axes, ends, strict=True)
        }

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> NDArray[np.float64]:
        """Return the hypervolume of the front after each query, (n_queries,).

        The pool's range of each cost counts as 1, so the volume has the unit of the value.

        Args:
            reference: Reference point, as `reference`; None for that one.

        Raises:
            ConfigError: The reference lacks a cost or the value.
            UnknownNameError: It has another one.
        """
        volumes = np.zeros(len(self.queries))
        if not self.done:
            return volumes
        point = self.reference if reference is None else {name: real(name, of) for name, of in reference.items()}
        wanted = ("value", *(axis.name for axis in self.axes))
        self._check_names(point, wanted)
        if missing := [name for name in wanted if name not in point]:
            raise ConfigError(f"The reference point must have {', '.join(wanted)}; it lacks {missing[0]!r}.")
        low = self.costs.min(axis=0)
        span = self.costs.max(axis=0) - low
        end = (np.array([point[axis.name] for axis in self.axes]) - low) / span
        done: list[Query] = []
        for place, query in enumerate(self.queries):
            if query.value is not None:
                done.append(query)
                values, costs = self._points(done)
                scaled = (costs - low) / span
                volumes[place] = hypervolume(values, scaled, self.sign * point["value"], end, np.zeros(len(end)))
            elif place:
                volumes[place] = volumes[place - 1]
        return volumes

    @property
    def knee(self) -> Query:
        """The query on the front beyond which more cost buys the least: the highest above the line between its ends.

        Value and costs are scaled to [0, 1] over the front; of two costs their mean counts.

        Raises:
            StudyError: No query has completed.
        """
        members = self.members
        if not members:
            raise StudyError("The search has no front yet: no query has completed.")
        values, costs = self._points(members)
        gains = np.column_stack([values, costs])
        span = np.ptp(gains, axis=0)
        scaled = (gains - gains.min(axis=0)) / np.where(span > 0, span, 1.0)
        return members[int(np.argmax(scaled[:, 0] - scaled[:, 1:].mean(axis=1)))]

    def best_under(self, bounds: Mapping[str, float]) -> Query:
        """Return the best completed query whose costs are at most these; the earliest one on ties.

        Args:
            bounds: Largest value of some costs, by name, each included.

        Raises:
            ConfigError: No bound at all, or one that is no number.
            UnknownNameError: The search has no such cost.
            StudyError: No query keeps the bounds; the message has the cheapest.
        """
        self._check_names(bounds, tuple(axis.name for axis in self.axes))
        if not bounds:
            raise ConfigError(f"Name the largest {' or '.join(axis.name for axis in self.axes)}; got no bound.")
        limits = {name: real(name, value) for name, value in bounds.items()}
        columns = {axis.name: column for column, axis in enumerate(self.axes)}
        for query in self.members:
            if all(query.costs[columns[name]] <= limit for name, limit in limits.items()):
                return query
        asked = " and ".join(f"{name} at most {limit:g}" for name, limit in limits.items())
        cheapest = "; ".join(
            f"the least {axis.name} is {axis.told(min(query.costs[columns[axis.name]] for query in self.members))}"
            for axis in self.axes
            if self.members and axis.name in limits
        )
        raise StudyError(f"No completed query has {asked}" + (f": {cheapest}." if cheapest else "."))

    def to_json(self) -> dict[str, Any]:
        """Return the costs, the numbers of the queries on the front, and the hypervolume; JSON values."""
        known = bool(self.done)
        return {
            "costs": [{"name": axis.name, "unit": axis.unit} for axis in self.axes],
            "queries": [query.number for query in self.members],
            "knee": self.knee.number if known else None,
            "reference": self.reference if known else None,
            "hypervolume": self.hypervolume().tolist(),
        }

    def _check_names(self, given: Mapping[str, float], known: Sequence[str]) -> None:
        for name in given:
            if name not in known:
                raise unknown_name("cost", name, known, f"The search has no cost {name!r}")

    def _points(self, some: Sequence[Query]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values = np.array([self.sign * (query.value or 0.0) for query in some])
        return values, np.array([query.costs for query in some], dtype=np.float64)
