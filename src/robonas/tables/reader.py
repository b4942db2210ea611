"""The base class of readers of published formats."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from robonas.tables.base import BenchmarkTable

    Progress: TypeAlias = Callable[[int, int], None]


class TableReader(abc.ABC):
    """Turns a file or folder that others publish into a table."""

    name: ClassVar[str]
    """The name in the catalogue."""
    description: ClassVar[str]
    """Format that it reads, in one line."""
    verified: ClassVar[str]
    """Evidence that the reader is right: a real file, or the documented layout only."""

    @abc.abstractmethod
    def recognises(self, path: Path) -> bool:
        """Return whether a file or folder looks like this format, by its name and its first bytes."""

    @abc.abstractmethod
    def read(self, path: Path, progress: Progress | None = None) -> BenchmarkTable:
        """Read the whole table.

        Args:
            path: The file or folder; it exists.
            progress: Called with how many architectures are done, and how many there are or 0 where unknown.

        Raises:
            TableError: It is not of this format, damaged or unsafe.
        """
