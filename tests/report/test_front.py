"""The front in the report: what the charts draw, and that a page without one says nothing of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robonas.report import render
from robonas.report.front import comparable, front_chart, hypervolume_chart, predicted_values
from robonas.report.page import _figures
from tests.report import sample


def traded(n_costs: int = 1, unit: str = "ms", **changes):
    """A search whose first cost is the number of parameters; a second one is drawn."""
    found = sample.result(20, n_explored=8, **changes)
    space, generator = found.space, np.random.default_rng(0)
    own = [float(space.count_parameters(space.parse(text))) for text in found.scores.architectures]
    costs = np.column_stack([own, generator.uniform(1, 2, len(own))])[:, :n_costs]
    against = [{"name": "size <b>", "unit": unit}, {"name": "memory", "unit": "byte"}][:n_costs]
    queries = tuple(replace(query, costs=tuple(costs[query.row])) for query in found.queries)
    return replace(found, queries=queries, costs=costs, settings={**found.settings, "against": against})


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


@pytest.mark.parametrize("minimise", [False, True])
def test_the_front_is_drawn_as_a_staircase_with_every_other_query_behind(minimise) -> None:
    result = traded(minimise=minimise)
    figure = front_chart(result)
    members = list(reversed(result.front))
    drawn = trace(figure, "front")
    assert list(drawn.x) == [query.costs[0] for query in members]
    assert list(drawn.y) == [query.value for query in members]
    assert len(trace(figure, "beaten by another").x) == len(result.trade_off.done) - len(members)
    stairs = trace(figure, "best at most at this cost")
    assert list(stairs.x) == sorted(stairs.x)
    assert stairs.x[-1] == result.costs.max()
    assert stairs.line.shape == "hv"
    assert trace(figure, "knee").y[0] == result.knee.value
    assert members[0].architecture[:20].split("<")[0] in drawn.customdata[0][1]
    assert "size &lt;b&gt;" in drawn.customdata[0][1]


def test_predicted_candidates_are_those_that_were_not_evaluated() -> None:
    result = traded()
    expected = predicted_values(result)
    asked = {result.scores.frame["canonical"][query.row] for query in result.queries}
    for canonical, value in zip(result.scores.frame["canonical"], expected, strict=True):
        assert np.isnan(value) or canonical not in asked
    assert np.isfinite(expected).any()
    combined = result.combined
    known = np.isfinite(expected)
    assert np.corrcoef(combined[known], expected[known])[0, 1] == pytest.approx(1.0)
    assert predicted_values(replace(result, queries=result.queries[:3])) is None
    assert predicted_values(replace(result, summary=replace(result.summary, combined=-combined))) is None
    assert predicted_values(replace(result, summary=replace(result.summary, combined=None))) is None


def test_two_costs_are_told_and_have_no_staircase() -> None:
    figure = front_chart(traded(2))
    assert "best at most at this cost" not in {one.name for one in figure.data}
    assert "memory" in trace(figure, "front").customdata[0][1]


def test_hypervolumes_are_compared_from_one_reference_point() -> None:
    result, other = traded(), traded(seed=1)
    assert comparable(result, other)
    assert not comparable(result, sample.result(20))
    assert not comparable(result, replace(other, costs=other.costs * 2))
    figure = hypervolume_chart([result, other], ["robot", "random"])
    worst = min(each.trade_off.reference["value"] for each in (result, other))
    reference = {"value": worst, "size <b>": result.trade_off.reference["size <b>"]}
    for one, each in zip(figure.data, (result, other), strict=True):
        np.testing.assert_allclose(one.y, each.hypervolume(reference))


def test_the_front_is_the_first_picture_where_there_is_one() -> None:
    page = render(traded())
    assert page.index('id="front"') < page.index('id="search"')
    assert next(iter(_figures(traded(), (), ["robot"]))) == "front"
    assert "size &lt;b&gt;" in page
    assert "<b>" not in page.split("<main")[1].split("</main")[0]
    plain = render(sample.result(20))
    assert 'id="front"' not in plain
    assert 'id="front"' not in render(traded(failures=tuple(range(1, 21))))
