"""A search's space and strategy, made again from what its study says, or from what the user gives for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.common.registry import recorded_arguments, recorded_name, to_paste
from robonas.errors import ConfigError, StudyError
from robonas.spaces import SPACES, SearchSpace, make_space
from robonas.strategies import STRATEGIES, Problem, Proposal, Strategy, Trial, make_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CALL = "load_result(..., {}=...)"


class StrategyNotGiven(Strategy):
    """The stand-in for a strategy of the user's own, where a finished search is looked at without its code.

    Args:
        reference: Name of the strategy, as the study has it.
        settings: Its settings, as the study has them.
    """

    name = "not given"

    def __init__(self, reference: str, settings: Mapping[str, Any]) -> None:
        self.reference = reference
        self._settings = dict(settings)

    @classmethod
    def named(cls, reference: str, settings: Mapping[str, Any]) -> StrategyNotGiven:
        """Return the stand-in for a strategy, with a name by which a report can call it."""
        own: type[StrategyNotGiven] = type(cls.__name__, (cls,), {"name": Path(reference).name or reference})
        return own(reference, settings)

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:  # noqa: ARG002
        """Refuse, since its choice is not known."""
        raise ConfigError(f"Strategy {self.reference!r} is not given; name it yourself: {self.how}.")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the study has."""
        return self._settings

    @property
    def how(self) -> str:
        """Ways in which the user gives it, to be pasted."""
        return to_paste(self.reference, "--strategy", _CALL.format("strategy"))


def made_again(
    settings: Mapping[str, Any], place: Path, space: SearchSpace | str | None, strategy: Strategy | str | None
) -> tuple[SearchSpace, Strategy]:
    """Return the space and the strategy of a search; code that only its folder names is never imported.

    Its networks cannot be built without the space. A strategy that is not one of robonas's is left out where it is
    not given: see `StrategyNotGiven`.

    Args:
        settings: Settings of the search, as its study has them.
        place: Its folder, for errors.
        space: The space, or the name by which the user gives it; None for what the study says.
        strategy: Likewise.

    Raises:
        StudyError: The settings are damaged.
        ConfigError: The study names a space that is not one of robonas's, and none is given.
    """
    try:
        made = {what: (settings[what]["name"], recorded_arguments(settings[what])) for what in ("space", "strategy")}
        int(settings["seed"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"The search in '{place}' is damaged: its settings lack {error}.") from error
    if not isinstance(space, SearchSpace):
        name, arguments = made["space"]
        call = _CALL.format("space")
        space = make_space(space or recorded_name("search space", name, place, SPACES, "--space", call), **arguments)
    if not isinstance(strategy, Strategy):
        name, arguments = made["strategy"]
        if not strategy and isinstance(name, str) and name not in STRATEGIES:
            return space, StrategyNotGiven.named(name, arguments)
        call = _CALL.format("strategy")
        strategy = strategy or recorded_name("strategy", name, place, STRATEGIES, "--strategy", call)
        strategy = make_strategy(strategy, **arguments)
    return space, strategy
