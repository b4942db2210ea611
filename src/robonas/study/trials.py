"""The contents of a query's Optuna trial: how they are written and read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from robonas.objectives.base import CurvePoint
from robonas.study.result import Query, State, as_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import FrozenTrial

    from robonas.architecture import Option
    from robonas.strategies.base import Proposal


@dataclass(frozen=True)
class Asked:
    """A query as a `Chooser` sees it."""

    architecture: str
    """The text of its architecture."""
    value: float | None
    """Higher is better; None while pending, and where it failed."""
    failed: bool
    """It has ended without a value."""
    pruned: int | None
    """The step after which it was ended early, of which `value` is; None for all others."""
    n_rows: int | None
    """Rows of the table of scores from which it was chosen, its children included."""
    children: tuple[str, ...]
    """The texts of what joined the pool with it."""
    children_scores: str
    """The fingerprint of their scores."""


@dataclass(frozen=True)
class Choice:
    """What is to be evaluated, and why."""

    proposal: Proposal
    """The strategy's."""
    row: int
    """The candidate's row in the table of scores."""
    architecture: str
    """The text of its architecture."""
    options: Mapping[str, tuple[Option, tuple[Option, ...]]]
    """For each of its choices, the option and all that the space has."""
    n_rows: int
    """Rows of the table."""
    children: tuple[str, ...] = ()
    """Architectures that join the pool with it."""
    children_scores: str = ""
    """The fingerprint of their scores."""

    def parameters(self) -> dict[str, Option]:
        """Return the trial's parameters: the options."""
        return {name: option for name, (option, _) in self.options.items()}

    def notes(self) -> dict[str, Any]:
        """Return the trial's user attributes."""
        weights = self.proposal.weights
        notes = {
            "row": self.row,
            "architecture": self.architecture,
            "options": {name: list(options) for name, (_, options) in self.options.items()},
            "phase": self.proposal.phase,
            "reason": self.proposal.reason,
            "weights": None if weights is None else [float(weight) for weight in weights],
            "n_rows": self.n_rows,
        }
        grown = {"children": list(self.children), "children_scores": self.children_scores}
        return {**notes, **(grown if self.children else {})}


class Chooser(Protocol):
    """Who chooses what is evaluated next."""

    def ready(self, asked: Sequence[Asked]) -> bool:
        """Return whether `choose` can answer at once."""

    def prepare(self, asked: Sequence[Asked]) -> None:
        """Make ready for these queries; other workers go on meanwhile."""

    def choose(self, asked: Sequence[Asked]) -> Choice | None:
        """Return what comes after these queries; None where there is nothing left. One worker chooses at a time."""


def as_asked(trial: FrozenTrial, sign: float) -> Asked:
    """Return what a chooser sees of a trial.

    Args:
        trial: One of ours.
        sign: 1 where higher is better, else -1.
    """
    notes = trial.user_attrs
    done = trial.state.name in {"COMPLETE", "PRUNED"} and trial.value is not None and math.isfinite(trial.value)
    return Asked(
        notes["architecture"],
        sign * (trial.value or 0.0) if done else None,
        trial.state.is_finished() and not done,
        trial.last_step if done and trial.state.name == "PRUNED" else None,
        notes.get("n_rows"),
        tuple(notes.get("children", ())),
        notes.get("children_scores", ""),
    )


_STATES: Mapping[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


def as_query(number: int, trial: FrozenTrial) -> Query:
    """Return what a person sees of a trial.

    Args:
        number: Number of the query, from 1, in the order of asking.
        trial: One of ours.
    """
    notes = trial.user_attrs
    state: State = _STATES.get(trial.state.name, "running")
    weights = notes.get("weights")
    return Query(
        number=number,
        architecture=notes["architecture"],
        row=int(notes["row"]),
        phase=notes["phase"],
        state=state,
        value=trial.value if state == "complete" else None,
        seconds=float(notes.get("seconds", 0.0)),
        reason=notes["reason"],
        failure=notes.get("failure", "ended by another program") if state == "failed" else None,
        weights=None if weights is None else tuple(weights),
        curve=tuple(CurvePoint(*point) for point in notes.get("curve", ())),
        partial=trial.value if state == "pruned" else None,
        size=as_size(notes.get("size")),
        kept=tuple(notes["parameters"]) if "parameters" in notes else None,
    )
