"""The options that say what evaluates a network: robonas's training, a function, or a program."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from robonas.cli.options import not_empty
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from robonas.objectives import Objective


@dataclass
class ObjectiveOptions:
    """The options that put code of the user's own in the place of robonas's training."""

    HEADING: ClassVar[str] = "Your own code instead of robonas's training"

    function: Annotated[
        str | None,
        typer.Option(
            metavar="package.module:NAME",
            help="Function that trains a network and returns its value, or an Objective, instead of robonas's "
            "training.",
            callback=not_empty,
        ),
    ] = None
    command: Annotated[
        str | None,
        typer.Option(
            help="Program that trains a network and prints its value as the last line, instead of robonas's training; "
            "{text}, {architecture} and {seed} in it are filled in.",
            callback=not_empty,
        ),
    ] = None
    takes: Annotated[
        str | None,
        typer.Option(metavar="[network|architecture]", help="Argument of --function.  [default: network]"),
    ] = None
    value_name: Annotated[
        str | None, typer.Option(help="Name of the value of --function or --command.", callback=not_empty)
    ] = None
    minimize: Annotated[bool, typer.Option(help="A smaller value of --function or --command is better.")] = False

    def made(self, *trainings: Any) -> Objective | None:
        """Make the objective; None for robonas's own training.

        Args:
            trainings: Groups of options that are for robonas's own training.

        Raises:
            ConfigError: Options that do not go together.
        """
        if self.function is not None and self.command is not None:
            raise ConfigError("One thing evaluates a network: give `--function` or `--command`, not both.")
        own = "--command" if self.command is not None else "--function"
        if self.function is None and self.command is None:
            for option, given in (("--takes", self.takes), ("--value-name", self.value_name)):
                if given is not None:
                    raise ConfigError(f"`{option}` is for `--function` and `--command`; got {given!r} without them.")
            if self.minimize:
                raise ConfigError("`--minimize` is for `--function` and `--command`; got it without them.")
            return None
        for group in trainings:
            for each in dataclasses.fields(group):
                if getattr(group, each.name) != each.default:
                    option = f"--{each.name.replace('_', '-')}"
                    raise ConfigError(
                        f"`{option}` is for robonas's own training, which `{own}` replaces. Leave it out."
                    )
        direction: Literal["maximize", "minimize"] = "minimize" if self.minimize else "maximize"
        if self.command is not None:
            return self._program(self.command, direction)
        assert self.function is not None
        return self._function(self.function, direction)

    def _program(self, command: str, direction: Literal["maximize", "minimize"]) -> Objective:
        from robonas.objectives import CommandObjective

        if self.takes is not None:
            raise ConfigError(f"`--takes` is for `--function`; got {self.takes!r} for a program.")
        return CommandObjective(command, direction=direction, name=self.value_name or "value")

    def _function(self, reference: str, direction: Literal["maximize", "minimize"]) -> Objective:
        from robonas.common.registry import import_object
        from robonas.objectives import FunctionObjective, Objective

        found: Any = import_object("function", reference)
        if isinstance(found, Objective):
            if self.takes is not None or self.value_name is not None or self.minimize:
                raise ConfigError(
                    f"`--takes`, `--value-name` and `--minimize` are for functions; {reference!r} is an Objective, "
                    "which says so itself."
                )
            return found
        if not callable(found):
            raise ConfigError(f"`--function` must name a function or an Objective; got a {type(found).__name__}.")
        takes: Any = self.takes or "network"
        return FunctionObjective(found, takes=takes, direction=direction, name=self.value_name, isolated=True)
