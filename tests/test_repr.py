"""Objects that people hold show how they were made."""

from __future__ import annotations

import robonas
from robonas.objectives.function import FunctionObjective
from robonas.strategies import STRATEGIES, Robot, make_strategy


def test_strategies_show_their_settings() -> None:
    assert repr(Robot("worst")) == "Robot(missing='worst')"
    for name in STRATEGIES:
        strategy = make_strategy(name)
        assert repr(strategy).startswith(type(strategy).__name__ + "(")
        for key, value in strategy.settings.items():
            assert (f"{key}=" in repr(strategy)) == (value is not None and value not in ({}, []))


def test_limits_show_the_bounds_that_are_set() -> None:
    assert repr(robonas.Limits(max_params=10_000, at_least={"synflow": 3.0})) == (
        "Limits(max_params=10000, at_least={'synflow': 3.0})"
    )
    assert repr(robonas.Limits()) == "Limits()"


def test_objectives_show_their_settings() -> None:
    objective = FunctionObjective(lambda architecture: 1.0, name="mine")
    assert repr(objective).startswith("FunctionObjective(")


def test_names_are_listed_by_pattern() -> None:
    assert robonas.list_metrics("*grad*") == ["grad_norm", "gradsign"]
    assert robonas.list_spaces("NASBENCH*") == ["nasbench101", "nasbench201", "nasbenchmacro"]
    assert robonas.list_strategies("r*") == ["random", "reinforce", "robot"]
    assert robonas.list_metrics() == sorted(robonas.METRICS)
    assert robonas.list_metrics("nothing") == []
