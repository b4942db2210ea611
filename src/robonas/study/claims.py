"""Claims of workers to evaluations, signs of life, and the count of attempts."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robonas.study.trials import CLAIM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from robonas.study.sharing import Sharing
    from robonas.study.trials import StoredTrial

ATTEMPTS = 2
"""Number of times that an evaluation may take its worker with it before it counts as failed."""
_HERE: dict[str, int] = {}
"""The workers in this process, and the thread of each."""


@dataclass(frozen=True)
class Claim:
    """The right of this worker to evaluate one candidate."""

    trial: optuna.Trial
    """Trial of the study."""
    reported: frozenset[int]
    """Steps that an earlier attempt has reported."""


class Claims:
    """The claims of one worker on the trials of a study.

    Args:
        study: Optuna's.
        sharing: Rules by which its workers share it.
    """

    def __init__(self, study: optuna.Study, sharing: Sharing) -> None:
        self._study = study
        self._storage = study._storage  # noqa: SLF001
        self._sharing = sharing
        self._worker: str | None = None
        self._held: dict[int, Claim] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Let all other workers see that this one is alive, until the block ends; what it holds then is given back."""
        with self._sharing.present() as worker:
            self._worker, _HERE[worker] = worker, threading.get_ident()
            try:
                with self._beating():
                    yield
            finally:
                try:
                    for claim in list(self._held.values()):
                        with contextlib.suppress(Exception):  # an error of the storage would hide the one that matters
                            self.give_back(claim)
                finally:
                    del _HERE[worker]

    def in_vain(self, pending: Sequence[FrozenTrial]) -> bool:
        """Return whether one of these is with a search that this one was called from, and waiting for it is in vain."""
        return any(_HERE.get(_worker_of(trial)) == threading.get_ident() for trial in pending)

    def take_up(self, trials: Sequence[FrozenTrial], place: Mapping[str, Any]) -> tuple[Claim | None, bool]:
        """Begin what nobody is at; in a turn.

        Args:
            trials: All trials of the study.
            place: Place of the evaluation, noted with it; JSON values.

        Returns:
            The right to it, None where there is nothing; and whether some have been found to have failed.
        """
        dead = False
        for trial in trials:
            waiting = trial.state.name == "WAITING"
            if waiting or (trial.state.name == "RUNNING" and self._abandoned(trial)):
                if _attempts_of(trial) < ATTEMPTS:
                    return self._begin(trial, waiting=waiting, place=place), dead
                self._bury(trial)
                dead = True
        return None, dead

    def _bury(self, trial: FrozenTrial) -> None:
        import optuna

        reason = (
            f"the process that evaluated it died in each of {ATTEMPTS} attempts; "
            "it may need more memory than there is, or crash the process"
        )
        self._storage.set_trial_user_attr(trial._trial_id, "failure", reason)  # noqa: SLF001
        self._storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)  # noqa: SLF001

    def _abandoned(self, trial: FrozenTrial) -> bool:
        """Return whether nobody is at a trial that was begun; in a turn."""
        worker = _worker_of(trial)
        if trial._trial_id in self._held:  # noqa: SLF001
            return False
        if worker == self._worker or not worker:  # nobody begins one and leaves its turn without a note of it
            return True
        return worker not in _HERE and self._sharing.gone(worker, trial._trial_id)  # noqa: SLF001

    def _begin(self, before: FrozenTrial, *, waiting: bool, place: Mapping[str, Any]) -> Claim:
        import optuna

        assert self._worker is not None, "a ledger gives claims while it is open"
        trial_id, storage = before._trial_id, self._storage  # noqa: SLF001
        if waiting:
            storage.set_trial_state_values(trial_id, optuna.trial.TrialState.RUNNING)
        self._sharing.beat(trial_id)
        note = {"worker": self._worker, "attempts": _attempts_of(before) + 1, "since": time.time(), **place}
        storage.set_trial_user_attr(trial_id, CLAIM, note)
        trial = optuna.Trial(self._study, trial_id)
        options = before.user_attrs["options"]
        if len(before.params) < len(options):
            for name, known in options.items():
                trial.suggest_categorical(name, known)
        claim = Claim(trial, frozenset(before.intermediate_values))
        self._held[trial_id] = claim
        return claim

    def give_back(self, claim: Claim) -> None:
        """Let go of a trial that is not finished, and let the attempt not count: this process is alive."""
        trial = self.own(claim)
        self.release(claim)
        if trial is not None:
            claim.trial.set_user_attr(CLAIM, {"worker": None, "attempts": _attempts_of(trial) - 1})

    def release(self, claim: Claim) -> None:
        """Hold a trial no more, since it is finished or another worker's."""
        self._held.pop(claim.trial._trial_id, None)  # noqa: SLF001

    @contextlib.contextmanager
    def _beating(self) -> Iterator[None]:
        """Give signs of life with all trials that this worker holds, until the block ends."""
        every = self._sharing.beats
        if every is None:
            yield
            return
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(every):
                for trial_id in list(self._held):
                    with contextlib.suppress(Exception):  # such as a server that restarts: the next may come through
                        self._sharing.beat(trial_id)

        thread = threading.Thread(target=beat, name="robonas heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def own(self, claim: Claim) -> FrozenTrial | None:
        """Return the trial as it is now; None where it is finished or another worker has taken it over."""
        trial = self._storage.get_trial(claim.trial._trial_id)  # noqa: SLF001
        return trial if trial.state.name == "RUNNING" and _worker_of(trial) == self._worker else None


def _worker_of(trial: StoredTrial) -> str:
    """Return the name of the worker of a trial; empty where there is none."""
    return trial.user_attrs.get(CLAIM, {}).get("worker") or ""


def somebody_works(trials: Sequence[tuple[int, StoredTrial]], sharing: Sharing) -> bool:
    """Return whether another process is at the trials that are running, or between two trials; nothing is changed.

    Args:
        trials: Trials with the numbers by which their storage knows them.
        sharing: Rules by which the workers share the study.
    """
    known = {
        _worker_of(trial): number
        for number, trial in trials
        if sharing.seen_between_trials or trial.state.name == "RUNNING"
    }
    return any(worker and sharing.alive(worker, number) for worker, number in known.items())


def _attempts_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get(CLAIM, {}).get("attempts", 0))
