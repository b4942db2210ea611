"""The record of a search in its Optuna study: what was asked, by whom, and what came back.

Each query is one Optuna trial. Its parameters are the architecture's choices, its intermediate values the learning
curve, so that Optuna's dashboard shows both; its user attributes hold the rest. A trial enters the storage in one
transaction, and whatever state a stop leaves it in tells how to go on:

    waiting              asked, not begun            → begun by the next worker
    running, worker gone begun, not finished         → begun again, with the same seed, so with the same end
    running              another worker is at it     → pending
    complete, fail       done
    pruned               ended early as hopeless     → done, with its last value, and never the best
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import Timeout

from robonas.errors import StudyError
from robonas.files import write_tensors
from robonas.results import parameters_file
from robonas.settings import differences, plain
from robonas.storage import lock_of, storage_errors, worker_is_gone, worker_token
from robonas.trials import Asked, as_asked, as_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from robonas.objectives.base import CurvePoint, Evaluation
    from robonas.pruning import Pruning
    from robonas.results import Query
    from robonas.trials import Chooser

SETTINGS = "robonas"
"""User attribute of a study that is ours."""
HOPELESS = "hopeless"
"""User attribute of a trial: the step after which the pruner ended it."""
_ACTIVE: set[tuple[str, str, int]] = set()
"""Trials at work in this process: what tells an interrupted evaluation from a running one when a notebook calls
`search` again."""


@dataclass(frozen=True)
class Ticket:
    """The right to evaluate one candidate."""

    trial: optuna.Trial
    """Of the study."""
    reported: frozenset[int]
    """Steps that an earlier attempt has reported."""


class Ledger:
    """The trials of one search.

    Args:
        storage: Optuna's.
        name: Of the study.
        direction: Of the objective's values.
        settings: What must be equal to go on with a study; JSON values.
        folder: Where the best network's parameters are kept, and the lock by which workers take turns; None for
            neither.
        pruning: When to end an evaluation early; None for never.

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
    ) -> None:
        import optuna

        self.name = name
        self._pruning = pruning
        self.settings = plain(settings)
        self._folder, self._file = folder, file
        self._place = str(folder or file or f"memory {id(storage)}")
        self._lock: contextlib.AbstractContextManager[Any] = lock_of(file) if file else contextlib.nullcontext()
        self._worker = worker_token()
        self._sign = 1.0 if direction == "maximize" else -1.0
        with self._turn():
            try:
                self._study = optuna.load_study(study_name=name, storage=storage)
            except KeyError:
                self._study = optuna.create_study(study_name=name, storage=storage, direction=direction)
            ours = SETTINGS in self._study.user_attrs or not self._study.user_attrs
            if ours and not self._study.get_trials(deepcopy=False):
                # Nothing has been evaluated yet, so nothing binds a later attempt to the settings of an earlier one.
                self._study.set_user_attr(SETTINGS, self.settings)
                for key in set(self._study.user_attrs) - {SETTINGS}:
                    self._study.set_user_attr(key, None)
        self._compare(self._study.user_attrs.get(SETTINGS))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Within: this process works on the study, and others can tell that it is alive.

        A study in a file is worked on by those who hold a lock beside it, which ends with its holder on any host; one
        on a server by processes of a host, by number and start time.
        """
        if self._file is None:
            yield
            return
        self._worker = f"lock-{uuid.uuid4().hex}"
        with lock_of(self._file, f".{self._worker}") as presence:
            try:
                yield
            finally:
                Path(presence.lock_file).unlink(missing_ok=True)

    @classmethod
    def load(
        cls, storage: optuna.storages.BaseStorage, name: str, *, folder: Path | None = None, file: Path | None = None
    ) -> Ledger:
        """The record of a study that exists.

        Raises:
            StudyError: There is none of that name, or robonas did not make it.
        """
        import optuna

        place = str(folder or name)
        with storage_errors(place):
            known = optuna.get_all_study_summaries(storage)
        for summary in known:
            if summary.study_name == name:
                settings = summary.user_attrs.get(SETTINGS)
                if settings is None:
                    raise StudyError(f"Study '{name}' in '{place}' was not made by robonas.")
                return cls(storage, name, settings["objective"]["direction"], settings, folder=folder, file=file)
        names = ", ".join(repr(summary.study_name) for summary in known) or "none"
        raise StudyError(f"There is no study '{name}' in '{place}'; it has {names}.")

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

    @property
    def budget(self) -> int:
        """The budget of the latest search on this study; 0 before the first."""
        return int(self._study.user_attrs.get("budget") or 0)

    @budget.setter
    def budget(self, budget: int) -> None:
        if budget != self.budget:
            with self._turn():
                self._study.set_user_attr("budget", budget)

    @property
    def left_out(self) -> dict[str, int]:
        """How many candidates broke each limit, when the pool was drawn."""
        return dict(self._study.user_attrs.get("left_out") or {})

    @left_out.setter
    def left_out(self, counts: Mapping[str, int]) -> None:
        if counts != self.left_out:
            with self._turn():
                self._study.set_user_attr("left_out", dict(counts))

    def fix(self, key: str, value: str) -> None:
        """Remember a value at the first call, and insist on it at every later one.

        Raises:
            StudyError: The study was begun with another value.
        """
        with self._turn():
            known = self._study.user_attrs.get(key)
            if known is None:
                self._study.set_user_attr(key, value)
            elif known != value:
                raise StudyError(
                    f"Study '{self.name}' in '{self._place}' was begun with other {key} ({known}) than now ({value}); "
                    "were they computed by other versions? Choose another folder or name for this search."
                )

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One worker at a time, and trouble of the storage in one sentence."""
        with storage_errors(self._place), self._lock:
            yield

    # ── reading ──

    def _trials(self) -> list[FrozenTrial]:
        with storage_errors(self._place):
            first: dict[str, FrozenTrial] = {}
            for trial in self._study.get_trials(deepcopy=False):
                if "architecture" in trial.user_attrs and "dropped" not in trial.user_attrs:
                    # Two workers without a common lock may have asked for the same; the first counts.
                    first.setdefault(trial.user_attrs["architecture"], trial)
            return list(first.values())

    def asked(self) -> list[Asked]:
        """All queries in the order of asking, as a `Chooser` sees them."""
        return [as_asked(trial, self._sign) for trial in self._trials()]

    def queries(self) -> tuple[Query, ...]:
        """All queries in the order of asking, as a person sees them."""
        return tuple(as_query(number, trial) for number, trial in enumerate(self._trials(), 1))

    def query(self, ticket: Ticket) -> Query:
        """The query of one trial."""
        for number, trial in enumerate(self._trials(), 1):
            if trial.number == ticket.trial.number:
                return as_query(number, trial)
        raise StudyError(
            f"Trial {ticket.trial.number} of study '{self.name}' has vanished; another program deleted it."
        )

    def best(self) -> float | None:
        """The best value so far, in the objective's own direction; pruned evaluations have none."""
        values = [entry.value for entry in self.asked() if entry.value is not None and entry.pruned is None]
        return self._sign * max(values) if values else None

    # ── asking ──

    def next(self, chooser: Chooser, budget: int) -> Ticket | None:
        """The next evaluation to do: one that a stop has left, else a new one; None when there is no more to do.

        Args:
            chooser: Chooses the new ones.
            budget: How many queries there may be.
        """
        while True:
            with self._turn():
                trials = self._trials()
                for trial in trials:
                    if trial.state.name == "RUNNING" and self._abandoned(trial):
                        return self._begin(trial._trial_id, trial)  # noqa: SLF001
                waiting = any(trial.state.name == "WAITING" for trial in trials)
                if len(trials) >= budget and not waiting:
                    return None
                asked = [as_asked(trial, self._sign) for trial in trials]
                if waiting or chooser.ready(asked):
                    if not waiting:
                        choice = chooser.choose(asked)
                        if choice is None:
                            return None
                        self._study.enqueue_trial(choice.parameters(), user_attrs=choice.notes())
                    ticket = self._begin(self._study.ask()._trial_id)  # noqa: SLF001
                    if self._counts(ticket, budget):
                        return ticket
                    self._drop(ticket)
                    continue
            chooser.prepare(asked)

    def _counts(self, ticket: Ticket, limit: int) -> bool:
        """Whether the trial is the first for its candidate, and within the budget; without a lock, others may be."""
        return ticket.trial.number in [trial.number for trial in self._trials()[:limit]]

    def _drop(self, ticket: Ticket) -> None:
        import optuna

        ticket.trial.set_user_attr("dropped", True)
        self._study.tell(ticket.trial, state=optuna.trial.TrialState.FAIL)
        _ACTIVE.discard(self._key(ticket.trial.number))

    def _abandoned(self, trial: FrozenTrial) -> bool:
        token = trial.user_attrs.get("worker")
        if token is not None and token == self._worker:
            return self._key(trial.number) not in _ACTIVE
        if token is not None and token.startswith("lock-") and self._file is not None:
            presence = lock_of(self._file, f".{token}")
            try:
                presence.acquire(timeout=0)
            except Timeout:
                return False
            presence.release()
            Path(presence.lock_file).unlink(missing_ok=True)
            return True
        return worker_is_gone(token)

    def _key(self, number: int) -> tuple[str, str, int]:
        return self._place, self.name, number

    def _begin(self, trial_id: int, before: FrozenTrial | None = None) -> Ticket:
        import optuna

        trial = optuna.Trial(self._study, trial_id)
        key = self._key(trial.number)
        _ACTIVE.add(key)
        try:
            trial.set_user_attr("worker", self._worker)
            options = trial.user_attrs.get("options", {})  # none where another worker took the one that we asked for
            if before is None or len(before.params) < len(options):
                for name, known in options.items():
                    trial.suggest_categorical(name, known)
        except BaseException:
            _ACTIVE.discard(key)
            raise
        return Ticket(trial, frozenset(before.intermediate_values) if before else frozenset())

    # ── telling ──

    @contextlib.contextmanager
    def working(self, ticket: Ticket) -> Iterator[None]:
        """Until the end of the block, this process is at work on the trial, as since `next` gave the ticket."""
        try:
            yield
        finally:
            _ACTIVE.discard(self._key(ticket.trial.number))

    def report(self, ticket: Ticket, point: CurvePoint) -> bool:
        """Record a step of the evaluation.

        Returns:
            Whether to end it here: never after its last step, nor where an earlier attempt has gone on.
        """
        with storage_errors(self._place):
            if point.step not in ticket.reported:
                ticket.trial.report(point.value, point.step)
            if self._pruning is None or max(ticket.reported, default=0) > point.step or point.step >= point.steps:
                return False
            # An earlier attempt may have been stopped after its verdict. Asked twice, a pruner can answer otherwise.
            if ticket.trial.user_attrs.get(HOPELESS) == point.step:
                return True
            self._study.pruner = self._pruning.pruner(point.steps)
            hopeless = ticket.trial.should_prune()
            if hopeless:
                ticket.trial.set_user_attr(HOPELESS, point.step)
            return hopeless

    def note_size(self, ticket: Ticket, size: Mapping[str, int | None]) -> None:
        """Record the ``parameters`` and ``macs`` of the trial's network."""
        with storage_errors(self._place):
            ticket.trial.set_user_attr("size", dict(size))

    def complete(self, ticket: Ticket, answer: Evaluation) -> None:
        """Record the value, and keep the parameters if they are the best so far."""
        with self._turn():
            self._note(ticket, answer.seconds, answer.curve)
            best = self.best()
            if (
                answer.parameters is not None
                and self._folder
                and (best is None or self._sign * (answer.value - best) > 0)
            ):
                self._keep(ticket.trial.user_attrs["architecture"], answer)
            self._study.tell(ticket.trial, float(answer.value))

    def _note(self, ticket: Ticket, seconds: float, curve: Sequence[CurvePoint]) -> None:
        ticket.trial.set_user_attr("seconds", float(seconds))
        ticket.trial.set_user_attr("curve", [[p.step, p.steps, p.value, p.loss, p.seconds] for p in curve])

    def prune(self, ticket: Ticket, curve: Sequence[CurvePoint]) -> None:
        """Record that the evaluation was ended early, and how far it had come; Optuna takes the last value for its."""
        import optuna

        with self._turn():
            self._note(ticket, curve[-1].seconds if curve else 0.0, curve)
            self._study.tell(ticket.trial, state=optuna.trial.TrialState.PRUNED)

    def _keep(self, architecture: str, answer: Evaluation) -> None:
        assert self._folder is not None
        assert answer.parameters is not None
        notes = {"architecture": architecture, "study": self.name, "value": repr(answer.value)}
        write_tensors(self._folder / parameters_file(self.name), answer.parameters, notes)

    def fail(self, ticket: Ticket, reason: str, seconds: float = 0.0) -> None:
        """Record that the evaluation failed, and why."""
        import optuna

        with self._turn():
            ticket.trial.set_user_attr("failure", reason)
            ticket.trial.set_user_attr("seconds", seconds)
            self._study.tell(ticket.trial, state=optuna.trial.TrialState.FAIL)
