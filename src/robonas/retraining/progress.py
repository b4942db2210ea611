"""Progress bar of a full training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from robonas.common.bars import Bars
from robonas.common.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import TaskID

    from robonas.study.events import EpochFinished


class TrainingBar(Bars):
    """A bar of the epochs of a full training with the time left; a plain line an epoch where there is no terminal.

    Args:
        progress: True, False or None; see `place_of`.
    """

    def __init__(self, progress: bool | None = None) -> None:
        super().__init__(progress)
        self._bar: TaskID | None = None

    def going_on(self, log: Sequence[EpochFinished]) -> None:
        """Say that a training goes on after the epochs of its log."""
        row = log[-1]
        if row.epoch == row.epochs:
            self.say(f"the training of {plural(row.epochs, 'epoch')} is finished already, {_told(row)}")
        else:
            self.say(f"going on after epoch {row.epoch} of {row.epochs}, {_told(row)}")

    def __call__(self, row: EpochFinished) -> None:
        """Show an event of `train`."""
        told = _told(row)
        if self.place == "lines":
            self.say(f"epoch {row.epoch:>4} of {row.epochs}  {row.seconds:6.1f} s  {told}")
            return
        if self._bar is None:
            self._bar = self.add("epochs", total=row.epochs, done=row.epoch - 1)
        self.update(self._bar, completed=row.epoch, note=told)


def _told(row: EpochFinished) -> str:
    """Return how good the network was after an epoch, in a few words."""
    told = f"loss {row.training_loss:.4f}"
    return told if row.value is None else f"{told}  validation {row.value:.4f}"


def say_going_on(callbacks: Sequence[object], log: Sequence[EpochFinished]) -> None:
    """Let the bar among the callbacks of `train` say that the training goes on after these epochs."""
    for bar in callbacks:
        if isinstance(bar, TrainingBar) and log:
            bar.going_on(log)


def bar_of_training(given: dict[str, Any]) -> TrainingBar:
    """Return the bar of a training with these arguments; of several processes, the first one shows it."""
    return TrainingBar(given.get("progress") if os.environ.get("RANK", "0") == "0" else False)
