"""The `robonas` command: its commands, and what a user is told when one of them fails."""

from __future__ import annotations

import contextlib
import platform
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

import robonas
from robonas.cli import experiment, listing, predict, results, search, spaces, tables, train
from robonas.cli.help import Commands, QuickGroup
from robonas.common.registry import fault_of_own_code
from robonas.errors import NasError
from robonas.processes import stops

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Errors that Typer raises for a command line that does not fit the options."""


def _usage_in_words(error: Any) -> str:
    """Return the sentence for a command line that does not fit, and where to read what does."""
    told = " ".join(str(error.format_message()).split()).removesuffix(".")
    place = "robonas" if error.ctx is None else error.ctx.command_path
    return f"{told}{'' if told.endswith('?') else '.'} See '{place} --help'."


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    from robonas.cli.console import warn

    warn(str(message))


def _mistake(error: BaseException) -> str | None:
    """Return the sentence for a mistake of the user's; None for any other error."""
    if isinstance(error, NasError):
        return str(error)
    # Whoever gives nothing made no mistake, and is shown the help.
    if isinstance(error, USAGE_ERROR) and type(error).__name__ != "NoArgsIsHelpError":
        return _usage_in_words(error)
    if isinstance(error, USAGE_ERROR | typer.Exit) or not isinstance(error, Exception | SystemExit):
        return None
    fault = fault_of_own_code(error)
    return None if fault is None else f"Your own code failed: {fault}. Mend it there, and run the same command again."


@contextlib.contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Turn a user's mistake into one line and exit code 2, and a stop into a line that says how to continue."""
    try:
        yield
    except BaseException as error:
        # Code that is stopped may raise anything, such as a broken pipe for its own child.
        if stops.received() is not None or isinstance(error, KeyboardInterrupt):
            from robonas.cli.console import say

            raise typer.Exit(stops.tell(say)) from None
        told = _mistake(error)
        if told is None:
            raise
        from robonas.cli.console import complain

        complain(told)
        raise typer.Exit(2) from None


class _Group(QuickGroup):
    """The commands of `robonas`, whose failures are told in one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the first command."""
        with _told_in_one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        warnings.showwarning = _warn
        with _told_in_one_line():
            return super().invoke(ctx)


app = Commands(
    name="robonas",
    cls=_Group,
    help="Find a good neural network by training only a few: training-free metrics score many candidates, and a "
    "strategy learns which of them to train.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes at once
)
for command in (
    search.search,
    train.train,
    predict.predict,
    search.score,
    results.show,
    results.report,
    results.export,
):
    app.command()(command)
app.command("list", **listing.USAGE)(listing.list_entries)
app.command()(experiment.experiment)
app.add_typer(spaces.app, name="space")
app.add_typer(tables.app, name="tables")


def _tell_version(wanted: bool) -> None:
    """Print the versions of robonas and of what its results depend on most, and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(
            f"robonas {robonas.__version__} (Python {platform.python_version()}, PyTorch {version('torch')}, "
            f"Optuna {version('optuna')})"
        )
        raise typer.Exit


@app.callback()
def robonas_command(
    *,
    version: Annotated[  # read by its callback
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the first command."""


def main() -> None:
    """Run the `robonas` command."""
    from robonas.common.streams import close_streams, drop_output, open_streams

    open_streams()
    try:
        with stops.stopping():
            try:
                app()
            except (SystemExit, KeyboardInterrupt):
                if stops.received() is not None:
                    stops.leave()
                raise
            finally:
                close_streams()
    except BrokenPipeError:  # `robonas … | head`
        drop_output()
        sys.exit(1)
    except NasError as error:  # the output, full before a command or after it
        from robonas.cli.console import complain

        drop_output()
        complain(str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
