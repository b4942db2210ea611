"""The result of a search, from its record and the pool that it was chosen from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from robonas.errors import StudyError
from robonas.study.confirmation import best_queries, confirmation_of, test_of
from robonas.study.result import SearchResult, StopReason
from robonas.study.summary import summary_file, summary_of

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.study.chooser import Chooser
    from robonas.study.confirmation import Confirmation, FinalTest
    from robonas.study.reading import Record


def outcome_of(record: Record, chooser: Chooser, folder: Path | None, *, keep: bool = False) -> SearchResult:
    """Return the result of what a study holds.

    Args:
        record: Record of the study.
        chooser: The pool and the strategy.
        folder: Folder of the search; None for a search in memory.
        keep: Keep the strategy's summary in the folder, so that reading the result needs no strategy.
    """
    asked = record.queries
    chooser.settle(asked)
    table, problem, history = chooser.table, chooser.problem, chooser.history(asked)
    stop: StopReason = "budget spent" if problem.budget <= len(problem) else "candidates exhausted"
    if len(history) < problem.limit or any(trial.pending for trial in history):
        stop = "running" if record.at_work else "time over" if record.stopped == "time over" else "interrupted"
    summary = summary_of(chooser, history, folder and folder / summary_file(record.name), keep=keep)
    if summary.combined is not None:
        # 0, 1, … in order of first appearance, as the distinct rows are
        classes = table.frame["canonical"].factorize()[0]
        summary = replace(summary, combined=summary.combined[classes])
    confirmation, test = _end_of(record)
    rows = {text: row for row, text in reversed(list(enumerate(table.architectures)))}
    objective = record.settings["objective"]
    return SearchResult(
        study=record.name,
        space=chooser.space,
        scores=table,
        strategy=chooser.strategy.name,
        objective=objective["name"],
        value_name=objective["value_name"],
        direction=objective["direction"],
        budget=problem.budget,
        seed=problem.seed,
        queries=tuple(replace(query, row=rows[query.architecture]) for query in asked),
        stop_reason=stop,
        summary=summary,
        settings={**record.settings, "budget": problem.budget},
        folder=folder,
        joined=chooser.joined,
        costs=chooser.costs,
        left_out=record.left_out,
        confirmation=confirmation,
        test=test,
        provenance=record.provenance,
    )


def _end_of(record: Record) -> tuple[Confirmation | None, FinalTest | None]:
    """Return the confirmation of the best candidates, and the test of the winner, where there are any.

    Raises:
        StudyError: They are damaged.
    """
    sign = 1.0 if record.settings["objective"]["direction"] == "maximize" else -1.0
    try:
        confirmation = confirmation_of(record.notes, len(record.queries))
        winner = next(iter(best_queries(record.queries, sign, 1)), None)
        if confirmation is not None:
            winner = next(query for query in record.queries if query.number == confirmation.chosen)
        return confirmation, test_of(record.notes, winner)
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise StudyError(
            f"The confirmation or the test of study '{record.name}' is damaged ({type(error).__name__}: {error}). "
            "Restore the study from a copy."
        ) from error
