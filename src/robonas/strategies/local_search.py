"""Local search over the architectures' own choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator
from robonas.strategies.base import Problem, Proposal, Strategy, Trial
from robonas.strategies.structure import codes_of, free_rows, hamming, known_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class LocalSearch(Strategy):
    """Local search: evaluate candidates that differ from the current one in one choice; move to the first better one.

    Where no neighbour is left unevaluated, the climb starts again from a uniformly drawn candidate. A failure is
    never stepped to. Without `Problem.codes` all candidates are each other's neighbours, which makes it random
    search.

    Source:
        White, Nolen, Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021; here the
        first better neighbour is taken instead of the best of all, which suits small budgets.
    """

    name: ClassVar[str] = "local_search"
    uses_scores: ClassVar[bool] = False
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose an unevaluated neighbour of the current candidate, or a new start."""
        generator = numpy_generator("local_search", problem.seed, len(history))
        free = free_rows(problem, history)
        around = _neighbourhood(problem, history)
        rows = np.flatnonzero(free & around)
        if len(rows):
            return Proposal(
                int(generator.choice(rows)), "exploit", reason="Differs from the current candidate in one choice."
            )
        row = int(generator.choice(np.flatnonzero(free)))
        return Proposal(row, "explore", reason="Drawn uniformly, to start a climb.")


def _neighbourhood(problem: Problem, history: Sequence[Trial]) -> NDArray[np.bool_]:
    """Return whether each candidate is a neighbour of the current one after the history, (N,)."""
    codes = codes_of(problem)
    values = known_values([trial for trial in history if not trial.failed])
    free = np.ones(len(problem), dtype=bool)
    around, height = np.zeros(len(problem), dtype=bool), -np.inf
    for trial in history:
        started = not (free & around).any()
        if trial.row in values and (started or values[trial.row] > height):
            around, height = hamming(codes, codes[trial.row]) == 1, values[trial.row]
        elif started:
            around, height = np.zeros(len(problem), dtype=bool), -np.inf
        free[trial.row] = False
    return around
