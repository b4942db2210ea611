"""The record of a search in its Optuna study: what was asked, by whom, and what came back.

Each query is one Optuna trial. Its parameters are the architecture's choices, its intermediate values the learning
curve, so that Optuna's dashboard shows both; its user attributes hold the rest. A trial enters the storage in one
transaction, and whatever state a stop leaves it in tells how to go on:

    waiting              asked, not begun            → begun by the next worker
    running, worker gone begun, not finished         → begun again, with the same seed, so with the same end
    the same, twice      its worker died both times  → failed
    running              another worker is at it     → pending; at the end the others wait for it
    complete, fail       done
    pruned               ended early as hopeless     → done, with its last value, and never the best

Whatever is decided from what the storage holds is decided in a turn (see `robonas.study.sharing`), and noted by one
write: a claim is one attribute, a pruner's answer another. So a stop between two writes changes nothing.
"""

from __future__ import annotations

import contextlib
import math
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from robonas.common.settings import differences, plain
from robonas.errors import StudyError
from robonas.prediction.files import NOTE
from robonas.processes import stops
from robonas.study.against import costs_file
from robonas.study.claims import Claim, Claims
from robonas.study.keeping import check_kept, keepers, leader_of, settle, stage
from robonas.study.provenance import PROVENANCE
from robonas.study.quiet import quiet_optuna
from robonas.study.reading import Record
from robonas.study.sharing import sharing_of
from robonas.study.storage import find_study, storage_errors
from robonas.study.trials import COSTS, ENDED, SETTINGS, STEPS, STOPPED, as_queries, as_query, is_foreign, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import optuna
    from optuna.trial import FrozenTrial

    from robonas.objectives.base import CurvePoint, Evaluation
    from robonas.study.chooser import Chooser
    from robonas.study.pruning import Pruning
    from robonas.study.query import Query
    from robonas.study.storage import Direction

__all__ = ["Claim", "Ledger"]
VERDICT = "verdict"
"""User attribute of a trial: the pruner's latest answer that is more than "go on"."""
_WAIT_S = (0.02, 1.0)
"""The shortest and the longest pause before looking again whether another worker has finished."""


class Ledger:
    """The trials of one search.

    Args:
        storage: Optuna's.
        name: Name of the study.
        direction: Direction of the objective's values. The costs of the settings are minimised beside it.
        settings: Settings that must be equal to go on with a study; JSON values.
        folder: Folder of the best network's parameters; None to keep none.
        file: File of the storage; None for a server or memory.
        pruning: Rule that ends evaluations early; None for none.
        place: Place of the study, for messages.

    Raises:
        StudyError: There is a study of that name with other settings, or one that robonas did not make.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        direction: Literal["maximize", "minimize"],
        settings: Mapping[str, Any],
        *,
        folder: Path | None = None,
        file: Path | None = None,
        pruning: Pruning | None = None,
        place: str | None = None,
    ) -> None:
        self.name = name
        self._pruning = pruning
        self.settings = plain(settings)
        self._storage, self._file, self._folder = storage, file, folder
        self._place = place or str(folder or file or "memory")
        self._sharing = sharing_of(storage, file, name)
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._costs = [str(cost["name"]) for cost in self.settings.get("against", ())]
        with self._turn():
            names = [self.settings["objective"]["value_name"], *self._costs]
            directions: list[Direction] = [direction]
            directions += ["minimize"] * len(self._costs)
            self._study = find_study(storage, name, directions, names)
            self._claims = Claims(self._study, self._sharing)
            if not is_foreign(self._study.user_attrs) and not self._study.get_trials(deepcopy=False):
                # Nothing has been evaluated yet, so nothing binds a later attempt to the settings of an earlier one.
                self._study.set_user_attr(SETTINGS, self.settings)
                for key in set(self._study.user_attrs) - {SETTINGS}:
                    self._study.set_user_attr(key, None)
        self._compare(self._study.user_attrs.get(SETTINGS))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Work on the study until the block ends, and let other processes see that this one is alive."""
        with contextlib.ExitStack() as stack:
            with storage_errors(self._place):
                stack.enter_context(self._claims.open())
            with self._turn():
                self._settle()
            yield

    def _compare(self, found: Mapping[str, Any] | None) -> None:
        if found is None:
            raise StudyError(
                f"Study '{self.name}' in '{self._place}' was not made by robonas. Choose another name or storage."
            )
        changed = list(differences(found, self.settings))
        if changed:
            raise StudyError(
                f"Study '{self.name}' in '{self._place}' was made with other settings: {'; '.join(changed[:4])}. "
                "Choose another folder or name for this search, or the settings of the study to go on with it."
            )

    def begin(self, scores: str, budget: int, left_out: Mapping[str, int], costs: str | None = None) -> None:
        """Record what a search knows before its first query.

        Args:
            scores: Fingerprint of the pool's scores, which must be that of the first search on this study.
            budget: Budget of this search.
            left_out: Number of candidates that broke each limit.
            costs: Fingerprint of the pool's costs, likewise; None where there are none.

        Raises:
            StudyError: The study was begun with other scores or costs.
        """
        with self._turn():
            known = self._study.user_attrs.get("scores")
            if known not in {None, scores}:
                raise StudyError(
                    f"Study '{self.name}' in '{self._place}' was begun with other scores ({known}) than now "
                    f"({scores}); were they computed by other versions? Choose another folder or name for this search."
                )
            if self._study.user_attrs.get("costs") not in {None, costs}:
                raise StudyError(
                    f"Study '{self.name}' in '{self._place}' was begun with other costs than now; were they measured "
                    f"again? Restore the file '{costs_file(self.name)}' of the folder in which it was begun, or choose "
                    "another folder or name for this search."
                )
            noted = {"scores": scores, "costs": costs, "budget": budget, "left_out": dict(left_out), STOPPED: None}
            for key, value in noted.items():
                if self._study.user_attrs.get(key) != value:
                    self._study.set_user_attr(key, value)

    def note_origin(self, add: Callable[[Mapping[str, Any] | None], Mapping[str, Any]], budget: int) -> None:
        """Record where the search comes from, beside what earlier sessions noted; nothing where it is finished.

        Args:
            add: Function from what is noted already, None for nothing, to what shall be.
            budget: Budget of this search.
        """
        with self._turn():
            known = self._study.user_attrs.get(PROVENANCE)
            done = sum(trial.state.is_finished() for trial in self._study.get_trials(deepcopy=False))
            if known is None or done < budget:
                self._study.set_user_attr(PROVENANCE, plain(add(known)))

    def note_stop(self, reason: str | None) -> None:
        """Record why a search ends before its budget is spent; None where it does not."""
        if reason is not None:
            with self._turn():
                self._study.set_user_attr(STOPPED, reason)

    def note(self, key: str, value: Mapping[str, Any]) -> None:
        """Record what is known of the whole search, such as its test, under a name; JSON values."""
        with self._turn():
            if self._study.user_attrs.get(key) != value:
                self._study.set_user_attr(key, dict(value))

    def beside(self, name: str, settings: Mapping[str, Any]) -> Ledger:
        """Return the record of another study in the same storage, which keeps no parameters and prunes nothing.

        Args:
            name: Name of the other study.
            settings: Its settings.

        Raises:
            StudyError: There is a study of that name with other settings, or one that robonas did not make.
        """
        direction: Direction = "maximize" if self._sign > 0 else "minimize"
        return Ledger(self._storage, name, direction, settings, file=self._file, place=self._place)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one worker at a time use the storage, and turn its errors into `StudyError`."""
        with storage_errors(self._place), quiet_optuna(), self._sharing.turn():
            yield

    # ── reading ──

    def _trials(self) -> list[FrozenTrial]:
        with storage_errors(self._place):
            return ours(self._study.get_trials(deepcopy=False))

    def record(self) -> Record:
        """Return what the study holds now."""
        queries = as_queries(self._trials())
        return Record.of(self.name, {**self._study.user_attrs, SETTINGS: self.settings}, queries)

    def query(self, claim: Claim) -> Query:
        """Return the query of one trial."""
        for number, trial in enumerate(self._trials(), 1):
            if trial.number == claim.trial.number:
                return as_query(number, trial)
        raise StudyError(f"Trial {claim.trial.number} of study '{self.name}' has vanished; another program deleted it.")

    def best(self) -> float | None:
        """Return the best value so far, in the objective's own direction; pruned evaluations have none."""
        leader = leader_of(self._trials(), self._sign)
        return None if leader is None else leader.values[0]

    # ── asking ──

    def next(
        self,
        chooser: Chooser,
        budget: int,
        waiting: Callable[[int], None] = lambda _: None,
        *,
        place: Mapping[str, Any] = MappingProxyType({}),
        wait: bool = True,
        until: float = math.inf,
    ) -> Claim | None:
        """Return the next evaluation to do: one that a stop has left, else a new one; None when there is no more to do.

        While other workers are at the last evaluations this waits: one may be left. Not for a search that called this.

        Args:
            chooser: Chooses the new ones.
            budget: Largest number of queries.
            waiting: Told how many evaluations are waited for, whenever that changes.
            place: Place of the evaluation, noted with it; JSON values.
            wait: False to return None where there is nothing to do now.
            until: Time, by `time.monotonic`, when waiting ends.
        """
        waited, pause = 0, _WAIT_S[0]
        while True:
            with self._turn():
                trials = self._trials()
                claim, failed = self._claims.take_up(trials, place)
                if claim:
                    return claim
                trials = self._trials() if failed else trials
                asked = as_queries(trials)
                ready = len(trials) >= budget or chooser.ready(asked)
                if ready and len(trials) < budget:
                    candidate = chooser.choose(asked)
                    if candidate is not None:
                        self._study.enqueue_trial(candidate.parameters(), user_attrs=candidate.notes())
                        continue
                pending = [trial for trial in trials if trial.state.name == "RUNNING"]
            if not ready:
                chooser.prepare(asked)
                continue
            if not (pending and wait) or self._claims.in_vain(pending) or time.monotonic() > until:
                return None
            if len(pending) != waited:
                waited, pause = len(pending), _WAIT_S[0]
                waiting(waited)
            stops.check()
            time.sleep(pause)
            pause = min(2 * pause, _WAIT_S[1])

    # ── telling ──

    def give_back(self, claim: Claim) -> None:
        """Let go of an evaluation that is not finished; it is no attempt, and the next to be done."""
        self._claims.give_back(claim)

    def report(self, claim: Claim, point: CurvePoint) -> bool:
        """Record a step of the evaluation.

        Returns:
            True to end it here: never after its last step, always where another worker has it by now.
        """
        with storage_errors(self._place):
            trial = self._claims.own(claim)
            if trial is None:
                return True
            if STEPS not in trial.user_attrs:
                claim.trial.set_user_attr(STEPS, point.steps)  # for who watches
            if point.step not in claim.reported:
                # Optuna's own `report` refuses to serve several objectives.
                trial_id = claim.trial._trial_id  # noqa: SLF001
                self._study._storage.set_trial_intermediate_value(trial_id, point.step, point.value)  # noqa: SLF001
            if self._pruning is None or point.step >= point.steps:
                return False
            known = trial.user_attrs.get(VERDICT, {})
            if known.get("step") != point.step:
                if max(claim.reported, default=0) > point.step:
                    return False
                # Asked twice, a pruner can answer otherwise.
                hopeless, notes = self._pruning.verdict(self._study, trial._trial_id, point.steps)  # noqa: SLF001
                known = {"step": point.step, "hopeless": bool(hopeless), "notes": notes}
                if hopeless or notes:
                    claim.trial.set_user_attr(VERDICT, known)
            for key, value in known["notes"].items():
                self._study._storage.set_trial_system_attr(trial._trial_id, key, value)  # noqa: SLF001
            return bool(known["hopeless"])

    def note_size(self, claim: Claim, size: Mapping[str, int | None]) -> None:
        """Record the ``parameters`` and ``macs`` of the trial's network."""
        with storage_errors(self._place):
            claim.trial.set_user_attr("size", dict(size))

    def complete(self, claim: Claim, answer: Evaluation) -> None:
        """Record the value with the costs, and keep the parameters if they are the best so far or on the front."""
        with self._ending(claim) as trial:
            if trial is None:
                return
            self._note(claim, answer.seconds, answer.curve)
            values = [float(answer.value), *trial.user_attrs.get(COSTS, ())]
            numbers = self._kept({trial.number: values})
            keep = answer.parameters is not None and self._folder is not None and trial.number in numbers
            if keep:
                self._stage(claim, answer)
            self._study.tell(claim.trial, values)
            if keep:
                self._settle()

    @contextlib.contextmanager
    def _ending(self, claim: Claim) -> Iterator[FrozenTrial | None]:
        """Have a turn to end an evaluation; yields None where it is another worker's by now."""
        with self._turn():
            trial = self._claims.own(claim)
            if trial is not None:
                claim.trial.set_user_attr(ENDED, time.time())
            yield trial
            self._claims.release(claim)

    def _note(self, claim: Claim, seconds: float, curve: Sequence[CurvePoint]) -> None:
        claim.trial.set_user_attr("seconds", float(seconds))
        claim.trial.set_user_attr("curve", [[p.step, p.steps, p.value, p.loss, p.seconds] for p in curve])

    def prune(self, claim: Claim, curve: Sequence[CurvePoint]) -> None:
        """Record that the evaluation was ended early, after at least one step, and how far it had come.

        Optuna takes the last value for its.
        """
        import optuna

        with self._ending(claim) as trial:
            if trial is None:
                return
            self._note(claim, curve[-1].seconds, curve)
            self._study.tell(claim.trial, state=optuna.trial.TrialState.PRUNED)

    def fail(self, claim: Claim, reason: str, seconds: float = 0.0) -> None:
        """Record that the evaluation failed, and why."""
        import optuna

        with self._ending(claim) as trial:
            if trial is None:
                return
            claim.trial.set_user_attr("failure", reason)
            claim.trial.set_user_attr("seconds", seconds)
            self._study.tell(claim.trial, state=optuna.trial.TrialState.FAIL)

    # ── trained parameters ──

    def _kept(self, more: Mapping[int, Sequence[float]]) -> set[int]:
        """Return the numbers of the trials whose parameters are kept, with these values and costs of more trials."""
        done = {trial.number: trial.values for trial in self._trials() if trial.state.name == "COMPLETE"}
        return keepers({**done, **more}, self._sign)

    def check_parameters(self) -> None:
        """See that the parameters kept in the folder are whole, where there are some; a `StudyError` if not."""
        if self._folder:
            check_kept(self._folder, self.name)

    def _stage(self, claim: Claim, answer: Evaluation) -> None:
        assert self._folder is not None and answer.parameters is not None  # noqa: PT018
        notes = {"architecture": claim.trial.user_attrs["architecture"], "value": repr(answer.value)}
        if answer.preprocessing is not None:
            notes[NOTE] = answer.preprocessing.to_text()
        alone = not self._costs
        file = stage(self._folder, self.name, claim.trial.number, answer.parameters, notes, alone=alone)
        claim.trial.set_user_attr("parameters", file)

    def _settle(self) -> None:
        if self._folder is not None:
            settle(self._folder, self.name, self._kept({}), alone=not self._costs)
