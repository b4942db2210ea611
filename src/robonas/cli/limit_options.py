"""The options of limits, for the commands that choose from a space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from robonas.cli.help import LIMITS
from robonas.cli.reading import read_bounds

if TYPE_CHECKING:
    from robonas.study.limits import Limits


@dataclass
class LimitOptions:
    """The options that bound what a candidate may cost or score."""

    HEADING: ClassVar[str] = LIMITS

    max_params: Annotated[int | None, typer.Option(help="Largest number of parameters of a candidate.")] = None
    max_macs: Annotated[
        float | None, typer.Option(help="Largest number of multiply-accumulate operations for one sample.")
    ] = None
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Longest time of a forward pass on this device, in milliseconds.")
    ] = None
    max_memory: Annotated[float | None, typer.Option(help="Largest number of bytes that a training step may keep.")] = (
        None
    )
    at_least: Annotated[
        list[str],
        typer.Option(
            metavar="METRIC=VALUE",
            help="Least value of a cheap metric, in its own unit, such as synflow=80 or params=0.1 (millions). May be "
            "repeated.",
        ),
    ] = field(default_factory=list)
    at_most: Annotated[
        list[str],
        typer.Option(
            metavar="METRIC=VALUE",
            help="Largest value of a cheap metric, in its own unit, such as depth=12. May be repeated.",
        ),
    ] = field(default_factory=list)

    def read(self) -> Limits | None:
        """Return the limits that were given; None where there is none."""
        from robonas.study.limits import Limits

        limits = Limits(
            max_params=self.max_params,
            max_macs=self.max_macs,
            max_latency_ms=self.max_latency_ms,
            max_memory=self.max_memory,
            at_least=read_bounds("--at-least", self.at_least),
            at_most=read_bounds("--at-most", self.at_most),
        )
        return limits if limits.bounds else None
