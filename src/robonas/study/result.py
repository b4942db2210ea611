"""The result of a search: the winner, every query, the learned weights, and the trained network."""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from robonas.common.lazy import np
from robonas.costs.size import network_size
from robonas.errors import StudyError
from robonas.strategies.base import Summary

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robonas.architecture import Architecture
    from robonas.scores.table import ScoreTable
    from robonas.spaces import SearchSpace
    from robonas.study.query import Query

StopReason: TypeAlias = Literal["budget spent", "candidates exhausted", "interrupted"]
"""Why a search ended."""


def parameters_file(study: str) -> str:
    """Name of the file with the trained parameters of a study's winner, in the search's folder."""
    return f"{study}.safetensors"


def staged_file(study: str, trial: int | str) -> str:
    """Name of the file with the parameters of a trial, by its number, until it is recorded that it is the winner."""
    return f".{study}.{trial}.safetensors"


def left_out_in_words(counts: Mapping[str, int], left: int) -> str:
    """Return what limits did to a pool, in one sentence without its full stop."""
    n = sum(counts.values())
    why = "; ".join(f"{count:,} with {fault}" for fault, count in counts.items())
    return f"{n:,} of {n + left:,} candidates were left out before they were scored: {why}"


@dataclass(frozen=True, eq=False)
class SearchResult:
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
    """Why it ended."""
    summary: Summary = field(default_factory=Summary)
    """Knowledge that the strategy has gained; ``combined`` has an entry for each row of `scores`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All settings of the search that change its result; JSON values."""
    joined: NDArray[np.int64] | None = None
    """Number of queries that had been made when each row of `scores` joined a growing pool; 0 for the sample."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of rejected candidates by the first limit that each violates, such as ``"synflow below 80"``."""
    folder: Path | None = None
    """Folder of the study, the scores, the trained parameters and the report; None for a search in memory."""

    @cached_property
    def best(self) -> Query:
        """The best completed query, never a pruned one; the earliest one on ties.

        Raises:
            StudyError: No query has completed; the message has the first failure's reason.
        """
        done = [query for query in self.queries if query.value is not None]
        if not done:
            failures = [query.failure for query in self.queries if query.failure]
            why = f" The first failure: {failures[0]}" if failures else ""
            why += f" {self.n_pruned} were pruned; choose a milder pruner." if self.n_pruned else ""
            raise StudyError(f"Study '{self.study}' has no completed evaluation among {len(self.queries)}.{why}")
        sign = 1.0 if self.direction == "maximize" else -1.0
        return max(done, key=lambda query: (sign * (query.value or 0.0), -query.number))

    @property
    def n_grown(self) -> int:
        """Number of rows of `scores`, counted from the end, that joined the pool during the search."""
        return 0 if self.joined is None else int(np.count_nonzero(self.joined))

    def joined_after(self, query: Query) -> int | None:
        """Return after how many queries the architecture of a query joined the pool; None for one of the sample."""
        return None if self.joined is None else int(self.joined[query.row]) or None

    @property
    def value(self) -> float:
        """The best value, in the objective's own direction."""
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
        if self.folder is None or all(query.value is None for query in self.queries):
            return None
        first = self.folder / parameters_file(self.study)
        places = [first]
        if self.best.kept:
            places.append(Path(self.best.kept[1]))
        # A stop may have come between the record of the winner and the file's last name.
        places += sorted(self.folder.glob(staged_file(glob.escape(self.study), "*")))
        found = [path for path in dict.fromkeys(places) if path.is_file()]
        return next((path for path in found if _owner(path) == self.text), first if first in found else None)

    def history(self) -> pd.DataFrame:
        """Return one row a query, with the best value so far in ``best``; ``steps`` are epochs done."""
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
        frame["best"] = (frame["value"].cummax() if self.direction == "maximize" else frame["value"].cummin()).ffill()
        return frame

    def combined(self) -> NDArray[np.float64] | None:
        """Return the learned combined metric of every row of `scores`, higher is better; None where none is learned."""
        return self.summary.combined

    def build(self, *, trained: bool = True) -> nn.Module:
        """Build the winning network.

        Args:
            trained: Load the trained parameters, where they were kept.

        Raises:
            StudyError: They are asked for, and were not kept.
        """
        network = self.space.build_seeded(self.architecture, self.seed)
        if trained:
            network.load_state_dict(self.load_parameters())
            network.eval()
        return network

    def load_parameters(self) -> dict[str, Tensor]:
        """Read the winner's trained parameters and buffers.

        Raises:
            StudyError: They were not kept.
        """
        from robonas.common.files import read_tensors

        path = self.parameters_file
        kept = self.best.kept
        if path is None and kept is None:
            raise StudyError(
                f"Study '{self.study}' kept no trained parameters: it ran in memory or on recorded values. "
                "Use `build(trained=False)`."
            )
        if path is not None:
            try:
                tensors, notes = read_tensors(path)
            except (ValueError, OSError) as error:
                raise StudyError(
                    f"Cannot read '{path}' ({error}). Restore it from a copy, or train the winner again with "
                    "`robonas train`."
                ) from error
            if notes.get("architecture") == self.text:
                return tensors
        if kept is None or (path is not None and path.absolute() == Path(kept[1])):
            raise StudyError(
                f"'{path}' holds the parameters of {notes.get('architecture')}, not of the winner {self.text}: another "
                "search wrote it, or none were kept. Use `build(trained=False)`, or train the winner again with "
                "`robonas train`."
            )
        raise StudyError(
            f"The winner's trained parameters are not here: a worker on host '{kept[0]}' wrote them to '{kept[1]}'. "
            f"Copy that file to '{self.folder}', or train the winner again with `robonas train`."
        )

    def size(self) -> dict[str, int | None]:
        """Return the winner's ``parameters`` and ``macs`` (of one sample), None for what cannot be counted."""
        if self.best.size is not None:
            return dict(self.best.size)
        return network_size(
            lambda: self.space.build_seeded(self.architecture, self.seed), self.space.input_shape_of(self.architecture)
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything but the tables and the curves as JSON values."""
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
                **self.size(),
                "parameters_file": str(self.parameters_file) if self.parameters_file else None,
            },
            "budget": self.budget,
            "seed": self.seed,
            "stop_reason": self.stop_reason,
            "n_explored": self.n_explored,
            "weights": self.weights,
            "pool": len(self.scores),
            "grown": self.n_grown,
            "left_out": dict(self.left_out),
            "seconds": {"evaluations": self.seconds, "scoring": self.scores.seconds()},
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
                }
                for query in self.queries
            ],
            "settings": dict(self.settings),
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` to a file."""
        from robonas.common.files import write_text

        write_text(path, json.dumps(self.to_json(), indent=2) + "\n")


def _owner(path: Path) -> str | None:
    """Return the architecture whose parameters a file holds; None where it cannot be read."""
    from robonas.common.files import read_notes

    try:
        return read_notes(path).get("architecture")
    except (ValueError, OSError):
        return None
