"""Growth of a pool during a search, by children of the best candidates so far.

A pool that is sampled once is a ceiling: the best of 1,000 cells of a space of 10¹⁸ is all that a strategy can find.
Children of the candidates that the search thinks most of are better than chance, and cost a score each, no training.
What was measured, and what was tried without success, is in docs/explanation/growing-pools.md.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np

from robonas.architecture import Architecture
from robonas.common.randomness import numpy_generator
from robonas.strategies.fronts import is_on_front

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from robonas.spaces import SearchSpace
    from robonas.strategies.base import Problem, Strategy, Trial

PARENTS = 10
"""Number of the best candidates that have children, unless that were more than a fifth of the pool."""
PROVEN = 0.5
"""Share of the parents that are the best by their own values, whatever the combination says of them."""
CROSSOVER = 0.5
"""Share of the children that have two parents; the others are a neighbour of one."""
STEPS = 3
"""Number of times that a child which is known already is changed once more."""
ATTEMPTS = 20
"""Children drawn, for each that is wanted, before a generation ends with fewer: those around are known already."""


def fitness(strategy: Strategy, problem: Problem, history: Sequence[Trial]) -> NDArray[np.float64]:
    """Return what a search thinks of each candidate, (N,), higher is better; NaN for those that have no children.

    The learned combination of the metrics, but the best of those that were evaluated come first: they keep the children
    near what is good where the combination is wrong. With a strategy that learns none, the values. Where there are
    costs, those on the front are the best, whatever their value.
    """
    combined = strategy.summarise(problem, history).combined
    done = sorted((trial for trial in history if trial.value is not None), key=lambda trial: trial.value or 0.0)
    if problem.costs is not None and done:
        done = _front_last(done, problem.costs)
    if combined is None or np.isnan(combined).all():
        worth = np.full(len(problem), np.nan)
        if problem.costs is not None:
            worth[[trial.row for trial in done]] = np.arange(len(done))
        else:
            worth[[trial.row for trial in done]] = [trial.value for trial in done]
        return worth
    worth = np.array(combined)
    best = done[-max(1, int(PROVEN * n_parents(len(problem)))) :]
    worth[[trial.row for trial in best]] = np.nanmax(worth) + np.arange(1, len(best) + 1)
    return worth


def _front_last(done: Sequence[Trial], costs: NDArray[np.float64]) -> list[Trial]:
    """Return the trials with those on the front last; of these, in turn one from the dear end and one from the cheap.

    Args:
        done: Trials with a value, the best value last.
        costs: Costs of every candidate, (N, K).
    """
    values = np.array([trial.value for trial in done], dtype=np.float64)
    on_front = is_on_front(values, costs[[trial.row for trial in done]])
    front = [trial for trial, kept in zip(done, on_front, strict=True) if kept]
    others = [trial for trial, kept in zip(done, on_front, strict=True) if not kept]
    turns = [front.pop(-1 if place % 2 == 0 else 0) for place in range(len(front))]
    return others + turns[::-1]


def n_parents(n_pool: int, parents: int = PARENTS) -> int:
    """Return how many candidates of a pool have children."""
    return max(2, min(parents, n_pool // 5))


def breed(
    space: SearchSpace,
    pool: Sequence[str],
    worth: NDArray[np.float64],
    n: int,
    *,
    seed: int,
    generation: int,
    allowed: Callable[[Sequence[Architecture]], Iterable[bool]] = lambda born: [True] * len(born),
    form: Callable[[Architecture], Architecture] | None = None,
    parents: int = PARENTS,
    crossover: float = CROSSOVER,
) -> list[str]:
    """Return children of the best candidates: new to the pool, different from each other, in canonical form.

    A parent is one of the best few, each of them as likely. Half of the children take each choice from one of two
    parents at random; the others, and those whose choices do not go together, are a random neighbour of one parent. A
    child that is in the pool already gives way to a random neighbour of it, a few times over.

    Args:
        space: Space of the candidates.
        pool: The canonical texts of all candidates.
        worth: Fitness of the candidates, (N,), higher is better; NaN for those that have no children.
        n: Number of children; there are fewer where most of the parents' neighbours are in the pool.
        seed: Seed of the search.
        generation: Its number; each draws differently.
        allowed: Function from some children to which of them may join; called once for each child.
        form: Function from an architecture to the one that stands for it; None for its canonical form.
        parents: Number of the best candidates that have children; at most a fifth of the pool, at least two.
        crossover: The share of children that have two parents.

    Returns:
        Their texts, in the order of birth.
    """
    ranked = np.argsort(-worth, kind="stable")[: np.count_nonzero(~np.isnan(worth))]
    couple = [space.parse(pool[row]) for row in ranked[: n_parents(len(pool), parents)]]
    generator = numpy_generator("growth", seed, generation)
    neighbours = functools.cache(space.neighbours)  # a parent has many children
    known = set(pool)
    form = space.canonical if form is None else form

    def draw() -> str:
        mother = couple[int(generator.integers(len(couple)))]
        child = None
        if generator.random() < crossover:
            child = _crossed(space, mother, couple[int(generator.integers(len(couple)))], generator)
        child = _mutated(neighbours, mother, generator) if child is None else child
        text = space.format(form(child))
        for _ in range(STEPS):
            if text not in known:
                break
            child = _mutated(neighbours, child, generator)
            text = space.format(form(child))
        return text

    children: list[str] = []
    left = ATTEMPTS * n if couple else 0
    while left and len(children) < n:
        born: list[str] = []
        while left and len(children) + len(born) < n:
            left -= 1
            text = draw()
            if text not in known:
                known.add(text)
                born.append(text)
        if born:
            children += itertools.compress(born, allowed([space.parse(text) for text in born]))
    return children


def _mutated(
    neighbours: Callable[[Architecture], list[Architecture]], parent: Architecture, generator: np.random.Generator
) -> Architecture:
    """Return a random neighbour; the parent itself where it has none."""
    around = neighbours(parent)
    return around[int(generator.integers(len(around)))] if around else parent


def _crossed(
    space: SearchSpace, mother: Architecture, father: Architecture, generator: np.random.Generator
) -> Architecture | None:
    """Return each choice from either parent; None where the space has no such architecture."""
    options = {}
    for name in space.choices:
        source = (mother, father)[int(generator.integers(2))]
        if name in source:
            options[name] = source[name]
    child = Architecture(options)
    return child if space.contains(child) else None
