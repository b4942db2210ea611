"""Finding and reading the trained parameters that a search has kept."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.common.files import read_notes, read_tensors
from robonas.errors import StudyError
from robonas.prediction.files import NOTE
from robonas.prediction.preprocessing import Preprocessing
from robonas.study.query import confirmed_file, parameters_file, staged_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from robonas.prediction import ReadyNetwork
    from robonas.study.query import Query


def find_parameters(folder: Path | None, study: str, query: Query) -> Path | None:
    """Return the file with the trained parameters of a query; None where there is none on this machine.

    It is in the search's folder, or in that of the worker which trained the query.

    Args:
        folder: The search's; None for a search in memory.
        study: Name of the study.
        query: The query.
    """
    if folder is None:
        return None
    first = folder / (Path(query.kept[1]).name if query.kept else parameters_file(study))
    places = [first]
    if query.kept:
        places.append(Path(query.kept[1]))
    places.append(folder / confirmed_file(study))
    # A stop may have come between the record of the value and the file's last name.
    places += sorted(folder.glob(staged_file(glob.escape(study), "*")))
    found = [path for path in dict.fromkeys(places) if path.is_file()]
    own = next((path for path in found if _owner(path) == query.architecture), None)
    return own or (first if first in found else None)


def read_kept(folder: Path | None, study: str, query: Query, who: str) -> dict[str, Tensor]:
    """Read the trained parameters and buffers of a query.

    Args:
        folder: The search's; None for a search in memory.
        study: Name of the study.
        query: The query.
        who: Name for it in messages, such as ``"the winner"``.

    Raises:
        StudyError: They were not kept, are elsewhere, or cannot be read.
    """
    path, kept = find_parameters(folder, study, query), query.kept
    notes: dict[str, str] = {}
    if path is None and kept is None:
        raise StudyError(
            f"Study '{study}' kept no trained parameters: it ran in memory or on recorded values. "
            "Use `build(trained=False)`."
        )
    if path is not None:
        try:
            tensors, notes = read_tensors(path)
        except (ValueError, OSError) as error:
            raise StudyError(
                f"Cannot read '{path}' ({error}). Restore it from a copy, or train {who} again with `robonas train`."
            ) from error
        if notes.get("architecture") == query.architecture:
            return tensors
    if kept is None or (path is not None and path.absolute() == Path(kept[1])):
        raise StudyError(
            f"'{path}' holds the parameters of {notes.get('architecture')}, not of {who} {query.architecture}: another "
            "search wrote it, or none were kept. Use `build(trained=False)`, or train it again with `robonas train`."
        )
    raise StudyError(
        f"The trained parameters of {who} are not here: a worker on host '{kept[0]}' wrote them to '{kept[1]}'. "
        f"Copy that file to '{folder}', or train {who} again with `robonas train`."
    )


def kept_preprocessing(folder: Path | None, study: str, query: Query) -> Preprocessing | None:
    """Return the preprocessing that was kept with the trained parameters of a query; None where there is none here.

    Args:
        folder: The search's; None for a search in memory.
        study: Name of the study.
        query: The query.

    Raises:
        StudyError: It is damaged.
    """
    path = find_parameters(folder, study, query)
    if path is None or _owner(path) != query.architecture:
        return None
    text = read_notes(path).get(NOTE)
    try:
        return None if text is None else Preprocessing.from_text(text)
    except ValueError as error:
        raise StudyError(
            f"The preprocessing in '{path}' cannot be read: {error}. Restore the file from a copy, or train its "
            "network again with `robonas train`."
        ) from error


def made_ready(
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    how: Preprocessing | None,
    logits: Callable[[Any], Tensor] | None,
) -> ReadyNetwork | nn.Module:
    """Return a trained network that prepares its inputs, in evaluation mode; the network itself where nobody says how.

    Args:
        network: The network as the space builds it.
        parameters: Its trained parameters and buffers.
        how: The preparation.
        logits: Picks the answer from what it returns.

    Raises:
        StudyError: The parameters are those of another network.
    """
    try:
        network.load_state_dict(parameters)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise StudyError(
            f"The kept parameters are not those of the network that the space builds ({told[:200]}): has its code "
            "changed? Use `build(trained=False)`, or train it again with `robonas train`."
        ) from error
    if how is None:
        return network.eval()
    from robonas.prediction import ReadyNetwork

    return ReadyNetwork(network, how, logits=logits)


def check_ready(network: nn.Module, study: str, objective: str) -> ReadyNetwork:
    """Return the network, if it prepares its inputs.

    Args:
        network: Network of a study.
        study: Name of the study.
        objective: Name of its objective.

    Raises:
        StudyError: It does not.
    """
    from robonas.prediction import ReadyNetwork

    if not isinstance(network, ReadyNetwork):
        raise StudyError(
            f"Study '{study}' cannot prepare inputs: its objective {objective!r} told no preprocessing. Return "
            "`Evaluation(..., preprocessing=...)` from it, or prepare them yourself for the network of `build()`."
        )
    return network


def _owner(path: Path) -> str | None:
    """Return the architecture whose parameters a file holds; None where it cannot be read."""
    try:
        return read_notes(path).get("architecture")
    except (ValueError, OSError):
        return None
