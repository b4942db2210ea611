"""The shell completes commands, options, and the names that the lists have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from robonas.cli.completion import names_of


def completed(line: str) -> list[str]:
    """What the shell offers for a command line whose last word is not finished."""
    code = "import sys; sys.argv[0] = 'robonas'; from robonas.cli.app import main; main()"
    environment = {"_ROBONAS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("robonas sea", ["search"]),
        ("robonas search --bud", ["--budget"]),
        ("robonas search --strategy rob", ["robot"]),
        ("robonas search --space nasbench1", ["nasbench101"]),
        ("robonas search --metrics params,zi", ["params,zico"]),
    ],
)
def test_the_shell_is_told_what_fits(line, offered) -> None:
    assert completed(line) == offered


def test_every_name_of_a_list_is_offered() -> None:
    from robonas.metrics import METRICS

    assert names_of("metrics")("") == list(METRICS)
    assert names_of("metrics")("snip,synflow_") == [f"snip,{name}" for name in METRICS if name.startswith("synflow_")]
    assert names_of("strategies")("no such") == []
