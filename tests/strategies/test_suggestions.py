from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from robonas.errors import ConfigError
from robonas.strategies import Gp, Problem, RandomSearch, Strategy, Tpe, Trial
from robonas.strategies.suggestions import SamplerStrategy
from tests.strategies.asking import ask_and_tell as run

BOTH = pytest.mark.parametrize("strategy", [Tpe(), Gp()], ids=["tpe", "gp"])


def cube(side: int = 4, choices: int = 4, budget: int = 24, seed: int = 0) -> tuple[Problem, np.ndarray]:
    """All combinations of a few options; the best option of each choice is somewhere in the middle."""
    codes = np.stack(np.meshgrid(*[np.arange(side)] * choices, indexing="ij"), -1).reshape(-1, choices)
    worth = np.random.default_rng(7).permuted(np.tile(np.arange(side), (choices, 1)), axis=1)
    values = worth[np.arange(choices), codes].sum(axis=1).astype(float)
    return Problem(np.zeros((len(codes), 0)), (), budget, seed, codes=codes), values


class Fixed(optuna.samplers.BaseSampler):
    """Suggests one point for ever, and remembers the study."""

    def __init__(self, point: dict[str, int]) -> None:
        self.point, self.study = point, None

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        self.study = study
        return self.point[param_name]


class Stubborn(SamplerStrategy):
    name = "stubborn"
    title = "a stub"

    def __init__(self, *point: int) -> None:
        super().__init__(startup=1)
        self.fixed = Fixed({str(choice): option for choice, option in enumerate(point)})

    def sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        return self.fixed


def test_the_nearest_free_candidate_stands_for_a_suggestion() -> None:
    codes = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1]])
    problem = Problem(np.zeros((5, 0)), (), 5, codes=codes)
    strategy, history, reasons = Stubborn(0, 1, 0), [], []
    for _ in range(5):
        proposal = strategy.ask(problem, history)
        reasons.append(proposal.reason)
        history.append(Trial(proposal.row, 0.5))
    # Itself; then those one choice away in pool order; then the one that differs in all.
    assert [trial.row for trial in history] == [3, 0, 1, 2, 4]
    assert reasons[0] == "Drawn at random before a stub begins to model."
    assert reasons[1] == "Suggested by a stub; the nearest that was not evaluated, 1 choice away."
    assert reasons[4] == "Suggested by a stub; the nearest that was not evaluated, 3 choices away."


def test_the_sampler_sees_values_failures_and_pending_queries() -> None:
    problem, _ = cube()
    strategy = Stubborn(0, 0, 0, 0)
    history = [Trial(0, 0.5), Trial(1, failed=True), Trial(2), Trial(3, 0.25)]
    strategy.ask(problem, history)
    *seen, _ = strategy.fixed.study.get_trials()
    assert [trial.state.name for trial in seen] == ["COMPLETE", "COMPLETE", "RUNNING", "COMPLETE"]
    assert [trial.value for trial in seen] == [0.5, 0.25, None, 0.25]
    assert [list(trial.params.values()) for trial in seen] == problem.codes[:4].tolist()
    strategy.ask(problem, history[1:3])
    assert [trial.state.name for trial in strategy.fixed.study.get_trials()[:-1]] == ["RUNNING"]


def test_only_a_sampler_that_learns_from_pruned_trials_is_shown_them() -> None:
    problem, _ = cube()
    history = [Trial(0, 0.5), Trial(1, 0.75, pruned=3)]
    strategy = Stubborn(0, 0, 0, 0)
    strategy.ask(problem, history)
    assert [trial.state.name for trial in strategy.fixed.study.get_trials()[:-1]] == ["COMPLETE", "COMPLETE"]
    strategy.learns_from_pruned = True
    strategy.ask(problem, history)
    first, second, _ = strategy.fixed.study.get_trials()
    assert (first.state.name, first.intermediate_values) == ("COMPLETE", {})
    assert (second.state.name, second.intermediate_values, second.value) == ("PRUNED", {3: 0.75}, 0.75)


def test_tpe_takes_a_pruned_candidate_for_worse_than_a_finished_one() -> None:
    """Candidates of the first option were pruned at high values; those of the second finished at low ones."""
    codes = np.stack(np.meshgrid(np.arange(2), np.arange(40), indexing="ij"), -1).reshape(-1, 2)
    problem = Problem(np.zeros((80, 0)), (), 60, codes=codes)
    begun = [Trial(row, 0.9, pruned=1) for row in range(12)] + [Trial(40 + row, 0.1) for row in range(12)]
    asked = [Tpe(startup=4).ask(replace(problem, seed=seed), begun).row for seed in range(8)]
    assert np.mean(codes[asked, 0]) > 0.6
    finished = [Trial(trial.row, trial.value) for trial in begun]
    asked = [Tpe(startup=4).ask(replace(problem, seed=seed), finished).row for seed in range(8)]
    assert np.mean(codes[asked, 0]) < 0.4


def test_choices_without_a_choice_are_left_out_and_absent_ones_are_an_option() -> None:
    codes = np.array([[0, 2, -1], [0, 2, 0], [0, 2, 1]])
    problem = Problem(np.zeros((3, 0)), (), 3, codes=codes)
    assert sorted(trial.row for trial in run(Tpe(), problem, np.zeros(3), 3)) == [0, 1, 2]


@BOTH
def test_structure_is_learned(strategy: Strategy) -> None:
    found, chance = [], []
    for seed in range(4):
        problem, values = cube(seed=seed)
        found.append(np.mean([trial.value for trial in run(strategy, problem, values, 24)[12:]]))
        chance.append(np.mean([trial.value for trial in run(RandomSearch(), problem, values, 24)[12:]]))
    assert np.mean(found) >= np.mean(chance) + 1.0


@BOTH
def test_a_third_of_the_budget_is_drawn_at_random(strategy: Strategy) -> None:
    problem, values = cube(budget=9)
    history: list[Trial] = []
    phases = []
    for _ in range(5):
        proposal = strategy.ask(problem, history)
        phases.append(proposal.phase)
        history.append(Trial(proposal.row, float(values[proposal.row])))
    assert phases == ["explore"] * 3 + ["exploit"] * 2
    assert type(strategy)(startup=5).ask(problem, history[:4]).phase == "explore"
    with pytest.raises(ConfigError, match="at least 1 query; got 0"):
        type(strategy)(startup=0)


@BOTH
def test_without_codes_candidates_are_drawn_uniformly(strategy: Strategy) -> None:
    problem = Problem(np.zeros((200, 0)), (), 20)
    rows = [trial.row for trial in run(strategy, problem, np.zeros(200), 20)]
    assert rows != sorted(rows)
    assert "no choices to model" in strategy.ask(problem, []).reason


@BOTH
def test_nothing_is_logged_and_global_generators_stay(strategy: Strategy, capfd: pytest.CaptureFixture[str]) -> None:
    problem, values = cube(budget=6)
    logger = logging.getLogger("optuna")
    before = logger.level, torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    strategy.ask(problem, run(strategy, problem, values, 5))
    assert capfd.readouterr() == ("", "")
    assert logger.level == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (np.random.get_state()[1] == before[2]).all()  # noqa: NPY002


def test_no_botorch_is_loaded() -> None:
    code = """
import sys, numpy as np
from robonas.strategies import Gp, Problem, Tpe, Trial
problem = Problem(np.zeros((9, 0)), (), 9, codes=np.array([[i // 3, i % 3] for i in range(9)]))
for strategy in (Gp(startup=2), Tpe(startup=2)):
    strategy.ask(problem, [Trial(row, row / 9) for row in range(4)])
print(sorted({"botorch", "gpytorch"} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
