"""What every search space must obey; a new entry of `SPACES` is found here by itself."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from robonas.architecture import Architecture
from robonas.common.randomness import seeded
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import SPACES, make_space
from robonas.study.growth import breed
from tests.spaces.own import OWN

SMALL: dict[str, dict[str, object]] = {
    "autoformer": {"input_shape": (3, 8, 8)},
    "mobilenetv3": {"input_shape": (3, 32, 32), "width": 0.5},
    "darts": {"input_shape": (3, 8, 8), "channels": 4, "layers": 3},
    "nasbench101": {"input_shape": (3, 8, 8), "channels": 8, "depth": 1},
    "nasbench201": {"input_shape": (3, 8, 8), "channels": 4, "depth": 1},
    "nasbenchmacro": {"input_shape": (3, 8, 8)},
    "nats_size": {"input_shape": (3, 8, 8)},
    "transnas_macro": {"input_shape": (3, 32, 32), "channels": 4},
    "transnas_micro": {"input_shape": (3, 32, 32), "channels": 4},
}
"""Settings that make networks small enough for tests; a space that is not here runs with its defaults."""
LISTED = 20_000
"""Up to this size, whole spaces are walked."""

catalogued = pytest.mark.parametrize("name", sorted(SPACES))
every_space = pytest.mark.parametrize("name", [*sorted(SPACES), *sorted(OWN)])
seeds = st.integers(0, 2**32)
few = settings(max_examples=20, deadline=None, derandomize=True)
fewer = settings(max_examples=4, deadline=None, derandomize=True)


@functools.cache
def space_of(name):
    return OWN[name]() if name in OWN else make_space(name, **SMALL.get(name, {}))


def drawn(space, seed):
    """One architecture of the space."""
    return space.draw(np.random.default_rng(seed))


def size_of(network):
    return sum(parameter.numel() for parameter in network.parameters())


@catalogued
def test_card(name):
    space = make_space(name)
    assert space.name == name
    assert SPACES[name].__doc__, "a space has a card"
    assert space.choices, "a space has choices"
    assert all(len(options) > 0 for options in space.choices.values())
    source = sys.modules[SPACES[name].__module__].__doc__ or ""
    assert "Source" in source or "Ours" in source, "a card names its source"


@catalogued
def test_settings_make_the_same_space_again(name):
    space = space_of(name)
    plain = json.loads(json.dumps(space.settings))
    again = make_space(name, **plain)
    assert repr(again) == repr(space)
    assert again.settings == space.settings
    assert again.choices == space.choices
    assert again.sample(3, 5) == space.sample(3, 5)


@every_space
@few
@given(seeds)
def test_round_trips(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    assert space.contains(architecture)
    assert space.check(architecture) == architecture
    assert list(space.check(architecture)) == [choice for choice in space.choices if choice in architecture]
    assert space.parse(space.format(architecture)) == architecture
    assert "\n" not in space.format(architecture)
    code = space.encode(architecture)
    assert code.shape == (len(space.choices),)
    assert code.dtype == np.int64
    assert space.decode(code) == architecture
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert space.contains(Architecture(dict(reversed(list(architecture.items())))))


@every_space
@few
@given(seeds)
def test_neighbours_are_different_symmetric_and_in_the_space(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    neighbours = space.neighbours(architecture)
    assert architecture not in neighbours
    assert len(set(neighbours)) == len(neighbours)
    assert all(space.contains(neighbour) for neighbour in neighbours)
    order = np.random.default_rng(seed).permutation(len(neighbours))
    picked = [neighbours[place] for place in order[:5]]
    assert all(architecture in space.neighbours(neighbour) for neighbour in picked)
    assert neighbours == space.neighbours(architecture)


@every_space
@few
@given(seeds)
def test_canonical_is_idempotent_and_a_member(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    canonical = space.canonical(architecture)
    assert space.contains(canonical)
    assert space.canonical(canonical) == canonical


@every_space
@fewer
@given(seeds)
def test_canonical_keeps_the_parameters(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    canonical = space.canonical(architecture)
    count = space.count_parameters(architecture)
    assert count == space.count_parameters(canonical)
    with torch.device("meta"):
        assert count == size_of(space.build(architecture)) == size_of(space.build(canonical))


@every_space
@fewer
@given(seeds)
def test_canonical_keeps_the_outputs(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    x = torch.randn(2, *space.input_shape_of(architecture), generator=torch.Generator().manual_seed(seed))
    answers = []
    for variant in (architecture, space.canonical(architecture)):
        with seeded("law", seed):
            network = space.build(variant)
        with torch.no_grad():
            answers.append(network.eval()(x))
    assert torch.equal(*answers)


@every_space
def test_what_is_merged_is_the_same_network(name):
    space = space_of(name)
    size = space.size
    members = [space.draw(np.random.default_rng(seed)) for seed in range(400)] if size is None else []
    members = members or space.sample(min(size, 400), seed=1)
    merged = [architecture for architecture in members if space.canonical(architecture) != architecture][:4]
    if not merged:
        pytest.skip("no two of its architectures build the same network, or they are rare")
    for architecture in merged:
        x = torch.randn(2, *space.input_shape_of(architecture), generator=torch.Generator().manual_seed(0))
        answers = []
        for variant in (architecture, space.canonical(architecture)):
            with seeded("law"):
                network = space.build(variant)
            with torch.no_grad():
                answers.append(network.eval()(x))
        assert torch.equal(*answers)
        assert space.count_parameters(architecture) == space.count_parameters(space.canonical(architecture))
        assert space.format(architecture) != space.format(space.canonical(architecture))


@every_space
@fewer
@given(seeds)
def test_networks_run_forward_and_backward(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    network = space.build_seeded(architecture, seed)
    x = torch.randn(3, *space.input_shape_of(architecture), generator=torch.Generator().manual_seed(seed))
    logits = network(x)
    assert logits.shape == (3, *space.output_shape)
    assert torch.isfinite(logits).all()
    logits.square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients, "something learns"
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)


@every_space
def test_networks_depend_on_the_seed_only(name):
    space = space_of(name)
    architecture = space.sample(1, 3)[0]
    state = torch.get_rng_state()
    first = space.build_seeded(architecture, "a").state_dict()
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left as it was"
    torch.rand(3)
    again = space.build_seeded(architecture, "a").state_dict()
    other = space.build_seeded(architecture, "b").state_dict()
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@catalogued
def test_class_number_and_channels_can_be_chosen(name):
    small = space_of(name)
    if len(small.output_shape) != 1:
        pytest.skip("its task fixes the output")
    given_settings = {**SMALL.get(name, {}), "n_classes": 4}
    if len(small.input_shape) == 3:
        given_settings["input_shape"] = [1, *small.input_shape[1:]]
    space = make_space(name, **given_settings)
    network = space.build_seeded(space.sample(1)[0])
    assert network(torch.randn(2, *space.input_shape)).shape == (2, 4)


@every_space
def test_samples(name):
    space = space_of(name)
    size = space.size
    n = 200 if size is None else min(size, 200)
    sample = space.sample(n, seed=11)
    assert len(sample) == len(set(sample)) == n
    assert all(space.contains(architecture) for architecture in sample)
    assert sample == space.sample(n, seed=11)
    if size is None or size > 1:
        assert sample != space.sample(n, seed=12)
    assert space.sample(0) == []
    with pytest.raises(ConfigError, match="Cannot sample -1 different architectures"):
        space.sample(-1)
    if size is not None:
        with pytest.raises(
            ConfigError, match=f"Cannot sample {size + 1:,} different architectures from {name}, which has"
        ):
            space.sample(size + 1)


@every_space
def test_samples_leave_the_global_generators_alone(name):
    before = np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002
    space_of(name).sample(3, seed=1)
    assert (np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()) == before  # noqa: NPY002


@pytest.mark.skipif(not SPACES, reason="no space")
def test_samples_are_the_same_in_another_process():
    code = (
        "import json, sys; from robonas.spaces import make_space;"
        "print(json.dumps({name: [space.format(a) for a in space.sample(5, 3)]"
        " for name, given in json.loads(sys.argv[1]).items() for space in [make_space(name, **given)]}))"
    )
    given_settings = {name: SMALL.get(name, {}) for name in SPACES}
    done = subprocess.run([sys.executable, "-c", code, json.dumps(given_settings)], capture_output=True, check=True)
    found = json.loads(done.stdout)
    for name in SPACES:
        space = space_of(name)
        assert found[name] == [space.format(architecture) for architecture in space.sample(5, 3)]


@every_space
def test_size_and_order(name):
    space = space_of(name)
    size = space.size
    if size is None:
        with pytest.raises(IndexError, match="cannot be numbered"):
            space.at(0)
        return
    for index in (-1, size):
        with pytest.raises(IndexError, match=r"Index must be from 0 to [\d,]+ \(exclusive\)"):
            space.at(index)
    some = sorted({0, size - 1, *(int(index) for index in np.random.default_rng(0).integers(0, min(size, 2**62), 20))})
    members = [space.at(index) for index in some]
    assert len(set(members)) == len(some)
    assert all(space.contains(member) for member in members)
    assert list(itertools.islice(space, 5)) == [space.at(index) for index in range(min(5, size))]
    if size <= LISTED:
        listed = list(space)
        assert len(listed) == len(set(listed)) == size
        assert [listed[index] for index in some] == members
        texts = {space.format(architecture) for architecture in listed}
        assert len(texts) == size, "different architectures have different texts"


@every_space
def test_architectures_are_walked_lazily(name):
    assert len(list(itertools.islice(iter(space_of(name)), 3))) == min(3, space_of(name).size or 3)


@every_space
@pytest.mark.parametrize("text", ["", "nonsense", "{}", "[]", "null", '{"no such choice": 1}', "|", "0", "-1", "💥"])
def test_foreign_texts_get_a_clear_sentence(name, text):
    space = space_of(name)
    with pytest.raises(ArchitectureError, match=r"\w{3,}.* .*"):
        space.parse(text)


@every_space
def test_foreign_architectures_get_a_clear_sentence(name):
    space = space_of(name)
    good = space.sample(1)[0]
    first = next(iter(good))
    for bad in (
        Architecture({}),
        Architecture({**good, "no such choice": 1}),
        good.replace(**{first: "no such option"}),
        Architecture({"no such choice": 1}),
    ):
        assert not space.contains(bad)
        for method in (space.check, space.build, space.format, space.canonical, space.encode, space.neighbours):
            with pytest.raises(ArchitectureError, match=name):
                method(bad)


@every_space
def test_foreign_codes_get_a_clear_sentence(name):
    space = space_of(name)
    code = space.encode(space.sample(1)[0])
    for bad in (code[:-1], [*code, 0], np.where(np.arange(len(code)) == 0, 10_000, code), code * 0 - 2):
        with pytest.raises(ArchitectureError, match=name):
            space.decode(bad)


@every_space
@fewer
@given(seeds)
def test_children_of_a_growing_pool_are_new_canonical_and_of_the_space(name, seed):
    space = space_of(name)
    generator = np.random.default_rng(seed)
    size = space.size
    sample = [space.canonical(drawn(space, int(generator.integers(2**32)))) for _ in range(6)]
    pool = list(dict.fromkeys(map(space.format, sample)))
    for generation in range(3):
        worth = generator.normal(size=len(pool))
        worth[generator.random(len(pool)) < 0.2] = np.nan
        children = breed(space, pool, worth, 5, seed=seed, generation=generation)
        assert children == breed(space, pool, worth, 5, seed=seed, generation=generation)
        assert len(children) == 5 or np.isnan(worth).all() or (size is not None and size < 1_000)
        pool += children
    assert len(set(pool)) == len(pool)
    for text in pool:
        architecture = space.parse(text)
        assert space.contains(architecture)
        assert space.canonical(architecture) == architecture
