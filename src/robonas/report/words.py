"""The report's sentences: what was found, who won, and what went wrong, said plainly."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.common.words import plural
from robonas.report.learned import noise
from robonas.report.numbers import Standing, best_query, labels, pool_size, standing
from robonas.study.certainty import certainty, doubt, luck, sentences as certainty_in_words
from robonas.study.shown import left_out_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.study.result import SearchResult


@dataclass(frozen=True)
class Headline:
    """The first sentences of the page."""

    found: str
    """Result of the search in one sentence."""
    verdicts: tuple[str, ...]
    """The comparison with each baseline."""
    remarks: tuple[str, ...]
    """Failures, an early end, and how much one run proves."""


def headline(
    result: SearchResult, baselines: Sequence[SearchResult] = (), size: Mapping[str, float | None] | None = None
) -> Headline:
    """Return the first sentences of the page.

    Args:
        result: The search.
        baselines: Others on the same objective.
        size: The winner's ``parameters`` and ``macs``; None where they are unknown.
    """
    names = labels([result, *baselines])
    ours = standing(result, names[0])
    others = [standing(other, name) for other, name in zip(baselines, names[1:], strict=True)]
    verdicts = tuple(verdict(ours, other, result.direction, evaluation_word(result)) for other in others)
    return Headline(_found(result, ours, size), verdicts, tuple(_remarks(result, ours, others)))


def evaluation_word(result: SearchResult) -> str:
    """Return what one query of this objective is called."""
    return "training" if result.objective == "training" else "evaluation"


def _found(result: SearchResult, ours: Standing, size: Mapping[str, float | None] | None) -> str:
    word = evaluation_word(result)
    if ours.value is None:
        if ours.n_queries == 0:
            return f"Nothing found yet: {ours.label} has started no {word}."
        return f"Nothing found: none of the {plural(ours.n_queries, word)} of {ours.label} completed."
    exact, again = noise(result), certainty(result)
    value = number(ours.value)
    if again is not None and again.mean is not None:
        value = number(again.mean) if again.spread is None else f"{number(again.mean)} ± {number(again.spread, 2)}"
    elif exact is not None:
        value += f" ({number(exact.low, 3)} to {number(exact.high, 3)})"
    facts = [f"{result.value_name} {value}"]
    if size is not None:
        facts += [
            f"{value:,.0f} {unit}"
            for value, unit in ((size["parameters"], "parameters"), (size["macs"], "MACs"))
            if value is not None
        ]
    listed = facts[0] if len(facts) == 1 else f"{', '.join(facts[:-1])} and {facts[-1]}"
    pool = plural(pool_size(result), "distinct candidate")
    effort = f"{plural(ours.n_queries, word)} from a pool of {pool}"
    return f"A network with {listed}: found by {ours.label} in {effort}."


def verdict(ours: Standing, other: Standing, direction: str, word: str = "training") -> str:
    """Say in one sentence who won, by how much, and with how many queries."""
    if ours.n_queries == other.n_queries:
        effort = f"{plural(ours.n_queries, word)} each"
    else:
        effort = f"{plural(ours.n_queries, word)} against {other.n_queries:,}"
    if ours.value is None and other.value is None:
        return f"The baseline {other.label} completed nothing either ({effort}), so nothing can be compared."
    if other.value is None:
        lost = plural(other.n_queries, word)
        return f"The baseline {other.label} completed none of its {lost}, so there is nothing to compare with."
    if ours.value is None:
        return f"The baseline {other.label} did better: it reached {number(other.value)} ({effort})."
    if ours.value == other.value:
        return f"It ties with {other.label}: both reach {number(ours.value)} ({effort})."
    mine, theirs = numbers(ours.value, other.value)
    gap = number(abs(ours.value - other.value), 2)
    if (ours.value > other.value) == (direction == "maximize"):
        return f"It beats {other.label} by {gap}: {mine} against {theirs} ({effort})."
    return f"The baseline {other.label} did better, by {gap}: {theirs} against {mine} ({effort})."


def _remarks(result: SearchResult, ours: Standing, others: Sequence[Standing]) -> list[str]:
    word, sentences = evaluation_word(result), doubt(result) + certainty_in_words(result)
    exact = noise(result)
    if exact is not None and result.confirmation is None:
        sentences.append(
            f"The range is a 95 % interval for one network on {exact.samples:,} held-out samples. The winner is the "
            f"best of {plural(ours.n_complete, word)}, so expect a value in its lower half; "
            "`--confirm 3` trains the best again with other seeds."
        )
    if any(other.value is not None and ours.value is not None and other.value != ours.value for other in others):
        sentences.append(
            "This is one run of each: a gap can be luck. Repeat with other seeds before you conclude anything."
        )
    if any(other.n_queries != ours.n_queries for other in others):
        sentences.append(
            f"The searches made unequal numbers of {word}s, so the end values are not a fair race; "
            "compare the lines at equal numbers."
        )
    if ours.n_failed:
        reasons = Counter(query.failure or "no reason given" for query in result.queries if query.state == "failed")
        why, count = reasons.most_common(1)[0]
        often = "" if ours.n_failed == 1 else f" ({count} times)" if len(reasons) > 1 else " (each time)"
        sentences.append(
            f"{ours.n_failed:,} of {plural(ours.n_queries, word)} failed and "
            f"{'counts' if ours.n_failed == 1 else 'count'} "
            f"towards the budget; the reason{often}: {why}"
        )
    if ours.n_pruned:
        whole = result.steps + result.steps_saved
        sentences.append(
            f"{ours.n_pruned:,} of {plural(ours.n_queries, word)} {'was' if ours.n_pruned == 1 else 'were'} pruned: "
            f"ended early, with {result.steps_saved:,} of {whole:,} epochs saved. A pruned network is never the winner."
        )
    running = sum(query.state == "running" for query in result.queries)
    if running and result.stop_reason != "running":
        sentences.append(f"{plural(running, word)} had not answered when the search stopped.")
    if result.stop_reason == "running":
        sentences.append(
            f"The search is still running in another process: {plural(running, word)} had not answered when this page "
            "was written. Write it again later, by `robonas report`."
        )
    if result.stop_reason == "interrupted":
        sentences.append(
            f"The search was interrupted after {ours.n_queries:,} of {plural(result.budget, word)}; "
            "run it again to go on."
        )
    elif result.stop_reason == "candidates exhausted" and ours.n_queries < result.budget:
        sentences.append(
            f"The pool ran out after {ours.n_queries:,} of {plural(result.budget, word)}: "
            "there was nothing left to ask."
        )
    if result.left_out:
        sentences.append(f"By the limits, {left_out_in_words(result.left_out, len(result.scores) - result.n_grown)}.")
    best = best_query(result)
    if best is not None and result.n_grown:
        after = result.joined_after(best)
        origin = "was in the sample" if after is None else f"joined the pool after {plural(after, 'query')}"
        sentences.append(
            f"The pool grew during the search, from {len(result.scores) - result.n_grown:,} candidates to "
            f"{len(result.scores):,}; the winner {origin}."
        )
    if best is not None and ours.n_complete == 1 and ours.n_queries == 1:
        sentences.append(f"With one {word}, the best is simply the only one.")
    values = sorted(query.value for query in result.queries if query.value is not None)
    if not others and len(values) > 2:
        middle = values[(len(values) - 1) // 2] if result.direction == "maximize" else values[len(values) // 2]
        sentences.append(
            f"The middle one of the {len(values)} {word}s reached {number(middle)}. The search was not compared with "
            "another one; `--compare random` does that."
        )
    return sentences + (luck(result) if exact is None else [])


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for people: significant digits, thousands separated, an en dash for a missing one."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size != 0 and (size >= 1e7 or size < 1e-4):
        text = f"{value:.{digits - 1}e}"
        mantissa, _, exponent = text.partition("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}e{int(exponent)}"
    elif value == int(value):
        text = f"{value:,.0f}"
    else:
        places = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{places}f}"
    return text.replace("-", "−")


def amount(value: float | None) -> str:
    """Return a size in three digits with its unit, such as ``38.1 k`` or ``1.20 M``; an en dash for a missing one."""
    if value is None or not math.isfinite(value):
        return "–"
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * unit:
            scaled = value / unit
            return f"{scaled:.{max(0, 2 - math.floor(math.log10(abs(scaled)) + 1e-3))}f}{name}"
    return f"{value:.0f}"


def numbers(one: float, other: float) -> tuple[str, str]:
    """Return two different numbers with as many digits as it takes to see that they differ."""
    for digits in range(4, 18):
        texts = number(one, digits), number(other, digits)
        if texts[0] != texts[1]:
            return texts
    return number(one), number(other)


def duration(seconds: float) -> str:
    """Return a time for people, such as ``0.42 s``, ``12.5 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} days {hours} h"
