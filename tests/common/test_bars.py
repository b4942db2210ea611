"""Bars: where they are shown, what a log gets, and what a notebook gets."""

from __future__ import annotations

import io
import sys
import types

import pytest
from rich.console import Console

from robonas.common import bars
from robonas.common.bars import Bars, ScoringBars, in_words, place_of, with_bars
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


@pytest.fixture
def log(monkeypatch):
    """A standard error that is a file, and a clock: what was written, and how to move time on."""
    stream, now = io.StringIO(), [100.0]
    monkeypatch.setattr(bars, "err", Console(file=stream, width=60))
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return types.SimpleNamespace(lines=lambda: stream.getvalue().splitlines(), wait=wait)


def test_a_log_gets_a_line_of_scoring_every_tenth_and_how_long_it_will_take(log) -> None:
    with ScoringBars(progress=True) as shown:
        for done in range(0, 1001, 8):
            shown.scoring(done, 1000)
            log.wait(0.8)
    first, *lines = log.lines()
    assert first == "scoring 1,000 of 1,000 networks"
    assert lines[0] == "scored 104 of 1,000 networks, about 1 min left"
    assert lines[-1] == "scored 936 of 1,000 networks, about 6 s left"
    assert len(lines) == 9


def test_a_log_of_a_long_scoring_has_a_line_in_half_a_minute_and_of_a_short_one_none(log) -> None:
    with ScoringBars(progress=True) as shown:
        for done in range(0, 81, 8):
            shown.scoring(done, 100_000)
            log.wait(15)
    assert len(log.lines()) == 1 + 5
    assert log.lines()[1] == "scored 16 of 100,000 networks, about 52 h 04 min left"
    with ScoringBars(progress=True) as shown:
        for done in range(11):
            shown.scoring(done, 10)
            log.wait(0.1)
    assert log.lines()[6:] == ["scoring 10 of 10 networks"]


def test_scoring_that_goes_on_says_how_many_scores_are_there(log) -> None:
    for done in (120, 600):
        with ScoringBars(progress=True) as shown:
            shown.scoring(done, 600)
    assert log.lines() == [
        "the scores of 120 of 600 networks are there already",
        "scoring 480 of 600 networks",
        "the scores of all 600 networks are there already",
    ]


def test_times_that_are_a_guess_are_said_shortly() -> None:
    assert [in_words(seconds) for seconds in (0.2, 59, 60, 7500)] == ["1 s", "59 s", "1 min", "2 h 05 min"]


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
