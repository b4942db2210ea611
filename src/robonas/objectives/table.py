"""`table`: a query is answered by a recorded value."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives.base import Evaluation, Objective, Report
from robonas.objectives.function import check_direction
from robonas.objectives.values import finite_number

if TYPE_CHECKING:
    import pandas as pd

    from robonas.architecture import Architecture
    from robonas.spaces import SearchSpace

_FINAL = re.compile(r"(?<![a-zA-Z])(test|final)", re.IGNORECASE)


class TableObjective(Objective):
    """Looks an architecture up by its text, as ``space.format`` or ``str`` gives it, and then by its canonical one's.

    The exact text comes first: a benchmark may hold another measurement for each of several isomorphic architectures.

    A column whose name says that it is a test or final measure cannot be an objective by accident: choosing by it, and
    then reporting it, is no longer a measurement of anything. `allow_test` lifts that.

    Args:
        values: Values by architecture text: a mapping, a Series whose index holds the texts, or a DataFrame. A value
            that is not a finite number makes its architecture a failed evaluation, when it is asked for.
        column: The DataFrame's column of values.
        key: The DataFrame's column of texts; None if they are its index.
        costs: Recorded seconds by architecture text: a mapping or a Series, or the DataFrame's column. None counts no
            time.
        direction: ``"maximize"`` where a larger value is better, else ``"minimize"``.
        name: Name of the value; by default the name of the column.
        allow_test: True to allow a test or final measure as the objective.

    Raises:
        ConfigError: No such column, a key that is no text or occurs twice, an empty table, or a test column.

    Example:
        >>> from robonas.spaces import NASBench201
        >>> space = NASBench201()
        >>> table = TableObjective({space.format(space.at(0)): 81.9}, costs={space.format(space.at(0)): 86.7})
        >>> table.evaluate(space, space.at(0), seed=0)
        Evaluation(value=81.9, seconds=86.7)
    """

    name = "table"

    def __init__(
        self,
        values: Mapping[str, float] | pd.Series[Any] | pd.DataFrame,
        *,
        column: str | None = None,
        key: str | None = None,
        costs: Mapping[str, float] | pd.Series[Any] | str | None = None,
        direction: Literal["maximize", "minimize"] = "maximize",
        name: str | None = None,
        allow_test: bool = False,
    ) -> None:
        if isinstance(values, Mapping):
            if column is not None or key is not None or isinstance(costs, str):
                raise ConfigError(
                    "`column`, `key` and a name for `costs` are for a DataFrame; the values are a mapping."
                )
            self.values = _by_text(values)
            label = None
        else:
            series, costs = _series(values, column, key, costs)
            label = None if series.name is None else str(series.name)
            self.values = _unique(series)
        if not self.values:
            raise ConfigError("A table must hold at least one architecture; it is empty.")
        self.value_name = name or label or "value"
        for said in (label, name):
            if said is not None and _FINAL.search(said) and not allow_test:
                raise ConfigError(
                    f"Objective {said!r} is a test or final measure; a search that looks at it is not judged by it "
                    "any more. "
                    "Take a validation measure, or say allow_test=True."
                )
        if isinstance(costs, str):
            raise ConfigError(f"A name for `costs`, {costs!r}, needs a DataFrame with such a column.")
        self.costs: dict[str, Any] | None = None
        if costs is not None:
            self.costs = _by_text(costs) if isinstance(costs, Mapping) else _unique(costs)
        self.direction = check_direction(direction)
        self._fingerprint = _fingerprint(self.values, self.costs)

    @property
    def settings(self) -> dict[str, Any]:
        """Name and direction of the values, and a hash of all of them."""
        return {"value": self.value_name, "n": len(self.values), "table": self._fingerprint}

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Look the architecture up; see `Objective.evaluate`. The seed changes nothing.

        Raises:
            ObjectiveError: The table does not hold it, or no finite number for it.
        """
        del seed, report
        canonical = space.canonical(architecture)
        texts = (space.format(architecture), str(architecture), space.format(canonical), str(canonical))
        found = next((text for text in texts if text in self.values), None)
        if found is None:
            near = difflib.get_close_matches(texts[0], list(self.values)[:20_000], n=1)
            hint = f" The nearest that it holds is {near[0]!r}." if near else ""
            raise ObjectiveError(f"The table of {len(self.values):,} architectures does not hold {texts[0]!r}.{hint}")
        value = finite_number(self.values[found], f"The table's {self.value_name!r} of {found!r}")
        cost = 0.0 if self.costs is None else self.costs.get(found, math.nan)
        return Evaluation(value, finite_number(cost, f"The table's cost of {found!r}"))


def _series(
    values: Any, column: str | None, key: str | None, costs: Any
) -> tuple[pd.Series[Any], Mapping[str, float] | pd.Series[Any] | None]:
    """Return the values and costs by text, from a Series or from the columns of a DataFrame."""
    import pandas as pd

    if isinstance(values, pd.Series):
        if column is not None or key is not None:
            raise ConfigError("`column` and `key` are for a DataFrame; the values are a Series.")
        return values, costs
    if not isinstance(values, pd.DataFrame):
        raise ConfigError(f"`values` must be a mapping, a Series or a DataFrame; got a {type(values).__name__}.")
    known = ", ".join(map(str, values.columns))
    if column is None:
        raise ConfigError(f"A DataFrame needs `column`, the column of values; it has {known}.")
    for wanted in (column, key, costs if isinstance(costs, str) else None):
        if wanted is not None and wanted not in values.columns:
            near = difflib.get_close_matches(wanted, [str(name) for name in values.columns], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"The table has no column {wanted!r}.{hint} It has {known}.")
    frame = values if key is None else values.set_index(key)
    return frame[column], frame[costs] if isinstance(costs, str) else costs


def _unique(series: pd.Series[Any]) -> dict[str, Any]:
    """Return the series as a dictionary; a text that occurs twice has no one value."""
    repeated = series.index[series.index.duplicated()]
    if len(repeated):
        raise ConfigError(f"A table must hold every architecture once; {str(repeated[0])!r} occurs twice.")
    return _by_text(dict(zip(series.index, series.tolist(), strict=True)))


def _by_text(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values in a dictionary of their own; what is no text names no architecture."""
    others = [key for key in values if not isinstance(key, str)]
    if others:
        raise ConfigError(
            f"A table must have the texts of architectures as its keys; got {others[0]!r}. Name their column with "
            "`key` in a DataFrame, or take `str` of each architecture in a mapping."
        )
    return dict(values)


def _fingerprint(values: dict[str, Any], costs: dict[str, Any] | None) -> str:
    """Return a short hash of texts, values and costs in the order of the texts."""
    rows = [[text, repr(values[text]), repr((costs or {}).get(text))] for text in sorted(values)]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()
