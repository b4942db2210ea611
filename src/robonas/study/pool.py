"""The candidates of a search: drawn or given, and within its limits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robonas.common.files import write_text
from robonas.common.reading import parse_json
from robonas.common.settings import count_of
from robonas.errors import ConfigError
from robonas.scores.scoring import texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from robonas.architecture import Architecture
    from robonas.datasets.batch import Batch
    from robonas.spaces import SearchSpace
    from robonas.study.limits import Limits


def draw_pool(
    space: SearchSpace, pool: int | Iterable[Architecture | str], seed: int
) -> tuple[list[tuple[str, str]], bool]:
    """Texts of the candidates and of their canonical forms, and whether these are all that the space has."""
    size = space.size()
    if isinstance(pool, Iterable) and not isinstance(pool, str):
        architectures: Iterable[Architecture | str] = pool
    else:
        number = count_of("pool", pool, "architecture")
        architectures = space.sample(number if size is None else min(number, size), seed)
    pairs = texts(space, architectures)
    if not pairs:
        raise ConfigError("The pool must have at least one architecture; got none.")
    return pairs, len({text for text, _ in pairs}) == size


@dataclass(frozen=True)
class Filter:
    """The limits of a search, with what it takes to judge by them.

    Args:
        space: Space of the candidates.
        limits: The bounds; None for none.
        batch: What metrics with a bound see; None where there are none.
        seed: Seed of the search.
        n_jobs: Processes for metrics.
        cache: File of the search's scores.
        logits: From what a network returns to its logits, for metrics.
    """

    space: SearchSpace
    limits: Limits | None
    batch: Batch | None = None
    seed: int = 0
    n_jobs: int = 1
    cache: Path | None = None
    logits: Callable[[Any], Tensor] | None = None

    def allowed(
        self, pairs: list[tuple[str, str]], settings: dict[str, Any], memory: Path | None
    ) -> tuple[list[tuple[str, str]], dict[str, int]]:
        """Return the candidates that keep the limits, and how many broke each bound.

        A measured latency is never the same twice, so what was allowed by one is remembered in a file, for these
        settings.
        """
        if self.limits is None or not self.limits.bounds:
            return pairs, {}
        measured = memory is not None and self.limits.max_latency_ms is not None
        origin = [settings[key] for key in ("space", "limits", "pool", "seed")]
        origin.append(None if self.batch is None else self.batch.fingerprint())
        if memory is not None and measured and memory.exists():
            first, *lines = memory.read_text(encoding="utf-8").splitlines()
            head = parse_json(first)
            if isinstance(head, dict) and head["origin"] == origin:
                return texts(self.space, lines), head["left_out"]
        judgement = self.limits.judge(
            self.space,
            dict.fromkeys(self.space.parse(text) for text, _ in pairs),
            batch=self.batch,
            seed=self.seed,
            n_jobs=self.n_jobs,
            cache=self.cache,
            logits=self.logits,
        )
        kept = set(judgement.allowed)
        pairs = [pair for pair in pairs if self.space.parse(pair[0]) in kept]
        left_out = dict(judgement.left_out)
        if memory is not None and measured:
            head = json.dumps({"origin": origin, "left_out": left_out})
            write_text(memory, "\n".join((head, *(text for text, _ in pairs))) + "\n")
        return pairs, left_out

    def admits(self, child: Architecture, *, try_it: bool) -> bool:
        """Return whether a new candidate keeps the limits.

        Args:
            child: The candidate.
            try_it: Whether to try that it makes a network that runs, where no score will tell.
        """
        if self.limits is not None and self.limits.bounds:
            limits, space = self.limits, self.space
            if limits.violation(space, child, batch=self.batch, seed=self.seed, logits=self.logits) is not None:
                return False
        return not try_it or self.space.failure(child) is None
