from __future__ import annotations

import sys

import numpy as np
import pytest

from robonas.errors import ConfigError, UnknownNameError
from robonas.strategies import (
    STRATEGIES,
    Problem,
    Proposal,
    RandomSearch,
    Robot,
    Strategy,
    Trial,
    incumbent,
    make_strategy,
)


class Mine(Strategy):
    name = "mine"

    def propose(self, problem: Problem, history: list[Trial]) -> Proposal:
        return Proposal(0, "explore")


def not_a_strategy() -> int:
    return 3


def test_by_name_by_reference_and_as_it_is() -> None:
    assert isinstance(make_strategy("robot", missing="median"), Robot)
    assert isinstance(make_strategy(f"{__name__}:Mine"), Strategy)
    strategy = Robot()
    assert make_strategy(strategy) is strategy


def test_an_unknown_name_has_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown strategy 'robto'\. Did you mean 'robot'\?"):
        make_strategy("robto")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("robot", {"colour": 1}, "does not take these settings"),
        (Robot(), {"missing": "median"}, "is made already"),
        (f"{__name__}:not_a_strategy", {}, "must make a Strategy; it made a int"),
        (f"{__name__}:STRATEGIES", {}, "must be a Strategy or make one"),
    ],
)
def test_what_is_no_strategy_is_refused(name: str | Strategy, settings: dict[str, object], message: str) -> None:
    assert STRATEGIES
    with pytest.raises(ConfigError, match=message):
        make_strategy(name, **settings)


def test_a_strategy_that_repeats_itself_is_caught() -> None:
    from robonas.errors import AskTellError

    with pytest.raises(AskTellError, match="'mine' proposed candidate 0 twice"):
        Mine().ask(Problem(np.zeros((3, 1)), ("a",), 3), [Trial(0, 0.1)])


def test_the_incumbent_is_the_earliest_of_the_best() -> None:
    assert incumbent([Trial(3, 0.1), Trial(1, 0.7), Trial(0, 0.7), Trial(2, failed=True), Trial(4)]) == Trial(1, 0.7)
    assert incumbent([Trial(2, failed=True)]) is None
    assert incumbent([Trial(3, 0.1), Trial(1, 0.7, pruned=2)]) == Trial(3, 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "at least 1 evaluation; got 0"),
        ({"metrics": ("a", "b")}, r"must be \(candidates, 2 metrics\)"),
        ({"scores": np.zeros((0, 1))}, "empty pool"),
        ({"higher_is_better": (True, False)}, "one entry a metric"),
        ({"codes": np.zeros((2, 2), dtype=np.int64)}, "one row a candidate"),
    ],
)
def test_impossible_problems_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Problem(**{"scores": np.zeros((3, 1)), "metrics": ("a",), "budget": 2, **settings})  # type: ignore[arg-type]


def test_a_strategy_knows_what_it_is_made_again_from(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_random.py").write_text(
        "from robonas.strategies import RandomSearch\n\n\nclass Mine(RandomSearch):\n    pass\n\n\nmade = Mine()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert make_strategy("random").reference == "random"
    assert RandomSearch().reference == "random"
    for name in ("Mine", "made"):
        whole = f"{tmp_path.resolve()}/own_random.py:{name}"
        assert make_strategy(f"./own_random.py:{name}").reference == whole
        assert make_strategy(whole).reference == whole
