"""Objects that people hold show how they were made."""

from __future__ import annotations

import torch

import robonas
from robonas.objectives.function import FunctionObjective
from robonas.strategies import STRATEGIES, Robot, make_strategy
from tests.report import sample


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


def test_results_and_tables_show_a_summary_of_about_ten_lines() -> None:
    found = sample.result(40, failures=(4,), pruned=(7, 9))
    lines = repr(found).splitlines()
    assert lines[0] == "SearchResult 'digits-demo': robot on nasbench201, 40 of 40 evaluations, budget spent"
    assert 7 <= len(lines) <= 13
    assert max(map(len, lines)) <= 100
    assert f"{found.value:.4f}  (query {found.best.number} of 40, exploit)" in repr(found)
    table = repr(found.scores).splitlines()
    assert table[0].startswith("ScoreTable of nasbench201: 120 architectures, ")
    assert [line.split()[0] for line in table[-7:]] == list(sample.METRICS)
    assert len(repr(found.best)) < 600


def test_a_search_without_an_answer_shows_itself_too() -> None:
    assert "0 of 0 evaluations" in repr(sample.result(0))
    nothing = sample.result(3, failures=(1, 2, 3))
    assert f"3 of 3 evaluations, the first because: {sample.FAILURE}" in " ".join(repr(nothing).split())
    assert nothing._repr_html_().count("<path d=") == 4  # the frame, and a cross each
    assert sample.result(0)._repr_html_().count("<svg") == 0


def test_a_notebook_sees_facts_and_a_picture() -> None:
    found = sample.result(20, failures=(4,), pruned=(7,))
    page = found._repr_html_()
    assert page.count("<svg") == 1
    assert "validation accuracy" in page
    done = [query for query in found.queries if query.value is not None]
    assert page.count("<circle") == len(done) + 1 + 1 + 6  # the winner twice, one pruned, and the six of the legend
    table = found.scores._repr_html_()
    assert table.count("<svg") == len(sample.METRICS)
    assert "grad_norm" in table


def test_markup_in_names_is_shown_and_never_run() -> None:
    found = sample.hostile()
    for page in (found._repr_html_(), found.scores._repr_html_()):
        for wrong in ("<script", "<img", "<em>", "<u>", "<s>", "<robot>"):
            assert wrong not in page
    assert "&lt;img src=x onerror=hack()&gt;" in found.scores._repr_html_()


def test_what_costs_nothing_is_a_property() -> None:
    found = sample.result(6)
    assert found.space.size == 15_625
    assert found.scores.seconds > 0
    assert len(found.scores.distinct) <= len(found.scores)
    assert found.combined.shape == (120,)
    assert set(found.size) == {"parameters", "macs"}


def test_large_fields_are_left_out() -> None:
    weights = {"w": torch.zeros(100)}
    shown = repr(robonas.Evaluation(0.5, 1.0, (), weights))
    assert shown.startswith("Evaluation(value=0.5, seconds=1.0")
    assert "tensor" not in shown
