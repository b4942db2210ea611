"""The folder of published tables: small, described file by file, and found by the scripts that need it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from robonas.errors import TableError
from robonas.experiments import Task
from robonas.tables import read_table
from tests.published import ROOT, TABLES

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


def test_scripts_look_for_the_tables_there(monkeypatch) -> None:
    monkeypatch.delenv("ROBONAS_DATA", raising=False)
    command = [sys.executable, str(ROOT / "benchmarks" / "search_quality.py"), "--strategies", "random", "--seeds", "1"]
    done = subprocess.run([*command, "--tasks", "tnb101-macro-jigsaw"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tnb101-macro-jigsaw" in done.stdout


def test_a_metric_that_a_table_lacks_everywhere_is_refused_by_its_name() -> None:
    found = read_table(TABLES / "tnb101-micro-normal.parquet")
    (sentence,) = found.warnings()
    assert "cannot be used: metric 'epe_nas'" in sentence
    with pytest.raises(TableError, match="Metric 'epe_nas' is undefined for all 711 rows"):
        Task.from_table(found, objective="val_metric", metrics=("epe_nas", "snip"))
