"""Comparison of the best of several values with a guess."""

from __future__ import annotations

from statistics import NormalDist

RARE = 0.025
"""Probability with which guesses reach what counts as better than a guess."""


def is_hardly_better(value: float, guess: float, error: float | None, direction: str, n_tried: int) -> bool:
    """Return whether the best of several values may be a guess with luck.

    The best of k guesses is above z standard errors with probability 1 − Φ(z)ᵏ; the value must be above the z at which
    this is 2.5 %. Without a standard error the value must be better at all.

    Args:
        value: The best value.
        guess: Value of a guess.
        error: Its standard error; None where it is unknown.
        direction: ``"maximize"`` or ``"minimize"``.
        n_tried: Number of values, of which this is the best.
    """
    gain = value - guess if direction == "maximize" else guess - value
    z = NormalDist().inv_cdf((1 - RARE) ** (1 / max(1, n_tried)))
    return gain <= z * (error or 0.0)
