"""Regularised evolution over the architectures' own choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError
from robonas.strategies.base import Problem, Proposal, Strategy, Trial
from robonas.strategies.structure import codes_of, free_rows, known_values, mutated, n_options, nearest, traded_off

if TYPE_CHECKING:
    from collections.abc import Sequence


class Evolution(Strategy):
    """Regularised evolution: the best of a few random recent candidates gets a child that differs in one choice.

    The first `population` queries are uniform. A child that was evaluated before or is not in the pool is
    replaced by the unevaluated candidate that differs from it in the fewest choices, a random one of equals. A
    failure counts as the worst value; pending candidates have no children yet. Without `Problem.codes` all
    candidates are each other's neighbours, which makes it random search.

    Args:
        population: Number of the latest evaluations that may be parents; None for a third of the budget, at least 2.
        tournament: Number of randomly drawn candidates of which the best becomes the parent.

    Raises:
        ConfigError: One of them is below 1.

    Source:
        Real, Aggarwal, Huang, Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI
        2019, algorithm 1.
    """

    name: ClassVar[str] = "evolution"
    uses_scores: ClassVar[bool] = False
    trades_off: ClassVar[bool] = True
    column_order_irrelevant: ClassVar[bool] = True
    affine_change_irrelevant: ClassVar[bool] = True

    def __init__(self, population: int | None = None, tournament: int = 5) -> None:
        if (population is not None and population < 1) or tournament < 1:
            raise ConfigError(f"`population` and `tournament` must be at least 1; got {population} and {tournament}.")
        self.population = population
        self.tournament = tournament

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this strategy again."""
        return {"population": self.population, "tournament": self.tournament}

    def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
        """Propose a uniform draw while the population grows, then a child of a tournament's winner."""
        generator = numpy_generator("evolution", problem.seed, len(history))
        free = free_rows(problem, history)
        size = max(2, problem.budget // 3) if self.population is None else self.population
        values = known_values(history)
        if problem.costs is not None:
            values = traded_off(problem, values, generator)
        living = [trial.row for trial in history if trial.row in values][-size:]
        if len(history) < size or not living:
            row = int(generator.choice(np.flatnonzero(free)))
            return Proposal(row, "explore", reason="Drawn uniformly, to found the population.")
        drawn = generator.permutation(len(living))[: self.tournament]
        parent = max((living[place] for place in drawn), key=values.__getitem__)
        codes = codes_of(problem)
        row = nearest(codes, mutated(codes[parent], n_options(codes), generator), free, generator)
        return Proposal(row, "exploit", reason=f"A child of candidate {parent}, the best of {len(drawn)} drawn ones.")
