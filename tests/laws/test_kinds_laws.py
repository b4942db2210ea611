"""Arguments of the wrong kind get errors of ours, for every space, for batches and for every strategy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robonas.architecture import Architecture
from robonas.datasets.batch import Batch
from robonas.errors import ArchitectureError, AskTellError, ConfigError, DataError, NasError
from robonas.spaces import SPACES
from robonas.strategies import STRATEGIES, Problem, Trial, make_strategy
from tests.laws.test_space_laws import space_of
from tests.spaces.own import OWN

every_space = pytest.mark.parametrize("name", [*sorted(SPACES), *sorted(OWN)])
every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
NO_TEXTS = [None, 0, 1.5, True, b"bytes", (0, 1, 2), [0, 1], [[1, [2]]], {"edge_0_1": "none"}, {0: 1}, object(), {1}]
NO_ARCHITECTURES = [None, 0, True, "a text", b"bytes", (0, 1, 2), [["a", 1]], {0: 1}, {"a": [1]}, {"no such": 1}, {1}]
ODD_TEXTS = [
    "[" * 100_000,
    '{"a":' * 100_000,
    "9" * 5_000 + ":8:8:8:8",
    "9" * 5_000,
    '{"ops": [[]], "matrix": [[1e999]]}',
]


@every_space
@pytest.mark.parametrize("text", [*NO_TEXTS, *ODD_TEXTS], ids=lambda text: f"{type(text).__name__} {str(text)[:12]}")
def test_a_text_of_another_kind(name, text) -> None:
    with pytest.raises(ArchitectureError, match=r"\w{3,}.* .*"):
        space_of(name).parse(text)


@every_space
@pytest.mark.parametrize("given", NO_ARCHITECTURES, ids=lambda given: f"{type(given).__name__} {given}")
def test_an_architecture_of_another_kind(name, given) -> None:
    space = space_of(name)
    assert not space.contains(given)
    methods = [space.check, space.format, space.canonical, space.neighbours, space.encode, space.build]
    for method in (*methods, space.build_seeded, space.count_parameters):
        with pytest.raises(ArchitectureError, match=r"\w{3,}.* .*"):
            method(given)


@every_space
def test_a_mapping_of_the_right_choices_is_an_architecture(name) -> None:
    space = space_of(name)
    architecture = space.sample(1, 0)[0]
    assert space.check(dict(architecture)) == architecture
    assert space.format(dict(architecture)) == space.format(architecture)


@every_space
@pytest.mark.parametrize("code", [None, 3, "abc", b"x", {"a": 1}, [None], [1.5], [[0]], [True]], ids=repr)
def test_a_code_of_another_kind(name, code) -> None:
    with pytest.raises(ArchitectureError, match=r"\w{3,}.* .*"):
        space_of(name).decode(code)


@every_space
@pytest.mark.parametrize("number", [None, "3", 2.5, True, (1,)], ids=repr)
def test_numbers_that_are_none(name, number) -> None:
    space = space_of(name)
    with pytest.raises(ConfigError, match="must be a whole number"):
        space.sample(number)
    with pytest.raises(ConfigError, match="`seed` must be a whole number"):
        space.sample(2, number)
    if space.size is not None:
        with pytest.raises(ConfigError, match="must be a whole number"):
            space.at(number)


@every_space
@pytest.mark.parametrize("seed", [-1, 2**63, 10**26])
def test_seeds_have_a_range(name, seed) -> None:
    with pytest.raises(ConfigError, match="`seed` must be from 0 to 9223372036854775807"):
        space_of(name).sample(2, seed)
    assert space_of(name).sample(2, 2**63 - 1)


@pytest.mark.parametrize("made_from", [None, 3, "text", b"x", (0, 1), [["a", 1]], {1: 2}, {"a": (1,)}], ids=repr)
def test_an_architecture_made_from_another_kind(made_from) -> None:
    with pytest.raises(ArchitectureError, match=r"must be .*; got"):
        Architecture(made_from)


INPUTS, LABELS = torch.arange(48.0).view(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("inputs", "targets", "n_classes"),
    [
        (INPUTS.to_sparse(), LABELS, 2),
        (INPUTS, LABELS.to_sparse(), 2),
        (INPUTS.numpy(), LABELS, 2),
        (INPUTS, LABELS.numpy(), 2),
        (INPUTS.tolist(), LABELS, 2),
        (INPUTS, LABELS.tolist(), 2),
        (None, LABELS, 2),
        (INPUTS, None, 2),
        (INPUTS, LABELS, "2"),
        (INPUTS, LABELS, 2.0),
        (INPUTS, LABELS, None),
        (INPUTS, LABELS, True),
        (INPUTS, LABELS, 0),
        (torch.nested.as_nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), LABELS, 2),
    ],
)
def test_a_batch_of_another_kind(inputs, targets, n_classes) -> None:
    with pytest.raises(DataError, match=r"of a batch must be"):
        Batch(inputs, targets, n_classes)


def problem(budget: int = 4) -> Problem:
    generator = np.random.default_rng(0)
    return Problem(generator.normal(size=(8, 2)), ("a", "b"), budget, codes=generator.integers(0, 3, (8, 2)))


@every_strategy
@pytest.mark.parametrize(
    "history",
    [
        None, 3, "text", {"row": 1}, [None], [(0, 1.0)], [{"row": 0, "value": 1.0}], [Trial(None, 1.0)],
        [Trial("0", 1.0)], [Trial(0.0, 1.0)], [Trial(True, 1.0)], [Trial(0, "0.5")], [Trial(0, True)],
        [Trial(0, [0.5])], [Trial(0, 1 + 2j)], [Trial(0, 0.5, pruned="x")], [Trial(0, torch.tensor([1.0, 2.0]))],
    ],
    ids=repr,
)  # fmt: skip
def test_a_history_of_another_kind(name, history) -> None:
    strategy = make_strategy(name)
    with pytest.raises(AskTellError, match=r"must (be|hold|name)"):
        strategy.ask(problem(), history)


@every_strategy
@pytest.mark.parametrize("given", [None, 3, {}, np.ones((3, 2))], ids=repr)
def test_a_problem_of_another_kind(name, given) -> None:
    with pytest.raises(AskTellError, match="`problem` must be a Problem"):
        make_strategy(name).ask(given, [])


@pytest.mark.parametrize(
    "changes",
    [{"scores": [[1.0]]}, {"budget": "3"}, {"budget": 2.5}, {"budget": True}, {"seed": -1}, {"seed": "x"}],
    ids=repr,
)
def test_a_problem_made_from_another_kind(changes) -> None:
    with pytest.raises(NasError, match=r"must be"):
        Problem(**{"scores": np.ones((1, 1)), "metrics": ("a",), "budget": 1, **changes})
