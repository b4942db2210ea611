"""Groups of options: their fields are options, and the command gets them as one object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from robonas.cli.groups import takes_groups
from robonas.cli.help import QuickCommand


@dataclass
class Size:
    """A group."""

    HEADING: ClassVar[str] = "Size"

    width: Annotated[int, typer.Option("--width", "-w", help="Number of columns.")] = 3
    marks: Annotated[list[str], typer.Option(metavar="MARK", rich_help_panel="Marks")] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise typer.BadParameter("too narrow")


def made() -> tuple[typer.Typer, list]:
    app, seen = typer.Typer(rich_markup_mode=None), []

    @app.command(cls=QuickCommand)
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


def test_the_help_shows_options_under_the_headings_of_their_groups() -> None:
    app, _ = made()
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    headings = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Arguments", "Size", "Marks", "Other options"]
    under = {heading: lines[lines.index(f"{heading}:") + 1].split()[0] for heading in headings}
    assert under == {"Arguments": "name", "Size": "-w,", "Marks": "--marks", "Other options": "--loud"}


Shared = Annotated[int, typer.Option()]


@dataclass
class One:
    """A group."""

    HEADING: ClassVar[str] = "One"
    number: Shared = 1


@dataclass
class Two:
    """Another with the same option."""

    HEADING: ClassVar[str] = "Two"
    number: Shared = 2


def test_a_heading_is_for_one_command_only() -> None:
    """Groups and commands share options; what one is shown under must not move it in another's help."""
    for group in (One, Two):
        app = typer.Typer(rich_markup_mode=None)

        def command(it) -> None:
            """Do it."""

        command.__annotations__["it"] = group
        app.command(cls=QuickCommand)(takes_groups(command))
        assert f"{group.HEADING}:" in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize("words", [["search"], ["train"], ["score"], ["experiment"], ["space", "profile"], ["export"]])
def test_every_option_of_ours_has_a_heading(words) -> None:
    from typer.main import get_command

    from robonas.cli.app import app
    from robonas.cli.help import OTHERS, sections

    found = get_command(app)
    context = found.make_context("robonas", [], resilient_parsing=True)
    for word in words:
        found = found.commands[word]
        context = found.make_context(word, [], parent=context, resilient_parsing=True)
    shown = sections(found, context)
    assert [option for option, _ in shown[OTHERS] if option != "--help"] == []
    counted = sum(len(records) for records in shown.values())
    assert counted == len([each for each in found.get_params(context) if not each.hidden])
