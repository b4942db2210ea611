"""Boxes of the command line: what is to be copied is never broken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from robonas.cli import console

LONG = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|nor_conv_3x3~2|"


@pytest.fixture
def printed(monkeypatch):
    def run(width, **rows):
        shown = io.StringIO()
        monkeypatch.setattr(console, "out", Console(file=shown, width=width, color_system=None, highlight=False))
        console._panel("auto found", {name.replace("_", " "): value for name, value in rows.items()})
        return shown.getvalue().splitlines()

    return run


def test_an_architecture_and_a_path_that_a_box_would_break_stand_below_it_whole(printed) -> None:
    path = "/home/me/" + "deep/" * 20 + "search.safetensors"
    lines = printed(80, architecture=LONG, how_sure="partly luck " * 9, trained_network=path)
    assert lines[-2:] == [f"architecture: {LONG}", f"trained network: {path}"]
    assert all(len(line) == 80 for line in lines[:-2])
    assert not any("~" in line or "deep" in line for line in lines[:-2])
    assert sum("partly" in line for line in lines) > 1


def test_what_fits_stands_in_the_box(printed) -> None:
    least = len(LONG) + len("trained network") + 6
    for width in (least - 1, least, least + 1):
        lines = printed(width, architecture=LONG, trained_network="a")
        assert any(line.startswith("│ architecture     ") and LONG in line for line in lines) == (width >= least)
        assert any(line == f"architecture: {LONG}" for line in lines) == (width < least)


def test_a_box_of_nothing(printed) -> None:
    assert len(printed(80)) >= 2
