"""The candidates of a search: drawn or given, and within its limits."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, SupportsIndex

from robonas.errors import ConfigError
from robonas.files import write_text
from robonas.scoring import texts

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.architecture import Architecture
    from robonas.spaces import Limits, SearchSpace


def count_of(name: str, value: object, what: str, *, least: int = 1) -> int:
    """A number of things, from any kind of integer."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ConfigError(f"`{name}` must be a whole number; got {value!r}.")
    number = operator.index(value)
    if number < least:
        raise ConfigError(f"`{name}` must be at least {least} {what}; got {number}.")
    return number


def draw_pool(
    space: SearchSpace, pool: int | Iterable[Architecture | str], seed: int
) -> tuple[list[tuple[str, str]], bool]:
    """Texts of the candidates and of their canonical forms, and whether these are all that the space has."""
    size = space.size()
    if isinstance(pool, Iterable) and not isinstance(pool, str):
        architectures: Iterable[Architecture | str] = pool
    else:
        number = count_of("pool", pool, "architecture")
        architectures = space.sample(number if size is None else min(number, size), seed)
    pairs = texts(space, architectures)
    if not pairs:
        raise ConfigError("The pool must have at least one architecture; got none.")
    return pairs, len({text for text, _ in pairs}) == size


def allowed(
    space: SearchSpace, pairs: list[tuple[str, str]], limits: Limits, settings: dict[str, Any], memory: Path | None
) -> list[tuple[str, str]]:
    """The candidates that keep the limits.

    A measured latency is never the same twice, so what was allowed by one is remembered in a file, for these settings.
    """
    measured = memory is not None and limits.max_latency_ms is not None
    head = json.dumps([settings[key] for key in ("space", "limits", "pool", "seed")])
    if memory is not None and measured and memory.exists():
        first, *lines = memory.read_text(encoding="utf-8").splitlines()
        if first == head:
            return texts(space, lines)
    kept = set(limits.filter(space, dict.fromkeys(space.parse(text) for text, _ in pairs)))
    pairs = [pair for pair in pairs if space.parse(pair[0]) in kept]
    if memory is not None and measured:
        write_text(memory, "\n".join((head, *(text for text, _ in pairs))) + "\n")
    return pairs


def may_join(space: SearchSpace, child: Architecture, limits: Limits | None, *, try_it: bool) -> bool:
    """Whether a new candidate keeps the limits.

    Args:
        space: Its own.
        child: The candidate.
        limits: The search's; None for none.
        try_it: Whether to try that it makes a network that runs, where no score will tell.
    """
    if limits is not None and limits.violation(space, child) is not None:
        return False
    return not try_it or space.failure(child) is None
