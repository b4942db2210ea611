"""Moving about a pool by the architectures' own choices, and what failed and pending answers count as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import np
from robonas.strategies.scaling import min_max

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from robonas.strategies.base import Problem, Trial


def codes_of(problem: Problem) -> NDArray[np.int64]:
    """Return the option of each choice, (N, n_choices), from 0; a choice that candidates leave out has one for that.

    Without codes, there is one choice, with the candidates as options.
    """
    if problem.codes is None:
        return np.arange(len(problem))[:, None]
    codes = np.asarray(problem.codes)
    shifted: NDArray[np.int64] = codes - codes.min(axis=0, initial=0)
    return shifted


def n_options(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of options of each choice that occur in the pool, (n_choices,)."""
    options: NDArray[np.int64] = codes.max(axis=0, initial=0) + 1
    return options


def free_rows(problem: Problem, history: Sequence[Trial]) -> NDArray[np.bool_]:
    """Return for each candidate whether it has not been proposed yet, (N,)."""
    free = np.ones(len(problem), dtype=bool)
    free[[trial.row for trial in history]] = False
    return free


def hamming(codes: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of choices in which each row differs from `code`, (N,)."""
    distance: NDArray[np.int64] = np.count_nonzero(codes != code, axis=1)
    return distance


def nearest(
    codes: NDArray[np.int64], code: NDArray[np.int64], among: NDArray[np.bool_], generator: np.random.Generator
) -> int:
    """Return the allowed row that differs from `code` in the fewest choices; a random one of equals."""
    rows = np.flatnonzero(among)
    distance = hamming(codes[rows], code)
    return int(generator.choice(rows[distance == distance.min()]))


def mutated(code: NDArray[np.int64], options: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the code with one random choice set to another option."""
    places = np.flatnonzero(options > 1)
    child = code.copy()
    if len(places):
        place = int(generator.choice(places))
        # One of the others: skip over the present option.
        option = int(generator.integers(options[place] - 1))
        child[place] = option + (option >= child[place])
    return child


def known_values(history: Collection[Trial]) -> dict[int, float]:
    """Return the value by row, the worst of all for a failure, none for a pending one; empty without a success."""
    values = [trial.value for trial in history if trial.value is not None]
    if not values:
        return {}
    worst = min(values)
    return {trial.row: worst if trial.value is None else trial.value for trial in history if not trial.pending}


def traded_off(problem: Problem, values: dict[int, float], generator: np.random.Generator) -> dict[int, float]:
    """Return sums of value and costs under random weights by row, all scaled to [0, 1], higher is better.

    Args:
        problem: The problem, with costs.
        values: Values by row, as `known_values` returns them.
        generator: Source of the weights, which are uniform on the simplex.
    """
    assert problem.costs is not None
    rows = list(values)
    if not rows:
        return {}
    gains = np.column_stack([min_max(np.array([list(values.values())]).T), 1.0 - min_max(problem.costs)[rows]])
    weights = generator.dirichlet(np.ones(gains.shape[1]))
    return dict(zip(rows, (gains @ weights).tolist(), strict=True))


def heard(told: Sequence[Trial]) -> NDArray[np.float64]:
    """Return the value that a Gaussian process is given for each answer, (n,).

    The value; for a failure the worst value before it (of all, where none came before; 0 where there is none);
    while pending the mean of all values (0 where there is none).
    """
    known = [trial.value for trial in told if trial.value is not None]
    if not known:
        return np.zeros(len(told))
    values, worst = [], None
    for trial in told:
        if trial.value is not None:
            worst = trial.value if worst is None else min(worst, trial.value)
            values.append(trial.value)
        elif trial.failed:
            values.append(min(known) if worst is None else worst)
        else:
            values.append(float(np.mean(known)))
    return np.array(values)
