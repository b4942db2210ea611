"""The user's own function: what it is given, what it may return, how it fails."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from robonas.architecture import Architecture
from robonas.errors import ConfigError, DataError, ObjectiveError
from robonas.objectives import CurvePoint, Evaluation, FunctionObjective
from tests.objectives.toy import FIRST, OTHER, TWIN, ToySpace

SPACE = ToySpace()


def evaluate(function, architecture=FIRST, *, seed=0, report=None, **settings):
    return FunctionObjective(function, **settings).evaluate(SPACE, architecture, seed=seed, report=report)


def test_takes_a_seeded_network():
    def weight(network):
        assert isinstance(network, nn.Module)
        return network[1].weight[0, 0]

    first = evaluate(weight).value
    assert first == SPACE.build_seeded(FIRST, 0)[1].weight[0, 0].item()
    torch.rand(3)
    assert evaluate(weight).value == first == evaluate(weight, TWIN).value
    assert len({first, evaluate(weight, seed=1).value, evaluate(weight, OTHER).value}) == 3


def test_takes_the_canonical_architecture():
    seen = []
    answer = evaluate(lambda architecture: seen.append(architecture) or 2.5, TWIN, takes="architecture")
    assert (answer.value, seen) == (2.5, [FIRST])
    assert answer.seconds >= 0
    assert answer.parameters is None


def test_seed_and_report_are_given_to_those_who_ask():
    points = []

    def tell(network, report, *, seed):
        report(CurvePoint(1, 1, seed / 2))
        return seed

    assert evaluate(tell, seed=6, report=points.append).value == 6
    assert points == [CurvePoint(1, 1, 3.0)]
    assert evaluate(tell, seed=6).value == 6  # nobody listens


def test_an_evaluation_is_taken_as_it_is():
    mine = Evaluation(0.5, 12.0, (CurvePoint(1, 1, 0.5),), {"w": torch.ones(1)})
    assert evaluate(lambda network: mine) == mine
    with pytest.raises(ObjectiveError, match="returned nan"):
        evaluate(lambda network: Evaluation(float("nan"), 1.0))


def test_draws_of_the_global_generators_are_seeded_and_restored():
    def draw(architecture):
        return random.random() + np.random.rand() + float(torch.rand(()))  # noqa: NPY002

    before = random.getstate(), torch.get_rng_state()
    first = evaluate(draw, takes="architecture").value
    assert before[0] == random.getstate()
    assert torch.equal(before[1], torch.get_rng_state())
    random.random(), torch.rand(5)
    assert evaluate(draw, takes="architecture").value == first != evaluate(draw, takes="architecture", seed=1).value


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.0,
        np.float32(1),
        np.int64(1),
        np.array(1.0),
        np.array([1.0]),
        torch.tensor(1.0),
        torch.tensor([1]),
        torch.ones((), requires_grad=True),
        Fraction(1),
    ],
)
def test_kinds_of_numbers(value):
    answer = evaluate(lambda network: value).value
    assert (answer, type(answer)) == (1.0, float)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "returned None. Is a `return` missing"),
        (float("nan"), "finite number; it returned nan"),
        (float("inf"), "finite number; it returned inf"),
        (np.float32("-inf"), "finite number; it returned -inf"),
        (torch.tensor(float("nan")), "finite number; it returned nan"),
        ("0.5", "real number; it returned '0.5', a str"),
        (1 + 0j, r"real number; it returned \(1\+0j\), a complex"),
        (np.complex64(1), "real number"),
        (torch.tensor(1j), "real number"),
        (True, "the boolean True"),
        (np.bool_(True), "the boolean True"),
        (torch.tensor(True), "the boolean True"),
        ([0.5], "a list"),
        ((0.5, 0.6), "a tuple"),
        ({"accuracy": 0.5}, "a dict"),
        (np.zeros(2), r"returned several, of shape \(2,\)"),
        (torch.zeros(0), r"returned several, of shape \(0,\)"),
        (Decimal(1), "a Decimal"),
    ],
)
def test_other_values_are_one_failed_query(value, reason):
    with pytest.raises(ObjectiveError, match=reason) as caught:
        evaluate(lambda network: value, name="accuracy")
    assert str(caught.value).startswith("Function 'accuracy' must return")


def test_an_exception_is_a_failure():
    def fail(network):
        raise KeyError("lost")

    with pytest.raises(ObjectiveError, match=r"Function '.*fail' failed: KeyError: 'lost'") as caught:
        evaluate(fail)
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_is_no_failure_of_the_function_passes_through():
    def interrupted(network):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted)

    def bad_data(network):
        raise DataError("no images")

    with pytest.raises(DataError, match="no images"):
        evaluate(bad_data)

    class PrunedError(Exception):
        pass

    def prune(point):
        raise PrunedError

    with pytest.raises(PrunedError):
        evaluate(lambda network, report: report(CurvePoint(1, 2, 0.1)) or 1.0, report=prune)


def test_settings():
    def score(network):
        return 1.0

    objective = FunctionObjective(score, name="latency", direction="minimize", settings={"version": 2})
    assert objective.settings == {
        "function": f"{__name__}:test_settings.<locals>.score",
        "takes": "network",
        "settings": {"version": 2},
    }
    assert (objective.direction, objective.value_name, objective.batch(8, 0)) == ("minimize", "latency", None)


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ((3,), {}, "must be callable; got a int"),
        ((len,), {"takes": "graph"}, "`takes` must be 'network' or 'architecture'; got 'graph'"),
        ((len,), {"direction": "up"}, "`direction` must be 'maximize' or 'minimize'; got 'up'"),
    ],
)
def test_settings_out_of_range(arguments, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FunctionObjective(*arguments, **settings)


def test_functions_without_a_signature():
    assert evaluate(len, takes="architecture").value == len(Architecture({"which": "first"}))
