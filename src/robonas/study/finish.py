"""The end of a search: its best candidates are trained again with other seeds, and the winner is tested once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from robonas.common.files import write_tensors
from robonas.common.randomness import derive_seed
from robonas.common.settings import count_of
from robonas.errors import ConfigError, ObjectiveError, StudyError
from robonas.prediction.files import NOTE
from robonas.strategies.base import Proposal
from robonas.study.confirmation import (
    CONFIRMED,
    TESTED,
    Repeated,
    best_queries,
    chosen_of,
    confirmation_of,
    test_of,
)
from robonas.study.events import Event, QueryFinished, TrainedAgain
from robonas.study.parameters import read_kept
from robonas.study.query import confirmed_file
from robonas.study.running import Runner
from robonas.study.trials import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from robonas.objectives.evaluators import Evaluators
    from robonas.study.chooser import Chooser
    from robonas.study.ledger import Ledger
    from robonas.study.plan import Plan
    from robonas.study.query import Query

SEEDS = 2**31
"""Other seeds are below this, so that every library takes them."""


@dataclass(frozen=True)
class Finish:
    """The end of a search, checked."""

    confirm: int
    """Number of candidates to train again; 0 for none."""
    repeats: int
    """Number of other seeds for each."""

    @classmethod
    def made(cls, plan: Plan, confirm: int, repeats: int) -> Finish:
        """Check the settings.

        Raises:
            ConfigError: A number out of range, or a search that trades its objective off, which has no single best.
        """
        n = count_of("confirm", confirm, "candidates", least=0)
        if n > plan.budget:
            raise ConfigError(f"`confirm` must be at most the budget, {plan.budget}; got {n}.")
        if n and plan.against:
            raise ConfigError(
                "`confirm` compares candidates by their mean value alone; leave it out of a search with `against`."
            )
        return cls(n, count_of("repeats", repeats, "seed"))

    def run(
        self,
        plan: Plan,
        ledger: Ledger,
        evaluators: Evaluators,
        folder: Path | None,
        *,
        until: float,
        tell: Callable[[Event], None],
    ) -> bool:
        """Do what is left to do, and note it in the study.

        Args:
            plan: The search, whose budget is spent.
            ledger: Its record.
            evaluators: Evaluate its candidates; all free.
            folder: Folder of the search; None for none.
            until: Time, by `time.monotonic`, after which no evaluation begins.
            tell: Told of every training.

        Returns:
            False where the time was over before.
        """
        sign = 1.0 if plan.objective.direction == "maximize" else -1.0
        queries = ledger.record().queries
        best = best_queries(queries, sign, max(1, self.confirm))
        if not best:
            return True
        if self.confirm and not self._confirm(plan, ledger, evaluators, best, sign, until, tell):
            return False
        record = ledger.record()
        confirmed = confirmation_of(record.notes, len(queries))
        winner = best[0]
        if confirmed is not None:
            winner = next(query for query in queries if query.number == confirmed.chosen)
        if plan.objective.tests and test_of(record.notes, winner) is None:
            self._test(plan, ledger, evaluators, winner, folder)
        elif winner.number != best[0].number and best[0].kept and folder is not None:
            self._parameters(plan, ledger, evaluators, winner, folder)
        return True

    # ── again, with other seeds ──

    def _confirm(
        self,
        plan: Plan,
        ledger: Ledger,
        evaluators: Evaluators,
        best: Sequence[Query],
        sign: float,
        until: float,
        tell: Callable[[Event], None],
    ) -> bool:
        """Train the best with other seeds, a study for each seed, and note the means; False where time was over."""
        seeds = [derive_seed("confirm", plan.seed, repeat) % SEEDS for repeat in range(1, self.repeats + 1)]
        found: list[dict[str, float | None]] = []
        for repeat, seed in enumerate(seeds, 1):
            again = ledger.beside(f"{ledger.name}-confirm-{repeat}", self._settings(ledger, seed))
            wanted = _Wanted(plan, best)

            def heard(event: Event, repeat: int = repeat) -> None:
                if isinstance(event, QueryFinished):
                    done = (repeat - 1) * len(best) + min(len(best), event.query.number)
                    tell(
                        TrainedAgain(event.query.architecture, repeat, event.query.value, done, len(best) * len(seeds))
                    )

            with again.open():
                runner = Runner(
                    plan.space,
                    again,
                    cast("Chooser", wanted),  # as far as a ledger asks it
                    evaluators,
                    budget=2**31,
                    seed=seed,
                    until=until,
                    tell=heard,
                )
                if not runner.run():
                    return False
            found.append({query.architecture: query.value for query in again.record().queries})
        candidates = [
            Repeated(query.number, query.architecture, tuple(values.get(query.architecture) for values in found))
            for query in best
        ]
        chosen = chosen_of(candidates, sign)
        if chosen is not None:
            entries = [
                {"query": one.query, "architecture": one.architecture, "values": list(one.values)} for one in candidates
            ]
            n_queries = len(ledger.record().queries)
            note = {"n_queries": n_queries, "seeds": seeds, "candidates": entries, "chosen": chosen}
            ledger.note(CONFIRMED, note)
        return True

    @staticmethod
    def _settings(ledger: Ledger, seed: int) -> dict[str, Any]:
        """Return all on which the trainings with one of the other seeds depend."""
        known = ledger.settings
        return {"space": known["space"], "objective": known["objective"], "confirms": ledger.name, "seed": seed}

    # ── the winner ──

    def _test(self, plan: Plan, ledger: Ledger, evaluators: Evaluators, winner: Query, folder: Path | None) -> None:
        """Look at the test part, with the winner, and note what is seen."""
        parameters = self._parameters(plan, ledger, evaluators, winner, folder)
        architecture = plan.space.parse(winner.architecture)
        tested = plan.objective.test(plan.space, architecture, parameters, seed=plan.seed)
        if not math.isfinite(tested.value):
            raise ObjectiveError(f"The test of {winner.architecture} returned {tested.value!r}; it must be finite.")
        note = {"architecture": winner.architecture, "value": tested.value, "n": tested.n, "error": tested.error}
        ledger.note(TESTED, note)

    def _parameters(
        self, plan: Plan, ledger: Ledger, evaluators: Evaluators, winner: Query, folder: Path | None
    ) -> Mapping[str, Tensor]:
        """Return the winner's trained parameters; where they were not kept, train it again as the search did.

        They are empty for an objective that trains nothing.

        Raises:
            ObjectiveError: The training failed.
        """
        try:
            return read_kept(folder, ledger.name, winner, "the winner")
        except StudyError:  # another candidate's were kept, or none, or elsewhere
            evaluators.start(0, plan.space.parse(winner.architecture), seed=plan.seed)
            answer = evaluators.wait(lambda _, __: None)
        if answer.error is not None:
            raise answer.error
        if answer.evaluation is None or answer.evaluation.parameters is None:
            return {}
        if folder is not None:
            notes = {"architecture": winner.architecture, "value": repr(answer.evaluation.value), "study": ledger.name}
            if answer.evaluation.preprocessing is not None:
                notes[NOTE] = answer.evaluation.preprocessing.to_text()
            write_tensors(folder / confirmed_file(ledger.name), answer.evaluation.parameters, notes)
        return answer.evaluation.parameters


class _Wanted:
    """Chooses candidates that are known beforehand, for a ledger.

    Args:
        plan: The search.
        queries: Their queries.
    """

    def __init__(self, plan: Plan, queries: Sequence[Query]) -> None:
        self._space, self._queries = plan.space, queries
        self.limit = len(queries)

    def ready(self, asked: Sequence[Query]) -> bool:  # noqa: ARG002
        """Return that nothing has to be scored first."""
        return True

    def prepare(self, asked: Sequence[Query]) -> None:
        """Do nothing."""

    def choose(self, asked: Sequence[Query]) -> Candidate | None:
        """Return the first that was not asked for yet."""
        known = {query.architecture for query in asked}
        query = next((query for query in self._queries if query.architecture not in known), None)
        if query is None:
            return None
        choices = self._space.choices
        options = {name: (option, choices[name]) for name, option in self._space.parse(query.architecture).items()}
        proposal = Proposal(query.row, "confirm", reason=f"Query {query.number} of the search, with another seed.")
        return Candidate(proposal, query.row, query.architecture, options, query.n_rows or 0)
