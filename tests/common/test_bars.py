"""Bars: where they are shown, what a log gets, and what a notebook gets."""

from __future__ import annotations

import io
import sys
import types

import pytest
from rich.console import Console

from robonas.common import bars
from robonas.common.bars import Bars, ScoringBars, place_of, with_bars
from robonas.errors import ConfigError


@pytest.fixture
def terminal(monkeypatch):
    """A standard error that is a terminal, as a text."""
    stream = io.StringIO()
    monkeypatch.setattr(bars, "err", Console(file=stream, force_terminal=True, width=120))
    return stream


class Notebook:
    """Displays of a notebook, each a list of what was drawn in its place."""

    def __init__(self) -> None:
        self.outputs: list[list[str]] = []

    def display(self, shown, display_id):
        assert display_id
        output: list[str] = []
        self.outputs.append(output)
        draw = lambda it: output.append(it._repr_mimebundle_(include=None, exclude=None)["text/html"])
        draw(shown)
        return types.SimpleNamespace(update=draw)


@pytest.fixture
def notebook(monkeypatch):
    """A notebook in which this program runs."""
    book = Notebook()
    module = types.ModuleType("IPython.display")
    module.display = book.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(bars, "_REDRAW_S", 0.0)
    return book


def test_progress_is_shown_on_a_terminal_and_in_a_notebook(terminal) -> None:
    assert [place_of(progress) for progress in (None, True, False)] == ["terminal", "terminal", "nowhere"]


def test_a_log_gets_lines_only_where_they_are_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(bars, "err", Console(file=io.StringIO()))
    assert [place_of(progress) for progress in (None, True, False)] == ["nowhere", "lines", "nowhere"]


def test_a_notebook_gets_one_output_that_is_drawn_again(notebook) -> None:
    assert [place_of(progress) for progress in (None, True, False)] == ["notebook", "notebook", "nowhere"]
    with ScoringBars() as shown:
        shown.scoring(0, 50)
        shown.scoring(20, 50)
        shown.say("3 of 50 <left> out")
    (output,) = notebook.outputs
    assert "0/50" in output[0]
    assert "20/50" in output[-1]
    assert "3 of 50 &lt;left&gt; out" in output[-1]


def test_bars_are_drawn_on_a_terminal_and_brackets_are_brackets(terminal) -> None:
    with Bars() as shown:
        bar = shown.add("training [1]", total=4, note="[bold]")
        shown.update(bar, completed=3)
    text = terminal.getvalue()
    assert "training [1]" in text
    assert "[bold]" in text
    assert "3/4" in text


def test_bars_within_bars_raise_nothing(terminal) -> None:
    with Bars() as outer, Bars() as inner:
        outer.add("outer", total=1)
        inner.add("inner", total=1)


def test_bars_are_the_first_callback_and_what_is_no_list_is_left_to_the_function(terminal) -> None:
    class Called(Bars):
        def __call__(self, event) -> None:
            told.append("bars")

    @with_bars(lambda given: Called(given.get("progress")))
    def work(*, callbacks=(), progress=None):
        if callable(callbacks):
            raise ConfigError("no list")
        for callback in callbacks:
            callback(1)
        return len(callbacks)

    told: list[str] = []
    assert work(callbacks=[lambda _: told.append("mine")], progress=False) == 2
    assert told == ["bars", "mine"]
    with pytest.raises(ConfigError, match="no list"):
        work(callbacks=print)
