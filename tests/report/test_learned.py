"""How exact the value is, metrics by themselves, sizes, and where a search came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from robonas.report import charts, html, learned
from robonas.report.words import headline
from tests.report import sample

SESSION = {
    "date": "2026-11-26 10:48 UTC",
    "command": "robonas search --data photos --image-size 8 --crop 1 -o runs/one",
    "folder": "/home/ada/nas",
    "machine": {"name": "workstation", "system": "Linux", "processor": "A processor", "cores": 2},
    "versions": {"python": "3.11.7", "robonas": "0.1.0"},
}
DATA = {
    "name": "folder:photos",
    "task": "classification",
    "input_shape": [1, 8, 8],
    "outputs": 10,
    "samples": 600,
    "training": 450,
    "validation": 150,
}


def known(result, measure="accuracy", **data):
    """The result with its provenance, and the measure among its settings."""
    origin = {"data": {**DATA, **data}, "first": SESSION, "latest": SESSION, "sessions": 1}
    settings = {**result.settings, "objective": {"settings": {"measure": measure, "epochs": 8}}}
    return replace(result, provenance=origin, settings=settings)


def test_the_noise_is_wilsons_interval():
    result = known(sample.result(12))
    found = learned.noise(result)
    right = round(result.value * 150)
    wanted = binomtest(right, 150).proportion_ci(0.95, method="wilson")
    exact = learned.noise(replace(result, queries=(replace(result.best, value=right / 150),)))
    assert (exact.low, exact.high) == pytest.approx((wanted.low, wanted.high))
    assert found.low < result.value < found.high
    assert f"({found.low:.3f} to {found.high:.3f})" in headline(result).found
    assert "on 150 held-out samples" in headline(result).remarks[0]


@pytest.mark.parametrize(
    "result",
    [
        sample.result(12),
        known(sample.result(12), measure="loss"),
        known(sample.result(12), validation="many"),
        known(sample.result(12), validation=0),
        known(sample.result(2, failures=(1, 2))),
        known(replace(sample.result(1, failures=()), queries=(replace(sample.result().queries[0], value=90.0),))),
    ],
    ids=["unknown", "a loss", "a text", "no sample", "nothing", "per cent"],
)
def test_no_noise_where_it_is_not_known(result):
    assert learned.noise(result) is None


def test_each_metric_by_itself():
    result = sample.result(20)
    found = {own.metric: own for own in learned.own_correlations(result)}
    assert list(found) == list(sample.METRICS)
    done = [query for query in result.queries if query.value is not None]
    column = result.scores.scores[[query.row for query in done], sample.METRICS.index("synflow")]
    both = np.isfinite(column)
    wanted = spearmanr(column[both], np.array([query.value for query in done])[both]).statistic
    assert found["synflow"].spearman == pytest.approx(wanted)
    assert found["synflow"].n == both.sum()
    assert learned.own_correlations(sample.result(2))[0].spearman is None
    turned = sample.result(20, minimise=True)
    assert {own.metric: own for own in learned.own_correlations(turned)}["synflow"].spearman > 0


def test_sizes_are_counted_ones_else_the_metric_params():
    result = sample.result(6, failures=())
    counted = replace(result.queries[0], size={"parameters": 7, "macs": 9})
    found = learned.sizes(replace(result, queries=(counted, *result.queries[1:])))
    assert (found[0].parameters, found[0].macs) == (7, 9)
    architecture = sample.space().parse(result.queries[1].architecture)
    assert found[1].parameters == pytest.approx(sample.space().count_parameters(architecture))
    assert found[1].macs is None


def test_the_front_of_sizes_is_what_no_smaller_one_beats():
    result = sample.result(4, failures=())
    queries = [
        replace(query, value=value, size={"parameters": size, "macs": None})
        for query, value, size in zip(result.queries, (0.5, 0.7, 0.6, 0.7), (10, 20, 30, 40), strict=True)
    ]
    points = learned.size_points(replace(result, queries=tuple(queries)))
    assert points.what == "parameters"
    assert points.front.tolist() == [True, True, False, False]
    figure = charts.size_chart(points, "accuracy", 2)
    assert [trace.name for trace in figure.data] == [
        "best up to this size",
        "beaten by a smaller one",
        "not beaten",
        "winner",
    ]
    assert list(figure.data[0].x) == [10, 20]
    same = [replace(query, size={"parameters": 5, "macs": 5}) for query in queries]
    assert learned.size_points(replace(result, queries=tuple(same))) is None


def test_the_heat_map_is_the_lower_half():
    result = sample.result(20)
    table = learned.correlations(result)
    assert list(table.index) == [*sample.METRICS, "validation accuracy"]
    rows = html.heat_map(table)
    assert [len(row["cells"]) for row in rows] == list(range(8))
    assert rows[1]["cells"][0]["text"] == f"{table.iloc[1, 0]:.2f}".replace("0.", ".", 1).replace("-", "−")
    assert {cell["sign"] for row in rows for cell in row["cells"]} == {"plus", "minus"}
    assert learned.correlations(replace(result, scores=result.scores.select(["snip"]))) is None
    assert list(learned.correlations(sample.result(queries=())).index) == list(sample.METRICS)


def test_facts_of_another_kind_are_unknown():
    result = replace(sample.result(3), provenance={"data": {"name": 3, "samples": "x"}, "first": ["no"], "latest": 7})
    assert set(learned.data_of(result).values()) == {None}
    assert learned.sessions_of(result) == []
    (session,) = learned.sessions_of(known(sample.result(3)))
    assert session["machine"]["gpu"] is None
    assert len(learned.sessions_of(replace(sample.result(3), provenance={"first": SESSION, "latest": {}}))) == 1
