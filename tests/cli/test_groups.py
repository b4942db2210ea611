"""Groups of options: their fields are options, and the command gets them as one object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from robonas.cli.groups import takes_groups


@dataclass
class Size:
    """A group."""

    width: Annotated[int, typer.Option("--width", "-w", help="Number of columns.")] = 3
    marks: Annotated[list[str], typer.Option(metavar="MARK")] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise typer.BadParameter("too narrow")


def made() -> tuple[typer.Typer, list]:
    app, seen = typer.Typer(rich_markup_mode=None), []

    @app.command()
    @takes_groups
    def draw(name: str, size: Size, loud: Annotated[bool, typer.Option()] = False) -> None:
        """Draw."""
        seen.append((name, size, loud))

    return app, seen


def test_a_command_gets_its_groups_as_objects() -> None:
    app, seen = made()
    for line in (["a"], ["b", "-w", "5", "--marks", "x", "--marks", "y", "--loud"], ["c"]):
        assert CliRunner().invoke(app, line).exit_code == 0
    assert seen == [("a", Size(), False), ("b", Size(5, ["x", "y"]), True), ("c", Size(), False)]
    assert seen[0][1].marks is not seen[2][1].marks


@pytest.mark.parametrize("text", ["--width", "-w", "Number of columns.", "--marks MARK", "[default: 3]", "--loud"])
def test_the_help_has_each_option_of_a_group(text) -> None:
    app, _ = made()
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert text in shown
    assert "--size" not in shown


def test_a_group_checks_itself_before_the_command_begins() -> None:
    app, seen = made()
    assert CliRunner().invoke(app, ["a", "-w", "0"]).exit_code == 2
    assert seen == []
