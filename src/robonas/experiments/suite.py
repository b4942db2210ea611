"""Suites: an experiment written down in TOML.

::

    budget = 20
    seeds = 10
    half_pools = true

    [[task]]
    table = "nb201-cifar10.parquet"        # beside the suite, in any known format
    objective = "val_acc_cifar10_12ep"
    final = "test_acc"
    cost = "train_seconds_12ep"
    against = "params"                     # cost to trade the objective off against; left out: none
    metrics = ["synflow", "jacov"]         # for strategies that name none; left out: all

    [[strategy]]
    name = "robot"

    [[strategy]]
    name = "auto"
    metrics = "all"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.common.settings import read_toml
from robonas.errors import ConfigError
from robonas.experiments.contenders import ALL, Contender
from robonas.experiments.tasks import Task
from robonas.tables import read_table

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

_TOP: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "budget": int,
    "seeds": (int, list),
    "half_pools": bool,
    "baselines": bool,
    "task": list,
    "strategy": list,
}
_TASK: Mapping[str, type | tuple[type, ...]] = {
    "table": str,
    "objective": str,
    "final": str,
    "cost": str,
    "metrics": list,
    "name": str,
    "budget": int,
    "against": (str, list),
    "format": str,
    "task": str,
    "higher_is_better": bool,
    "allow_test": bool,
}
_STRATEGY: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "label": str,
    "settings": dict,
    "metrics": (list, str),
}


_WORDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


@dataclass(frozen=True, eq=False)
class Suite:
    """The arguments of `run_experiment`, as a settings file gives them."""

    name: str
    """Name of the suite; by default the name of its file."""
    tasks: tuple[Task, ...]
    """On their tables."""
    contenders: tuple[Contender, ...]
    """Strategies."""
    settings: Mapping[str, Any]
    """``budget``, ``seeds``, ``half_pools`` and ``baselines``, as far as they are given."""


def load_suite(path: str | os.PathLike[str], strategies: Sequence[str] = ()) -> Suite:
    """Read a suite and its tables, which are found relative to it.

    Args:
        path: The file.
        strategies: Names of strategies in place of those of the suite, which needs none then.

    Raises:
        ConfigError: The file cannot be read, or has an unknown or missing setting, or one of another type.
        TableError: A table cannot be read, or lacks a column.
    """
    path = Path(path)
    content = read_toml(path, "suite")
    _check(content, _TOP, ("task",) if strategies else ("task", "strategy"), f"Suite '{path}'")
    tasks = []
    for number, entry in enumerate(content["task"], start=1):
        where = f"Task {number} of suite '{path}'"
        _check(entry, _TASK, ("table", "objective"), where)
        rest = dict(entry)
        table = read_table(
            path.parent / rest.pop("table"), format=rest.pop("format", None), task=rest.pop("task", None)
        )
        tasks.append(Task.from_table(table, **rest))
    contenders = []
    for number, entry in enumerate([{"name": name} for name in strategies] or content["strategy"], start=1):
        where = f"Strategy {number} of suite '{path}'"
        _check(entry, _STRATEGY, ("name",), where)
        metrics = entry.get("metrics")
        if isinstance(metrics, str) and metrics != ALL:
            raise ConfigError(f"{where} must have a list of metrics, or 'all'; got {metrics!r}.")
        contenders.append(
            Contender(
                entry["name"],
                entry.get("label", ""),
                entry.get("settings", {}),
                tuple(metrics) if isinstance(metrics, list) else metrics,
            )
        )
    settings: dict[str, Any] = {
        key: content[key] for key in ("budget", "seeds", "half_pools", "baselines") if key in content
    }
    return Suite(content.get("name", path.stem), tuple(tasks), tuple(contenders), settings)


def _check(entry: object, known: Mapping[str, type | tuple[type, ...]], needed: tuple[str, ...], where: str) -> None:
    """Raise unless these are settings of the right names and types."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} must be a table of settings; got {entry!r}.")
    for key, value in entry.items():
        if key not in known:
            raise ConfigError(f"{where} has an unknown setting {key!r}. Known: {', '.join(sorted(known))}.")
        kinds = known[key]
        wrong_bool = isinstance(value, bool) and kinds is not bool
        if wrong_bool or not isinstance(value, kinds):
            names = " or ".join(_WORDS[kind] for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
            raise ConfigError(f"{where} must have as {key!r} {names}; got {value!r}.")
        if (
            key in {"metrics", "against"}
            and isinstance(value, list)
            and not all(isinstance(name, str) for name in value)
        ):
            raise ConfigError(f"{where} must have texts in its list {key!r}; got {value!r}.")
    for key in needed:
        if not entry.get(key):
            raise ConfigError(f"{where} must have {key!r}; it has {', '.join(entry) or 'nothing'}.")
