"""A search's space and strategy, made again from what its study says, or from what the user gives for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.common.registry import recorded_arguments, recorded_name
from robonas.errors import StudyError
from robonas.spaces import SPACES, SearchSpace, make_space
from robonas.strategies import STRATEGIES, Strategy, make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def made_again(
    settings: Mapping[str, Any], place: Path, space: SearchSpace | str | None, strategy: Strategy | str | None
) -> tuple[SearchSpace, Strategy]:
    """Return the space and the strategy of a search; code that only its folder names is never imported.

    Args:
        settings: Settings of the search, as its study has them.
        place: Its folder, for errors.
        space: The space, or the name by which the user gives it; None for what the study says.
        strategy: Likewise.

    Raises:
        StudyError: The settings are damaged.
        ConfigError: The study names a space or strategy that is not one of robonas's, and none is given.
    """
    try:
        made = {what: (settings[what]["name"], recorded_arguments(settings[what])) for what in ("space", "strategy")}
        int(settings["seed"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"The search in '{place}' is damaged: its settings lack {error}.") from error

    def named(kind: str, what: str, known: Iterable[str]) -> str:
        return recorded_name(kind, made[what][0], place, known, f"--{what}", f"load_result(..., {what}=...)")

    if not isinstance(space, SearchSpace):
        space = make_space(space or named("search space", "space", SPACES), **made["space"][1])
    if not isinstance(strategy, Strategy):
        strategy = make_strategy(strategy or named("strategy", "strategy", STRATEGIES), **made["strategy"][1])
    return space, strategy
