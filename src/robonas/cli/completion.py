"""Names that the shell completes, where completion is installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def names_of(room: str) -> Callable[[str], list[str]]:
    """Return the function that completes the names of a room's catalogue, such as ``"metrics"``, also after a comma."""

    def complete(incomplete: str) -> list[str]:
        catalogue = getattr(importlib.import_module(f"robonas.{room}"), room.upper())
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in catalogue if name.startswith(last)]

    return complete
