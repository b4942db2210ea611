"""One evaluation of the objective, as a search records it, and the files of its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from robonas.objectives.base import CurvePoint

State: TypeAlias = Literal["complete", "pruned", "failed", "running"]
"""State of an evaluation."""


@dataclass(frozen=True)
class Work:
    """Time and place of an evaluation."""

    host: str
    """Name of the host."""
    slot: int
    """Number of the slot of its search, from 0, one for each of the evaluations that it makes at once."""
    device: str | None
    """Device that the objective was given, such as ``"cuda:1"``; None where it chose."""
    began: float
    """Beginning, by the host's clock, in seconds since 1970."""
    ended: float | None
    """End, likewise; None before."""


@dataclass(frozen=True)
class Query:
    """One evaluation of the objective."""

    number: int
    """Number of the query, from 1, in the order of asking."""
    architecture: str
    """The text of the architecture."""
    row: int
    """Its row in the table of scores."""
    phase: str
    """Purpose of the query, such as ``"explore"`` or ``"exploit"``."""
    state: State
    """Pruned: ended early as hopeless. Running: asked, and not answered before the search stopped."""
    value: float | None = None
    """The objective's value in its own direction; None unless complete."""
    seconds: float = 0.0
    """Seconds that the evaluation took, or the recorded cost of a table."""
    reason: str = ""
    """Reason why the strategy chose it."""
    failure: str | None = None
    """Reason why it failed; None unless failed."""
    weights: tuple[float, ...] | None = None
    """Weights of the combined metric that chose it, one a metric."""
    curve: tuple[CurvePoint, ...] = field(default=(), repr=False)
    """The learning curve, as far as it is known."""
    partial: float | None = None
    """The value that it had come to; None unless pruned."""
    size: Mapping[str, int | None] | None = None
    """``parameters`` and ``macs`` of its network, where they were counted when it was trained."""
    kept: tuple[str, str] | None = None
    """The host and the file to which its trained parameters were written, if it was the best then."""
    n_rows: int | None = None
    """Number of rows of the table of scores from which it was chosen, its children included."""
    children: tuple[str, ...] = field(default=(), repr=False)
    """Architectures that joined a growing pool with it."""
    children_scores: str = field(default="", repr=False)
    """Fingerprint of the scores of its children."""
    costs: tuple[float, ...] = ()
    """Its costs, in the order of the search's; none where the objective is not traded off."""
    children_costs: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    """Costs of its children."""
    pending: tuple[int, ...] = ()
    """Numbers of the queries that had no answer when it was chosen."""
    work: Work | None = field(default=None, compare=False)
    """Time and place of its evaluation; None where nothing says so."""

    @property
    def steps(self) -> int:
        """Number of epochs that were done, as far as the curve tells."""
        return self.curve[-1].step if self.curve else 0

    @property
    def steps_saved(self) -> int:
        """Number of epochs that were not done because the query was pruned."""
        return self.curve[-1].steps - self.curve[-1].step if self.state == "pruned" and self.curve else 0


def parameters_file(study: str) -> str:
    """Return the name of the file with the trained parameters of a study's winner, in the search's folder."""
    return f"{study}.safetensors"


def confirmed_file(study: str) -> str:
    """Return the name of the file with the parameters of a winner that was chosen by its mean over other seeds."""
    return f"{study}.confirmed.safetensors"


def training_folder(folder: Path, study: str) -> Path:
    """Return the folder for the full training of a study's winner: the search's with ``-train`` after it.

    The name of a study other than ``search`` stands between them.
    """
    place = folder.resolve() if folder.name in {"", ".."} else folder
    middle = "" if study == "search" else f"-{study}"
    return place.parent / f"{place.name or 'robonas'}{middle}-train"


def staged_file(study: str, trial: int | str) -> str:
    """Return the name of the file with the parameters of a trial, by number, until it is recorded as the winner."""
    return f".{study}.{trial}.safetensors"


def member_file(study: str, trial: int | str) -> str:
    """Return the name of the file with the trained parameters of a trial on a study's front, by its number."""
    return f"{study}.front-{trial}.safetensors"
