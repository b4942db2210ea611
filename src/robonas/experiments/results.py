"""Results of an experiment: one tidy table with a row a query, and the settings that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from robonas.common.files import write_parquet
from robonas.common.reading import parse_json, read_parquet
from robonas.errors import StudyError
from robonas.experiments.ranking import ranks_of
from robonas.strategies.fronts import BEYOND_DEAREST, hypervolume, is_on_front
from robonas.strategies.scaling import min_max

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from robonas.experiments.contenders import Contender, Run
    from robonas.experiments.tasks import Task

FORMAT = 1
FRONT_QUANTITIES = ("hypervolume_regret", "front_share")
"""Columns that only tasks with costs have values in."""
_KEY = b"robonas_experiment"


@dataclass(frozen=True, eq=False)
class Results:
    """All runs.

    Columns of `frame`, one row a query: ``task``, ``strategy``, ``kind`` (``strategy``, ``single`` metric or
    ``baseline``), ``seed``, ``query`` (from 1), ``row`` and ``architecture`` of the candidate, ``phase``, ``value``
    (its objective), ``best_value``, ``rank`` of the best so far by the objective among the run's candidates (1 is best,
    equals share the better one), ``regret`` (how far it is from the best of them, ≥ 0), ``final`` measure of the best
    so far and its ``final_rank`` among the candidates, ``cost_s`` (seconds of all queries so far), of a task with costs
    ``hypervolume_regret`` (share of the true front's hypervolume that is missing, counted from the worst value and a
    tenth of the range beyond the dearest candidate) and ``front_share`` (share of the true front that was evaluated),
    and of the whole run ``candidates``, ``n_explored`` (T0), ``precision``, ``ndcg`` and ``spearman`` of what it
    learned, and ``weights`` (JSON, or nothing). NaN is unknown or undefined.
    """

    frame: pd.DataFrame
    """See the class."""
    settings: Mapping[str, Any]
    """Tasks, contenders, budget, seeds and pools; JSON values."""

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, as they came."""
        return [str(name) for name in self.frame["task"].unique()]

    @property
    def strategies(self) -> list[str]:
        """Labels of all contenders, as they came, baselines last."""
        return [str(name) for name in self.frame["strategy"].unique()]

    def kind(self, strategy: str) -> str:
        """Return the kind of a contender: ``strategy``, ``single`` or ``baseline``."""
        return str(self.frame.loc[self.frame["strategy"] == strategy, "kind"].iloc[0])

    def at(self, queries: int) -> pd.DataFrame:
        """Return one row a run: its state after so many queries, or at its end where it made fewer."""
        reached = self.frame[self.frame["query"] <= queries]
        return reached.groupby(["task", "strategy", "seed"], sort=False).tail(1).reset_index(drop=True)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one Parquet file, whole or not at all."""
        import pyarrow as pa

        content = pa.Table.from_pandas(self.frame, preserve_index=False)
        note = json.dumps({"format": FORMAT, "settings": self.settings})
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), _KEY: note.encode()})
        write_parquet(path, content)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            StudyError: It is damaged, of a newer format, or not an experiment's.
        """
        try:
            content, notes = read_parquet(Path(path))
            note = parse_json(notes[_KEY])
            newer = note["format"] > FORMAT
            found = cls(content.to_pandas(), dict(note["settings"]))
        except FileNotFoundError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise StudyError(f"'{path}' is not a readable file of an experiment's results ({error}).") from error
        if newer:
            raise StudyError(
                f"'{path}' has format {note['format']}; this robonas reads up to {FORMAT}. Update robonas."
            )
        return found


def rows_of(task: Task, contender: Contender, seed: int, run: Run, *, half: bool) -> pd.DataFrame:
    """Return the rows of one run. Here, after the search, the final measure is read."""
    pool = task.pool(seed, half=half)
    chosen = np.array(run.rows, dtype=np.int64)
    utility = task.utility[pool]
    values = utility[chosen]
    # The earliest of equals is the winner, as `incumbent` has it.
    best = np.array([int(np.argmax(values[: place + 1])) for place in range(len(values))])
    winners = chosen[best]
    sign = 1.0 if task.higher_is_better else -1.0
    final = np.full(len(pool), np.nan) if task.final is None else task.final[pool]
    judged = final if task.final_higher_is_better else -final
    final_ranks = np.where(np.isnan(final), np.nan, ranks_of(judged).astype(np.float64))
    cost = np.full(len(pool), np.nan) if task.cost is None else task.cost[pool]
    n = len(chosen)
    return pd.DataFrame(
        {
            "task": task.name,
            "strategy": contender.label,
            "kind": contender.kind,
            "seed": seed,
            "query": np.arange(1, n + 1),
            "row": pool[chosen],
            "architecture": [task.architectures[row] for row in pool[chosen]],
            "phase": list(run.phases),
            "value": sign * values,
            "best_value": sign * utility[winners],
            "rank": ranks_of(utility)[winners],
            "regret": utility.max() - utility[winners],
            "final": final[winners],
            "final_rank": final_ranks[winners],
            "cost_s": np.cumsum(cost[chosen]),
            **_front_columns(utility, None if task.against is None else task.against[pool], chosen),
            "candidates": len(pool),
            "n_explored": _float(run.n_explored),
            "precision": _float(run.precision),
            "ndcg": _float(run.ndcg),
            "spearman": _float(run.spearman),
            "weights": "" if run.weights is None else json.dumps(run.weights),
        }
    )


def _front_columns(
    utility: NDArray[np.float64], costs: NDArray[np.float64] | None, chosen: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return how much of the true front a run has found after each query; NaN where there are no costs."""
    n = len(chosen)
    if costs is None:
        return dict.fromkeys(FRONT_QUANTITIES, np.full(n, np.nan))
    scaled = min_max(costs)
    front = is_on_front(utility, scaled)
    end, ideal, worst = np.full(scaled.shape[1], 1.0 + BEYOND_DEAREST), np.zeros(scaled.shape[1]), float(utility.min())

    def volume(rows: NDArray[np.int64]) -> float:
        return hypervolume(utility[rows], scaled[rows], worst, end, ideal)

    whole = volume(np.flatnonzero(front))
    found = np.array([volume(chosen[: place + 1]) for place in range(n)])
    regret = 1.0 - found / whole if whole > 0 else np.zeros(n)
    return dict(zip(FRONT_QUANTITIES, (regret, np.cumsum(front[chosen]) / front.sum()), strict=True))


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
