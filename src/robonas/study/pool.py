"""The candidates of a search: drawn or given, within its limits, and scored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from robonas.common.files import write_text
from robonas.common.reading import parse_json
from robonas.common.settings import count_of, plain
from robonas.errors import ConfigError, StudyError
from robonas.scores.scoring import Scorer, texts
from robonas.scores.table import ScoreTable
from robonas.study.measurements import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from robonas.architecture import Architecture
    from robonas.metrics import Metric
    from robonas.spaces import SearchSpace
    from robonas.study.against import CostMeter
    from robonas.study.limits import Limits


Share: TypeAlias = Literal["canonical", "class"]
"""Candidates that are one query: those of one canonical form, or of one scoring class."""


def draw_pool(
    space: SearchSpace, pool: int | Iterable[Architecture | str], seed: int, share: Share = "canonical"
) -> tuple[list[tuple[str, str]], bool]:
    """Draw the texts of the candidates and of what stands for them, and say whether these are all of the space."""
    size = space.size
    if isinstance(pool, Iterable) and not isinstance(pool, str):
        architectures: Iterable[Architecture | str] = pool
    else:
        number = count_of("pool", pool, "architecture")
        architectures = space.sample(number if size is None else min(number, size), seed)
    pairs = texts(space, architectures, form_of(space, share))
    if not pairs:
        raise ConfigError("The pool must have at least one architecture; got none.")
    return pairs, len({text for text, _ in pairs}) == size


def form_of(space: SearchSpace, share: Share) -> Callable[[Architecture], Architecture]:
    """Return the function from an architecture to the one that stands for all that are one query with it."""
    return space.scoring_class if share == "class" else space.canonical


@dataclass(frozen=True, eq=False)
class Candidates:
    """The rules of a search's pool: which architectures may join it, and how they are scored.

    Args:
        space: Space of the candidates.
        seed: Seed of the search.
        metrics: Metrics that the strategy reads; none for one that reads no scores.
        limits: Bounds that candidates must keep; None for none.
        scorer: Scorer for metrics; None where neither the strategy, a bound nor a cost reads one.
        n_jobs: Worker processes that measure what has a bound.
        meter: Costs against which the objective is traded off; None for none.
        share: Candidates that are one query.
    """

    space: SearchSpace
    seed: int
    metrics: tuple[Metric, ...] = ()
    limits: Limits | None = None
    scorer: Scorer | None = None
    n_jobs: int = 1
    meter: CostMeter | None = None
    share: Share = "canonical"

    def form(self, architecture: Architecture) -> Architecture:
        """Return the architecture that stands for all that are one query with this one."""
        return form_of(self.space, self.share)(architecture)

    def scores_of(self, some: Sequence[str], progress: Callable[[int, int], None] | None = None) -> ScoreTable:
        """Score architectures by their texts; a table without metrics where the strategy reads no scores.

        Args:
            some: Texts of the architectures.
            progress: Function that is called with the number of classes done and of all classes.
        """
        if self.scorer is None or not self.metrics:
            origin = {"space": {"name": self.space.reference, "settings": self.space.settings}, "seed": self.seed}
            return ScoreTable.from_scores(texts(self.space, some, self.form), {}, (), origin)
        table = self.scorer.score(some, self.metrics, callbacks=() if progress is None else (progress,))
        return table.shared() if self.share == "class" else table

    def within_limits(
        self, pairs: list[tuple[str, str]], settings: dict[str, Any], memory: Path | None
    ) -> tuple[list[tuple[str, str]], dict[str, int]]:
        """Return the candidates that keep the limits, and how many broke each bound.

        A measured latency is never the same twice, so what was allowed by one is remembered in a file, for these
        settings.

        Args:
            pairs: Texts of the candidates and of their canonical forms.
            settings: Settings of the search.
            memory: The file; None to remember nothing.
        """
        if self.limits is None or not self.limits.bounds:
            return pairs, {}
        measured = memory is not None and self.limits.max_latency_ms is not None
        made_of = {key: settings[key] for key in ("space", "limits", "pool", "seed")}
        if self.scorer is not None:
            made_of |= {"batch": self.scorer.batch.fingerprint(), "device": self.scorer.kind_of_device}
        origin = plain(made_of)
        if memory is not None and measured and memory.exists():
            found = _remembered(memory, origin)
            if found is not None:
                return texts(self.space, found[0], self.form), found[1]
        parsed = dict.fromkeys(self.space.parse(text) for text, _ in pairs)
        judgement = self.limits.judge(self.space, parsed, scorer=self.scorer, n_jobs=self.n_jobs)
        kept = set(judgement.allowed)
        pairs = [pair for pair in pairs if self.space.parse(pair[0]) in kept]
        left_out = dict(judgement.left_out)
        if memory is not None and measured:
            head = json.dumps({"origin": origin, "left_out": left_out})
            write_text(memory, "\n".join((head, *(text for text, _ in pairs))) + "\n")
        return pairs, left_out

    def may_join(self, children: Sequence[Architecture]) -> list[bool]:
        """Return which new candidates keep the limits and, where no score will tell, make networks that run."""
        reasons: dict[Architecture, str | None] = dict.fromkeys(children)
        if self.limits is not None:
            reasons = self.limits.violations(self.space, children, scorer=self.scorer, n_jobs=self.n_jobs)
        if not self.metrics:
            kept = [child for child, reason in reasons.items() if reason is None]
            reasons |= failures(self.space, kept, self.n_jobs)
        return [reasons[child] is None for child in children]


def _remembered(memory: Path, origin: dict[str, Any]) -> tuple[list[str], dict[str, int]] | None:
    """Return the candidates that a file says were allowed, and how many broke each bound; None for other settings.

    Raises:
        StudyError: The file is damaged.
    """
    try:
        first, *lines = memory.read_text(encoding="utf-8").splitlines()
        head = parse_json(first)
        if head["origin"] != origin:
            return None
        return lines, {str(bound): int(count) for bound, count in head["left_out"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(
            f"'{memory}', which says which candidates keep the limit of latency, is damaged. Delete it: they are "
            "measured again, and a few may be judged otherwise."
        ) from error
