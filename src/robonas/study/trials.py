"""The contents of a query's Optuna trial: how they are written and read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from robonas.costs.size import as_size
from robonas.objectives.base import CurvePoint
from robonas.study.query import Query, State, Work

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterable, Mapping, Sequence

    from robonas.architecture import Option
    from robonas.strategies.base import Proposal


@dataclass(frozen=True)
class Candidate:
    """The candidate to evaluate next, and why."""

    proposal: Proposal
    """Proposal of the strategy."""
    row: int
    """Row of the candidate in the table of scores."""
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
    costs: tuple[float, ...] = ()
    """Its costs, where the objective is traded off against some."""
    children_costs: tuple[tuple[float, ...], ...] = ()
    """Costs of what joins the pool with it."""
    pending: tuple[int, ...] = ()
    """Numbers of the queries that had no answer when it was chosen."""

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
        if self.pending:
            notes["pending"] = list(self.pending)
        if self.children:
            notes |= {"children": list(self.children), "children_scores": self.children_scores}
        if self.costs:
            notes |= {COSTS: list(self.costs), "children_costs": [list(costs) for costs in self.children_costs]}
        return notes


SETTINGS = "robonas"
"""User attribute of a study that is ours."""
STOPPED = "stopped"
"""User attribute of a study: why its latest search ended before the budget was spent."""
COSTS = "costs"
"""User attribute of a trial: the costs of its candidate."""
CLAIM = "claim"
"""User attribute of a trial: who is at it (``worker``), how many ``attempts`` were begun and not given back, when the
latest was (``since``), and where it runs (``host``, ``slot``, ``device``)."""
ENDED = "ended"
"""User attribute of a trial: the time at which its evaluation ended."""
STEPS = "steps"
"""User attribute of a trial: the number of steps of its evaluation, once the first has been reported."""
_STATES: Mapping[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


class StoredTrial(Protocol):
    """The part of Optuna's `FrozenTrial` that a query is read from."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """User attributes."""

    @property
    def values(self) -> Sequence[float] | None:
        """The value, and the costs where there are some; None where there is none."""

    @property
    def intermediate_values(self) -> dict[int, float]:
        """Value after each step that was reported."""

    @property
    def state(self) -> enum.Enum:
        """State, of which the name counts."""


Stored = TypeVar("Stored", bound=StoredTrial)


def is_foreign(notes: Mapping[str, Any]) -> bool:
    """Return whether a study with these user attributes is another program's."""
    return bool(notes) and SETTINGS not in notes


def ours(trials: Iterable[Stored]) -> list[Stored]:
    """Return the trials that robonas made, the first of each architecture."""
    first: dict[str, Stored] = {}
    for trial in trials:
        if "architecture" in trial.user_attrs:
            first.setdefault(trial.user_attrs["architecture"], trial)
    return list(first.values())


def as_queries(trials: Iterable[StoredTrial]) -> tuple[Query, ...]:
    """Return the queries that all trials of a study record, in the order of asking."""
    return tuple(as_query(number, trial) for number, trial in enumerate(ours(trials), 1))


def as_query(number: int, trial: StoredTrial) -> Query:
    """Return the query that a trial records.

    Args:
        number: Number of the query, from 1, in the order of asking.
        trial: One of ours.
    """
    notes = trial.user_attrs
    state: State = _STATES.get(trial.state.name, "running")
    value = value_of(trial)
    if state in {"complete", "pruned"} and not (value is not None and math.isfinite(value)):
        state = "failed"
    weights = notes.get("weights")
    return Query(
        number=number,
        architecture=notes["architecture"],
        row=int(notes["row"]),
        phase=notes["phase"],
        state=state,
        value=value if state == "complete" else None,
        seconds=float(notes.get("seconds", 0.0)),
        reason=notes["reason"],
        failure=notes.get("failure", "ended by another program") if state == "failed" else None,
        weights=None if weights is None else tuple(weights),
        curve=_curve_of(trial, running=state == "running"),
        partial=value if state == "pruned" else None,
        size=as_size(notes.get("size")),
        kept=tuple(notes["parameters"]) if "parameters" in notes else None,
        n_rows=notes.get("n_rows"),
        children=tuple(notes.get("children", ())),
        children_scores=notes.get("children_scores", ""),
        costs=tuple(notes.get(COSTS, ())),
        children_costs=tuple(tuple(costs) for costs in notes.get("children_costs", ())),
        pending=tuple(notes.get("pending", ())),
        work=_work_of(notes),
    )


def _curve_of(trial: StoredTrial, *, running: bool) -> tuple[CurvePoint, ...]:
    """Return the learning curve; of an evaluation that is not finished, the values that it has reported."""
    notes = trial.user_attrs
    if not running or STEPS not in notes:
        return tuple(CurvePoint(*point) for point in notes.get("curve", ()))
    return tuple(CurvePoint(step, notes[STEPS], value) for step, value in sorted(trial.intermediate_values.items()))


def _work_of(notes: Mapping[str, Any]) -> Work | None:
    claim = notes.get(CLAIM, {})
    if "host" not in claim:
        return None
    device = claim.get("device")
    ended = notes.get(ENDED)
    return Work(str(claim["host"]), int(claim["slot"]), device, float(claim["since"]), ended and float(ended))


def value_of(trial: StoredTrial) -> float | None:
    """Return the objective's value of a trial, which its costs follow; for a pruned one that of its last step."""
    if trial.values:
        return float(trial.values[0])
    curve = trial.user_attrs.get("curve") if trial.state.name == "PRUNED" else None
    return float(curve[-1][2]) if curve else None
