"""The catalogues as rows of facts, for `robonas list` and for the documentation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row = dict[str, Any]


def metrics() -> list[Row]:
    """Every metric's card."""
    from robonas.metrics import METRICS

    return [
        {
            "name": name,
            "meaning": metric.meaning,
            "better": "higher" if metric.higher_is_better else "lower",
            "labels": "yes" if metric.needs_labels else "no",
            "cost": metric.cost,
            "formula": metric.formula,
            "range": f"{metric.bounds[0]:g} to {metric.bounds[1]:g}",
            "reads": ", ".join(sorted(need.value for need in metric.needs)) or "nothing",
            "source": metric.source,
            "weaknesses": metric.weaknesses,
        }
        for name, metric in METRICS.items()
    ]


def spaces() -> list[Row]:
    """Every search space."""
    from robonas.spaces import SPACES

    return [
        {"name": name, "about": _first_line(entry), "settings": _parameters(entry)} for name, entry in SPACES.items()
    ]


def strategies() -> list[Row]:
    """Every strategy."""
    from robonas.strategies import STRATEGIES

    return [
        {
            "name": name,
            "about": _first_line(entry),
            "reads scores": "yes" if entry.uses_scores else "no",
            "settings": _parameters(entry),
        }
        for name, entry in STRATEGIES.items()
    ]


def datasets() -> list[Row]:
    """Every kind of data."""
    from robonas.datasets import DATASETS

    return [
        {"name": f"{name}:{entry.place}" if entry.place else name, "about": entry.meaning}
        for name, entry in DATASETS.items()
    ]


def _first_line(entry: object) -> str:
    return (inspect.getdoc(entry) or "").split("\n\n")[0].replace("\n", " ")


def _parameters(entry: Callable[..., object]) -> str:
    parameters = inspect.signature(entry).parameters.values()
    told = [
        f"{p.name}={p.default!r}" if p.default is not p.empty else p.name
        for p in parameters
        if p.kind is not p.VAR_KEYWORD
    ]
    return ", ".join(told)


BRIEF = ("name", "meaning", "about", "better", "labels", "cost", "reads scores", "settings")
"""Columns of a table of many entries; a card of one has all."""
LISTINGS: Mapping[str, Callable[[], list[Row]]] = {
    "datasets": datasets,
    "metrics": metrics,
    "spaces": spaces,
    "strategies": strategies,
}
"""What can be listed, by name."""
