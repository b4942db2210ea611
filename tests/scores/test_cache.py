"""The cache of scores on disk: what was scored is there after any stop."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from robonas.errors import ScoreTableError
from robonas.metrics import Score
from robonas.scores.cache import NOT_SCORED, Journal
from robonas.scores.scoring import score
from robonas.scores.table import ScoreTable, provenance
from tests.fakes import small_batch, small_space

ORIGIN = provenance("nasbench201", {"channels": 2}, "abc", 0)
SPACE = small_space()


def write(path, **scores) -> None:
    """A run that scores some classes by the metric `m`, and is stopped."""
    with Journal(path, ORIGIN) as journal:
        for name, entry in scores.items():
            journal.add(name, {"m": entry})
        journal.flush()


def read(path, *names) -> list:
    with Journal(path, ORIGIN) as journal:
        values, _, reasons = journal.scores.take(names, "m", "absent")
        known = [journal.scores.has(name, "m") for name in names]
    return list(zip(known, values.tolist(), reasons.tolist(), strict=True))


def test_nothing_is_kept_without_a_path() -> None:
    with Journal(None, ORIGIN) as journal:
        journal.add("a", {"m": Score(1.0)})
        journal.flush()
        assert journal.scores.has("a", "m")
        journal.finish(ScoreTable.from_columns([("a", "a")], journal.scores, ["m"], ORIGIN))


def test_lines_are_there_after_a_stop_and_several_runs_add_up(tmp_path) -> None:
    path = tmp_path / "s.parquet"
    write(path, a=Score(1.5, None, 0.25))
    write(path, b=Score(math.nan, "no ReLU"))
    a, b, c = read(path, "a", "b", "c")
    assert a == (True, 1.5, None)
    assert (b[0], math.isnan(b[1]), b[2]) == (True, True, "no ReLU")
    assert c[0] is False
    assert not path.exists()


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_torn_last_line_is_forgotten_and_the_next_is_whole(tmp_path, lost) -> None:
    path, partial = tmp_path / "s.parquet", tmp_path / "s.parquet.partial"
    write(path, a=Score(1.0), b=Score(2.0))
    partial.write_bytes(partial.read_bytes()[:-lost])
    write(path, c=Score(3.0))
    assert [entry[0] for entry in read(path, "a", "b", "c")] == [True, False, True]


def test_what_was_added_and_not_flushed_is_lost(tmp_path) -> None:
    with Journal(tmp_path / "s.parquet", ORIGIN) as journal:
        journal.add("a", {"m": Score(1.0)})
    assert read(tmp_path / "s.parquet", "a")[0][0] is False


def test_a_finished_table_replaces_the_lines_and_keeps_other_architectures(tmp_path) -> None:
    path = tmp_path / "s.parquet"
    for text, metric in (("a", "m"), ("b", "n")):
        with Journal(path, ORIGIN) as journal:
            journal.add(text, {metric: Score(1.0)})
            journal.finish(ScoreTable.from_columns([(text, text)], journal.scores, [metric], ORIGIN))
        assert not (tmp_path / "s.parquet.partial").exists()
    table = ScoreTable.read(path)
    assert (table.architectures, table.metrics) == (("a", "b"), ("m", "n"))
    assert table.reason(0, "n") == table.reason(1, "m") == NOT_SCORED
    assert [entry[0] for entry in read(path, "a", "b")] == [True, False]  # by `m`


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"canonical": "a"}', '{"canonical": "a", "scores": {"m": [1.0]}}', '{"scores": 3}']
)
def test_a_damaged_line_is_told_with_its_number(tmp_path, line) -> None:
    path, partial = tmp_path / "s.parquet", tmp_path / "s.parquet.partial"
    write(path, a=Score(1.0))
    partial.write_text(partial.read_text() + line + "\n")
    with pytest.raises(ScoreTableError, match=r"Line 3 of '.*s.parquet.partial' is damaged"):
        read(path, "a")


def test_lines_of_another_run_are_refused_and_kept(tmp_path) -> None:
    path, partial = tmp_path / "s.parquet", tmp_path / "s.parquet.partial"
    write(path, a=Score(1.0))
    before = partial.read_bytes()
    with pytest.raises(ScoreTableError, match=r"another .*seed"), Journal(path, {**ORIGIN, "seed": 1}):
        pass
    assert partial.read_bytes() == before


def _score(cache: str, start: int) -> None:
    score(SPACE, SPACE.sample(15, 0)[start : start + 10], ("params",), small_batch(), cache=cache, n_jobs=0)


def test_a_second_run_waits_for_the_cache_and_loses_nothing(tmp_path) -> None:
    cache = tmp_path / "s.parquet"
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        workers.starmap(_score, [(str(cache), 0), (str(cache), 5)])
    table = score(SPACE, SPACE.sample(15, 0), ("params",), small_batch(), cache=cache, n_jobs=0)
    assert np.isfinite(table.scores).all()
    assert not Path(f"{cache}.partial").exists()
