"""Words for numbers in messages, reports and summaries."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """Return a count and its noun, such as ``1 training``, ``12 trainings`` or ``3 queries``."""
    if count == 1:
        return f"{count:,} {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
