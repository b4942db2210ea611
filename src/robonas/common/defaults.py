"""Choices that are the same in Python and on the command line."""

from __future__ import annotations

PAPER_METRICS = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
"""The six metrics of He et al., ICLR 2024: those of `robot` unless told otherwise."""
AUTO_METRICS = ("auto",)
"""Metrics of every other strategy unless told otherwise: the cheap ones that have a record over known tasks."""
STRATEGY = "auto"
"""The strategy of a search, and of an experiment, unless told otherwise."""
