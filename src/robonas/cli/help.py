"""Commands and groups of them: help that comes at once, with the options of a command under headings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")
LONGEST = 200
"""Characters of a command's first sentence, in the list of commands."""
DATA, SPACE, METRICS = "Data", "Search space", "Metrics"
PLAN, LIMITS = "Strategy and budget", "Limits that candidates must keep"
TRAINING, RUN, RESULTS = "Training", "Seed, processes and devices", "Results"
"""Headings under which help shows the options of a command."""
OTHERS = "Other options"
"""Heading of the options that have none, where others have one; they come last."""


def sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the arguments and options of a command as help tells them: how each is given and what it does.

    The keys are the headings, in the order in which they first occur: `rich_help_panel` of an option, though nothing
    here needs Rich.
    """
    arguments: list[tuple[str, str]] = []
    found: dict[str, list[tuple[str, str]]] = {}
    plain: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(record)
        else:
            heading = getattr(parameter, "rich_help_panel", None)
            (found.setdefault(heading, []) if heading else plain).append(record)
    shown = {"Arguments": arguments, **found, OTHERS if found else "Options": plain}
    return {heading: records for heading, records in shown.items() if records}


_ADDED = frozenset({"help", "install_completion", "show_completion"})
"""Flags that Typer adds to commands by itself."""


class _Plain:
    """A command whose help is plain text, with its options under headings.

    The flags that Typer adds, ``--help`` and those for completion, are False where they are not given, and not None,
    which Typer would convert: it converts by pydantic, and importing that takes longer than all that ``list`` and
    ``--help`` do.
    """

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        found = super().get_params(ctx)  # type: ignore[misc]
        for parameter in found:
            if parameter.name in _ADDED:
                parameter.default = False
        return found

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options."""
        for heading, records in sections(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


class QuickCommand(_Plain, TyperCommand):
    """A command whose help comes at once.

    So does all that it does, if it takes its words from ``ctx.args`` and has no options but flags.
    """


class QuickGroup(_Plain, TyperGroup):
    """A group of commands whose help tells the whole first sentence of each."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, and then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the names of the commands and what they do."""
        rows = [
            (name, command.get_short_help_str(LONGEST))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Commands(typer.Typer):
    """Commands whose help is that of `QuickCommand`, unless they ask for another."""

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any
    ) -> Callable[[F], F]:
        """Return the decorator that makes a function a command."""
        return super().command(name, cls=cls or QuickCommand, **settings)
