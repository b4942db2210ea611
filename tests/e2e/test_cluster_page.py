"""The commands of the page `from-laptop-to-cluster`, each as it stands but for names of machines and devices."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.study.test_servers import server  # noqa: F401  # a fixture

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "from-laptop-to-cluster.md"
PLAN = """
[search]
data = "digits"
space = "nasbench201"
space_set = ["channels=2", "depth=1"]
metrics = ["params"]
pool = 30
budget = 3
epochs = 1
training_fraction = 0.1
report = false
"""


def commands() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("robonas")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_of_the_page_work(tmp_path, server):  # noqa: F811
    """In the order of the page, in one folder: each search goes on where the one before has ended."""
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    url = server.fresh()
    seen = []
    for line in commands():
        line = line.replace("cuda:0,cuda:1", "cpu,cpu").replace("postgresql://me:secret@host/db", url)  # noqa: PLW2901
        line = line.replace("--folder run ", "--folder other ") if url in line else line  # noqa: PLW2901
        child = subprocess.run(
            [sys.executable, "-m", *shlex.split(line)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert child.returncode == 0, f"{line}\n{child.stderr}"
        seen.append(line)
    assert len(seen) >= 6
    for folder in ("run", "other"):
        result = json.loads((tmp_path / folder / "result.json").read_text(encoding="utf-8"))
        assert result["stop_reason"] == "budget spent"
        assert len(result["queries"]) == 3
