"""Progress bars: on a terminal, in a notebook, or as plain lines in a log."""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeAlias, TypeVar, cast

from rich.console import Console, Group
from rich.errors import LiveError
from rich.jupyter import JupyterMixin
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from robonas.common.streams import speaks_unicode

if TYPE_CHECKING:
    from types import TracebackType

Place: TypeAlias = Literal["terminal", "notebook", "lines", "nowhere"]
"""Place where progress is shown."""
err = Console(stderr=True, highlight=False)
"""The standard error, which bars and messages share."""
_REDRAW_S = 0.2
"""Shortest time between two drawings in a notebook."""
_LINES_S = (5.0, 30.0)
"""Shortest time between two plain lines of a count, and the time after which there is one in any case."""
_LINES_SHARE = 0.1
"""Share of a count that is worth a plain line."""
P = ParamSpec("P")
R = TypeVar("R")


def say(text: str) -> None:
    """Write a line to the standard error, as it is: brackets are brackets."""
    err.print(Text(text), soft_wrap=True)


def place_of(progress: bool | None) -> Place:
    """Return where to show progress.

    Args:
        progress: True to show it anywhere, as plain lines where there is neither a terminal nor a notebook; False to
            show none; None to show it on a terminal and in a notebook only.
    """
    if progress is False:
        return "nowhere"
    if Console().is_jupyter:
        return "notebook"
    if err.is_terminal:
        return "terminal"
    return "lines" if progress else "nowhere"


class Bars:
    """Bars with the time that has passed and the time left, while a block runs.

    Args:
        progress: True, False or None; see `place_of`.

    Attributes:
        place: Place where they are shown.
    """

    def __init__(self, progress: bool | None = None) -> None:
        self.place = place_of(progress)
        spinner = SpinnerColumn("dots" if speaks_unicode(err.file) else "line")
        columns: list[ProgressColumn] = [] if self.place == "notebook" else [spinner]
        columns += [
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        ]
        self._bars = Progress(*columns, console=err, disable=self.place != "terminal")
        self._notes: list[Text] = []
        self._handle: Any = None
        self._drawn = -1.0

    def __enter__(self) -> Self:
        if self.place == "notebook":
            _import_tqdm()
        with contextlib.suppress(LiveError):  # within other bars, which an older Rich draws alone
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        if self._handle is not None:
            self._draw(at_once=True)

    def add(self, title: str, *, total: int | None = None, done: int = 0, note: str = "") -> TaskID:
        """Begin a bar.

        Args:
            title: Text before the bar.
            total: Number of steps in all; None where it is not known yet.
            done: Number of steps that are done.
            note: Text behind the bar.
        """
        bar = self._bars.add_task(title, total=total, completed=done, note=note)
        self._draw()
        return bar

    def update(self, bar: TaskID, **changes: Any) -> None:
        """Change a bar's ``completed`` steps, its ``total``, its ``note`` or its ``description``."""
        self._bars.update(bar, **changes)
        self._draw()

    def remove(self, bar: TaskID) -> None:
        """Take a bar away."""
        self._bars.remove_task(bar)

    def say(self, text: str) -> None:
        """Write a line above the bars; in a notebook, below them."""
        if self.place == "notebook":
            self._notes.append(Text(text))
            self._draw(at_once=True)
        elif self.place != "nowhere":
            say(text)

    def _draw(self, *, at_once: bool = False) -> None:
        """Draw the bars where nobody else does: in a notebook, in one output that is replaced."""
        if self.place != "notebook" or (not at_once and time.monotonic() - self._drawn < _REDRAW_S):
            return
        from IPython.display import display

        self._drawn = time.monotonic()
        shown = _Picture(self._bars, self._notes)
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _import_tqdm() -> None:
    """Import tqdm in silence: when Optuna does, it complains in a notebook of ipywidgets, which nobody here needs."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        importlib.import_module("tqdm.auto")


class _Picture(JupyterMixin):
    """The bars as they are now, and the notes below them, as a notebook shows them."""

    def __init__(self, bars: Progress, notes: list[Text]) -> None:
        self._bars, self._notes = bars, notes

    def __rich__(self) -> Group:
        """Return what is drawn."""
        return Group(self._bars.get_renderable(), *self._notes)


class ScoringBars(Bars):
    """A bar of the networks that have been scored; plain lines now and then where there is no terminal."""

    def __init__(self, progress: bool | None = None) -> None:
        super().__init__(progress)
        self._scoring: TaskID | None = None
        self._pace = Pace(0)

    def scoring(self, done: int, total: int) -> None:
        """Show how many networks have been scored, and of how many."""
        if self._scoring is None:
            self._scoring = self.add("scoring", total=total, done=done, note="networks without training")
            self._pace = Pace(done)
            if done:
                which = f"all {total:,} networks are" if done == total else f"{done:,} of {total:,} networks are"
                self.say(f"the scores of {which} there already")
            if self.place == "lines" and done < total:
                say(f"scoring {total - done:,} of {total:,} networks")
        elif self.place == "lines" and (left := self._pace.left(done, total)) is not None:
            say(f"scored {done:,} of {total:,} networks, about {in_words(left)} left")
        self.update(self._scoring, total=total, completed=done)

    def grown(self, total: int) -> None:
        """Show that the networks are more by now, all of them scored."""
        if self._scoring is not None:
            self.update(self._scoring, total=total, completed=total)


class Pace:
    """The pace of a count, for plain lines about every tenth of it, and not much more often than twice a minute.

    Args:
        done: Number that is done at the beginning.
    """

    def __init__(self, done: int) -> None:
        self._first, self._started = done, time.monotonic()
        self._told, self._last = done, self._started

    def left(self, done: int, total: int) -> float | None:
        """Return about how many seconds are left, where it is time for a line; None where it is not."""
        now = time.monotonic()
        shortest, longest = _LINES_S
        passed, more = now - self._last, done - self._told
        if not self._told < done < total or passed < (shortest if more >= _LINES_SHARE * total else longest):
            return None
        self._told, self._last = done, now
        return (now - self._started) / (done - self._first) * (total - done)


def in_words(seconds: float) -> str:
    """Return a time that is a guess, such as ``40 s``, ``3 min`` or ``2 h 05 min``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def with_bars(make: Callable[[dict[str, Any]], Bars]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function that has the arguments `callbacks` and `progress` show bars while it runs.

    Args:
        make: Function from the keyword arguments to the bars, which are called before the callbacks.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*arguments: P.args, **given: P.kwargs) -> R:
            settings: dict[str, Any] = dict(given)
            callbacks = settings.get("callbacks", ())
            with make(settings) as bars:
                if isinstance(callbacks, Iterable) and not callable(callbacks):  # else the function complains
                    settings["callbacks"] = (bars, *callbacks)
                return cast("R", cast("Any", function)(*arguments, **settings))

        return run

    return wrap
