"""Random search, the baseline of all strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from robonas.common.randomness import numpy_generator
from robonas.strategies.base import Problem, Proposal, Strategy, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.common.lazy import np


class RandomSearch(Strategy):
    """Random search: candidates in an order that the seed shuffles uniformly; neither scores nor costs are read."""

    name: ClassVar[str] = "random"
    uses_scores: ClassVar[bool] = False
    trades_off: ClassVar[bool] = True
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self) -> None:
        self._order: tuple[int, int, NDArray[np.intp]] | None = None

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose the next candidate of the shuffled pool."""
        if self._order is None or self._order[:2] != (problem.seed, len(problem)):
            order = numpy_generator("random", problem.seed).permutation(len(problem))
            self._order = problem.seed, len(problem), order
        known = {trial.row for trial in history}
        row = next(row for row in self._order[2].tolist() if row not in known)
        return Proposal(row, "explore", reason="Drawn uniformly from the candidates that were not evaluated.")
