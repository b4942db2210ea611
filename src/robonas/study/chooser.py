"""The choice of a search's next query: the pool as it stands, growing or not, and the strategy that chooses from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from robonas.errors import StudyError
from robonas.scores.table import ScoreTable
from robonas.strategies.base import Problem, Trial
from robonas.study.against import by_class
from robonas.study.events import Event, PoolGrown
from robonas.study.growth import breed, fitness
from robonas.study.trials import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.study.pool import Candidates
    from robonas.study.query import Query


class Chooser:
    """Chooses for a `Ledger`.

    With `grow`, each query but those before the first answer is chosen from a pool that children of its best have
    joined. The children are recorded with the query, so the study alone tells every worker what the pool is.

    Args:
        space: Space of the candidates.
        strategy: Strategy that chooses.
        table: The pool at the start.
        budget: Budget of the search.
        seed: Seed of the search.
        higher_is_better: Direction of each metric.
        direction: Direction of the objective's values.
        grow: Number of children that join the pool before each query.
        candidates: Rules for children; None to score nothing any more.
        save: Called with the table whenever a query is chosen from another one than before.
        tell: Told of every generation.
        children: Scores of children that joined earlier; of all children where `candidates` is None.
        costs: Costs of the sample by canonical text, where the objective is traded off against some.
    """

    def __init__(
        self,
        space: SearchSpace,
        strategy: Strategy,
        table: ScoreTable,
        *,
        budget: int,
        seed: int,
        higher_is_better: Sequence[bool],
        direction: Literal["maximize", "minimize"],
        grow: int = 0,
        candidates: Candidates | None = None,
        save: Callable[[ScoreTable], None] = lambda _: None,
        tell: Callable[[Event], None] = lambda _: None,
        children: ScoreTable | None = None,
        costs: Mapping[str, tuple[float, ...]] | None = None,
    ) -> None:
        self.space, self.strategy, self.budget, self.seed, self.grow = space, strategy, budget, seed, grow
        self._higher_is_better = tuple(higher_is_better)
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._candidates, self._save, self._tell = candidates, save, tell
        self._sampled = table
        self._costs = None if costs is None else dict(costs)
        self._children = children  # all that were ever scored here, each once
        self._taken: list[tuple[int, tuple[str, ...]]] = []  # what the study says has joined, and when
        self._bred: tuple[str, ...] | None = None  # what joins with the query that is chosen next
        self._codes: dict[str, NDArray[np.int64]] = {}
        self._saved: ScoreTable | None = None
        self._arranged: object = None
        self._arrange(0)

    # ── what a ledger asks ──

    def ready(self, asked: Sequence[Query]) -> bool:
        """Return whether the next query can be chosen without scoring anything first."""
        return self._taken == generations(asked) and (self._bred is not None or not self._due(asked))

    def prepare(self, asked: Sequence[Query]) -> None:
        """Take what other workers' queries have added, and have children of this search's own."""
        self.follow(asked)
        if not self._due(asked):
            return
        if self._bred is None:
            canonical = self.table.frame["canonical"].iloc[self.table.distinct]
            assert self._candidates is not None
            born = breed(
                self.space,
                tuple(canonical),
                fitness(self.strategy, self.problem, self.history(asked)),
                self.grow,
                seed=self.seed,
                generation=len(asked),
                allowed=self._candidates.may_join,
                form=self._candidates.form,
            )
            self._bred = self._costed(self._scorable(born))
        self._arrange(len(asked))
        self._tell(PoolGrown(len(self._bred), len(self.problem)))

    def choose(self, asked: Sequence[Query]) -> Candidate | None:
        """Return what the strategy asks for next; None where all candidates have been."""
        self._arrange(len(asked))
        history = self.history(asked)
        if len(history) >= len(self.problem):
            return None
        if self._saved is not self.table:
            self.keep()
        proposal = self.strategy.ask(self.problem, history)
        row = int(self._rows[proposal.row])
        text = self.table.architectures[row]
        options = {name: (option, self.space.choices[name]) for name, option in self.space.parse(text).items()}
        children, self._bred = self._bred or (), None
        prints = self._of(children).fingerprint() if children else ""
        costs: tuple[float, ...] = ()
        costs_of_children: tuple[tuple[float, ...], ...] = ()
        if self._costs is not None:
            costs = self._costs[self.table.frame["canonical"].iloc[row]]
            costs_of_children = tuple(self._costs[child] for child in children)
        pending = tuple(query.number for query in asked if query.state == "running")
        n_rows = len(self.table)
        return Candidate(proposal, row, text, options, n_rows, children, prints, costs, costs_of_children, pending)

    # ── the pool ──

    def follow(self, asked: Sequence[Query]) -> None:
        """Let the pool be what the study says, and what joins with the next query.

        Raises:
            StudyError: Scores of children are others than when they were chosen from.
        """
        taken = generations(asked)
        self._scorable([text for _, children in taken for text in children])
        for entry in asked if self._candidates else ():
            if entry.children and self._of(entry.children).fingerprint() != entry.children_scores:
                raise StudyError(
                    f"The study was begun with other scores of {entry.children[0]} and what joined the pool with it "
                    "than now; were they computed by other versions? Choose another folder or name for this search."
                )
        if self._costs is not None:
            for entry in reversed(asked):  # where two workers had the same child, the first counts
                self._costs |= zip(entry.children, entry.children_costs, strict=True)
        self._taken = taken
        self._arrange(len(asked))

    def settle(self, asked: Sequence[Query]) -> None:
        """Forget what has not joined, and follow."""
        self._bred = None
        self.follow(asked)

    def keep(self) -> None:
        """Save the pool as it stands, also what has joined it with queries that other workers have chosen."""
        self._save(self.table)
        self._saved = self.table

    @property
    def limit(self) -> int:
        """Queries that can be made, as far as can be foreseen."""
        return self.budget if self.grow else self.problem.limit

    def history(self, asked: Sequence[Query]) -> list[Trial]:
        """Return the queries as the strategy sees them."""
        told_at = {number: query.number for query in asked for number in query.pending}  # the last one wins
        return [self._trial(query, told_at.get(query.number)) for query in asked]

    def _trial(self, query: Query, told_at: int | None) -> Trial:
        value = query.partial if query.state == "pruned" else query.value
        place = self._places.get(query.architecture)
        if place is None:
            raise StudyError(
                f"The file with the search's scores does not hold {query.architecture}, which the search has asked "
                "for. Restore it from a copy."
            )
        if query.state not in {"complete", "pruned"} or value is None:
            failed = query.state != "running"
            return Trial(place, failed=failed, told_at=told_at if failed else None)
        pruned = query.curve[-1].step if query.state == "pruned" else None
        return Trial(place, self._sign * value, pruned=pruned, told_at=told_at)

    def _due(self, asked: Sequence[Query]) -> bool:
        return self.grow > 0 and any(query.state != "running" for query in asked)

    def _scorable(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return those with a score, all of them where no scores are used; each text is scored once."""
        known = set() if self._children is None else set(self._children.architectures)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new and self._candidates:
            scored = self._candidates.scores_of(new)
            self._children = scored if self._children is None else _stacked(self._children, scored)
        if not texts or not self._sampled.metrics:
            return tuple(texts)
        n_scores = np.isfinite(self._of(texts).scores).sum(axis=1)
        return tuple(text for text, n in zip(texts, n_scores, strict=True) if n)

    def _costed(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of which all costs are known, all of them where there are none; each is measured once."""
        if self._costs is None or self._candidates is None or self._candidates.meter is None:
            return texts
        new = [text for text in texts if text not in self._costs]
        if new:
            self._costs |= by_class(self._candidates.meter.table(new))
        return tuple(text for text in texts if text in self._costs)

    def _of(self, texts: Sequence[str]) -> ScoreTable:
        assert self._children is not None
        return _rows_of(self._children, texts)

    def _arrange(self, n_asked: int) -> None:
        """Put table and problem in order: the sample, what has joined since, and what joins with the next query."""
        known = {text for _, children in self._taken for text in children}
        if self._bred is not None:
            self._bred = tuple(text for text in self._bred if text not in known)
        generation = [(n_asked, self._bred)] if self._bred else []
        arranged = [*self._taken, *generation]
        priced = [[(self._costs or {}).get(text) for text in texts] for _, texts in arranged]
        if (arranged, priced) == self._arranged:
            return
        self._arranged = (arranged, priced)
        self.table, self.joined = grown(self._sampled, self._children, arranged)
        self._rows = self.table.distinct
        texts = self.table.architectures
        self._places = {texts[row]: place for place, row in enumerate(self._rows.tolist())}
        for text in self.table.frame["canonical"].iloc[self._rows]:
            if text not in self._codes:
                self._codes[text] = self.space.encode(self.space.parse(text))
        self.problem = Problem(
            self.table.scores[self._rows],
            self.table.metrics,
            self.budget,
            self.seed,
            self._higher_is_better,
            np.stack([self._codes[text] for text in self.table.frame["canonical"].iloc[self._rows]]),
            None if self.joined is None else self.joined[self._rows],
            None if self.costs is None else self.costs[self._rows],
        )

    @property
    def costs(self) -> NDArray[np.float64] | None:
        """Costs of every row of the table, (n_rows, K); None where the objective is not traded off."""
        if self._costs is None:
            return None
        return np.array([self._costs[text] for text in self.table.frame["canonical"]], dtype=np.float64)


def generations(asked: Sequence[Query]) -> list[tuple[int, tuple[str, ...]]]:
    """Return what has joined the pool, and how many queries had been asked."""
    return [(number, entry.children) for number, entry in enumerate(asked) if entry.children]


def grown(
    sampled: ScoreTable, children: ScoreTable | None, taken: Sequence[tuple[int, Sequence[str]]]
) -> tuple[ScoreTable, NDArray[np.int64] | None]:
    """Return the pool with what has joined it, and after how many queries each row did; None where none has.

    Raises:
        StudyError: A child has no scores.
    """
    since: dict[str, int] = {}
    for number, texts in taken:
        for text in texts:
            since.setdefault(text, number)  # two workers without a common lock may have had the same child
    if children is None or not since:
        return sampled, None
    table = _stacked(sampled, _rows_of(children, list(since)))
    return table, np.concatenate([np.zeros(len(sampled), dtype=np.int64), np.array(list(since.values()))])


def _stacked(one: ScoreTable, other: ScoreTable) -> ScoreTable:
    frame = pd.concat([one.frame, other.frame], ignore_index=True)
    return ScoreTable(frame, one.metrics, one.provenance)


def _rows_of(table: ScoreTable, texts: Sequence[str]) -> ScoreTable:
    places = {text: row for row, text in enumerate(table.architectures)}
    missing = [text for text in texts if text not in places]
    if missing:
        raise StudyError(f"There are no scores of {missing[0]}, which joined the pool; run the search to go on.")
    frame = table.frame.iloc[[places[text] for text in texts]].reset_index(drop=True)
    return ScoreTable(frame, table.metrics, table.provenance)
