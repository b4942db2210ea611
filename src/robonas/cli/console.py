"""Output of the command line: progress bars, tables and the final summary.

What is said while working goes to stderr, results to stdout.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from robonas.common.streams import json_text, speaks_unicode
from robonas.study.events import (
    CandidatesLeftOut,
    EpochFinished,
    Event,
    PoolGrown,
    QueryFinished,
    QueryStarted,
    QueryStep,
    ScoringProgress,
    TrainedAgain,
    WaitingForOthers,
)
from robonas.study.result import left_out_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from robonas.prediction import Preprocessing
    from robonas.retraining import TrainedNetwork
    from robonas.study.query import Query
    from robonas.study.result import SearchResult

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Write a line to stderr, as it is: brackets are brackets."""
    err.print(Text(text), soft_wrap=True)


def warn(sentence: str) -> None:
    """Write a warning to stderr."""
    err.print(Text.assemble(("Warning:", "yellow"), " ", sentence), soft_wrap=True)


def complain(sentence: str) -> None:
    """Write an error to stderr."""
    err.print(Text.assemble(("Error:", "bold red"), " ", sentence), soft_wrap=True)


def _bars(*, quiet: bool) -> Progress:
    """Make bars with the time that has passed, the time left, and a note."""
    return Progress(
        SpinnerColumn("dots" if speaks_unicode(err.file) else "line"),
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=err,
        disable=quiet or not err.is_terminal,
    )


class _Progress:
    """Bars while a block runs; with `quiet`, none."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars = _bars(quiet=quiet)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class SearchProgress(_Progress):
    """Bars with the time left: scoring, the search, and one for each training in flight.

    A plain line a query where there is no terminal.

    Args:
        title: Written before the bar of the search, such as the strategy's name.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._title = title
        self._scoring: TaskID | None = None
        self._search: TaskID | None = None
        self._trainings: dict[int, TaskID] = {}
        self._again: TaskID | None = None
        self._done = 0
        self._best: float | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._trainings.values():
            self._bars.remove_task(bar)
        super().__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Show an event of `search`."""
        match event:
            case ScoringProgress(done, total):
                self.scoring(done, total)
            case CandidatesLeftOut(counts, left):
                if not self._quiet:
                    say(f"limits  {left_out_in_words(counts, left)}")
            case PoolGrown(_, candidates):
                self.scoring(candidates, candidates)
            case WaitingForOthers(pending):
                if not self._quiet:
                    say(f"waiting for {pending} evaluation{'s' if pending > 1 else ''} of other workers")
            case QueryStarted(query, budget):
                self._started(query, budget)
            case QueryStep(query, point):
                if query.number in self._trainings:
                    where = f"  {query.work.device}" if query.work and query.work.device else ""
                    told = f"value {point.value:.4f}{where}"
                    self._bars.update(self._trainings[query.number], total=point.steps, completed=point.step, note=told)
            case QueryFinished(query, best):
                self._finished(query, best)
            case TrainedAgain():
                self._trained_again(event)

    def _trained_again(self, event: TrainedAgain) -> None:
        if self._again is None:
            self._again = self._bars.add_task("other seeds", total=event.total, note="the best, trained again")
        self._bars.update(self._again, completed=event.done)
        if not self._quiet:
            told = "failed" if event.value is None else f"{event.value:.4f}"
            line = f"again    {event.done:>3}  seed {event.repeat:<3} {told}  {event.architecture}"
            self._bars.console.print(Text(line), soft_wrap=True)

    def scoring(self, done: int, total: int) -> None:
        """Show how many networks have been scored."""
        if self._scoring is None:
            self._scoring = self._bars.add_task(
                "scoring", total=total, completed=done, note="networks without training"
            )
            if not self._quiet and not err.is_terminal and done < total:
                say(f"scoring {total - done} of {total} networks")
        self._bars.update(self._scoring, total=total, completed=done)

    def _started(self, query: Query, budget: int) -> None:
        if self._search is None:
            self._done = query.number - 1
            self._search = self._bars.add_task(self._title, total=budget, completed=self._done, note="")
        bar = self._bars.add_task(f"training {query.number}", total=None, note=query.phase)
        self._trainings[query.number] = bar

    def _finished(self, query: Query, best: float | None) -> None:
        told = f"{query.value:.4f}" if query.value is not None else f"failed: {query.failure}"
        if query.state == "pruned":
            reached = "" if query.partial is None else f" at {query.partial:.4f}"
            told = f"pruned{reached} after {query.steps} of {query.steps + query.steps_saved} epochs"
        star = " ★" if query.value is not None and query.value == best and best != self._best else ""
        self._best = best
        if query.number in self._trainings:
            self._bars.remove_task(self._trainings.pop(query.number))
        if self._search is not None:
            self._done += 1
            self._bars.update(self._search, completed=self._done, note="" if best is None else f"best {best:.4f}")
        if not self._quiet:
            head = f"{self._title:<8} {query.number:>3}  {query.phase:<8} {told}{star}"
            line = f"{head}  {query.seconds:5.1f} s  {query.architecture}"
            cut = {"no_wrap": True, "overflow": "ellipsis"} if err.is_terminal else {"soft_wrap": True}
            self._bars.console.print(Text(line), **cut)  # a line a query, whole in a log


class TrainingProgress(_Progress):
    """A bar of the epochs of a full training with the time left; a plain line an epoch where there is no terminal.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._task: TaskID | None = None

    def __call__(self, row: EpochFinished) -> None:
        """Show an event of `train`."""
        if self._quiet:
            return
        told = f"loss {row.training_loss:.4f}"
        if row.value is not None:
            told += f"  validation {row.value:.4f}"
        if not err.is_terminal:
            say(f"epoch {row.epoch:>4} of {row.epochs}  {row.seconds:6.1f} s  {told}")
            return
        if self._task is None:
            self._task = self._bars.add_task("epochs", total=row.epochs, note="")
        self._bars.update(self._task, completed=row.epoch, note=told)


class Counter:
    """A bar that counts, on a terminal; nothing elsewhere.

    Args:
        title: Name of what is counted.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=quiet or not err.is_terminal,
        )
        self._bar = self._bars.add_task(title, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done, and of how many; 0 where that is not known."""
        self._bars.update(self._bar, completed=done, total=total or None)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    out.out(json_text(value))


def _panel(title: str, rows: Mapping[str, object], *, style: str = "none") -> None:
    body = Table.grid(padding=(0, 2))
    body.add_column(style="dim")
    body.add_column(overflow="fold")
    for name, value in rows.items():
        body.add_row(Text(name), Text(str(value)))
    out.print(Panel(body, title=Text(title), title_align="left", border_style=style))


def _size_in_words(size: Mapping[str, float | None]) -> str:
    macs = "multiply-adds unknown" if size["macs"] is None else f"{size['macs'] / 1e6:,.2f} million multiply-adds"
    return f"{size['parameters']:,.0f} parameters, {macs}"


def print_result(result: SearchResult, baselines: Sequence[SearchResult] = ()) -> None:
    """Print the winner, what it is made of, what the search learned, and how it compares with the baselines."""
    from robonas.report.certainty import in_rows, value_with_noise
    from robonas.report.numbers import plural

    n = len(result.queries)
    rows = {
        "architecture": result.text,
        result.value_name: f"{value_with_noise(result)}  (query {result.best.number} of {n}, {result.best.phase})",
        **in_rows(result),
        "size": _size_in_words(result.size()),
        "cost": f"{n} evaluations in {result.seconds:.1f} s; "
        f"{len(result.scores):,} candidates scored in {result.scores.seconds():.1f} CPU s",
    }
    if result.n_grown:
        after = result.joined_after(result.best)
        origin = "was in the sample" if after is None else f"joined after {plural(after, 'query')}"
        rows["pool"] = f"{len(result.scores) - result.n_grown:,} sampled, {result.n_grown:,} grown; the winner {origin}"
    if result.weights is not None:
        ordered = sorted(result.weights.items(), key=lambda entry: -abs(entry[1]))
        rows["learned weights"] = "  ".join(f"{name} {weight:+.2f}" for name, weight in ordered)
    if result.left_out:
        rows["left out"] = left_out_in_words(result.left_out, len(result.scores) - result.n_grown)
    if result.n_explored is not None:
        rows["explored"] = (
            f"{result.n_explored} queries to learn the weights, {len(result.queries) - result.n_explored} to use them"
        )
    if result.n_pruned:
        rows["pruned"] = (
            f"{result.n_pruned} of {n} evaluations ended early; "
            f"{result.steps_saved:,} of {result.steps + result.steps_saved:,} epochs saved"
        )
    if result.stop_reason == "running":
        running = sum(query.state == "running" for query in result.queries)
        rows["running"] = f"another process is still at it; {plural(running, 'evaluation')} not answered yet"
    elif result.stop_reason != "budget spent":
        rows["stopped"] = result.stop_reason
    if result.parameters_file is not None:
        rows["trained network"] = str(result.parameters_file)
    _panel(f"{result.strategy} found", rows, style="green")
    for baseline in baselines:
        out.print(Text(verdict(result, baseline), style="bold"), soft_wrap=True)


def print_trained(result: TrainedNetwork) -> None:
    """Print the result of a full training."""
    n = len(result.log)
    kept = "the best on the validation part" if result.validation else "the last"
    measure = result.settings["measure"]
    words = {"value": measure.replace("_", " "), "loss": "loss", "top1": "top-1", "top5": "top-5"}
    for same in {"accuracy": ["top1"], "loss": ["value"]}.get(measure, []):  # else it would stand there twice
        words.pop(same)
    rows = {
        "architecture": result.text,
        "size": _size_in_words(result.size()),
        "training": f"{n} epochs in {sum(row.seconds for row in result.log):.1f} s; kept epoch {result.epoch}, {kept}",
    }
    for part, values in (("validation", result.validation), ("test", result.test)):
        if values is not None:
            rows[part] = ", ".join(f"{words[key]} {number:.4f}" for key, number in values.items() if key in words)
    rows["trained network"] = str(result.parameters_file)
    _panel("trained", rows, style="green")


def tell_next(folder: Path, how: Preprocessing) -> None:
    """Say how a trained network is used: the commands that predict with it and export it."""
    name, given = shlex.quote(str(folder)), "image.png" if how.images else "inputs.npy"
    say(f"Next:  robonas predict {name} {given}   # its answers, with their names")
    say(f"       robonas export {name} -o network.pt2   # for PyTorch without robonas; or network.onnx")


def verdict(result: SearchResult, baseline: SearchResult) -> str:
    """Say in one sentence which strategy won."""
    ours, theirs = result.value, baseline.value
    gap = ours - theirs if result.direction == "maximize" else theirs - ours
    told = (
        f"{result.strategy} {ours:.4f}, {baseline.strategy} {theirs:.4f} "
        f"({result.value_name}, {len(baseline.queries)} evaluations each)"
    )
    if gap == 0:
        return f"A draw: {told}. One seed proves little either way."
    winner = result.strategy if gap > 0 else baseline.strategy
    return f"{winner} won by {abs(gap):.4f}: {told}. One seed proves little; repeat with --seed 1, 2, …"
