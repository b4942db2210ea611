"""Spaces of the user's own choices: lists, ConfigSpace, functions of an Optuna trial."""

import pickle
import sys

import ConfigSpace
import numpy as np
import optuna
import pytest
import torch
from ConfigSpace.util import generate_grid
from torch import nn

from robonas.architecture import Architecture
from robonas.errors import ArchitectureError, ConfigError, MissingExtraError
from robonas.spaces import SearchSpace, from_choices, make_space
from tests.spaces import own

GIVEN = {"input_shape": (1, 8, 8), "n_classes": 10}


def nothing(**_):
    return nn.Identity()


# ── lists ──


def test_lists():
    space = own.lists()
    assert space.size == len(list(space)) == 18
    assert dict(space.at(1)) == {"width": 4, "activation": "ReLU", "depth": 1}
    arch = Architecture({"width": 8, "activation": "Tanh", "depth": 2})
    assert space.count_parameters(arch) == 65 * 8 + 2 * 9 * 8 + 9 * 10
    assert space.build(arch)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert space.canonical(arch) == arch
    assert len({space.canonical(arch) for arch in space}) == 2 * (1 + 3 * 2)


def test_options_may_be_any_sequence_of_scalars():
    choices = {"a": range(3), "b": np.array([0.5, 1.5]), "c": (None, True, "x"), "d": [1, 1.0, True]}
    space = from_choices(choices, nothing, **GIVEN)
    assert space.choices["a"] == (0, 1, 2)
    assert [type(option) for option in space.choices["b"]] == [float, float]
    assert space.size == 3 * 2 * 3 * 3 == len(set(space))
    architecture = space.at(0).replace(d=True)
    assert space.decode(space.encode(architecture)) == architecture
    assert len(space.neighbours(architecture)) == 2 + 1 + 2 + 2


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "at least one choice; got none"),
        ({"a": []}, "Choice 'a' must have at least one option; got none"),
        ({"a": "relu"}, "Options of choice 'a' must be a list; got 'relu'"),
        ({"a": 3}, "must be a list; got 3"),
        ({"a": {"b": 1}}, "must be a list"),
        ({"a": [1, 1]}, r"Options of choice 'a' must differ; got \[1, 1\]"),
        ({"a": [(16, 32)]}, "must be a string, a number, .*Give it a name, and look the name up when building"),
        ({"a": [float("nan")]}, "finite"),
        ({1: [1]}, "names must be strings"),
        ([("a", [1])], "`choices` must be a mapping from names to lists, a ConfigSpace, or a function .* got a list"),
        (None, "got a NoneType"),
    ],
)
def test_impossible_choices(choices, message):
    with pytest.raises(ConfigError, match=message):
        from_choices(choices, nothing, **GIVEN)


def test_a_name_is_a_word():
    with pytest.raises(ConfigError, match="`name` of a space"):
        from_choices({"a": [1]}, nothing, **GIVEN, name=" ")


# ── builders ──


def test_a_builder_that_raises_is_reported_with_its_choices():
    def build(width, groups):
        return nn.Sequential(nn.Conv2d(4, width, 3, groups=groups))

    space = from_choices({"width": [4, 6], "groups": [1, 4]}, build, input_shape=(4, 8, 8), n_classes=2, name="mine")
    with pytest.raises(ArchitectureError) as caught:
        space.build(Architecture({"width": 6, "groups": 4}))
    assert str(caught.value).startswith(
        'Building {"groups":4,"width":6} of mine failed: ValueError: out_channels must be divisible by groups'
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert space.failure(Architecture({"width": 6, "groups": 4})) == str(caught.value)


def test_a_builder_that_returns_no_network():
    space = from_choices({"a": [1]}, lambda a: a, **GIVEN)
    with pytest.raises(ArchitectureError, match=r'Building {"a":1} of own must make a torch.nn.Module; it made a int'):
        space.build(space.at(0))


def test_lazy_layers_get_their_sizes():
    def build(kernel):
        return nn.Sequential(nn.Conv2d(1, 2, kernel), nn.Flatten(), nn.LazyLinear(10))

    space = from_choices({"kernel": [1, 3, 9]}, build, **GIVEN)
    assert [space.count_parameters(space.at(place)) for place in (0, 1)] == [4 + 128 * 10 + 10, 20 + 72 * 10 + 10]
    network = space.build_seeded(space.at(0))
    assert network.training
    assert torch.equal(network[2].weight, space.build_seeded(space.at(0))[2].weight)
    assert "its lazy layers cannot be sized from an input of shape (1, 8, 8)" in space.failure(space.at(2))


def test_networks_that_do_not_run_are_reported_not_fatal():
    def build(kernel, width):
        return nn.Sequential(nn.Conv2d(1, 2, kernel), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

    space = from_choices({"kernel": [3, 9], "width": [2, 3]}, build, **GIVEN, name="mine")
    reasons = [space.failure(architecture) for architecture in space]
    assert reasons[0] is None
    assert reasons[1].startswith(
        'The network of {"kernel":3,"width":3} in mine does not run on an input of shape (1, 8, 8)'
    )
    assert "Kernel size can't be greater than actual input size" in reasons[2]
    wrong = from_choices({"n": [10, 7]}, lambda n: nn.Sequential(nn.Flatten(), nn.Linear(64, n)), **GIVEN)
    assert wrong.failure(wrong.at(0)) is None
    assert wrong.failure(wrong.at(1)).endswith("must return shape (2, 10) for two samples; got (2, 7).")


def test_builders_that_read_values_work_too():
    def build(scale):
        layer = nn.Linear(64, 10)
        layer.factor = scale * float(layer.weight.abs().max().item())  # impossible on the meta device
        return nn.Sequential(nn.Flatten(), layer)

    space = from_choices({"scale": [1, 2]}, build, **GIVEN)
    state = torch.get_rng_state()
    assert space.count_parameters(space.at(0)) == 650
    assert space.failure(space.at(0)) is None
    assert torch.equal(torch.get_rng_state(), state)


def test_canonical_must_be_idempotent_and_a_member():
    restless = from_choices({"a": [0, 1]}, nothing, **GIVEN, canonical=lambda arch: {"a": 1 - arch["a"]})
    with pytest.raises(ConfigError, match="`canonical` of own must return a representative of itself"):
        restless.canonical(restless.at(0))
    stray = from_choices({"a": [0, 1]}, nothing, **GIVEN, canonical=lambda arch: {"a": 7})
    with pytest.raises(ArchitectureError, match="must be one of 0, 1; got 7"):
        stray.canonical(stray.at(0))


# ── ConfigSpace ──


def plain(value):
    return value.item() if isinstance(value, np.generic) else value


def test_conditions_and_forbidden_clauses_are_those_of_configspace():
    space = own.conditions()
    grid = generate_grid(own.configuration_space(), {"depth": 3})
    expected = {Architecture({name: plain(value) for name, value in dict(entry).items()}) for entry in grid}
    # depth 0: 3 widths; depth 1: 3 widths × (ReLU, or GELU × wide or not); depth 2: 2 widths of 3.
    assert set(space) == expected
    assert space.size == len(expected) == 3 + 3 * 3 + 2 * 3


def test_samples_are_legal_configurations():
    given = own.configuration_space()
    for architecture in own.conditions().sample(18, 1):
        ConfigSpace.Configuration(given, values=dict(architecture)).check_valid_configuration()


def test_inactive_choices_are_refused_and_coded_as_left_out():
    space = own.conditions()
    good = Architecture({"depth": 0, "width": 4, "task": "digits"})
    assert space.contains(good)
    code = dict(zip(space.choices, space.encode(good).tolist(), strict=True))
    assert code == {"depth": 0, "width": 0, "task": 0, "activation": -1, "wide": -1}
    with pytest.raises(ArchitectureError, match="A choice is missing, has no meaning beside the others, or the combin"):
        space.check(Architecture({**good, "activation": "ReLU"}))
    with pytest.raises(ArchitectureError, match="do not go together"):
        space.check(Architecture({"depth": 2, "width": 16, "task": "digits", "activation": "ReLU"}))
    with pytest.raises(ArchitectureError, match="do not go together"):
        space.check(good.replace(depth=1))
    with pytest.raises(ArchitectureError, match="Choice 'depth' of own_conditions must be one of 0, 1, 2; got True"):
        space.check(good.replace(depth=True))


def test_neighbours_bring_their_own_choices_at_the_first_option():
    space = own.conditions()
    found = space.neighbours(Architecture({"depth": 0, "width": 4, "task": "digits"}))
    assert {str(neighbour) for neighbour in found} == {
        str(Architecture({"depth": 0, "width": 8, "task": "digits"})),
        str(Architecture({"depth": 0, "width": 16, "task": "digits"})),
        str(Architecture({"depth": 1, "width": 4, "task": "digits", "activation": "ReLU"})),
        str(Architecture({"depth": 2, "width": 4, "task": "digits", "activation": "ReLU"})),
    }


@pytest.mark.parametrize("make", [own.conditions, own.trials])
def test_every_architecture_can_be_reached_by_neighbours(make):
    space = make()
    seen = {space.at(0)}
    ahead = [space.at(0)]
    while ahead:
        new = [found for found in space.neighbours(ahead.pop()) if found not in seen]
        seen.update(new)
        ahead += new
    assert len(seen) == space.size


def test_configspace_with_real_numbers():
    space = ConfigSpace.ConfigurationSpace({"rate": (0.1, 0.9)})
    with pytest.raises(ConfigError, match="Choice 'rate' must have a finite list of values"):
        from_choices(space, nothing, **GIVEN)


def test_a_plain_configspace_is_a_product():
    space = from_choices(ConfigSpace.ConfigurationSpace({"a": (1, 4), "b": ["x", "y"]}), nothing, **GIVEN)
    assert space.size == 8 == len(set(space))


def test_configspace_conditions_on_choices_that_are_left_out():
    space = ConfigSpace.ConfigurationSpace()
    a, b, c = (ConfigSpace.Categorical(name, [0, 1]) for name in "abc")
    space.add(c, b, a)
    space.add(ConfigSpace.EqualsCondition(b, a, 1), ConfigSpace.EqualsCondition(c, b, 1))
    found = from_choices(space, nothing, **GIVEN)
    assert {str(arch) for arch in found} == {'{"a":0}', '{"a":1,"b":0}', '{"a":1,"b":1,"c":0}', '{"a":1,"b":1,"c":1}'}


def test_configspace_that_forbids_everything():
    space = ConfigSpace.ConfigurationSpace({"a": ["x", "y"]})
    for option in ("y",):
        space.add(ConfigSpace.ForbiddenEqualsClause(space["a"], option))
    found = from_choices(space, nothing, **GIVEN)
    assert [str(arch) for arch in found] == ['{"a":"x"}']


def test_configspace_missing(monkeypatch):
    given = own.configuration_space()
    monkeypatch.setitem(sys.modules, "ConfigSpace.hyperparameters", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'robonas\[configspace\]'"):
        from_choices(given, nothing, **GIVEN)


# ── functions of an Optuna trial ──


def test_define_by_run_lists_what_the_function_can_ask():
    space = own.trials()
    # depth 0; depth 1: 2 widths × 2; depth 2: (4 − 1 pruned) × 2.
    assert space.size == 1 + 4 + 6
    assert set(space.choices) == {"depth", "width_0", "width_1", "activation"}
    architecture = Architecture({"depth": 2, "width_0": 4, "width_1": 8, "activation": "GELU"})
    assert space.contains(architecture)
    network = space.build(architecture)
    assert [type(layer).__name__ for layer in network] == ["Flatten", "Linear", "GELU", "Linear", "GELU", "Linear"]
    assert not space.contains(architecture.replace(width_0=8, width_1=4)), "pruned"


def test_a_study_of_optuna_draws_from_the_same_space():
    space = own.trials()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: 0.0 if own.ask(trial) else 1.0, n_trials=150)
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert {Architecture(trial.params) for trial in complete} == set(space)


def test_all_ways_to_suggest():
    def ask(trial):
        trial.suggest_int("step", 2, 9, step=3)
        trial.suggest_int("log", 1, 3, log=True)
        trial.suggest_float("rate", 0.1, 0.4, step=0.1)
        trial.suggest_categorical("kind", ("a", None, True, 2.5))
        trial.suggest_categorical("kind", ("a", None, True, 2.5))  # twice the same question is one
        trial.set_user_attr("seen", True)
        trial.report(0.5, 1)
        assert not trial.should_prune()
        assert list(trial.params) == ["step", "log", "rate", "kind"]

    space = from_choices(ask, nothing, **GIVEN)
    assert space.choices == {
        "step": (2, 5, 8),
        "log": (1, 2, 3),
        "rate": (0.1, 0.2, 0.3, 0.4),
        "kind": ("a", None, True, 2.5),
    }
    assert space.size == 3 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda trial: trial.suggest_float("rate", 0, 1), "Choice 'rate' must have a finite list .* give `step`"),
        (lambda trial: trial.suggest_int("n", 0, 10**9), "Choice 'n' has 1,000,000,001 values; list at most 10,000"),
        (lambda trial: trial.suggest_int("n", 3, 2), "got the range from 3 to 2"),
        (lambda trial: None, "at least one choice; got none"),
        (lambda trial: trial.suggest_int("n", 1, 2), "must return a mapping of what to build from, or None .* got 1"),
        (lambda trial: trial.suggest_categorical("n", [[1]]) and None, "Choice|Option of choice 'n' must be a string"),
        (
            lambda trial: [trial.suggest_int("b", 0, trial.suggest_int("a", 1, 2))].clear(),
            r"Choice 'b' must always have the same options; got \[0, 1, 2\] after \[0, 1\]. Give the two a name each",
        ),
    ],
)
def test_impossible_questions(ask, message):
    with pytest.raises(ConfigError, match=message):
        from_choices(ask, nothing, **GIVEN)


def test_everything_pruned():
    def ask(trial):
        trial.suggest_int("n", 0, 1)
        raise optuna.TrialPruned

    with pytest.raises(ConfigError, match="No options go together"):
        from_choices(ask, nothing, **GIVEN)


def test_a_fault_of_the_users_function_is_not_hidden():
    def ask(trial):
        return {"x": 1 // (trial.suggest_int("n", 0, 1) - 1)}

    with pytest.raises(ZeroDivisionError):
        from_choices(ask, nothing, **GIVEN)


def test_large_conditional_spaces():
    space = own.many()
    assert space.size is None
    assert space.choices["width_11"] == (4, 8, 16, 32), "choices of deep branches are found"
    depths = [architecture["depth"] for architecture in space.sample(300, seed=0)]
    assert set(depths) == set(range(1, 13))
    with pytest.raises(ConfigError, match="which has an unknown number"):
        space.sample(-1)
    for architecture in space.sample(20, seed=1):
        assert space.failure(architecture) is None


def test_sampling_more_than_there_are_stops():
    class Unknown(SearchSpace):
        name = "unknown"
        choices = {"a": (1, 2, 3)}  # noqa: RUF012

        def build(self, architecture):
            return nn.Identity()

        @property
        def size(self):
            return None

    with pytest.raises(ConfigError, match="10,000 draws after 3 brought no new one. Ask for fewer"):  # noqa: RUF043
        Unknown(input_shape=(1,), n_classes=1).sample(4)


def test_uniform_over_architectures_not_over_branches():
    space = own.trials()
    counts = {}
    generator = np.random.default_rng(0)
    for _ in range(1100):
        architecture = space.draw(generator)
        counts[architecture] = counts.get(architecture, 0) + 1
    assert len(counts) == 11
    assert all(60 < count < 145 for count in counts.values())


def ask_in_vain(trial):
    """Large, and nearly everything is pruned, but only at the end."""
    digits = [trial.suggest_int(f"digit_{place}", 0, 9) for place in range(8)]
    if digits[:5] != [7] * 5:
        raise optuna.TrialPruned


def test_draws_that_never_fit_stop():
    space = from_choices(ask_in_vain, nothing, **GIVEN)
    assert space.size is None
    assert space.contains(Architecture({f"digit_{place}": 7 for place in range(8)}))
    with pytest.raises(ConfigError, match="A thousand random draws in a row"):
        space.sample(1)


def test_large_configspace_with_forbidden_clauses():
    given = ConfigSpace.ConfigurationSpace({f"digit_{place}": (0, 9) for place in range(6)})
    given.add(
        ConfigSpace.ForbiddenAndConjunction(
            ConfigSpace.ForbiddenEqualsClause(given["digit_0"], 1),
            ConfigSpace.ForbiddenEqualsClause(given["digit_1"], 1),
        )
    )
    space = from_choices(given, nothing, **GIVEN)
    assert space.size is None
    sample = space.sample(500, seed=0)
    assert len(set(sample)) == 500
    assert not any(arch["digit_0"] == arch["digit_1"] == 1 for arch in sample)
    assert next(iter(space)) == Architecture({f"digit_{place}": 0 for place in range(6)})


# ── by reference ──


def test_own_spaces_by_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_space.py").write_text(
        "from torch import nn\n"
        "from robonas.spaces import from_choices\n"
        "def make(n_classes=10, input_shape=(1, 8, 8)):\n"
        "    return from_choices({'a': [1, 2]}, lambda a: nn.Flatten(), input_shape=input_shape, n_classes=n_classes)\n"
        "SPACE = make()\n"
        "NOTHING = 3\n"
        "def nothing(): return 3\n"
        "def demanding(must): return make()\n"
        "def broken(): raise TypeError('inside')\n"
        "def anything(**given): return make(**given)\n"
    )
    space = make_space("my_space:SPACE")
    assert space.reference == "my_space:SPACE"
    assert make_space("my_space:SPACE", **space.settings) is space
    assert make_space("my_space:make", n_classes=3).n_classes == 3
    made = make_space("my_space:make", n_classes=3)
    assert make_space("my_space:make", **made.settings).settings == made.settings
    with pytest.raises(
        ConfigError, match=r"has n_classes=10, and 3 was asked for\. Let 'SPACE' be a function that takes"
    ):
        make_space("my_space:SPACE", n_classes=3)
    with pytest.raises(
        ConfigError, match="'my_space:SPACE' has no setting 'depth'; it has input_shape, n_classes, choi"
    ):
        make_space("my_space:SPACE", depth=3)
    with pytest.raises(ConfigError, match=r"has input_shape=\[1, 8, 8\], and \[3, 8, 8\] was asked for"):
        make_space("my_space:SPACE", input_shape=(3, 8, 8))
    with pytest.raises(ConfigError, match=r"has choices={'a': \[1, 2\]}, and {'a': \[1\]} was asked for"):
        make_space("my_space:make", choices={"a": [1]})
    with pytest.raises(ConfigError, match="must be a SearchSpace or make one; got a int"):
        make_space("my_space:NOTHING")
    with pytest.raises(ConfigError, match="it made a int"):
        make_space("my_space:nothing")
    with pytest.raises(ConfigError, match="has no setting 'depth'"):
        make_space("my_space:make", depth=3)
    with pytest.raises(ConfigError, match=r"does not take these settings: .*positional argument"):
        make_space("my_space:demanding")
    with pytest.raises(TypeError, match="inside"):
        make_space("my_space:broken")
    assert make_space("my_space:anything", n_classes=4).n_classes == 4


def of_a_trial(trial):
    return None if trial.suggest_categorical("a", [1, 2]) == 1 else {"b": trial.suggest_int("b", 1, 3)}


@pytest.mark.parametrize("kind", ["lists", "configspace", "trial"])
def test_spaces_can_be_pickled(kind):
    choices = {
        "lists": {"a": [1, 2], "b": [3, 4]},
        "configspace": ConfigSpace.ConfigurationSpace({"a": [1, 2], "b": (1, 3)}),
        "trial": of_a_trial,
    }[kind]
    space = from_choices(choices, nothing, **GIVEN)
    again = pickle.loads(pickle.dumps(space))
    assert list(again) == list(space)
    assert [again.format(arch) for arch in again.sample(3, seed=1)] == [
        space.format(a) for a in space.sample(3, seed=1)
    ]
