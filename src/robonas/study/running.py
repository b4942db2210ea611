"""The evaluations of a search: claims are given to evaluators, and what comes of them is recorded."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from robonas.errors import (
    ArchitectureError,
    MetricError,
    NasError,
    NetworkError,
    ObjectiveError,
)
from robonas.processes import stops
from robonas.study.events import Event, QueryFinished, QueryStarted, QueryStep, WaitingForOthers

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.objectives.base import CurvePoint
    from robonas.objectives.evaluators import Answer, Evaluators
    from robonas.spaces import SearchSpace
    from robonas.study.chooser import Chooser
    from robonas.study.ledger import Claim, Ledger
    from robonas.study.query import Query


@dataclass
class _Flight:
    """An evaluation under way."""

    claim: Claim
    query: Query
    curve: list[CurvePoint] = field(default_factory=list)


class Runner:
    """Spends the budget of a search.

    Args:
        space: Space of the candidates.
        ledger: Record of the search; open.
        chooser: Chooses the candidates.
        evaluators: Evaluate them.
        budget: Number of queries.
        seed: Seed of the search.
        until: Time, by `time.monotonic`, after which no evaluation begins.
        tell: Told of every event.
    """

    def __init__(
        self,
        space: SearchSpace,
        ledger: Ledger,
        chooser: Chooser,
        evaluators: Evaluators,
        *,
        budget: int,
        seed: int,
        until: float,
        tell: Callable[[Event], None],
    ) -> None:
        self._space, self._ledger, self._chooser, self._evaluators = space, ledger, chooser, evaluators
        self._budget, self._seed, self._until, self._tell = budget, seed, until, tell
        self._flights: dict[int, _Flight] = {}

    def run(self) -> bool:
        """Evaluate until nothing is left to do; False where the time was over before."""
        while True:
            while self._evaluators.free() is not None and time.monotonic() < self._until and self._begin():
                pass
            if not self._flights:
                return time.monotonic() < self._until
            answer = self._evaluators.wait(self._report)
            flight = self._flights.pop(answer.key)
            self._record(flight, answer)
            self._tell(QueryFinished(self._ledger.query(flight.claim), self._ledger.best()))

    def _begin(self) -> bool:
        """Begin an evaluation; False where there is nothing to do, for now or for good."""
        place = self._evaluators.free()
        assert place is not None
        claim = self._ledger.next(
            self._chooser,
            self._budget,
            lambda pending: self._tell(WaitingForOthers(pending)),
            place=dataclasses.asdict(place),
            wait=not self._flights,
            until=self._until,
        )
        if claim is None:
            return False
        stops.check()
        query = self._ledger.query(claim)
        self._tell(QueryStarted(query, self._chooser.limit))
        self._flights[claim.trial.number] = _Flight(claim, query)
        self._evaluators.start(claim.trial.number, self._space.parse(query.architecture), seed=self._seed)
        return True

    def _report(self, key: int, point: CurvePoint) -> None:
        from optuna import TrialPruned

        flight = self._flights[key]
        flight.curve.append(point)
        hopeless = self._ledger.report(flight.claim, point)
        stops.check()
        self._tell(QueryStep(flight.query, point))
        if hopeless:
            raise TrialPruned

    def _record(self, flight: _Flight, answer: Answer) -> None:
        """Record the end of an evaluation.

        What can only be the user's mistake ends the search; whatever else goes wrong is a failed trial.
        """
        from optuna import TrialPruned

        error, found = answer.error, answer.evaluation
        if found is not None and not (isinstance(found.value, (int, float)) and math.isfinite(found.value)):
            error = ObjectiveError(f"The evaluation returned {found.value!r}; a value must be a finite number.")
        match error:
            case None:
                assert found is not None
                if answer.size is not None:
                    self._ledger.note_size(flight.claim, answer.size)
                self._ledger.complete(flight.claim, found)
            case TrialPruned() if flight.curve:
                self._ledger.prune(flight.claim, flight.curve)
            case TrialPruned():
                self._ledger.fail(flight.claim, "The evaluation was pruned before its first step, so it has no value.")
            case ObjectiveError() | ArchitectureError() | MetricError():
                self._ledger.fail(flight.claim, str(error))
            case NetworkError():
                if self._ledger.best() is None:
                    raise error  # no network has worked yet, so it is all of them, and the user's to mend
                self._ledger.fail(flight.claim, str(error))
            case NasError():
                raise error
            case SystemExit():
                self._ledger.fail(flight.claim, f"The training called sys.exit({error.code!r}).")
            case Exception():  # a training can fail in any way, and costs its trial only
                self._ledger.fail(flight.claim, f"{type(error).__name__}: {error}")
            case _:
                raise error
