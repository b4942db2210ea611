"""Commands and groups of them whose help comes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    import typer

LONGEST = 200
"""Characters of a command's first sentence, in the list of commands."""


class _PlainFlag:
    """A command whose ``--help`` is False where it is not given, and not None, which Typer would convert.

    Typer converts by pydantic, and importing that takes longer than all that ``list`` and ``--help`` do.
    """

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option ``--help``."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option


class QuickCommand(_PlainFlag, TyperCommand):
    """A command that comes at once, if it takes its words from ``ctx.args`` and has no options but flags."""


class QuickGroup(_PlainFlag, TyperGroup):
    """A group of commands whose help tells the whole first sentence of each."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the names of the commands and what they do."""
        rows = [
            (name, command.get_short_help_str(LONGEST))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
