"""The costs that a search trades its objective off against: known for every candidate without training.

| cost | meaning | unit |
|---|---|---|
| params, macs, memory | as `Limits` counts them | 1, 1, byte |
| latency | median time of a forward pass on this machine, timed as `Limits` times it | ms |
| a metric | its score, in its own unit; lower is better, whatever it is as a metric | |
| a mapping or a function | numbers of one's own, such as a phone's latencies | |

Costs are computed once for each isomorphism class. A measured time is never the same twice, so the costs of a pool are
kept in a file of the search, and those of a child that joins it with the query that it joins with.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import pandas as pd

from robonas.common.registry import lookup
from robonas.common.settings import plain
from robonas.errors import ArchitectureError, ConfigError, MetricError, ScoreTableError
from robonas.metrics import METRICS, Metric, Score, resolve_metrics
from robonas.objectives.base import Objective
from robonas.scores.columns import ScoreColumns, check_names
from robonas.scores.scoring import texts
from robonas.scores.table import ScoreTable
from robonas.strategies.scaling import min_max
from robonas.study.limits import Limits
from robonas.study.measurements import measure_each
from robonas.study.sharing import lock_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from robonas.architecture import Architecture
    from robonas.scores.scoring import Scorer
    from robonas.spaces import SearchSpace

_COSTS = {
    "params": ("params", ""),
    "macs": ("macs", ""),
    "memory": ("memory", "byte"),
    "latency": ("latency_ms", "ms"),
}
"""Measure of `Limits` and unit of each cost that is counted or timed."""
_HOW = {
    "memory": ("batch_size",),
    "latency": ("latency_batch_size", "device", "warm_up", "repeats"),
}
"""Settings of `Limits` on which a cost depends."""


AgainstLike: TypeAlias = "str | Metric | Mapping[str, float] | pd.Series | Callable[[Architecture], float | None]"
"""A cost as a user names it; see `costs_of`."""


@dataclass(frozen=True, eq=False)
class Cost:
    """A number for every architecture that needs no training; lower is better."""

    name: str
    """Name of the cost, such as ``"params"``."""
    unit: str = ""
    """Unit, such as ``"ms"``; empty for a count."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """Settings on which its values depend; JSON values."""
    compute: Callable[[SearchSpace, Architecture], object] | None = None
    """Function of the space and an architecture; None for a metric."""
    metric: Metric | None = None
    """The metric; None for all others."""
    measured: str | None = None
    """Name in `robonas.costs.measuring` of a cost that is measured on networks, in worker processes; None for all
    others."""

    @property
    def settings(self) -> dict[str, Any]:
        """Name, unit and how it is measured; JSON values."""
        return {"name": self.name, "unit": self.unit, **self.how}


def costs_of(against: object, objective: Objective, limits: Limits | None) -> tuple[Cost, ...]:
    """Return the costs that a user names.

    Args:
        against: One or two of: ``"params"``, ``"macs"``, ``"latency"``, ``"memory"``, a metric or its name, a mapping
            or Series from texts of architectures to numbers, a function of an architecture; None for no cost.
        objective: Objective of the search.
        limits: Limits of the search, whose settings say how time and memory are measured.

    Raises:
        ConfigError: More than two costs, two of the same name, or something that is no cost.
        UnknownNameError: There is no such cost.
    """
    if against is None:
        return ()
    given = list(against) if isinstance(against, list | tuple) else [against]
    if not 1 <= len(given) <= 2:
        raise ConfigError(f"`against` must name one or two costs; got {len(given)}.")
    costs = tuple(_cost(one, objective, limits or Limits()) for one in given)
    if any(cost.name == "value" for cost in costs):
        raise ConfigError(
            "A cost cannot be called 'value', as the objective's value is; rename the function or Series."
        )
    check_names(cost.name for cost in costs)
    if len({cost.name for cost in costs}) < len(costs):
        raise ConfigError(
            f"`against` must name two different costs; got {costs[0].name!r} twice. A Series has a name of its own."
        )
    return costs


def _cost(given: object, objective: Objective, limits: Limits) -> Cost:
    if isinstance(given, Objective) or (isinstance(given, str) and given in {objective.value_name, objective.name}):
        raise ConfigError(
            f"`against` must name costs that are known without training; {given!r} is evaluated by queries. Use "
            "params, macs, latency, memory or a metric."
        )
    if isinstance(given, str) and given in _COSTS:
        cost, unit = _COSTS[given]
        how = {setting: getattr(limits, setting) for setting in _HOW.get(given, ())}
        return Cost(given, unit, how, lambda space, one: limits.cost(space, one, cost), measured=cost)
    if isinstance(given, str) and ":" not in given:
        lookup("cost", given, {**METRICS, **dict.fromkeys(_COSTS)})
    if isinstance(given, str | Metric):
        (metric,) = resolve_metrics([given])
        return Cost(metric.name, how={"metric": metric.name}, metric=metric)
    if isinstance(given, Mapping | pd.Series):
        return _from_numbers(given)
    if callable(given) and not isinstance(given, type):
        name = str(getattr(given, "__name__", type(given).__name__))
        shown = name if name.isidentifier() else "cost"  # a lambda has no name
        return Cost(shown, how={"function": name}, compute=lambda _, architecture: given(architecture))
    raise ConfigError(
        "`against` must be params, macs, latency, memory, a metric, a mapping from texts of architectures to numbers "
        f"or a function of an architecture, or two of them; got {given!r}."
    )


def _from_numbers(given: Mapping[Any, Any] | pd.Series) -> Cost:
    """Return the cost that a mapping or Series tells; an architecture has that of any isomorphic one."""
    entries = [(str(text), value) for text, value in given.items()]
    if not entries:
        raise ConfigError("`against` must map texts of architectures to numbers; got an empty mapping.")
    for text, value in entries:
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise ConfigError(f"`against` must map texts of architectures to numbers; got {value!r} for {text!r}.")
    name = str(getattr(given, "name", None) or "cost")
    digest = hashlib.blake2b(json.dumps([[text, repr(value)] for text, value in entries]).encode(), digest_size=16)
    known: dict[Architecture, float | None] = {}

    def compute(space: SearchSpace, architecture: Architecture) -> float | None:
        if not known:
            try:
                for text, value in entries:
                    known.setdefault(space.canonical(space.parse(text)), value)
            except ArchitectureError as error:
                raise ConfigError(f"`against` has a text that is no architecture of the space. {error}") from error
        return known.get(space.canonical(architecture))

    return Cost(name, how={"numbers": digest.hexdigest()}, compute=compute)


@dataclass(frozen=True, eq=False)
class CostMeter:
    """The costs of a search, and what they are computed with."""

    space: SearchSpace
    """Space of the candidates."""
    costs: tuple[Cost, ...]
    """One or two costs."""
    scorer: Scorer | None = None
    """Scorer of those that are metrics; None where none is."""
    n_jobs: int = 1
    """Worker processes that measure; 0 measures in this process."""
    form: Callable[[Architecture], Architecture] | None = None
    """Function from a candidate to the architecture that stands for all that are one query with it; None for its
    canonical form."""

    def table(self, some: Sequence[str]) -> ScoreTable:
        """Return the costs of architectures, by their texts, a column a cost; NaN where undefined, with the reason.

        Raises:
            ConfigError: A user's function fails, or returns no number.
        """
        pairs = texts(self.space, some, self.form)
        metrics = [cost.metric for cost in self.costs if cost.metric is not None]
        found = ScoreColumns()
        if metrics:
            assert self.scorer is not None
            scored = self.scorer.score(some, metrics)
            for row, (_, canonical) in enumerate(pairs):
                for column, metric in enumerate(metrics):
                    if not found.has(canonical, metric.name):  # the first one's, which is the one that is asked for
                        cost_of_row = _score(scored.scores[row, column], scored.reason(row, metric.name))
                        found.add(canonical, {metric.name: cost_of_row})
        classes: dict[str, Architecture] = {}
        for text, canonical in pairs:
            if canonical not in classes:
                classes[canonical] = self.space.canonical(self.space.parse(text))
        for cost in self.costs:
            if cost.compute is None:
                continue
            if cost.measured is not None:
                values = self._measured(cost, cost.measured, list(classes.values()))
            else:
                values = {one: self._one(cost, one) for one in classes.values()}
            for canonical, one in classes.items():
                found.add(canonical, {cost.name: values[one]})
        origin = {"space": {"name": self.space.reference, "settings": self.space.settings}}
        return ScoreTable.from_columns(pairs, found, [cost.name for cost in self.costs], origin)

    def _measured(self, cost: Cost, name: str, some: Sequence[Architecture]) -> dict[Architecture, Score]:
        """Measure a cost on networks in worker processes, so that a network that ends its process has none."""
        compute = cost.compute
        assert compute is not None

        def measure(space: SearchSpace, architecture: Architecture, _: str) -> float:
            return cast("float", compute(space, architecture))

        known = measure_each(self.space, some, [name], measure, n_jobs=self.n_jobs)
        return {one: _score(known[one].numbers.get(name, math.nan), known[one].reason) for one in some}

    def _one(self, cost: Cost, architecture: Architecture) -> Score:
        assert cost.compute is not None
        try:
            value = cost.compute(self.space, architecture)
        except (ArchitectureError, MetricError) as error:
            return _score(math.nan, str(error))
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"Cost {cost.name!r} failed for {self.space.format(architecture)}: {type(error).__name__}: {error}. "
                "Let it return None where there is no cost."
            ) from error
        if value is None:
            return _score(math.nan, "it was given no number")
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            raise ConfigError(
                f"Cost {cost.name!r} must be a number for every architecture; got {value!r} for "
                f"{self.space.format(architecture)}."
            )
        return _score(float(value), "it is not finite")

    def fixed(self, pairs: Sequence[tuple[str, str]], settings: Mapping[str, Any], file: Path | None) -> ScoreTable:
        """Return the costs of a pool: those of its file, where that is of the same search, else computed now.

        They are written where there is no file. One of another search stays: the study tells whether it is in use.

        Raises:
            ConfigError: There is nothing to trade off; see `check_costs`.

        Args:
            pairs: Texts of the candidates and of their canonical forms.
            settings: Settings of the search.
            file: The file; None for no file.
        """
        origin = plain({key: settings[key] for key in ("space", "limits", "pool", "seed", "against")})
        some = [text for text, _ in pairs]
        if file is None:
            table = self._noted(some, origin)
            check_costs(table)
            return table
        with lock_of(file):  # who starts at the same time waits, since two measurements differ
            try:
                known = ScoreTable.read(file)
            except FileNotFoundError:
                table = self._noted(some, origin)
                check_costs(table)
                table.write(file)
                return table
        same = known.provenance == origin and known.architectures == tuple(some)
        table = known if same else self._noted(some, origin)
        check_costs(table)
        return table

    def _noted(self, some: Sequence[str], origin: Mapping[str, Any]) -> ScoreTable:
        table = self.table(some)
        return ScoreTable(table.frame, table.metrics, origin)


def _score(value: float, reason: str | None) -> Score:
    return Score(float(value)) if math.isfinite(value) else Score(math.nan, reason)


def by_class(table: ScoreTable) -> dict[str, tuple[float, ...]]:
    """Return the costs of each canonical text of which all are defined."""
    rows = zip(table.frame["canonical"], table.scores.tolist(), strict=True)
    return {canonical: tuple(costs) for canonical, costs in rows if all(map(math.isfinite, costs))}


def count_undefined(table: ScoreTable) -> dict[str, int]:
    """Return how many candidates have no cost, by the first cost that is undefined, such as ``"latency undefined"``."""
    undefined = ~np.isfinite(table.scores)
    first = [table.metrics[column] for column in np.argmax(undefined[undefined.any(axis=1)], axis=1)]
    return {f"{name} undefined": first.count(name) for name in table.metrics if name in first}


def check_costs(table: ScoreTable) -> None:
    """Raise unless there is something to trade off.

    Raises:
        ConfigError: No candidate has all costs, all have the same, or two costs differ by their unit only.
    """
    defined = np.isfinite(table.scores).all(axis=1)
    if not defined.any():
        missing = [name for name in table.metrics if table.reason(0, name)]
        why = f" The first one's {missing[0]}: {table.reason(0, missing[0])}." if missing else ""
        raise ConfigError(f"No candidate has a value of {' and '.join(table.metrics)}, so there is no cost.{why}")
    costs = table.scores[defined]
    for name, column in zip(table.metrics, costs.T, strict=True):
        if column.min() == column.max():
            raise ConfigError(
                f"Cost {name!r} is {column[0]:.6g} for all {len(costs):,} candidates, so there is nothing to trade "
                "off. Search without it, or take another pool."
            )
    scaled = min_max(costs)
    if costs.shape[1] == 2 and np.allclose(scaled[:, 0], scaled[:, 1], rtol=0, atol=1e-9):
        one, other = table.metrics
        raise ConfigError(f"Costs {one!r} and {other!r} are the same for every candidate but for their unit; name one.")


def read_costs(file: Path) -> ScoreTable:
    """Read the costs of a search's pool.

    Raises:
        ScoreTableError: They are missing or damaged.
    """
    try:
        return ScoreTable.read(file)
    except FileNotFoundError as error:
        raise ScoreTableError(
            f"The costs of the search are missing: there is no '{file}'. Restore the file."
        ) from error


def costs_file(name: str) -> str:
    """Return the name of the file with the costs of a study's pool, in the search's folder."""
    return f"{name}.costs.parquet"
