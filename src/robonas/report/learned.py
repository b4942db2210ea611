"""The report's further numbers: how exact the value is, each metric by itself, and values against sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.report.numbers import FEWEST, rank_correlation
from robonas.strategies.fronts import is_on_front

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

_Z = 1.959963984540054
"""Normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Noise:
    """The range of values that the winner may truly have, as far as the number of held-out samples tells."""

    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    samples: int
    """Number of held-out samples on which the value was measured."""


def noise(result: SearchResult) -> Noise | None:
    """Return the interval of the best value for the number of held-out samples; None where it is no accuracy.

    Wilson's interval of a share p of n samples: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), z = 1.96. It holds
    for one network. The best of several is chosen by its value, so its true value tends to lie in the lower half.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.
    """
    measure = objective_settings(result).get("measure")
    n = data_of(result).get("validation")
    if measure != "accuracy" or not isinstance(n, int) or n < 1 or all(query.value is None for query in result.queries):
        return None
    p = result.value
    if not 0 <= p <= 1:
        return None
    centre = p + _Z**2 / (2 * n)
    reach = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return Noise(max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale), n)


def objective_settings(result: SearchResult) -> Mapping[str, Any]:
    """Return the settings of the objective, as the study has them; {} where there are none."""
    objective = result.settings.get("objective")
    settings = objective.get("settings") if isinstance(objective, dict) else None
    return settings if isinstance(settings, dict) else {}


def data_of(result: SearchResult) -> dict[str, Any]:
    """Return what is known of the data; None for each fact that is not known, or of another kind than it should be."""
    kinds = {"name": str, "task": str, "input_shape": list, "outputs": int}
    return _facts(result.provenance.get("data"), {**kinds, "samples": int, "training": int, "validation": int})


def sessions_of(result: SearchResult) -> list[dict[str, Any]]:
    """Return the first session of the search, and the latest where it is another; none where none was noted."""
    kinds = {"date": str, "command": str, "folder": str, "machine": dict, "versions": dict}
    machine = {"name": str, "system": str, "processor": str, "cores": int, "gpu": str}
    found = []
    for which in ("first", "latest"):
        session = _facts(result.provenance.get(which), kinds)
        if any(session.values()):
            versions = session["versions"] or {}
            found.append({**session, "machine": _facts(session["machine"], machine), "versions": versions})
    return found[:1] if len(found) == 2 and found[0] == found[1] else found


def _facts(found: object, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return these entries of what a file holds, None for those that are missing or of another kind."""
    entries = found if isinstance(found, dict) else {}
    return {key: entries[key] if isinstance(entries.get(key), kind) else None for key, kind in kinds.items()}


# ── metrics by themselves ──


@dataclass(frozen=True)
class Own:
    """The agreement of one metric, by itself, with the values of the evaluated candidates."""

    metric: str
    """Its name."""
    spearman: float | None
    """Rank correlation of its raw score with the value, positive where higher went with better; None if undefined."""
    n: int
    """Number of candidates with both."""


def own_correlations(result: SearchResult) -> tuple[Own, ...]:
    """Return each metric's own rank correlation with the completed queries' values, in the order of the metrics.

    The queried candidates were chosen by their scores, so this is a biased view of the correlation over the pool.
    """
    done = [query for query in result.queries if query.value is not None]
    sign = 1.0 if result.direction == "maximize" else -1.0
    values = np.array([sign * float(query.value or 0.0) for query in done], dtype=np.float64)
    found = []
    for place, name in enumerate(result.scores.metrics):
        scores = np.array([result.scores.scores[query.row, place] for query in done], dtype=np.float64)
        both = np.isfinite(scores) & np.isfinite(values)
        rho, _, _ = rank_correlation(scores[both], values[both], resamples=0)
        found.append(Own(name, rho, int(both.sum())))
    return tuple(found)


def correlations(result: SearchResult) -> pd.DataFrame | None:
    """Return the rank correlations of the metrics over the pool, and of each with the completed queries' values.

    None where there are fewer than two metrics. Fewer than 10 values are left out.
    """
    if len(result.scores.metrics) < 2:
        return None
    n_values = sum(query.value is not None for query in result.queries)
    if result.value_name in result.scores.metrics or n_values < FEWEST:
        return result.scores.correlations()
    sign = 1.0 if result.direction == "maximize" else -1.0
    values = np.full(len(result.scores), np.nan)
    for query in result.queries:
        if query.value is not None:
            values[query.row] = sign * query.value
    name = result.value_name if sign > 0 else f"{result.value_name} (turned)"
    return result.scores.correlations(values, name=name)


# ── sizes ──


@dataclass(frozen=True)
class Size:
    """The size of one query's network."""

    parameters: float | None
    """Number of parameters; None where unknown."""
    macs: float | None
    """Multiply-accumulates of one sample; None where unknown."""


def sizes(result: SearchResult) -> tuple[Size, ...]:
    """Return the size of each query's network, as far as it is known without building one.

    It was counted when the network was trained; else it is a cost of the search, or the metric ``params`` tells it.
    """
    return tuple(_size(result, query) for query in result.queries)


def _size(result: SearchResult, query: Query) -> Size:
    costs = dict(zip((axis.name for axis in result.axes), query.costs, strict=False))
    counted: Mapping[str, int | None] = query.size or {}
    parameters = _first(counted.get("parameters"), costs.get("params"), _millions(result, query))
    return Size(parameters, _first(counted.get("macs"), costs.get("macs")))


def _millions(result: SearchResult, query: Query) -> float | None:
    """Return the number of parameters by the metric ``params``, which counts millions; None where it was not asked."""
    if "params" not in result.scores.metrics:
        return None
    score = float(result.scores.scores[query.row, result.scores.metrics.index("params")])
    return score * 1e6 if math.isfinite(score) else None


def _first(*numbers: float | None) -> float | None:
    return next((float(number) for number in numbers if number is not None), None)


@dataclass(frozen=True, eq=False)
class SizePoints:
    """Values of the completed queries against the sizes of their networks."""

    what: str
    """``"parameters"`` or ``"MACs"``."""
    numbers: NDArray[np.int64]
    """Numbers of the queries, (n,)."""
    sizes: NDArray[np.float64]
    """Sizes, (n,), positive."""
    values: NDArray[np.float64]
    """Values in the objective's own direction, (n,)."""
    front: NDArray[np.bool_]
    """Which of them no other one beats in both, (n,)."""


def size_points(result: SearchResult) -> SizePoints | None:
    """Return the completed queries by size and value; None for fewer than two, or where all have one size."""
    known = sizes(result)
    for what, key in (("parameters", "parameters"), ("MACs", "macs")):
        pairs = [
            (query.number, size, query.value)
            for query, each in zip(result.queries, known, strict=True)
            if query.value is not None and (size := getattr(each, key)) is not None and size > 0
        ]
        if len(pairs) < 2 or len({size for _, size, _ in pairs}) < 2:
            continue
        numbers, at, values = (np.array(column) for column in zip(*pairs, strict=True))
        front = is_on_front(values if result.direction == "maximize" else -values, at[:, None])
        return SizePoints(what, numbers.astype(np.int64), at.astype(np.float64), values.astype(np.float64), front)
    return None
