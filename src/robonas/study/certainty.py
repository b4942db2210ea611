"""The winner's true quality: trained again with other seeds, and on samples held out of everything.

`SearchResult` uses these functions, so that they cannot import it: a result is ``Any`` here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robonas.common.chance import is_hardly_better
from robonas.common.words import plural


@dataclass(frozen=True)
class Certainty:
    """Numbers that tell how good the winner really is."""

    searched: float
    """Its value in the search: that of the best of all completed queries, and so too good by some."""
    n_complete: int
    """Number of completed queries."""
    mean: float | None
    """Mean of its trainings with other seeds; None where there are none."""
    spread: float | None
    """Their standard deviation; None for fewer than two."""
    n_seeds: int
    """Number of these trainings."""
    tested: float | None
    """Its value on samples that were held out of everything; None where there are none."""
    test_error: float | None
    """Standard error of that value from the number of samples; None where it is unknown."""
    n_tested: int
    """Number of these samples."""
    guess: float | None = None
    """Value of one and the same answer to every input; None where it is unknown."""
    is_guess: bool = False
    """Whether the best value of the search may be a guess with luck."""
    n_steps: int | None = None
    """Number of optimiser steps of a training; None where it is unknown."""


def certainty(result: Any) -> Certainty | None:
    """Return what is known of how good the winner really is; None where no query has completed."""
    n_complete = sum(query.value is not None for query in result.queries)
    if not n_complete:
        return None
    again = None if result.confirmation is None else result.confirmation.winner
    test = result.test
    about = result.provenance.get("data") or {}
    guess = about.get("guess") if result.objective == "training" else None
    return Certainty(
        searched=result.value,
        n_complete=n_complete,
        mean=None if again is None else again.mean,
        spread=None if again is None else again.spread,
        n_seeds=0 if again is None else len(again.known),
        tested=None if test is None else test.value,
        test_error=None if test is None else test.error,
        n_tested=0 if test is None else test.n,
        guess=None if guess is None else guess["value"],
        is_guess=guess is not None
        and is_hardly_better(result.value, guess["value"], guess["error"], result.direction, n_complete),
        n_steps=about.get("steps"),
    )


def with_error(value: float, error: float | None, digits: int = 4) -> str:
    """Return a value with what follows the ± sign, such as ``0.9312 ± 0.0041``; alone where nothing does."""
    return f"{value:.{digits}f}" if error is None else f"{value:.{digits}f} ± {error:.{digits}f}"


def value_with_noise(result: Any) -> str:
    """Return the winner's value for a headline: the mean over other seeds ± their deviation, or the search's value."""
    known = certainty(result)
    if known is None:
        return "–"
    if known.mean is None:
        return f"{known.searched:.4f}"
    return with_error(known.mean, known.spread)


def sentences(result: Any) -> list[str]:
    """Return what the numbers of the winner mean, a sentence each."""
    known = certainty(result)
    if known is None:
        return []
    told = []
    if known.mean is not None and result.confirmation is not None:
        n = len(result.confirmation.candidates)
        seeds = "one other seed" if known.n_seeds == 1 else f"{known.n_seeds} other seeds"
        spread = "" if known.spread is None else f", with a standard deviation of {known.spread:.4f}"
        chosen = f" It has the best mean of the {n} candidates that were trained again." if n > 1 else ""
        told.append(
            f"Trained again with {seeds}, the winner reaches {known.mean:.4f} on average{spread}; in the search it "
            f"reached {known.searched:.4f}.{chosen}"
        )
    if known.tested is not None:
        error = "" if known.test_error is None else f" ± {known.test_error:.4f} (standard error)"
        told.append(
            f"On {known.n_tested:,} samples that were held out of everything, the trained network reaches "
            f"{known.tested:.4f}{error}."
        )
    return told


def doubt(result: Any) -> list[str]:
    """Return a sentence where the best value may be a guess with luck; else none."""
    known = certainty(result)
    if known is None or not known.is_guess or known.guess is None:
        return []
    steps = "" if known.n_steps is None else f" after {plural(known.n_steps, 'step')} of each"
    sentence = (
        f"Nothing may have been learned yet: one and the same answer to every input reaches {known.guess:.4f}, and the "
        f"best of {plural(known.n_complete, 'training')}{steps} is hardly above it. Train longer (`--epochs`), or by "
        "another recipe (`--optimizer adamw`, `--learning-rate`), before you believe in an order."
    )
    return [sentence]


def luck(result: Any) -> list[str]:
    """Return a sentence on the luck in the best of many trainings, where none was done again; else none."""
    known = certainty(result)
    if known is None or known.mean is not None or known.n_complete < 2 or result.objective != "training":
        return []
    n = f"{known.n_complete:,}"
    best = f"{known.searched:.4f} is the best of {n} trainings, and so partly luck"
    return [f"{best}: `--confirm 3` trains the best again with other seeds."]


def in_rows(result: Any) -> dict[str, str]:
    """Return the same for a table of two columns."""
    known = certainty(result)
    if known is None:
        return {}
    rows = {}
    if known.mean is not None:
        spread = "mean" if known.spread is None else "mean ± standard deviation"
        rows["how sure"] = f"{spread} of {known.n_seeds} with other seeds; {known.searched:.4f} in the search"
    elif known.n_complete > 1 and result.objective == "training":
        rows["how sure"] = (
            f"the best of {known.n_complete:,}, and so partly luck; --confirm 3 or confirm=3 tells how much"
        )
    if known.guess is not None:
        steps = "" if known.n_steps is None else f" than {known.n_steps:,} steps"
        rows["by guessing"] = f"{known.guess:.4f}, by the same answer to every input" + (
            f"; the best is hardly above it: train longer{steps}, or by another recipe" if known.is_guess else ""
        )
    if known.tested is not None:
        rows["test"] = f"{with_error(known.tested, known.test_error)} on {known.n_tested:,} samples that nobody saw"
    return rows
