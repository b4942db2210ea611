"""Output of the command line: messages, tables and the final summary.

What is said while working goes to stderr, results to stdout.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from robonas.common.bars import Bars, err as err, say as say  # noqa: PLC0414  # for the other commands
from robonas.common.streams import json_text
from robonas.study.shown import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from robonas.prediction import Preprocessing
    from robonas.retraining import TrainedNetwork
    from robonas.spaces import SearchSpace
    from robonas.study.result import SearchResult

out = Console(highlight=False)
_TO_COPY = ("architecture", "trained network")
"""Facts that a line must hold whole, so that they can be copied."""
_FRAME = 6
"""Columns of a box that no text has: its frame, and the space between names and facts."""
WINS_OF_100 = (10, 42, 27)
"""Measured real tasks, and of 100 pairs of single searches of 20 trainings on them, `auto` against `random`, by the
value that the searches see: those that `auto` won, and draws. From ``docs/explanation/what-it-brings.md``."""


def warn(sentence: str) -> None:
    """Write a warning to stderr."""
    err.print(Text.assemble(("Warning:", "yellow"), " ", sentence), soft_wrap=True)


def complain(sentence: str) -> None:
    """Write an error to stderr."""
    err.print(Text.assemble(("Error:", "bold red"), " ", sentence), soft_wrap=True)


class Counter(Bars):
    """A bar that counts, on a terminal; nothing elsewhere.

    Args:
        title: Name of what is counted.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        super().__init__(progress=False if quiet else None)
        self._bar = self.add(title)

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done, and of how many; 0 where that is not known."""
        self.update(self._bar, completed=done, total=total or None)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    out.out(json_text(value))


def _panel(title: str, rows: Mapping[str, object], *, style: str = "none") -> None:
    """Print a box of facts, and below it, each on a line of its own, those to be copied that it would break."""
    room = out.width - _FRAME - max(map(cell_len, rows), default=0)
    below = [name for name in _TO_COPY if cell_len(str(rows.get(name, ""))) > room]
    body = Table.grid(padding=(0, 2))
    body.add_column(style="dim")
    body.add_column(overflow="fold")
    for name, value in rows.items():
        if name not in below:
            body.add_row(Text(name), Text(str(value)))
    out.print(Panel(body, title=Text(title), title_align="left", border_style=style))
    for name in below:
        out.print(Text.assemble((f"{name}:", "dim"), f" {rows[name]}"), soft_wrap=True)


def print_result(result: SearchResult, baselines: Sequence[SearchResult] = ()) -> None:
    """Print the winner, what it is made of, what the search learned, and how it compares with the baselines."""
    rows = {"architecture": result.text, **facts_of(result, result.size)}
    _panel(f"{result.strategy} found", rows, style="green")
    for baseline in baselines:
        out.print(Text(verdict(result, baseline), style="bold"), soft_wrap=True)


def print_trained(result: TrainedNetwork) -> None:
    """Print the result of a full training."""
    from robonas.retraining.shown import facts_of as training_facts

    rows = training_facts(result, result.size)
    _panel("trained", rows, style="green")


def tell_next(folder: Path, how: Preprocessing, space: SearchSpace) -> None:
    """Say how a trained network is used: the commands that predict with it and export it."""
    from robonas.report.next_steps import inputs_named, own_space

    name = shlex.join([str(folder), *own_space(space)])
    given = inputs_named(images=bool(how.images))
    say(f"Next:  robonas predict {name} {given}   # its answers, with their names")
    say(f"       robonas export {name} -o network.pt2   # for PyTorch without robonas; or network.onnx (extra onnx)")


def verdict(result: SearchResult, baseline: SearchResult) -> str:
    """Say in one sentence which strategy won."""
    ours, theirs = result.value, baseline.value
    gap = ours - theirs if result.direction == "maximize" else theirs - ours
    wins = ""
    if {result.strategy, baseline.strategy} == {"auto", "random"}:
        tasks, won, level = WINS_OF_100
        wins = f" On {tasks} real tasks, single searches by auto won {won} of 100 such pairs and drew {level}."
    told = (
        f"{result.strategy} {ours:.4f}, {baseline.strategy} {theirs:.4f} "
        f"({result.value_name}, {len(baseline.queries)} evaluations each)"
    )
    if gap == 0:
        return f"A draw: {told}. One seed proves little either way.{wins}"
    winner = result.strategy if gap > 0 else baseline.strategy
    return f"{winner} won by {abs(gap):.4f}: {told}. One seed proves little.{wins} Repeat with --seed 1, 2, …"
