"""Fronts of a value that is learned against costs that are known. Pure functions of arrays.

| symbol | meaning | shape |
|---|---|---|
| y | values, higher is better | (n,) |
| C | costs, lower is better, one column a cost | (n, K), K is 1 or 2 |
| r, R | reference point: the value and the costs up to which volume counts | scalar, (K,) |
| g | best value that is known at or below given costs, r where there is none: a staircase over the costs | |

The hypervolume of some candidates is the integral of g − r over all costs up to R. A new candidate with value y and
costs c raises it by the integral of max(0, y − g) over all costs from c up to R. The staircase is constant on boxes, so
where only y is uncertain, and normal, the expected improvement is a sum over the levels l of g:

    EHVI(c, μ, σ) = Σ_l area_l(c) · E max(0, Y − l),    E max(0, Y − l) = (μ − l) Φ(z) + σ φ(z),  z = (μ − l) / σ,

where area_l(c) is the area of those costs in [c, R] at which g = l. This is exact; the general case needs an
integral over both objectives (Emmerich, Deutz, Klinkenberg, CEC 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.common.lazy import np, special

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEYOND_DEAREST = 0.1
"""Distance of the costs up to which the volume of a result counts beyond the dearest candidate, as a share of the
pool's range."""
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


def is_on_front(values: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each candidate whether no other one is at least as good everywhere and better somewhere, (n,).

    Args:
        values: Values, higher is better, (n,); a candidate with NaN is on no front.
        costs: Costs, lower is better, (n, K); a candidate with NaN is on no front.
    """
    known = ~(np.isnan(values) | np.isnan(costs).any(axis=1))
    on_front = np.zeros(len(values), dtype=bool)
    losses = np.column_stack([-values, costs])
    rows = np.flatnonzero(known)
    # In this order a candidate can be dominated only by those before it.
    rows = rows[np.lexsort(losses[rows].T[::-1])]
    kept: list[int] = []
    for row in rows.tolist():
        best = losses[kept]
        beaten = (best <= losses[row]).all(axis=1) & (best < losses[row]).any(axis=1)
        if not beaten.any():
            kept.append(row)
    on_front[kept] = True
    return on_front


@dataclass(frozen=True, eq=False)
class Staircase:
    """The best known value as a function of the costs, constant on boxes.

    Boxes lie between neighbouring `edges` in each cost, the first from −∞ on; the last edges are the reference costs.
    """

    edges: tuple[NDArray[np.float64], ...]
    """Ascending upper ends of the boxes in each cost, (J_k,)."""
    level: NDArray[np.intp]
    """Place of each box's value in `levels`, (J_1,) or (J_1, J_2)."""
    levels: NDArray[np.float64]
    """The different values, ascending, (L,); the first is the reference value."""

    def areas(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the area of each level among the costs from a candidate's own up to the reference point, (n, L).

        Args:
            costs: Costs of the candidates, (n, K).
        """
        overlaps = []
        for column, edges in enumerate(self.edges):
            lower = np.concatenate([[-np.inf], edges[:-1]])
            overlaps.append(np.maximum(0.0, edges - np.maximum(lower, costs[:, [column]])))
        areas = np.zeros((len(costs), len(self.levels)))
        if len(overlaps) == 1:
            areas[:, self.level] = overlaps[0]  # along one cost the staircase only rises, so each level is one box
            return areas
        one, other = overlaps
        for place in range(len(self.levels)):
            areas[:, place] = ((one @ (self.level == place)) * other).sum(axis=1)
        return areas

    def improvement(self, values: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much each candidate alone would raise the hypervolume, (n,).

        Args:
            values: Values of the candidates, (n,).
            areas: Area of each level for each candidate, (n, L); see `areas`.
        """
        return _sum(areas, np.maximum(0.0, values[:, None] - self.levels))

    def expected_improvement(
        self, mean: NDArray[np.float64], deviation: NDArray[np.float64], areas: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the exact expectation of `improvement` for normally distributed values, (n,).

        Args:
            mean: Expected values, (n,).
            deviation: Standard deviations, (n,); where one is 0, its value is known.
            areas: Area of each level for each candidate, (n, L); see `areas`.
        """
        n_levels = len(self.levels)
        places = np.flatnonzero(areas)  # a level without area adds nothing
        rows = np.repeat(np.arange(len(mean)), np.count_nonzero(areas, axis=1))
        levels = places - n_levels * rows
        gap = mean[rows] - self.levels[levels]
        spread = np.maximum(deviation, 1e-12)[rows]
        z = np.clip(gap / spread, -38.0, 38.0)
        expected = gap * special.ndtr(z) + spread * np.exp(-0.5 * z * z) / _ROOT_TWO_PI
        heights = np.maximum(expected, 0.0) * areas.ravel()[places]
        return np.bincount(rows, heights, minlength=len(mean)).astype(np.float64, copy=False)


def _sum(areas: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.einsum("nl,nl->n", areas, heights)
    return total


def staircase(
    values: NDArray[np.float64],
    costs: NDArray[np.float64],
    reference_value: float,
    reference_costs: NDArray[np.float64],
) -> Staircase:
    """Return the best known value as a function of the costs.

    Args:
        values: Values of the known candidates, higher is better, (n,).
        costs: Their costs, lower is better, (n, K), K is 1 or 2.
        reference_value: Value from which on volume counts.
        reference_costs: Costs up to which volume counts, (K,).

    Raises:
        ValueError: There are neither one nor two costs.
    """
    if costs.shape[1] not in {1, 2}:
        raise ValueError(f"There must be one or two costs; got {costs.shape[1]}.")
    inside = (values > reference_value) & (costs < reference_costs).all(axis=1)
    values, costs = values[inside], costs[inside]
    on_front = is_on_front(values, costs)
    values, costs = values[on_front], costs[on_front]
    edges = tuple(np.unique(np.append(column, end)) for column, end in zip(costs.T, reference_costs, strict=True))
    # A box that ends at edge e holds the candidates whose cost is below e.
    below = [costs[:, column] < ends[:, None] for column, ends in enumerate(edges)]
    reached = below[0] if len(edges) == 1 else below[0][:, None, :] & below[1][None, :, :]
    height = np.max(np.where(reached, values, reference_value), axis=-1, initial=reference_value)
    levels, level = np.unique(np.append(height.ravel(), reference_value), return_inverse=True)
    return Staircase(edges, level[:-1].reshape(height.shape), levels)


def hypervolume(
    values: NDArray[np.float64],
    costs: NDArray[np.float64],
    reference_value: float,
    reference_costs: NDArray[np.float64],
    ideal_costs: NDArray[np.float64],
) -> float:
    """Return the volume between the staircase of some candidates and the reference point.

    Args:
        values: Values of the candidates, higher is better, (n,).
        costs: Their costs, lower is better, (n, K).
        reference_value: Value from which on volume counts.
        reference_costs: Costs up to which volume counts, (K,).
        ideal_costs: The lowest costs that any candidate can have, (K,).
    """
    stairs = staircase(values, costs, reference_value, reference_costs)
    areas = stairs.areas(np.asarray(ideal_costs, dtype=np.float64)[None, :])
    return float(areas[0] @ (stairs.levels - reference_value))


def chebyshev(
    gains: NDArray[np.float64], weights: NDArray[np.float64], augmentation: float = 0.05
) -> NDArray[np.float64]:
    """Return the augmented Chebyshev scalarisation of gains, higher is better, (n,).

    It is −(max_k λ_k (1 − g_k) + ρ Σ_k λ_k (1 − g_k)), which every point of a front maximises for some weights λ.

    Args:
        gains: Gains in [0, 1], higher is better, one column an objective, (n, K + 1).
        weights: Weights λ of the objectives, ≥ 0, (K + 1,).
        augmentation: ρ.

    Source:
        Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006, equation 2.
    """
    losses = weights * (1.0 - gains)
    scalar: NDArray[np.float64] = -(losses.max(axis=1) + augmentation * losses.sum(axis=1))
    return scalar
