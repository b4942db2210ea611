"""A strategy in people's own Optuna code: the queries of a search, whatever the storage and the threads."""

from __future__ import annotations

import itertools
import pickle
import re
import threading
from pathlib import Path

import numpy as np
import optuna
import pytest
from torch import nn

import robonas
from robonas.errors import ConfigError, ScoreTableError
from robonas.strategies import Problem, Proposal, RandomSearch, Strategy, Trial
from robonas.study.sampler import StrategySampler
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
METRICS = ("params", "snip")
CATEGORICAL = {name: optuna.distributions.CategoricalDistribution(options) for name, options in SPACE.choices.items()}


@pytest.fixture(scope="module")
def scores() -> robonas.ScoreTable:
    return robonas.score(SPACE, SPACE.sample(40, 0), METRICS, small_batch())


def study(sampler, direction="maximize", **changes):
    return optuna.create_study(direction=direction, sampler=sampler, **changes)


def size(architecture) -> float:
    return SPACE.count_parameters(architecture) / 1000


def plain(trial) -> float:
    """An objective that knows nothing of robonas but the names of the choices."""
    chosen = {name: trial.suggest_categorical(name, options) for name, options in SPACE.choices.items()}
    return size(robonas.Architecture(chosen))


def asked(of) -> list[str]:
    return [SPACE.format(robonas.Architecture(trial.params)) for trial in of.trials]


class Spy(Strategy):
    """Asks for rows in pool order, and keeps what it was told."""

    name = "spy"

    def __init__(self) -> None:
        self.seen: list[tuple[Problem, list[Trial]]] = []

    def propose(self, problem, history):
        self.seen.append((problem, list(history)))
        known = {trial.row for trial in history}
        return Proposal(next(row for row in range(len(problem)) if row not in known), "explore")


@pytest.mark.parametrize("strategy", ["auto", "robot", "tpe"])
def test_a_study_asks_for_what_a_search_asks_for(strategy) -> None:
    pool = SPACE.sample(30, 3)
    searched = robonas.search(
        SPACE, CountParameters(), metrics=CHEAP, pool=pool, strategy=strategy, budget=7, seed=3, folder=None
    )
    sampler = StrategySampler(SPACE, searched.scores.select(searched.scores.metrics), strategy, budget=7, seed=3)
    own = study(sampler)
    own.optimize(plain, n_trials=7)
    assert asked(own) == [query.architecture for query in searched.queries]
    assert own.best_value == searched.value


def test_losses_point_downwards(scores) -> None:
    one, other = study(StrategySampler(SPACE, scores)), study(StrategySampler(SPACE, scores), "minimize")
    one.optimize(plain, n_trials=6)
    other.optimize(lambda trial: -plain(trial), n_trials=6)
    assert asked(one) == asked(other)


def test_a_study_in_a_file_is_resumed(scores, tmp_path) -> None:
    whole = study(StrategySampler(SPACE, scores, budget=8))
    whole.optimize(plain, n_trials=8)
    storage = f"sqlite:///{tmp_path}/study.db"
    for n in (3, 5):
        part = study(StrategySampler(SPACE, scores, budget=8), storage=storage, study_name="s", load_if_exists=True)
        part.optimize(plain, n_trials=n)
    assert asked(part) == asked(whole)


def test_threads_get_different_candidates(scores) -> None:
    together = threading.Barrier(3, timeout=60)

    def objective(trial) -> float:
        value = plain(trial)
        together.wait()
        return value

    own = study(StrategySampler(SPACE, scores, budget=9))
    own.optimize(objective, n_trials=9, n_jobs=3)
    assert len(set(asked(own))) == 9


def test_trials_are_told_as_they_are(scores) -> None:
    spy = Spy()
    sampler = StrategySampler(SPACE, scores, spy, budget=20)
    own = study(sampler)
    candidates = [SPACE.parse(text) for text in scores.frame["canonical"].iloc[scores.distinct]]
    own.enqueue_trial(dict(candidates[5]))
    pending = own.ask()
    assert sampler.architecture(pending) == candidates[5]
    values = iter([0.5, float("inf"), None])
    for _ in range(3):
        trial, value = own.ask(), next(values)
        sampler.architecture(trial)
        own.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.FAIL)
    own.add_trial(
        optuna.trial.create_trial(
            params=dict(candidates[7]),
            value=0.25,
            distributions=CATEGORICAL,
        )
    )
    own.add_trial(optuna.trial.create_trial(value=9.0))  # of nothing that is known
    sampler.architecture(own.ask())
    problem, history = spy.seen[-1]
    assert history == [Trial(5), Trial(0, 0.5), Trial(1, failed=True), Trial(2, failed=True), Trial(7, 0.25)]
    assert problem.metrics == METRICS
    assert problem.higher_is_better == (True, True)


def test_a_candidate_that_failed_may_be_tried_again_by_hand(scores) -> None:
    spy = Spy()
    sampler = StrategySampler(SPACE, scores, spy)
    own = study(sampler)
    first = own.ask()
    chosen = sampler.architecture(first)
    own.tell(first, state=optuna.trial.TrialState.FAIL)
    own.enqueue_trial(dict(chosen))
    own.optimize(plain, n_trials=2)
    assert spy.seen[-1][1] == [Trial(0, size(chosen))]


def test_a_running_trial_is_pending_before_its_first_choice_is_recorded(scores) -> None:
    spy = Spy()
    sampler = StrategySampler(SPACE, scores, spy)
    own = study(sampler)
    for _ in range(2):
        assert own.ask().relative_params == {}
    assert spy.seen[-1][1] == [Trial(0)]


def test_the_study_stops_with_the_last_candidate_and_goes_on_past_the_budget(scores) -> None:
    few = robonas.ScoreTable(scores.frame.iloc[:5], scores.metrics, scores.provenance)
    own = study(StrategySampler(SPACE, few, "robot", budget=3))
    own.optimize(plain, n_trials=50)
    assert len(asked(own)) == len(few.distinct)
    assert len(set(asked(own))) == len(asked(own))
    assert robonas.Architecture(own.ask(CATEGORICAL).params) == robonas.Architecture(own.best_params)


def test_other_parameters_are_left_to_another_sampler(scores) -> None:
    class Half(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            return 0.5

    sampler = StrategySampler(SPACE, scores, independent_sampler=Half())
    own = study(sampler)

    def objective(trial) -> float:
        return size(sampler.architecture(trial)) * trial.suggest_float("rate", 0.0, 1.0)

    own.optimize(objective, n_trials=3)
    assert [trial.params["rate"] for trial in own.trials] == [0.5] * 3
    default = study(StrategySampler(SPACE, scores))
    default.optimize(lambda trial: plain(trial) + trial.suggest_float("rate", 0.0, 1.0), n_trials=3)
    assert len({trial.params["rate"] for trial in default.trials}) == 3


def test_hyperbands_brackets_share_the_history(scores) -> None:
    own = study(
        StrategySampler(SPACE, scores, budget=12),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
    )

    def objective(trial) -> float:
        value = plain(trial)
        for step in range(1, 10):
            trial.report(value * step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    own.optimize(objective, n_trials=12)
    assert len(set(asked(own))) == 12


def ask(trial) -> dict:
    """A conditional space as a function of a trial: integers, and a width only where there is a layer."""
    depth = trial.suggest_int("depth", 0, 2)
    return {"widths": [trial.suggest_int(f"width_{layer}", 2, 4) for layer in range(depth)]}


def build(widths):
    sizes = [64, *widths, 10]
    return nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in itertools.pairwise(sizes)))


def test_the_function_that_is_the_space_is_the_objective_too() -> None:
    space = robonas.from_choices(ask, build, input_shape=(1, 8, 8), n_classes=10)
    table = robonas.score(space, space.sample(13, 0), ["params"], small_batch())
    assert len(table) == 13
    own = study(StrategySampler(space, table, budget=6))
    own.optimize(lambda trial: float(sum(ask(trial)["widths"])), n_trials=50)
    found = [robonas.Architecture(trial.params) for trial in own.trials]
    assert sorted(map(space.format, found)) == sorted(table.architectures)
    other = study(sampler := StrategySampler(space, table, budget=6))
    other.optimize(lambda trial: float(sum(sampler.architecture(trial).values())), n_trials=6)
    assert [trial.params for trial in other.trials] == [trial.params for trial in own.trials[:6]]
    other.enqueue_trial(dict(found[0]))
    assert sampler.architecture(other.ask()) == found[0]


def test_an_objective_without_the_option_is_told(scores) -> None:
    own = study(StrategySampler(SPACE, scores))
    with pytest.raises(
        ConfigError,
        match=r"Choice 'edge_0_1' is '.*' in the candidate .*, which the objective does not allow",
    ):
        own.optimize(lambda trial: trial.suggest_int("edge_0_1", 0, 3), n_trials=1)
    with pytest.raises(ConfigError, match=r"Suggest all options of the space: \['none', "):
        own.optimize(lambda trial: len(trial.suggest_categorical("edge_0_1", ["other", "names"])), n_trials=1)


def test_a_sampler_goes_to_another_process(scores) -> None:
    copy = pickle.loads(pickle.dumps(StrategySampler(SPACE, scores, budget=4)))
    one, other = study(copy), study(StrategySampler(SPACE, scores, budget=4))
    for each in (one, other):
        each.optimize(plain, n_trials=4)
    assert asked(one) == asked(other)
    copy.reseed_rng()


def test_own_metrics_may_point_downwards(scores) -> None:
    spy = Spy()
    table = robonas.ScoreTable(
        scores.frame.rename(columns=lambda name: name.replace("snip", "mine")), ("params", "mine"), scores.provenance
    )
    study(StrategySampler(SPACE, table, spy, lower_is_better=["mine"])).optimize(plain, n_trials=1)
    assert spy.seen[0][0].higher_is_better == (True, False)
    assert np.array_equal(spy.seen[0][0].scores, table.scores[table.distinct], equal_nan=True)


def test_what_cannot_work_is_refused_at_once(scores) -> None:
    with pytest.raises(ScoreTableError, match="no metric 'mine'; it has params, snip"):
        StrategySampler(SPACE, scores, lower_is_better=["mine"])
    with pytest.raises(ScoreTableError, match="at least one architecture"):
        StrategySampler(SPACE, robonas.ScoreTable(scores.frame.iloc[:0], scores.metrics, {}))
    with pytest.raises(ConfigError, match="`budget` must be at least 1 trial; got 0"):
        StrategySampler(SPACE, scores, budget=0)
    with pytest.raises(ConfigError, match="needs a gradient metric"):
        StrategySampler(SPACE, scores.select(["params"]), "hnas")
    several = optuna.create_study(
        directions=["maximize", "minimize"], sampler=StrategySampler(SPACE, scores, RandomSearch())
    )
    with pytest.raises(ConfigError, match="has one objective; this study has several"):
        several.optimize(lambda trial: (plain(trial), 0.0), n_trials=1)


@pytest.mark.slow
def test_ray_tune_runs_the_block_of_the_how_to_page() -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.tune.search.optuna")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "use-with-optuna.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python(?: ray)?\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    names: dict = {"__name__": "page"}
    try:
        exec(code, names)
    finally:
        ray.shutdown()
    assert len(names["results"]) == 6
    found = {robonas.Architecture(result.config) for result in names["results"]}
    assert len(found) == 6
    assert found <= {names["space"].parse(text) for text in names["scores"].architectures}
