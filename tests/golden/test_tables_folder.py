"""The folder of published tables: small, described file by file, and found by the scripts that need it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from robonas.errors import TableError
from robonas.experiments import Task
from robonas.strategies import Problem, Proposal, Strategy, Trial
from robonas.tables import read_table
from tests.published import ROOT, TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES = sorted(path.relative_to(TABLES).as_posix() for path in TABLES.rglob("*") if path.is_file())


def test_the_folder_stays_small() -> None:
    assert sum((TABLES / name).stat().st_size for name in FILES) <= 6_000_000


def test_the_page_names_each_file_and_no_other() -> None:
    page = (TABLES / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+\.[^`]+)` \|", page, flags=re.MULTILINE)
    assert sorted(named) == [name for name in FILES if name != "README.md"]


def test_the_tables_travel_with_the_source_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "benchmarks" in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


@pytest.mark.parametrize("script", ["parallel.py", "search_quality.py"])
def test_scripts_look_for_the_tables_there(script, monkeypatch) -> None:
    monkeypatch.delenv("ROBONAS_DATA", raising=False)
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--strategies", "random", "--seeds", "1"]
    done = subprocess.run([*command, "--tasks", "tnb101-macro-jigsaw"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tnb101-macro-jigsaw" in done.stdout


def test_simulated_workers_ask_when_they_are_free(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    parallel = importlib.import_module("parallel")
    seen = []

    class InTurn(Strategy):
        name = "in_turn"

        def propose(self, problem: Problem, history: Sequence[Trial]) -> Proposal:
            seen.append([trial.row for trial in history if trial.pending])
            return Proposal(len(history), "explore")

    truth, seconds = np.array([3.0, 1.0, 5.0, 4.0, 0.0]), np.array([10.0, 2.0, 3.0, 9.0, 1.0])
    half = parallel.Half(pd.DataFrame({"snip": truth}), truth, seconds, np.zeros((5, 1), dtype=np.int64))
    run = parallel.simulate(InTurn(), half.problem(5, 0), half, 2, 5, 0.0, 5.0)
    assert run.rows == [0, 1, 2, 3, 4]
    assert run.ends == [10.0, 2.0, 5.0, 14.0, 11.0]
    assert seen == [[], [0], [0], [0], [3]]
    assert (run.hours_of(3), run.when(half, 4.5), run.when(half, 9.0)) == (10.0, 5.0, None)
    assert [half.best(run.ended_by(end)) for end in (1.0, 2.0, 9.0)] == [0.0, 1.0, 5.0]
    assert [half.measure(run.rows[:n]) for n in (0, 1, 2, 3)] == [5.0, 3.0, 3.0, 1.0]
    half.costs = np.array([[0.0], [0.5], [0.6], [1.0], [0.1]])
    assert half.measure([0, 2]) == 0.0
    assert half.measure([2]) == pytest.approx(100 * 3 * 0.6 / (3 * 1.1 + 2 * 0.5))
    early = parallel.simulate(InTurn(), half.problem(5, 0), half, 2, 1, 0.0, 5.0)
    assert early.rows == [0, 1, 2], "it may end once the goal is known"


def test_a_metric_that_a_table_lacks_everywhere_is_refused_by_its_name() -> None:
    found = read_table(TABLES / "tnb101-micro-normal.parquet")
    (sentence,) = found.warnings()
    assert "cannot be used: metric 'epe_nas'" in sentence
    with pytest.raises(TableError, match="Metric 'epe_nas' is undefined for all 711 rows"):
        Task.from_table(found, objective="val_metric", metrics=("epe_nas", "snip"))
