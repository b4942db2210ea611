"""The options that say how many trainings run at once, where, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import typer

from robonas.cli.help import RUN
from robonas.cli.options import not_empty
from robonas.cli.reading import split

Executor = Annotated[
    str | None,
    typer.Option(
        metavar="[ray|ray:ADDRESS|dask:ADDRESS]",
        help="Cluster to work on instead of processes of this machine: Ray's or Dask's.",
        callback=not_empty,
        rich_help_panel=RUN,
    ),
]


@dataclass
class ParallelOptions:
    """The options that say how many trainings run at once, where, and for how long."""

    HEADING: ClassVar[str] = RUN

    parallel: Annotated[
        int | None,
        typer.Option(
            help="Number of networks to train at once.  [default: one on each of the devices, or one]",
        ),
    ] = None
    devices: Annotated[
        list[str],
        typer.Option(
            help="Devices to divide the trainings among, such as cuda:0,cuda:1. May be repeated.  [default: all GPUs "
            "that are visible, or the CPU]"
        ),
    ] = field(default_factory=list)
    executor: Executor = None
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which no training begins; the same command, run again, goes on."),
    ] = None
    trial_timeout: Annotated[
        float | None, typer.Option(help="Seconds that one training may take; one that takes longer has failed.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings by the names that `search` has for them."""
        return {
            "n_parallel": self.parallel,
            "devices": split("--devices", self.devices) or None,
            "executor": self.executor,
            "timeout": self.timeout,
            "trial_timeout": self.trial_timeout,
        }
