"""The suite on the how-to page is one that is read."""

from __future__ import annotations

import re
from pathlib import Path

from robonas.experiments import load_suite
from tests.experiments import toy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "compare-strategies.md"


def test_the_suite_on_the_page(tmp_path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {"val_acc": "val_acc_12ep", "test_acc": "test_acc_200ep", "train_seconds": "train_seconds_12ep"}
    toy.frame().rename(columns=names).to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "suite.toml").write_text(text)
    suite = load_suite(tmp_path / "suite.toml")
    assert [contender.strategy for contender in suite.contenders] == ["robot", "average_rank"]
    assert suite.tasks[0].final_name == "test_acc_200ep"
