"""The winner's trained parameters in a search's folder: whole, and never those of another network."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from robonas.common.files import read_notes, write_tensors
from robonas.errors import StudyError
from robonas.study.result import parameters_file, staged_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


def stage(
    folder: Path, study: str, trial: int, parameters: Mapping[str, Tensor], notes: Mapping[str, str]
) -> list[str]:
    """Write the parameters of a trial beside those of the best before, which stay until the value is recorded.

    Returns:
        The host, and the file that they will be in.
    """
    write_tensors(folder / staged_file(study, trial), parameters, {**notes, "study": study})
    return [socket.gethostname(), str((folder / parameters_file(study)).absolute())]


def settle(folder: Path, study: str, leader: int | None) -> None:
    """Give the best trial's parameters their name, and remove those that a stop left; in a turn.

    Args:
        folder: The search's.
        study: Its name.
        leader: The number of the best trial; None where there is none.
    """
    if not folder.is_dir():
        return
    before, after = map(re.escape, staged_file(study, "/").split("/"))
    for path in folder.iterdir():
        if not re.fullmatch(rf"{before}\d+{after}", path.name):
            continue
        if leader is not None and path.name == staged_file(study, leader):
            path.replace(folder / parameters_file(study))
        else:
            path.unlink(missing_ok=True)


def check_kept(folder: Path, study: str) -> None:
    """See that the parameters in a folder are whole, where there are some.

    Raises:
        StudyError: They are damaged.
    """
    path = folder / parameters_file(study)
    if not path.exists():
        return
    try:
        read_notes(path)
    except (ValueError, OSError) as error:
        raise StudyError(
            f"'{path}', the winner's trained parameters, cannot be read ({error}). The search itself is whole. "
            "Restore the file from a copy, or delete it and train the winner again with `robonas train`."
        ) from error
