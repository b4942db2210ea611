"""The catalogues as rows of facts, for `robonas list` and for the documentation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]


def metrics() -> Sequence[Row]:
    """Every metric's card."""
    from robonas.metrics import METRICS

    return [metric.card() for metric in METRICS.values()]


def spaces() -> Sequence[Row]:
    """Every search space."""
    from robonas.spaces import SPACES

    return [
        {"name": name, "about": _first_line(entry), "settings": _parameters(entry)} for name, entry in SPACES.items()
    ]


def strategies() -> Sequence[Row]:
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


def datasets() -> Sequence[Row]:
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


BRIEF = ("name", "meaning", "about", "direction", "cost", "reads scores", "settings")
"""Columns of a table of many entries; a card of one has all."""
LISTINGS: Mapping[str, Callable[[], Sequence[Row]]] = {
    "datasets": datasets,
    "metrics": metrics,
    "spaces": spaces,
    "strategies": strategies,
}
"""What can be listed, by name."""
