"""Progress bar of a full training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from robonas.common.bars import Bars

if TYPE_CHECKING:
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

    def __call__(self, row: EpochFinished) -> None:
        """Show an event of `train`."""
        told = f"loss {row.training_loss:.4f}"
        if row.value is not None:
            told += f"  validation {row.value:.4f}"
        if self.place == "lines":
            self.say(f"epoch {row.epoch:>4} of {row.epochs}  {row.seconds:6.1f} s  {told}")
            return
        if self._bar is None:
            self._bar = self.add("epochs", total=row.epochs)
        self.update(self._bar, completed=row.epoch, note=told)


def bar_of_training(given: dict[str, Any]) -> TrainingBar:
    """Return the bar of a training with these arguments; of several processes, the first one shows it."""
    return TrainingBar(given.get("progress") if os.environ.get("RANK", "0") == "0" else False)
