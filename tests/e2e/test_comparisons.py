"""A report keeps what it was compared with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.errors import ConfigError, StudyError
from robonas.study.comparison import compared_with, remember_comparison

SMALL = ["--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "1", "--pool", "12"]
SHORT = [*SMALL, "--budget", "2", "--epochs", "1", "--batch-size", "16", "--strategy", "local_search"]


def call(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def page(folder: str) -> str:
    return Path(f"{folder}/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compared(images, tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("compared") / "run")
    call("search", "--data", images, *SHORT, "-o", folder, "--compare", "random")
    return folder


def test_a_report_written_again_keeps_the_comparison(compared, images) -> None:
    first = page(compared)
    assert "random" in first
    call("report", compared)
    assert page(compared) == first
    call("search", "--data", images, *SHORT, "-o", compared)  # finished, and now without --compare
    assert page(compared) == first


def test_none_leaves_the_comparison_out_and_names_bring_it_back(compared, tmp_path) -> None:
    first = page(compared)
    call("report", compared, "--compare", "none", "-o", str(tmp_path / "other.html"))
    call("report", compared)
    assert page(compared) == first, "another page forgets nothing"
    call("report", compared, "--compare", "none")
    without = page(compared)
    assert without != first
    call("report", compared)
    assert page(compared) == without
    for word in ("search-random", "random"):
        call("report", compared, "--compare", "none")
        call("report", compared, "--compare", word)
        assert page(compared) == first
    assert compared_with(compared) == ("search-random",)
    told = CliRunner().invoke(app, ["report", compared, "--compare", "evolution"])
    assert told.exit_code == 2
    assert "There is no study 'evolution'" in told.stderr


def test_a_study_that_is_gone_is_left_out_with_a_word(compared) -> None:
    remember_comparison(compared, "search", ["search-random", "gone"])
    told = call("report", compared).stderr
    assert "Warning: The report leaves out study 'gone', which this search was compared with before" in told
    assert "random" in page(compared)
    remember_comparison(compared, "search", ["search-random"])


def test_a_damaged_record_is_told(tmp_path) -> None:
    assert compared_with(tmp_path) == ()
    for damage in ("", "[]", "{}", '{"compared_with": ["../x"]}', '{"compared_with": 3}', "[" * 100_000):
        (tmp_path / "search.comparison.json").write_text(damage)
        with pytest.raises(StudyError, match="does not tell what the search was compared with"):
            compared_with(tmp_path)
    with pytest.raises(ConfigError, match="`name` must be"):
        compared_with(tmp_path, "../x")
    remember_comparison(tmp_path, "other", ["a", "b"])
    assert json.loads((tmp_path / "other.comparison.json").read_text()) == {"compared_with": ["a", "b"]}
