"""Trained parameters in a search's folder: whole, and never those of another network.

A search keeps those of its winner; one that trades its objective off against costs keeps those of every query on the
front, each in a file of its own.
"""

from __future__ import annotations

import math
import re
import socket
from typing import TYPE_CHECKING

import numpy as np

from robonas.common.files import read_notes, write_tensors
from robonas.errors import StudyError
from robonas.strategies.fronts import is_on_front
from robonas.study.query import member_file, parameters_file, staged_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from optuna.trial import FrozenTrial
    from torch import Tensor


def leader_of(trials: Sequence[FrozenTrial], sign: float) -> FrozenTrial | None:
    """Return the completed trial with the best value, the earliest one on ties; None where there is none.

    Args:
        trials: Trials of the study.
        sign: 1 where higher values are better, -1 where lower ones are.
    """
    done = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.values]
    return max(done, key=lambda trial: (sign * trial.values[0], -trial.number), default=None)


def keepers(points: Mapping[int, Sequence[float]], sign: float) -> set[int]:
    """Return the trials whose parameters are kept: the best one, or where there are costs those on the front.

    Args:
        points: Value and costs of each completed trial, by its number.
        sign: 1 where higher values are better, -1 where lower ones are.
    """
    finite = {number: values for number, values in points.items() if all(map(math.isfinite, values))}
    if not finite:
        return set()
    numbers, values = list(finite), np.array(list(finite.values()), dtype=np.float64)
    if values.shape[1] == 1:
        return {max(numbers, key=lambda number: (sign * finite[number][0], -number))}
    on_front = is_on_front(sign * values[:, 0], values[:, 1:])
    return {number for number, kept in zip(numbers, on_front.tolist(), strict=True) if kept}


def stage(
    folder: Path, study: str, trial: int, parameters: Mapping[str, Tensor], notes: Mapping[str, str], *, alone: bool
) -> list[str]:
    """Write the parameters of a trial beside those that are kept, which stay until the value is recorded.

    Args:
        folder: The search's.
        study: Its name.
        trial: Number of the trial.
        parameters: The parameters.
        notes: Texts to write with them.
        alone: True where only the best trial's are kept.

    Returns:
        The host, and the file that they will be in.
    """
    write_tensors(folder / staged_file(study, trial), parameters, {**notes, "study": study})
    return [socket.gethostname(), str((folder / _final(study, trial, alone=alone)).absolute())]


def _final(study: str, trial: int, *, alone: bool) -> str:
    return parameters_file(study) if alone else member_file(study, trial)


def settle(folder: Path, study: str, kept: set[int], *, alone: bool) -> None:
    """Give parameters that are kept their name, and remove all others of the study; in a turn.

    Args:
        folder: The search's.
        study: Its name.
        kept: Numbers of the trials whose parameters are kept.
        alone: True where only the best trial's are kept.
    """
    if not folder.is_dir():
        return
    before, after = map(re.escape, staged_file(study, "/").split("/"))
    first, last = map(re.escape, member_file(study, "/").split("/"))
    for path in folder.iterdir():
        if found := re.fullmatch(rf"{before}(\d+){after}", path.name):
            if int(found[1]) in kept:
                path.replace(folder / _final(study, int(found[1]), alone=alone))
            else:
                path.unlink(missing_ok=True)
        elif not alone and (found := re.fullmatch(rf"{first}(\d+){last}", path.name)) and int(found[1]) not in kept:
            path.unlink(missing_ok=True)


def check_kept(folder: Path, study: str) -> None:
    """See that the parameters in a folder are whole, where there are some.

    Raises:
        StudyError: They are damaged.
    """
    first, last = map(re.escape, member_file(study, "/").split("/"))
    members = [path for path in folder.glob("*.safetensors") if re.fullmatch(rf"{first}\d+{last}", path.name)]
    for path in (folder / parameters_file(study), *members):
        if not path.exists():
            continue
        whose = "a front member's" if path in members else "the winner's"
        try:
            read_notes(path)
        except (ValueError, OSError) as error:
            raise StudyError(
                f"'{path}', {whose} trained parameters, cannot be read ({error}). The search itself is whole. Restore "
                "the file from a copy, or delete it and train the winner again with `robonas train`."
            ) from error
