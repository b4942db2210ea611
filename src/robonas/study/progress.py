"""Progress bars of a search: scoring, the search, and each training in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from robonas.common.bars import ScoringBars, err
from robonas.common.words import plural
from robonas.study.events import (
    CandidatesLeftOut,
    Event,
    PoolGrown,
    QueryFinished,
    QueryStarted,
    QueryStep,
    ScoringProgress,
    SearchStarted,
    TrainedAgain,
    WaitingForOthers,
)
from robonas.study.shown import left_out_in_words

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID

    from robonas.study.query import Query


class SearchBars(ScoringBars):
    """Bars with the time left: scoring, the search, and each training in flight; a callback of `search`.

    A plain line a query where there is no terminal.

    Args:
        title: Text before the bar of the search, such as the strategy's name.
        progress: True, False or None; see `place_of`.
    """

    def __init__(self, title: str, progress: bool | None = None) -> None:
        super().__init__(progress)
        self._title = title
        self._search: TaskID | None = None
        self._trainings: dict[int, TaskID] = {}
        self._repeats: TaskID | None = None
        self._done = 0
        self._best: float | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._trainings.values():
            self.remove(bar)
        super().__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Show an event of `search`."""
        match event:
            case ScoringProgress(done, total):
                self.scoring(done, total)
            case CandidatesLeftOut(counts, left):
                self.say(f"limits  {left_out_in_words(counts, left)}")
            case PoolGrown(_, candidates):
                self.grown(candidates)
            case SearchStarted(budget=budget, done=done, best=best):
                self._done, self._best = done, best
                if done:
                    self.say(_going_on(done, budget, best))
            case WaitingForOthers(pending):
                self.say(f"waiting for {pending} evaluation{'s' if pending > 1 else ''} of other workers")
            case QueryStarted(query, budget):
                self._start(query, budget)
            case QueryStep(query, point):
                if query.number in self._trainings:
                    where = f"  {query.work.device}" if query.work and query.work.device else ""
                    told = f"value {point.value:.4f}{where}"
                    self.update(self._trainings[query.number], total=point.steps, completed=point.step, note=told)
            case QueryFinished(query, best):
                self._finish(query, best)
            case TrainedAgain(architecture, repeat, value, done, total):
                self._again(architecture, repeat, value, done, total)

    def _start(self, query: Query, budget: int) -> None:
        if self._search is None:
            self._search = self.add(self._title, total=budget, done=self._done)
        self._trainings[query.number] = self.add(f"training {query.number}", note=query.phase)

    def _finish(self, query: Query, best: float | None) -> None:
        if query.number in self._trainings:
            self.remove(self._trainings.pop(query.number))
        star = " ★" if query.value is not None and query.value == best and best != self._best else ""
        self._best = best
        if self._search is not None:
            self._done += 1
            self.update(self._search, completed=self._done, note="" if best is None else f"best {best:.4f}")
        if self.place in {"terminal", "lines"}:
            head = f"{self._title:<8} {query.number:>3}  {query.phase:<8} {_outcome(query)}{star}"
            line = f"{head}  {query.seconds:5.1f} s  {query.architecture}"
            cut: dict[str, Any] = (
                {"no_wrap": True, "overflow": "ellipsis"} if self.place == "terminal" else {"soft_wrap": True}
            )
            err.print(Text(line), **cut)  # a line a query, whole in a log

    def _again(self, architecture: str, repeat: int, value: float | None, done: int, total: int) -> None:
        """Show a training of one of the best with another seed."""
        if self._repeats is None:
            self._repeats = self.add("trained again", total=total)
        told = "failed" if value is None else f"{value:.4f}"
        self.update(self._repeats, completed=done, note=told)
        if self.place == "lines":
            err.print(Text(f"again {done:>3} of {total}  seed {repeat}  {told}  {architecture}"), soft_wrap=True)


def _going_on(done: int, budget: int, best: float | None) -> str:
    """Return what a search finds in its study, in a few words."""
    found = "none of them completed" if best is None else f"best {best:.4f}"
    if done < budget:
        return f"going on after {done:,} of {budget:,}, {found}"
    return f"the budget of {budget:,} is spent already: {plural(done, 'evaluation')}, {found}"


def _outcome(query: Query) -> str:
    """Return what came of a query, in a few words."""
    if query.state == "pruned":
        reached = "" if query.partial is None else f" at {query.partial:.4f}"
        return f"pruned{reached} after {query.steps} of {query.steps + query.steps_saved} epochs"
    return f"{query.value:.4f}" if query.value is not None else f"failed: {query.failure}"


def bars_of_search(given: dict[str, Any]) -> SearchBars:
    """Return the bars of a search with these arguments."""
    strategy = given.get("strategy", "auto")
    return SearchBars(str(getattr(strategy, "name", strategy)), given.get("progress"))
