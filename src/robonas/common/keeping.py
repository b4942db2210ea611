"""A word for whoever stops a call by Ctrl-C: what was finished is kept."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
R = TypeVar("R")
NOTE = "Finished work is kept: make the same call again to go on."


def tells_what_is_kept(is_kept: Callable[[Mapping[str, Any]], object]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function that keeps finished work say so below the traceback of a KeyboardInterrupt.

    Args:
        is_kept: Function from the keyword arguments to whether there is a place that keeps it.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*arguments: P.args, **given: P.kwargs) -> R:
            try:
                return function(*arguments, **given)
            except KeyboardInterrupt as stop:
                if is_kept(given) and NOTE not in getattr(stop, "__notes__", ()):
                    stop.add_note(NOTE)
                raise

        return run

    return wrap
