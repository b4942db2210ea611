"""The search loop: budget, resume, failures, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest
import torch

import robonas
from robonas.common.defaults import PAPER_METRICS
from robonas.common.settings import plain
from robonas.errors import ConfigError, NetworkError, ObjectiveError, StudyError
from robonas.metrics import chosen_metrics
from robonas.objectives.base import Evaluation
from robonas.report.words import headline
from robonas.strategies import STRATEGIES, RandomSearch
from robonas.study.events import (
    CandidatesLeftOut,
    QueryFinished,
    QueryStarted,
    QueryStep,
    ScoringProgress,
    SearchFinished,
    SearchStarted,
)
from robonas.study.loop import load_result, search
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
PLAN = {"metrics": CHEAP, "pool": 30, "budget": 7}


def run(folder=None, objective=None, **changes):
    return search(SPACE, objective or CountParameters(), folder=folder, **{**PLAN, **changes})


def told(result):
    """What must be equal for two searches to be the same."""
    return [(q.architecture, q.phase, q.state, q.value, q.failure, q.weights, q.curve) for q in result.queries]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_without_metrics_it_computes_those_of_its_strategy(strategy) -> None:
    result = run(metrics=None, strategy=strategy, pool=3, budget=1, batch=small_batch(), n_jobs=0)
    by_default = {"robot": PAPER_METRICS} | dict.fromkeys(
        [name for name, kind in STRATEGIES.items() if not kind.uses_scores], ()
    )
    assert result.scores.metrics == by_default.get(strategy, tuple(chosen_metrics()))


def test_finds_the_best_of_what_it_queried_and_says_what_it_did(tmp_path) -> None:
    result = run(tmp_path, strategy="robot")
    assert len(result.queries) == 7
    assert len({q.architecture for q in result.queries}) == 7
    assert result.value == max(q.value for q in result.queries) == SPACE.count_parameters(result.architecture) / 1000
    assert result.stop_reason == "budget spent"
    assert result.n_explored is not None
    assert 1 <= result.n_explored <= 7
    assert [q.phase for q in result.queries].count("explore") == result.n_explored
    assert set(result.weights or {}) == set(CHEAP)
    assert all(-1 <= weight <= 1 for weight in (result.weights or {}).values())
    combined = result.combined
    assert combined is not None
    assert combined.shape == (30,)
    assert [point.step for point in result.best.curve] == [1, 2]
    assert result.history()["best"].is_monotonic_increasing


def test_gives_the_network_its_parameters_and_its_json_back(tmp_path) -> None:
    class Trained(CountParameters):
        def evaluate(self, space, architecture, *, seed, report=None):
            value = super().evaluate(space, architecture, seed=seed, report=report).value
            network = space.build_seeded(architecture, "other")
            return Evaluation(value, 1.0, (), network.state_dict())

    result = run(tmp_path, Trained())
    network = result.build()
    assert not network.training
    expected = SPACE.build_seeded(result.architecture, "other").state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    value = json.loads(json.dumps(result.to_json()))
    assert value["best"]["architecture"] == result.text
    assert robonas.Architecture(value["best"]["choices"]) == result.architecture
    assert value["best"]["parameters"] == SPACE.count_parameters(result.architecture)


def test_the_same_seed_gives_the_same_search_and_another_seed_another() -> None:
    assert told(run()) == told(run())
    assert told(run()) != told(run(seed=1))


def test_a_strategy_that_lacks_a_metric_says_so_before_anything_is_scored(tmp_path) -> None:
    events = []
    with pytest.raises(ConfigError, match="'hnas' needs a gradient metric"):
        run(tmp_path, strategy="hnas", metrics=["params", "flops"], callbacks=[events.append])
    assert not events
    assert not list(tmp_path.iterdir())


def test_scoring_processes_change_nothing() -> None:
    assert told(run()) == told(run(n_jobs=2))


@pytest.mark.parametrize("strategy", ["robot", "random"])
@pytest.mark.parametrize("stop_at", [1, 3, 6])
def test_a_stopped_search_ends_as_the_uninterrupted_one(tmp_path, strategy, stop_at) -> None:
    whole = run(strategy=strategy)
    seen = 0

    def stop(event) -> None:
        nonlocal seen
        seen += isinstance(event, QueryStep)
        if seen == 2 * stop_at:
            seen = 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, strategy=strategy, callbacks=[stop])
    half = load_result(tmp_path)
    assert half.stop_reason == "interrupted"
    assert half.queries[-1].state == "running"
    log = tmp_path / "log.txt"
    resumed = run(tmp_path, CountParameters(log=log), strategy=strategy)
    assert told(resumed) == told(whole)
    assert len(log.read_text().splitlines()) == 7 - (stop_at - 1)  # only the training in flight is done again


def test_a_finished_search_costs_nothing_again_and_a_larger_budget_goes_on(tmp_path) -> None:
    first = run(tmp_path)
    log = tmp_path / "log.txt"
    assert told(run(tmp_path, CountParameters(log=log))) == told(first)
    assert not log.exists()
    more = run(tmp_path, CountParameters(log=log), budget=9)
    assert told(more)[:7] == told(first)
    assert len(more.queries) == 9
    assert len(log.read_text().splitlines()) == 2
    assert load_result(tmp_path).budget == 9


def test_failed_evaluations_count_are_shown_and_never_win() -> None:
    fail = lambda count: count % 3 == 0
    result = run(objective=CountParameters(fail=fail), strategy="random", budget=12)
    failed = [q for q in result.queries if q.state == "failed"]
    assert len(result.queries) == 12
    assert failed
    assert all("diverged at" in str(q.failure) and q.value is None for q in failed)
    assert result.best.state == "complete"
    assert len({q.architecture for q in result.queries}) == 12


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (float("nan"), "returned nan"),
        (float("inf"), "returned inf"),
        ("0.5", "returned '0.5'"),
        (None, "returned None"),
        (ValueError("bad luck"), "ValueError: bad luck"),
        (MemoryError("no memory"), "MemoryError"),
        (ObjectiveError("loss is NaN in epoch 2"), "loss is NaN in epoch 2"),
    ],
)
def test_whatever_a_training_does_it_costs_its_trial_only(answer, reason) -> None:
    class Odd(CountParameters):
        calls = 0

        def evaluate(self, space, architecture, *, seed, report=None):
            type(self).calls += 1
            if self.calls == 3:
                if isinstance(answer, Exception):
                    raise answer
                return Evaluation(answer, 1.0)
            return super().evaluate(space, architecture, seed=seed, report=report)

    result = run(objective=Odd())
    assert [q.state for q in result.queries].count("failed") == 1
    assert reason in str(result.queries[2].failure)
    assert np.isfinite(result.value)


def test_a_mistake_of_the_user_ends_the_search_and_keeps_the_trial(tmp_path) -> None:
    class Wrong(CountParameters):
        def evaluate(self, space, architecture, *, seed, report=None):
            raise NetworkError("returns a tuple")

    with pytest.raises(NetworkError):
        run(tmp_path, Wrong())
    assert told(run(tmp_path)) == told(run())


def test_minimise_finds_the_smallest() -> None:
    result = run(objective=CountParameters(direction="minimize"), strategy="random")
    assert result.value == min(q.value for q in result.queries)
    assert (result.history()["best"].diff().dropna() <= 0).all()


def test_all_failed_has_no_winner_and_says_why() -> None:
    result = run(objective=CountParameters(fail=lambda _: True))
    assert len(result.queries) == 7
    with pytest.raises(StudyError, match=r"no completed evaluation among 7.*diverged"):
        _ = result.best


def test_isomorphic_cells_are_one_candidate() -> None:
    live = "|nor_conv_3x3~0|+|{}~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    pool = [live.format(op) for op in ("none", "skip_connect", "avg_pool_3x3")]  # 0→2 leads nowhere
    with pytest.raises(ConfigError, match=r"1 different networks \(3 architectures\), fewer than the budget of 2"):
        run(pool=pool, budget=2)
    assert len(run(pool=pool, budget=1).queries) == 1


def test_events_tell_the_whole_story() -> None:
    events: list = []
    result = run(callbacks=[events.append])
    scoring = [event for event in events if isinstance(event, ScoringProgress)]
    assert scoring[0].done == 0
    assert scoring[-1].done == scoring[-1].total
    kinds = [type(event) for event in events if not isinstance(event, ScoringProgress)]
    assert kinds == [SearchStarted, *[QueryStarted, QueryStep, QueryStep, QueryFinished] * 7, SearchFinished]
    (started,) = [event for event in events if isinstance(event, SearchStarted)]
    assert (started.name, started.budget) == ("search", 7)
    assert {**plain(started.settings), "budget": 7} == plain(result.settings)
    assert told(events[-1].result) == told(result)
    assert [event.query.number for event in events if isinstance(event, QueryFinished)] == list(range(1, 8))


def test_optuna_sees_choices_values_and_curves(tmp_path) -> None:
    result = run(tmp_path)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/study.db")
    assert study.best_value == result.value
    assert study.best_trial.params == dict(result.architecture)
    assert len(study.best_trial.intermediate_values) == 2
    assert len(study.trials) == 7


def test_two_searches_on_one_study_share_the_budget(tmp_path) -> None:
    inner = []

    def once(event) -> None:
        if isinstance(event, QueryStarted) and not inner:
            inner.append(None)
            inner[0] = run(tmp_path, strategy="random")

    outer = run(tmp_path, strategy="random", callbacks=[once])
    assert len(outer.queries) == 7
    assert len({q.architecture for q in outer.queries}) == 7
    assert inner[0].stop_reason == "interrupted"  # one was still with the other worker
    assert outer.stop_reason == "budget spent"


# ── limits ──


def test_what_breaks_a_limit_is_never_scored_nor_trained(tmp_path) -> None:
    limit = int(np.median([SPACE.count_parameters(arch) for arch in SPACE.sample(30, 0)]))
    result = run(tmp_path, limits=robonas.Limits(max_params=limit))
    assert 7 <= len(result.scores) < 30
    assert all(SPACE.count_parameters(SPACE.parse(text)) <= limit for text in result.scores.architectures)
    assert all(SPACE.count_parameters(SPACE.parse(q.architecture)) <= limit for q in result.queries)
    with pytest.raises(StudyError, match="limits"):
        run(tmp_path)


def test_limits_that_nothing_meets_are_told_with_the_smallest(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"0 of 30 satisfy the limits: .*the smallest is"):
        run(tmp_path / "new", limits=robonas.Limits(max_params=1))
    assert not (tmp_path / "new").exists()


def test_bounds_on_metrics_filter_the_pool_and_are_told(tmp_path) -> None:
    events = []
    limits = robonas.Limits(at_most={"depth": 9})
    result = run(tmp_path, limits=limits, callbacks=[events.append])
    assert 7 <= len(result.scores) < 30
    assert result.left_out == {"depth above 9": 30 - len(result.scores)}
    assert events[0] == CandidatesLeftOut(result.left_out, len(result.scores))
    assert robonas.load_result(tmp_path).left_out == result.left_out == result.to_json()["left_out"]
    assert result.settings["limits"] == {"depth <=": 9.0}
    drawn = run(tmp_path / "random", limits=limits, strategy="random", name="other")
    assert drawn.scores.architectures == result.scores.architectures, "a strategy without scores has the same bounds"
    assert any("candidates were left out before they were scored: " in told for told in headline(result).remarks)
    with pytest.raises(StudyError, match="limits"):
        run(tmp_path, limits=robonas.Limits(at_most={"depth": 12}))


def test_children_keep_bounds_on_metrics(tmp_path) -> None:
    result = run(tmp_path, limits=robonas.Limits(at_most={"depth": 9}), grow=2, strategy="random")
    depths = robonas.score(SPACE, result.scores.architectures, ["depth"], small_batch()).scores
    assert depths.max() <= 9
    assert result.n_grown > 0


@pytest.mark.parametrize("settings", [{}, {"kinds": (1, 2)}], ids=["usual", "tuples"])
def test_candidates_allowed_by_a_measured_latency_are_remembered(tmp_path, monkeypatch, settings) -> None:
    whole = SPACE.settings | settings
    monkeypatch.setattr(type(SPACE), "settings", property(lambda _: whole))
    first = run(tmp_path, limits=robonas.Limits(max_latency_ms=1e6), strategy="random")
    monkeypatch.setattr("robonas.study.limits.measure_latency", lambda *_, **__: float("inf"))
    assert told(run(tmp_path, limits=robonas.Limits(max_latency_ms=1e6), strategy="random")) == told(first)


# ── what is refused ──


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "at least 1 evaluation; got 0"),
        ({"budget": -3}, "got -3"),
        ({"pool": 0}, "at least 1 architecture; got 0"),
        ({"pool": []}, "at least one architecture; got none"),
        ({"pool": 5}, "fewer than the budget of 7"),
        ({"metrics": []}, "metric"),
    ],
)
def test_impossible_plans_are_refused_before_anything_is_written(tmp_path, changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"strategy": "random"}, "strategy.name was 'auto', is now 'random'"),
        ({"metrics": ("params", "snip")}, "metrics was"),
        ({"pool": 31}, "pool.size was 30, is now 31"),
    ],
)
def test_a_study_of_other_settings_is_refused_and_kept(tmp_path, changes, message) -> None:
    first = run(tmp_path)
    with pytest.raises(StudyError, match=message):
        run(tmp_path, **changes)
    assert told(load_result(tmp_path)) == told(first)


def test_another_program_s_study_of_the_same_name_is_refused(tmp_path) -> None:
    study = optuna.create_study(study_name="search", storage=f"sqlite:///{tmp_path}/study.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StudyError, match="was not made by robonas"):
        run(tmp_path)


def test_scores_that_changed_under_a_study_are_refused(tmp_path) -> None:
    run(tmp_path)
    next(tmp_path.glob("cache-*.parquet")).unlink()
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/study.db")
    study.set_user_attr("scores", "something else")
    with pytest.raises(StudyError, match="begun with other scores"):
        run(tmp_path)


def test_nothing_but_undefined_scores_is_refused() -> None:
    def undefined(passes) -> float:
        return float("nan")

    with pytest.raises(ConfigError, match="Every score of every architecture is undefined"):
        run(metrics=[undefined])


def test_a_folder_without_a_search_is_told(tmp_path) -> None:
    with pytest.raises(StudyError, match="There is no search in"):
        load_result(tmp_path)
    run(tmp_path)
    with pytest.raises(StudyError, match=r"There is no study 'other'.*it has 'search'"):
        load_result(tmp_path, "other")


def test_an_objective_without_data_needs_a_batch() -> None:
    class NoData(CountParameters):
        def batch(self, size, seed):
            return None

    with pytest.raises(ConfigError, match="no data to draw a batch from"):
        run(objective=NoData())


def test_random_search_scores_nothing(tmp_path) -> None:
    events: list = []
    result = run(tmp_path, strategy="random", callbacks=[events.append])
    assert not any(isinstance(event, ScoringProgress) for event in events)
    assert result.scores.metrics == ()
    assert result.weights is None
    assert told(load_result(tmp_path)) == told(result)


class Mine(RandomSearch):
    """A strategy of the user's own."""

    name = "mine"


def test_a_search_by_one_s_own_strategy_is_shown_with_and_without_its_code(tmp_path) -> None:
    reference = "tests.study.test_loop:Mine"
    first = run(tmp_path, strategy=reference)
    assert first.settings["strategy"]["name"] == reference
    assert told(load_result(tmp_path)) == told(first)  # what the folder names is not imported
    assert told(load_result(tmp_path, strategy=reference)) == told(first)
    assert told(load_result(tmp_path, strategy=Mine())) == told(first)


def test_a_plain_function_is_no_objective() -> None:
    with pytest.raises(ConfigError, match="Wrap a function by FunctionObjective"):
        search(SPACE, lambda _: 1.0, **PLAN)  # type: ignore[arg-type]
