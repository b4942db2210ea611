"""Asking a strategy and telling it the values of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.strategies import Problem, Strategy, Trial

if TYPE_CHECKING:
    import numpy as np


def ask_and_tell(strategy: Strategy, problem: Problem, values: np.ndarray, n: int) -> list[Trial]:
    """The history after so many queries of the strategy."""
    history: list[Trial] = []
    for _ in range(n):
        row = strategy.ask(problem, history).row
        history.append(Trial(row, float(values[row])))
    return history


def rows_asked(strategy: Strategy, problem: Problem, values: np.ndarray, n: int) -> list[int]:
    """The rows of that history."""
    return [trial.row for trial in ask_and_tell(strategy, problem, values, n)]
