"""The commands of "bring your own space" run as they stand, beside the module that the page shows."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from robonas.cli.app import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "bring-your-own-space.md"


@pytest.mark.slow
def test_the_pages_commands_run(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    blocks = text.split("```")[1::2]
    (module,) = (block.removeprefix("python\n") for block in blocks if block.startswith("python\n# my_spaces.py"))
    (tmp_path / "my_spaces.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    np.save(tmp_path / "rows.npy", load_wine().data[[0, 60, 177]])
    commands = [line for block in blocks if block.startswith("\n") for line in block.strip().splitlines()]
    assert len(commands) == 6
    for command in commands:
        arguments = shlex.split(command)[1:]
        jobs = ["--jobs", "1"] if arguments[0] in {"space", "search"} else []
        done = CliRunner().invoke(app, [*arguments, *jobs])
        assert done.exit_code == 0, f"{command}: {done.output}"
    assert (tmp_path / "wine" / "report.html").is_file()
    monkeypatch.delitem(sys.modules, "my_spaces", raising=False)
