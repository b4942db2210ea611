"""Search strategies: which candidate deserves the next evaluation.

Adding one: a file beside this one with a subclass of `Strategy`, and a line in `STRATEGIES`. The laws in `tests/laws`
find it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.common.registry import import_object, lasting_reference, lookup, matching
from robonas.errors import ConfigError
from robonas.strategies.auto import Auto
from robonas.strategies.base import Problem, Proposal, Strategy, Summary, Trial, check_history, incumbent
from robonas.strategies.evolution import Evolution
from robonas.strategies.gp import Gp
from robonas.strategies.hnas import Hnas
from robonas.strategies.local_search import LocalSearch
from robonas.strategies.nsga2 import Nsga2
from robonas.strategies.random_search import RandomSearch
from robonas.strategies.rankings import AverageRank, SingleMetric
from robonas.strategies.reinforce import Reinforce
from robonas.strategies.robot import Robot
from robonas.strategies.tpe import Tpe

if TYPE_CHECKING:
    from collections.abc import Mapping

STRATEGIES: Mapping[str, type[Strategy]] = {
    "auto": Auto,
    "average_rank": AverageRank,
    "evolution": Evolution,
    "gp": Gp,
    "hnas": Hnas,
    "local_search": LocalSearch,
    "nsga2": Nsga2,
    "random": RandomSearch,
    "reinforce": Reinforce,
    "robot": Robot,
    "single_metric": SingleMetric,
    "tpe": Tpe,
}
"""Every strategy by name."""


def list_strategies(pattern: str = "*") -> list[str]:
    """Return the names of all search strategies that match a pattern.

    Args:
        pattern: A name with ``*`` and ``?`` as in a shell.

    Example:
        >>> list_strategies("r*")
        ['random', 'reinforce', 'robot']
    """
    return matching(pattern, STRATEGIES)


def make_strategy(name: str | Strategy, **settings: Any) -> Strategy:
    """Return the strategy of a name, or the user's own as ``package.module:NAME``.

    Args:
        name: A name in `STRATEGIES`, a reference to a `Strategy` or to a class or function that makes one, or
            a strategy, which is returned as it is.
        settings: Arguments of its constructor.

    Raises:
        UnknownNameError: There is no such strategy.
        ConfigError: It does not take these settings, or is not a strategy.
    """
    found = (
        name
        if isinstance(name, Strategy)
        else import_object("strategy", name)
        if ":" in name
        else lookup("strategy", name, STRATEGIES)
    )
    if isinstance(found, Strategy):
        if settings:
            raise ConfigError(
                f"Strategy {found.name!r} is made already; it cannot take the settings {', '.join(settings)}."
            )
        if isinstance(name, str):
            found.reference = lasting_reference(name)
        return found
    if not callable(found):
        raise ConfigError(f"Strategy {name!r} must be a Strategy or make one; got a {type(found).__name__}.")
    try:
        strategy = found(**settings)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ConfigError(f"Strategy {name!r} does not take these settings: {error}.") from error
    if not isinstance(strategy, Strategy):
        raise ConfigError(f"Strategy {name!r} must make a Strategy; it made a {type(strategy).__name__}.")
    strategy.reference = lasting_reference(str(name))
    return strategy


__all__ = [
    "STRATEGIES",
    "Auto",
    "AverageRank",
    "Evolution",
    "Gp",
    "Hnas",
    "LocalSearch",
    "Nsga2",
    "Problem",
    "Proposal",
    "RandomSearch",
    "Reinforce",
    "Robot",
    "SingleMetric",
    "Strategy",
    "Summary",
    "Tpe",
    "Trial",
    "check_history",
    "incumbent",
    "list_strategies",
    "make_strategy",
]
