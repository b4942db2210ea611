"""The result of a search: the winner, every query, the learned weights, and the trained network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from robonas.common.lazy import np
from robonas.common.notebook import facts_html, facts_text
from robonas.costs.size import network_size
from robonas.errors import ConfigError, StudyError
from robonas.strategies.base import Summary
from robonas.study.front import CostAxis, Front
from robonas.study.networks import Networks
from robonas.study.parameters import find_parameters
from robonas.study.shown import facts_of, picture_of, title_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from robonas.architecture import Architecture
    from robonas.scores.table import ScoreTable
    from robonas.spaces import SearchSpace
    from robonas.study.confirmation import Confirmation, FinalTest
    from robonas.study.query import Query

StopReason: TypeAlias = Literal["budget spent", "candidates exhausted", "time over", "interrupted", "running"]
"""Reason why a search ended; ``running`` where another process was still at it when it was read."""


@dataclass(frozen=True, eq=False)
class SearchResult(Networks):
    """A search, finished or stopped."""

    study: str
    """Name of the study."""
    space: SearchSpace
    """Space of the candidates."""
    scores: ScoreTable
    """The pool and its scores; no metric columns where the strategy needed none."""
    strategy: str
    """Name of the strategy."""
    objective: str
    """Name of the objective."""
    value_name: str
    """Name of the value, such as ``"validation accuracy"``."""
    direction: Literal["maximize", "minimize"]
    """Direction of the values."""
    budget: int
    """Evaluations that were allowed."""
    seed: int
    """The run's seed."""
    queries: tuple[Query, ...]
    """Every query, in the order of asking."""
    stop_reason: StopReason
    """Reason why it ended."""
    summary: Summary = field(default_factory=Summary)
    """Knowledge that the strategy has gained; ``combined`` has an entry for each row of `scores`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All settings of the search that change its result; JSON values."""
    joined: NDArray[np.int64] | None = None
    """Number of queries that had been made when each row of `scores` joined a growing pool; 0 for the sample."""
    costs: NDArray[np.float64] | None = None
    """Costs of every row of `scores`, (n_rows, K), where the objective is traded off against some."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of rejected candidates by the first limit that each violates, such as ``"synflow below 80"``."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Origin: ``data``, the ``first`` and the ``latest`` session (``date``, ``command``, ``folder``,
    ``machine``, ``versions``) and the number of ``sessions``; empty where nothing was noted. JSON values."""
    folder: Path | None = None
    """Folder of the study, the scores, the trained parameters and the report; None for a search in memory."""

    confirmation: Confirmation | None = None
    """The best candidates, trained again with other seeds; None where the search did not do that."""
    test: FinalTest | None = None
    """The winner on the samples that were held out of everything; None where there are none."""

    def __repr__(self) -> str:
        return facts_text(title_of(self), facts_of(self, self._known_size))

    def _repr_html_(self) -> str:
        return facts_html(title_of(self), facts_of(self, self._known_size), picture_of(self))

    @property
    def _known_size(self) -> Mapping[str, int | None] | None:
        """The winner's size, where it was counted when it was trained; to count it takes a network."""
        return next((self.best.size for query in self.queries if query.value is not None), None)

    @cached_property
    def best(self) -> Query:
        """The winner: the best completed query, never a pruned one; the earliest one on ties.

        Where the best were trained again with other seeds, it is the one with the best mean.

        Raises:
            StudyError: No query has completed; the message has the first failure's reason.
        """
        if self.confirmation is not None:
            return next(query for query in self.queries if query.number == self.confirmation.chosen)
        done = [query for query in self.queries if query.value is not None]
        if not done:
            failures = [query.failure for query in self.queries if query.failure]
            why = f" The first failure: {failures[0]}" if failures else ""
            why += f" {self.n_pruned} were pruned; choose a milder pruner." if self.n_pruned else ""
            why += " Another process is still at it: look again later." if self.stop_reason == "running" else ""
            raise StudyError(f"Study '{self.study}' has no completed evaluation among {len(self.queries)}.{why}")
        return max(done, key=lambda query: (self._sign * (query.value or 0.0), -query.number))

    @property
    def _sign(self) -> float:
        return 1.0 if self.direction == "maximize" else -1.0

    # ── trade-offs ──

    @cached_property
    def trade_off(self) -> Front:
        """The front of the queries, with its costs and its reference point.

        Raises:
            ConfigError: The search traded nothing off.
        """
        if self.costs is None:
            raise ConfigError(f"Study '{self.study}' has no front: it was searched without `against`.")
        return Front(self.queries, self._sign, self.axes, self.costs)

    @property
    def axes(self) -> tuple[CostAxis, ...]:
        """Costs against which the objective was traded off; none for a search for the best value alone."""
        return tuple(CostAxis(cost["name"], cost["unit"]) for cost in self.settings.get("against", ()))

    @property
    def front(self) -> tuple[Query, ...]:
        """Completed queries that no other one beats in value and costs, the best value first."""
        return self.trade_off.members

    @property
    def knee(self) -> Query:
        """The query on the front beyond which more cost buys the least; see `Front.knee`."""
        return self.trade_off.knee

    def best_under(self, bounds: Mapping[str, float] | None = None, /, **named: float) -> Query:
        """Return the best completed query whose costs are at most these, such as ``best_under(latency=5.0)``.

        Args:
            bounds: Largest value of some costs, by name, each included.
            named: The same, for names that Python can write.

        Raises:
            ConfigError: The search traded nothing off, or no bound is given.
            UnknownNameError: The search has no such cost.
            StudyError: No query keeps the bounds.
        """
        return self.trade_off.best_under({**(bounds or {}), **named})

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> NDArray[np.float64]:
        """Return the hypervolume of the front after each query, (n_queries,); see `Front.hypervolume`."""
        return self.trade_off.hypervolume(reference)

    @property
    def n_grown(self) -> int:
        """Number of rows of `scores`, counted from the end, that joined the pool during the search."""
        return 0 if self.joined is None else int(np.count_nonzero(self.joined))

    def joined_after(self, query: Query) -> int | None:
        """Return after how many queries the architecture of a query joined the pool; None for one of the sample."""
        return None if self.joined is None else int(self.joined[query.row]) or None

    @property
    def value(self) -> float:
        """The winner's value in the search, in the objective's own direction.

        It is that of the best of many trainings, and so too good by some; `confirmation` and `test` have fairer ones.
        """
        value = self.best.value
        assert value is not None
        return value

    @property
    def text(self) -> str:
        """The winner's text."""
        return self.best.architecture

    @property
    def architecture(self) -> Architecture:
        """The winner."""
        return self.space.parse(self.text)

    @property
    def weights(self) -> dict[str, float] | None:
        """Learned weight of each metric; None for strategies that learn none."""
        if self.summary.weights is None:
            return None
        return dict(zip(self.scores.metrics, self.summary.weights, strict=True))

    @property
    def n_explored(self) -> int | None:
        """T0: queries spent on learning the weights, an outcome; None for strategies without that phase."""
        return self.summary.n_explored

    @property
    def seconds(self) -> float:
        """Seconds that all evaluations took together."""
        return sum(query.seconds for query in self.queries)

    @property
    def n_pruned(self) -> int:
        """Number of queries that were ended early as hopeless."""
        return sum(query.state == "pruned" for query in self.queries)

    @property
    def steps(self) -> int:
        """Number of epochs that were done in all, as far as the curves tell."""
        return sum(query.steps for query in self.queries)

    @property
    def steps_saved(self) -> int:
        """Number of epochs that pruning has saved."""
        return sum(query.steps_saved for query in self.queries)

    @property
    def parameters_file(self) -> Path | None:
        """The winner's trained parameters (safetensors); None where none were kept, or they are not on this machine.

        They are in the search's folder, or in that of the worker which trained the winner.
        """
        if all(query.value is None for query in self.queries):
            return None
        return self.parameters_file_of(self.best)

    def parameters_file_of(self, query: Query) -> Path | None:
        """Return the trained parameters of a query, likewise; with trade-offs each query on the front has some."""
        return find_parameters(self.folder, self.study, query)

    def history(self) -> pd.DataFrame:
        """Return one row a query, with the best value so far in ``best``; ``steps`` are epochs done.

        With trade-offs there are also a column ``cost:NAME`` a cost, ``on_front``, and the ``hypervolume`` so far.
        """
        import pandas as pd

        frame = pd.DataFrame(
            {
                "number": [query.number for query in self.queries],
                "architecture": [query.architecture for query in self.queries],
                "phase": [query.phase for query in self.queries],
                "state": [query.state for query in self.queries],
                "value": np.array(
                    [np.nan if query.value is None else query.value for query in self.queries], dtype=float
                ),
                "partial": np.array(
                    [np.nan if query.partial is None else query.partial for query in self.queries], dtype=float
                ),
                "steps": [query.steps for query in self.queries],
                "seconds": [query.seconds for query in self.queries],
                "failure": [query.failure for query in self.queries],
            }
        )
        for column, axis in enumerate(self.axes):
            frame[f"cost:{axis.name}"] = np.array([query.costs[column] for query in self.queries], dtype=float)
        if self.axes:
            frame["on_front"] = frame["number"].isin([query.number for query in self.front])
            frame["hypervolume"] = self.hypervolume()
        frame["best"] = (frame["value"].cummax() if self.direction == "maximize" else frame["value"].cummin()).ffill()
        return frame

    @property
    def combined(self) -> NDArray[np.float64] | None:
        """The learned combined metric of every row of `scores`, higher is better; None where none is learned."""
        return self.summary.combined

    @property
    def size(self) -> dict[str, int | None]:
        """The winner's ``parameters`` and ``macs`` (of one sample), None for what cannot be counted."""
        if self.best.size is not None:
            return dict(self.best.size)
        return network_size(
            lambda: self.space.build_seeded(self.architecture, self.seed), self.space.input_shape_of(self.architecture)
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything but the tables and the curves as JSON values."""
        how = self.preprocessing()
        return {
            "study": self.study,
            "strategy": self.strategy,
            "objective": self.objective,
            "value_name": self.value_name,
            "direction": self.direction,
            "best": {
                "architecture": self.text,
                "choices": dict(self.architecture),
                "value": self.value,
                "query": self.best.number,
                "joined_after": self.joined_after(self.best),
                **self.size,
                "parameters_file": str(self.parameters_file) if self.parameters_file else None,
                "preprocessing": None if how is None else how.to_json(),
            },
            "confirmation": None if self.confirmation is None else self.confirmation.to_json(),
            "test": None if self.test is None else self.test.to_json(),
            "budget": self.budget,
            "seed": self.seed,
            "stop_reason": self.stop_reason,
            "n_explored": self.n_explored,
            "weights": self.weights,
            "pool": len(self.scores),
            "grown": self.n_grown,
            "left_out": dict(self.left_out),
            "seconds": {"evaluations": self.seconds, "scoring": self.scores.seconds},
            "steps": {"done": self.steps, "saved": self.steps_saved},
            "queries": [
                {
                    "number": query.number,
                    "architecture": query.architecture,
                    "phase": query.phase,
                    "state": query.state,
                    "value": query.value,
                    "partial": query.partial,
                    "steps": query.steps,
                    "seconds": query.seconds,
                    "failure": query.failure,
                    **({"costs": list(query.costs)} if self.axes else {}),
                }
                for query in self.queries
            ],
            "settings": dict(self.settings),
            "provenance": dict(self.provenance),
            **({"front": self.trade_off.to_json()} if self.axes else {}),
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` to a file."""
        from robonas.common.files import write_text

        write_text(path, json.dumps(self.to_json(), indent=2) + "\n")
