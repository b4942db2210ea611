"""The result of a search, from its record and the pool that it was chosen from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from robonas.study.result import SearchResult, StopReason

if TYPE_CHECKING:
    from pathlib import Path

    from robonas.study.chooser import Chooser
    from robonas.study.ledger import Ledger


def outcome_of(ledger: Ledger, chooser: Chooser, folder: Path | None) -> SearchResult:
    """Return the result of what a study holds now."""
    asked = ledger.queries()
    chooser.settle(asked)
    table, problem, history = chooser.table, chooser.problem, chooser.history(asked)
    stop: StopReason = "budget spent" if problem.budget <= len(problem) else "candidates exhausted"
    if len(history) < problem.limit or any(trial.pending for trial in history):
        stop = "interrupted"
    summary = chooser.strategy.summarise(problem, history)
    if summary.combined is not None:
        # 0, 1, … in order of first appearance, as the distinct rows are
        classes = table.frame["canonical"].factorize()[0]
        summary = replace(summary, combined=summary.combined[classes])
    rows = {text: row for row, text in reversed(list(enumerate(table.architectures)))}
    objective = ledger.settings["objective"]
    return SearchResult(
        study=ledger.name,
        space=chooser.space,
        scores=table,
        strategy=chooser.strategy.name,
        objective=objective["name"],
        value_name=objective["value_name"],
        direction=objective["direction"],
        budget=problem.budget,
        seed=problem.seed,
        queries=tuple(replace(query, row=rows[query.architecture]) for query in ledger.queries()),
        stop_reason=stop,
        summary=summary,
        settings={**ledger.settings, "budget": problem.budget},
        folder=folder,
        joined=chooser.joined,
        left_out=ledger.left_out,
    )
