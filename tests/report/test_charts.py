"""Figures: that they draw the records, in colours of the palette, and read no text as markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from robonas.report import charts, numbers
from robonas.report.palette import PALETTE, light, to_dark
from tests.report import sample


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def progress(result, *others):
    names = numbers.labels([result, *others])
    lines = [numbers.progress(each, name) for each, name in zip([result, *others], names, strict=True)]
    return charts.progress_chart(lines[0], lines[1:], result.value_name, [query.failure for query in result.queries])


def all_figures(result):
    bars, points, lines = numbers.weights(result), numbers.agreement(result), numbers.curves(result)
    phases = {query.number: query.phase for query in result.queries}
    return [
        progress(result, replace(result, strategy="other")),
        charts.weights_chart(bars),
        charts.agreement_chart(points, [phases[int(n)] for n in points.numbers], result.value_name, result.best.number),
        charts.curves_chart(lines, result.value_name),
    ]


def test_progress_draws_every_query_the_border_and_the_baseline():
    result, other = sample.result(20, n_explored=8), sample.random_baseline(20)
    figure = progress(result, other)
    found = traces(figure)
    assert list(found) == ["random: best so far", "random", "robot: best so far", "explore", "exploit", "failed"]
    assert np.array_equal(found["robot: best so far"].y, result.history()["best"], equal_nan=True)
    assert np.array_equal(found["random: best so far"].y, other.history()["best"])
    assert np.array_equal(found["random"].y, other.history()["value"])
    assert list(found["explore"].x) == [1, 2, 3, 5, 6, 7, 8]
    assert list(found["exploit"].x) == list(range(9, 21))
    assert list(found["failed"].x) == [4]
    assert found["failed"].customdata[0] == sample.FAILURE
    assert [shape.x0 for shape in figure.layout.shapes] == [8.5]


def test_no_border_without_both_phases():
    assert not progress(sample.random_baseline()).layout.shapes
    assert not progress(sample.result(5, n_explored=5)).layout.shapes


def test_values_lie_between_the_words_and_the_crosses():
    result = sample.result(20, n_explored=8)
    low, high = progress(result).layout.yaxis.range
    values = result.history()["value"].dropna()
    assert low < values.min() - 0.1 * np.ptp(values)
    assert high > values.max() + 0.1 * np.ptp(values)
    one = progress(sample.result(1, failures=())).layout.yaxis.range
    assert one[0] < one[1]


def test_only_failures_are_drawn_too():
    result = sample.result(2, failures=(1, 2), n_explored=1)
    figure = progress(result)
    assert list(traces(figure)) == ["failed"]
    assert figure.layout.yaxis.showticklabels is False


def test_weights_are_signed_bars_and_dead_ones_named():
    bars = [
        numbers.Weight("good", 0.5, dead=False),
        numbers.Weight("bad", -0.25, dead=False),
        numbers.Weight("x", 0.1, dead=True),
    ]
    figure = charts.weights_chart(bars)
    assert {trace.name: (trace.y[0], trace.x[0], trace.marker.color) for trace in figure.data} == {
        "weight": ("good", 0.5, light("exploit")),
        "negative weight": ("bad", -0.25, light("negative")),
        "dead metric": ("x (dead)", 0.1, light("muted")),
    }
    assert list(figure.layout.yaxis.categoryarray) == ["x (dead)", "bad", "good"]
    assert list(figure.layout.yaxis.ticktext) == ["x (dead)  +0.10", "bad  −0.25", "good  +0.50"]
    assert charts.weights_chart([numbers.Weight("only", 0.0, dead=False)]).data


def test_agreement_stars_the_winner():
    result = sample.result(20)
    points = numbers.agreement(result)
    figure = charts.agreement_chart(points, ["explore"] * len(points.numbers), "accuracy", result.best.number)
    found = traces(figure)
    assert list(found["winner"].customdata) == [result.best.number]
    assert len(found["explore"].x) == len(points.numbers) - 1


def test_curves_mark_winner_and_failure_and_survive_nan():
    lines = [
        numbers.Curve(1, (1, 2), (0.1, 0.2), is_best=False, failed=False),
        numbers.Curve(2, (1, 2), (0.3, 0.4), is_best=True, failed=False),
        numbers.Curve(3, (1, 2), (0.1, float("nan")), is_best=False, failed=True),
    ]
    figure = charts.curves_chart(lines, "accuracy")
    assert [trace.name for trace in figure.data] == ["others", "query 2 (winner)", "failed"]
    assert figure.data[1].line.width > figure.data[0].line.width
    assert list(figure.data[2].y) == [0.1, None]
    assert list(figure.data[2].marker.symbol) == ["circle", "x"]


def test_pruned_queries_are_marked_where_they_stood():
    result = sample.result(20, failures=(), pruned=(7, 12))
    figure = charts.progress_chart(numbers.progress(result), [], "accuracy", [None] * 20)
    (mark,) = (trace for trace in figure.data if trace.name == "pruned")
    assert list(mark.x) == [7, 12]
    assert list(mark.y) == [result.queries[6].partial, result.queries[11].partial]
    assert figure.layout.yaxis.range[0] < min(mark.y)
    assert all(7 not in trace.x for trace in figure.data if trace.name in {"explore", "exploit"})
    lines = numbers.curves(result)
    assert [line.number for line in lines[:2]] == [7, 12]
    curves = charts.curves_chart(lines, "accuracy").data
    assert [trace.line.dash for trace in curves[:3]] == ["dash", "dash", "solid"]


def test_every_colour_has_a_dark_one():
    for result in (sample.result(20), sample.result(20, pruned=(9,)), sample.hostile()):
        for figure in all_figures(result):
            used = set(re.findall(r"#[0-9a-fA-F]{6}", figure.to_json()))
            assert used
            assert used <= to_dark().keys()


def test_texts_are_never_markup():
    for figure in all_figures(sample.hostile()):
        texts = json.dumps(json.loads(figure.to_json()))
        assert not re.search(r"<(?!br>|extra>|/extra>)", texts)
    bars = charts.weights_chart([numbers.Weight("a<b>&c", 1.0, dead=False)])
    assert list(bars.data[0].y) == ["a&lt;b&gt;&amp;c"]


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(theme):
    """WCAG AA: 4.5 for text, 3 for lines and marks."""
    colour = {name: pair[theme] for name, pair in PALETTE.items()}
    for name in ("ink", "muted", "failure"):
        assert contrast(colour[name], colour["paper"]) >= 4.5, name
    for name in ("explore", "exploit", "baseline", "negative", "winner"):
        assert contrast(colour[name], colour["paper"]) >= 3, name
    for name, value in colour.items():
        if name.startswith("option-"):  # a label's text on it is in the colour of the surface
            assert contrast(value, colour["surface"]) >= 4.5, name


def test_light_colours_are_all_different():
    assert len(to_dark()) == len(PALETTE)
