"""The studies beside which a search's report was written, remembered in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from robonas.common.files import write_text
from robonas.common.reading import parse_json
from robonas.common.settings import name_of
from robonas.errors import StudyError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


def compared_with(folder: str | os.PathLike[str], name: str = "search") -> tuple[str, ...]:
    """Return the studies that the report of a search in its folder was last written beside; none where none was.

    Raises:
        StudyError: The record of them is damaged.
    """
    path = Path(folder) / _comparison_file(name_of(name))
    try:
        names = parse_json(path.read_bytes())["compared_with"]
        if not isinstance(names, list):
            raise ValueError(f"`compared_with` must be a list; got {names!r}")  # noqa: TRY004, TRY301  # as of all damage
        return tuple(name_of(other) for other in names)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"'{path}' does not tell what the search was compared with ({error}). Delete it, or name the studies."
        ) from error


def remember_comparison(folder: str | os.PathLike[str], name: str, others: Sequence[str]) -> None:
    """Keep beside a search the names of the studies that its report is written beside.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = Path(folder) / _comparison_file(name_of(name))
    try:
        known = compared_with(folder, name)
    except StudyError:  # damaged, and written again
        known = None
    if tuple(others) != known:
        write_text(path, json.dumps({"compared_with": list(others)}) + "\n")


def _comparison_file(name: str) -> str:
    return f"{name}.comparison.json"
