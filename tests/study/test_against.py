"""Searches that trade the objective off against costs: the front, what is refused, stops, growth, what is kept."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pandas as pd
import pytest
import torch

import robonas
from robonas.errors import ConfigError, StudyError, UnknownNameError
from robonas.objectives.base import CurvePoint, Evaluation
from robonas.objectives.function import FunctionObjective
from robonas.spaces.choices import from_choices
from robonas.strategies import STRATEGIES
from robonas.study import loop
from robonas.study.events import CandidatesLeftOut, QueryStep
from robonas.study.limits import Limits
from robonas.study.loop import load_result, search
from robonas.study.storage import storage_url
from tests.fakes import CHEAP, CountParameters, small_space
from tests.study.sharing import FORK
from tests.study.test_limits import deadly

SPACE = small_space()
PLAN = {"metrics": CHEAP, "pool": 30, "budget": 8, "against": "params", "n_jobs": 0}


class Twisted(CountParameters):
    """A value that is good for some cheap networks and some dear ones, and its own parameters."""

    name = "twisted"
    value_name = "worth"
    steps = 2

    def evaluate(self, space, architecture, *, seed, report=None):
        count = space.count_parameters(architecture)
        text = space.format(architecture)
        if self.log:
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(text + "\n")
        sign = 1 if self.direction == "maximize" else -1
        value = sign * (count**0.5 / 10 + 3 * text.count("skip") + text.count("pool"))
        points = []
        for step in range(1, self.steps + 1):
            points.append(CurvePoint(step, self.steps, value * step / self.steps))
            if report:
                report(points[-1])
        return Evaluation(value, 1.0, tuple(points), space.build_seeded(architecture, text).state_dict())


class Long(Twisted):
    steps = 9


def run(folder=None, objective=None, **changes):
    return search(SPACE, objective or Twisted(), folder=folder, **{**PLAN, **changes})


def told(result):
    """What must be equal for two searches to be the same."""
    queries = [(q.architecture, q.phase, q.state, q.value, q.partial, q.costs, q.curve) for q in result.queries]
    return queries, result.costs.tolist(), [query.number for query in result.front]


def beaten(query, others, sign) -> bool:
    """Whether another query is at least as good everywhere and better somewhere."""
    own = (-sign * query.value, *query.costs)
    points = [(-sign * other.value, *other.costs) for other in others]
    return any(all(a <= b for a, b in zip(p, own, strict=True)) and p != own for p in points)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("against", ["params", ("params", "memory")])
def test_the_front_is_what_no_query_beats_best_first(direction, against) -> None:
    result = run(objective=Twisted(direction=direction), against=against, budget=12)
    sign = 1 if direction == "maximize" else -1
    for query in result.queries:
        assert query.costs[0] == SPACE.count_parameters(SPACE.parse(query.architecture))
        assert len(query.costs) == (1 if against == "params" else 2)
        assert (query in result.front) == (not beaten(query, result.queries, sign))
    values = [sign * query.value for query in result.front]
    assert values == sorted(values, reverse=True)
    assert result.front[0].value == result.value
    assert result.knee in result.front
    volume = result.hypervolume()
    assert volume.shape == (12,)
    assert (np.diff(volume) >= 0).all()
    assert volume[-1] > 0


def five(values, costs, **changes):
    """A search of all five architectures, whose values and costs are given."""
    space = from_choices(
        {"a": tuple(range(5))}, lambda a: torch.nn.Linear(2, 2), input_shape=(2,), n_classes=2, name="five"
    )
    objective = robonas.FunctionObjective(lambda architecture: values[architecture["a"]], takes="architecture")
    table = {space.format(one): costs[one["a"]] for one in space.sample(5, 0)}
    plan = {"pool": 5, "budget": 5, "strategy": "random", "folder": None, "against": pd.Series(table, name="phone")}
    return search(space, objective, **{**plan, **changes})


def test_hypervolume_and_knee_are_those_of_a_front_that_is_known() -> None:
    result = five([0.0, 1.0, 6.0, 7.0, 5.0], [0.0, 1.0, 2.0, 10.0, 5.0])
    assert [query.value for query in result.front] == [7.0, 6.0, 1.0, 0.0]
    assert result.trade_off.reference == {"value": 0.0, "phone": 11.0}
    # Steps of height 1, 6 and 7 from cost 1, 2 and 10 up to 11, in units of the pool's range, which is 10.
    assert result.hypervolume()[-1] == pytest.approx((1 * 1 + 6 * 8 + 7 * 1) / 10)
    assert result.hypervolume({"value": 5.0, "phone": 2.5})[-1] == pytest.approx(1 * 0.5 / 10)
    assert result.knee.value == 6.0
    assert result.best_under(phone=9).value == 6.0
    assert result.best_under({"phone": 1.0}).value == 1.0
    with pytest.raises(StudyError, match=r"No completed query has phone at most -1: the least phone is 0\."):
        result.best_under(phone=-1)
    with pytest.raises(UnknownNameError, match=r"no cost 'latency'\. Known: phone"):
        result.best_under(latency=1)
    with pytest.raises(ConfigError, match="Name the largest phone"):
        result.best_under()
    with pytest.raises(ConfigError, match="lacks 'phone'"):
        result.hypervolume({"value": 1.0})


def test_a_search_without_costs_has_no_front() -> None:
    result = run(against=None)
    with pytest.raises(ConfigError, match="has no front: it was searched without `against`"):
        _ = result.front
    assert "front" not in result.to_json()
    assert "on_front" not in result.history()


# ── what can be a cost ──


def test_candidates_without_a_cost_are_left_out_and_counted(tmp_path) -> None:
    events = []
    result = five([1, 2, 3, 4, 5], [1.0, None, 3.0, float("nan"), 5.0], budget=3, callbacks=[events.append])
    assert len(result.scores) == 3
    assert result.left_out == {"phone undefined": 2}
    assert [event.counts for event in events if isinstance(event, CandidatesLeftOut)] == [{"phone undefined": 2}]


def test_costs_are_looked_up_once_for_the_whole_pool(monkeypatch) -> None:
    asked = []
    whole = loop.by_class
    monkeypatch.setattr(loop, "by_class", lambda table: asked.append(len(table)) or whole(table))
    run()
    assert len(asked) == 1  # once for each candidate, a large pool took minutes


def test_isomorphic_architectures_have_the_cost_that_any_of_them_is_given() -> None:
    pool = [SPACE.parse(text) for text in run().scores.architectures]
    canonical = {SPACE.format(SPACE.canonical(one)): float(SPACE.count_parameters(one)) for one in pool}
    assert told(run(against=canonical))[0] != []
    assert run(against=canonical).costs.tolist() == run().costs.tolist()


def test_a_function_and_a_metric_are_costs() -> None:
    by_function = run(against=lambda one: float(SPACE.count_parameters(one)))
    assert told(by_function)[1:] == told(run())[1:]
    assert [axis.name for axis in by_function.axes] == ["cost"]
    by_metric = run(against=["flops", "latency"])
    assert [(axis.name, axis.unit) for axis in by_metric.axes] == [("flops", ""), ("latency", "ms")]
    assert (by_metric.costs > 0).any()


@pytest.mark.parametrize(
    ("against", "error", "words"),
    [
        ("parms", UnknownNameError, "Unknown cost 'parms'. Did you mean 'params'?"),
        (["params", "macs", "memory"], ConfigError, "must name one or two costs; got 3"),
        ([], ConfigError, "must name one or two costs; got 0"),
        (["params", "params"], ConfigError, "must name two different costs; got 'params' twice"),
        ("worth", ConfigError, "known without training; 'worth' is evaluated by queries"),
        (Twisted(), ConfigError, "known without training"),
        (5, ConfigError, "must be params, macs, latency, memory, a metric, a mapping"),
        ({}, ConfigError, "got an empty mapping"),
        ({"a": "b"}, ConfigError, "numbers; got 'b' for 'a'"),
        (pd.Series({"x": 1.0}, name="value"), ConfigError, "cannot be called 'value'"),
        (pd.Series({"x": 1.0}, name="architecture"), ConfigError, "cannot be called 'architecture'"),
        ({"nonsense": 1.0}, ConfigError, "a text that is no architecture of the space"),
        (lambda _: 3, ConfigError, "Cost 'cost' is 3 for all 30 candidates, so there is nothing to trade off"),
        (lambda _: "x", ConfigError, "must be a number for every architecture; got 'x'"),
        (lambda _: 1 / 0, ConfigError, "Cost 'cost' failed for .*ZeroDivisionError"),
        (lambda _: None, ConfigError, "No candidate has a value of cost.*it was given no number"),
        (
            ["params", lambda one: 2.0 * SPACE.count_parameters(one) + 1],
            ConfigError,
            "Costs 'params' and 'cost' are the same for every candidate but for their unit",
        ),
    ],
)
def test_what_cannot_be_traded_off_is_refused_before_a_training(tmp_path, against, error, words) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(error, match=words.replace("(", r"\(")):
        run(tmp_path / "run", Twisted(log=log), against=against)
    assert not log.exists()


def test_strategies_that_cannot_trade_off_are_refused_by_name() -> None:
    able = {name for name, strategy in STRATEGIES.items() if strategy.trades_off}
    for name in set(STRATEGIES) - able:
        with pytest.raises(ConfigError, match=f"'{name}' cannot trade the objective off.*auto"):
            run(strategy=name)
    for name in able:
        assert len(run(strategy=name, budget=5).queries) == 5


# ── the study ──


def test_the_study_has_every_objective_and_its_names(tmp_path) -> None:
    result = run(tmp_path, against=["params", "memory"])
    study = optuna.load_study(study_name="search", storage=storage_url(tmp_path))
    assert [way.name for way in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["worth", "params", "memory"]
    assert {trial.number + 1 for trial in study.best_trials} == {query.number for query in result.front}
    assert [list(trial.values) for trial in study.trials] == [[q.value, *q.costs] for q in result.queries]


def test_another_objective_is_refused_and_so_is_none(tmp_path) -> None:
    run(tmp_path, strategy="random")
    for other in (None, "memory", ["params", "memory"], ["memory", "params"]):
        with pytest.raises(StudyError, match="made with other settings: against was"):
            run(tmp_path, against=other, strategy="random")
    assert told(run(tmp_path, strategy="random")) == told(load_result(tmp_path))


def test_a_study_in_which_nothing_was_evaluated_binds_no_later_one(tmp_path) -> None:
    def stop(_):
        raise KeyboardInterrupt

    optuna.create_study(study_name="search", storage=storage_url(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[stop])
    assert told(run(tmp_path)) == told(run())


@pytest.mark.parametrize(
    ("changes", "stop_at"),
    [
        ({"limits": Limits(max_params=9_000)}, 1),
        pytest.param({"grow": 4}, 8, marks=pytest.mark.slow),
        pytest.param({"strategy": "robot", "grow": 3}, 7, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_search_ends_as_the_uninterrupted_one(tmp_path, changes, stop_at) -> None:
    whole, seen = run(**changes), 0

    def stop(event) -> None:
        nonlocal seen
        seen += isinstance(event, QueryStep)
        if seen == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, callbacks=[stop], **changes)
    assert load_result(tmp_path).stop_reason == "interrupted"
    assert told(run(tmp_path, **changes)) == told(whole)
    assert told(load_result(tmp_path)) == told(whole)


def test_measured_costs_stay_what_they_were_at_the_first_start(tmp_path, monkeypatch) -> None:
    whole = run(tmp_path, against="latency", grow=3, budget=4)
    assert whole.n_grown
    monkeypatch.setattr("robonas.study.limits.measure_latency", lambda *_, **__: pytest.fail("measured again"))
    assert told(run(tmp_path, against="latency", grow=3, budget=4)) == told(whole)
    assert told(load_result(tmp_path)) == told(whole)
    assert {key: value for key, value in whole.settings["against"][0].items() if key not in {"name", "unit"}} == {
        "device": "cpu",
        "repeats": 15,
        "warm_up": 3,
        "latency_batch_size": 1,
    }
    monkeypatch.setattr("robonas.study.limits.measure_latency", lambda space, one, **_: space.count_parameters(one))
    (tmp_path / "search.costs.parquet").unlink()
    with pytest.raises(robonas.errors.ScoreTableError, match=r"there is no '.*search\.costs\.parquet'"):
        load_result(tmp_path)
    with pytest.raises(StudyError, match=r"begun with other costs than now.*Restore the file 'search\.costs\.parquet'"):
        run(tmp_path, against="latency", grow=3, budget=4)


def work(folder):
    return told(run(folder, against="latency", strategy="random", budget=6))


def test_workers_share_one_front_and_one_measurement(tmp_path) -> None:
    with FORK.Pool(2) as pool:
        one, other = pool.map(work, [tmp_path] * 2)
    assert one == other == told(load_result(tmp_path))


@pytest.mark.parametrize(
    "pruner",
    [
        "successive_halving",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("hyperband", "median", "wilcoxon")),
    ],
)
def test_pruning_compares_with_networks_that_cost_no_more(tmp_path, pruner) -> None:
    if pruner == "wilcoxon":
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            pruner = optuna.pruners.WilcoxonPruner()
    result = run(tmp_path, Long(), pruner=pruner, strategy="random", budget=14)
    assert told(run(tmp_path, Long(), pruner=pruner, strategy="random", budget=14)) == told(result)
    if pruner == "successive_halving":
        assert result.n_pruned
    for query in result.queries:
        if query.state == "pruned":
            assert query.partial is not None
            cheaper = [other for other in result.queries if other.number != query.number and other.costs <= query.costs]
            assert cheaper, "the cheapest network has nobody to be compared with"
    assert not any(query.state == "pruned" for query in result.front)


# ── what is kept ──


def test_every_query_on_the_front_keeps_its_trained_network(tmp_path) -> None:
    result = run(tmp_path, budget=12)
    left = [query for query in result.queries if query not in result.front]
    assert len(result.front) > 1
    assert left
    for query in result.front:
        expected = SPACE.build_seeded(SPACE.parse(query.architecture), query.architecture).state_dict()
        network = load_result(tmp_path).build(query)
        assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    assert len(list(tmp_path.glob("*.safetensors"))) == len(result.front)
    assert not list(tmp_path.glob(".*.safetensors"))
    with pytest.raises(StudyError, match=f"Query {left[0].number} is not on the front"):
        result.build(left[0])
    assert result.build(left[0], trained=False).training is not False
    winner = result.build().state_dict()
    assert all(torch.equal(winner[key], value) for key, value in result.load_parameters(result.best).items())


def test_json_and_history_tell_the_front(tmp_path) -> None:
    result = run(tmp_path)
    value = json.loads(json.dumps(result.to_json()))
    assert value["front"]["queries"] == [query.number for query in result.front]
    assert value["front"]["costs"] == [{"name": "params", "unit": ""}]
    assert value["front"]["hypervolume"] == result.hypervolume().tolist()
    assert value["front"]["reference"]["params"] > result.costs.max()
    assert [query["costs"][0] for query in value["queries"]] == result.history()["cost:params"].tolist()
    assert result.history()["on_front"].sum() == len(result.front)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_network_that_kills_its_process_has_no_cost_and_is_left_out(n_jobs) -> None:
    events = []
    deaths = []
    result = search(
        deadly(), FunctionObjective(lambda network: 1.0), against="macs", strategy="random", pool=3, budget=2,
        folder=None, n_jobs=n_jobs, callbacks=[events.append],
    )  # fmt: skip
    deaths += [event.counts for event in events if isinstance(event, CandidatesLeftOut)]
    assert deaths == [{"macs undefined": 1}]
    assert len(result.queries) == 2
    assert all('"kernel": 3' not in query.architecture for query in result.queries)
