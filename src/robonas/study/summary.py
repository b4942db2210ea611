"""The strategy's summary of a search, kept in the search's folder.

To compute it anew, SciPy is imported, or BoTorch and PyTorch for `robot`, and every query is gone through again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.common.files import write_parquet
from robonas.common.reading import parse_json, read_parquet
from robonas.errors import OutputError
from robonas.scores.table import version_of
from robonas.strategies import STRATEGIES
from robonas.strategies.base import Summary
from robonas.study.recorded import StrategyNotGiven

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from robonas.strategies.base import Trial
    from robonas.study.chooser import Chooser

_NOTE = b"robonas.summary"
_COMBINED = "combined"


def summary_file(name: str) -> str:
    """Return the name of the file with the summary of a study, in the search's folder."""
    return f"{name}.summary.parquet"


def summary_of(chooser: Chooser, history: Sequence[Trial], file: Path | None, *, keep: bool) -> Summary:
    """Return what the strategy has learned: from a file, where that was written for the same queries, or computed.

    Strategies of the user's own may have changed since the file was written, so what they have learned is computed;
    it is read from the file where the strategy is not given. Where it is not there either, a warning says so.

    Args:
        chooser: The pool and the strategy.
        history: All queries.
        file: The file; None for none.
        keep: Write the file where it does not fit. A file that cannot be written is left out.
    """
    strategy = chooser.strategy
    ours, given = STRATEGIES.get(strategy.name) is type(strategy), not isinstance(strategy, StrategyNotGiven)
    if file is None or (not ours and strategy.reference in STRATEGIES):  # the file would pass for one of ours
        return strategy.summarise(chooser.problem, history)
    basis = _basis(chooser, history)
    summary = _read(file, basis, chooser) if ours or not given else None
    if summary is not None:
        return summary
    if isinstance(strategy, StrategyNotGiven):
        warnings.warn(
            f"What strategy {strategy.reference[:200]!r} has learned is left out: it is not one of robonas's, and "
            f"'{file.parent}' does not hold it for these queries. To see it too, name it: {strategy.how}.",
            stacklevel=4,  # whoever called `load_result`
        )
    summary = strategy.summarise(chooser.problem, history)
    if keep:
        with contextlib.suppress(OutputError, OSError, TypeError, ValueError):  # one of the user's may hold anything
            _write(file, basis, summary)
    return summary


def _basis(chooser: Chooser, history: Sequence[Trial]) -> str:
    """Return a hash of all that a summary depends on."""
    problem, strategy = chooser.problem, chooser.strategy
    joined = None if problem.joined is None else problem.joined.tolist()
    rest: list[Any] = [
        strategy.reference,
        strategy.settings,
        problem.budget,
        problem.seed,
        problem.higher_is_better,
        joined,
    ]
    queries = [[trial.row, trial.value, trial.failed, trial.pruned, trial.told_at] for trial in history]
    text = json.dumps([version_of("robonas"), chooser.table.fingerprint(), rest, queries], sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for numbers in (problem.codes, problem.costs):
        digest.update(b"" if numbers is None else np.ascontiguousarray(numbers).tobytes())
    return digest.hexdigest()


def _write(file: Path, basis: str, summary: Summary) -> None:
    import pyarrow as pa

    note = {
        "basis": basis,
        "weights": summary.weights,
        "n_explored": summary.n_explored,
        "details": summary.details,
        "learned": summary.combined is not None,
    }
    combined: list[float] | NDArray[np.float64] = [] if summary.combined is None else summary.combined
    table = pa.table({_COMBINED: pa.array(combined, type=pa.float64(), from_pandas=False)})
    write_parquet(file, table.replace_schema_metadata({_NOTE: json.dumps(note).encode()}))


def _read(file: Path, basis: str, chooser: Chooser) -> Summary | None:
    """Return the summary in a file; None where there is none, or it was written for something else, or is damaged."""
    try:
        table, notes = read_parquet(file, [_COMBINED])
        note = parse_json(notes[_NOTE])
        if note["basis"] != basis:
            return None
        weights, n_explored, details = note["weights"], note["n_explored"], note["details"]
        combined = np.array(table.column(_COMBINED).to_numpy(), dtype=np.float64) if note["learned"] else None
        summary = Summary(
            None if weights is None else tuple(map(float, weights)),
            combined,
            None if n_explored is None else int(n_explored),
            dict(details),
        )
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError):
        return None
    fits = summary.weights is None or len(summary.weights) == len(chooser.table.metrics)
    return summary if fits and (combined is None or combined.shape == (len(chooser.problem),)) else None
