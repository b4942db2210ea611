"""What every space's scoring classes must obey, and which metrics are the same for all members of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from robonas.costs.measuring import count_macs
from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, score_network
from robonas.metrics.passes.redraw import redrawn
from robonas.spaces import DARTS, NASBench201, SearchSpace, TransNASMicro
from tests.laws.test_space_laws import drawn, every_space, few, fewer, space_of
from tests.spaces.isomorphic import mapping_of_networks

seeds = st.integers(0, 2**32)
MERGED = {
    "nasbench201": lambda: NASBench201(input_shape=(3, 8, 8), n_classes=3, channels=2, depth=1),
    "transnas_micro": lambda: TransNASMicro(input_shape=(3, 32, 32), n_classes=3, channels=2),
}
"""Spaces in which most canonical forms share their scoring class with others, with networks for tests."""
START = "[('skip_connect', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), ('dil_conv_3x3', 2), "
PAIR = (
    START + "('max_pool_3x3', 0), ('sep_conv_3x3', 2), ('skip_connect', 0), ('skip_connect', 1)]",
    START + "('skip_connect', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('sep_conv_3x3', 4)]",
)
"""Normal cells of DARTS in which two nodes are the same sum of the inputs: which one is read makes no difference."""
REDUCTION = (
    "[('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), "
    "('skip_connect', 3), ('avg_pool_3x3', 0), ('dil_conv_5x5', 4)]"
)


def pair_of_darts(space):
    return [
        space.parse(
            f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={REDUCTION}, reduce_concat=range(2, 6))"
        )
        for cell in PAIR
    ]


def member_that_is_merged(space, seed):
    """A canonical form that is not the one that stands for its class."""
    generator = np.random.default_rng(seed)
    while True:
        architecture = space.canonical(space.draw(generator))
        if space.scoring_class(architecture) != architecture:
            return architecture


def networks(space, one, other):
    """The networks of two members, of float64, and the mapping of the parameters that makes them equal."""
    first, second = space.build_seeded(one, 0).double(), space.build_seeded(other, 1).double()
    return first, second, mapping_of_networks(first, second)


def check_outputs(space, one, other):
    first, second, _ = networks(space, one, other)
    x = torch.randn(4, *space.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for network in (first, second):
        network.train()
    with torch.no_grad():
        torch.testing.assert_close(second(x), first(x), rtol=1e-9, atol=1e-9)


@every_space
@few
@given(seeds)
def test_it_is_one_canonical_form_for_all_members(name, seed):
    space = space_of(name)
    architecture = drawn(space, seed)
    found = space.scoring_class(architecture)
    assert space.contains(found)
    assert space.canonical(found) == found
    assert space.scoring_class(found) == found
    assert space.scoring_class(space.canonical(architecture)) == found


@pytest.mark.parametrize("name", sorted(MERGED))
@fewer
@given(seeds)
def test_members_have_the_same_size_and_work(name, seed):
    space = MERGED[name]()
    architecture = member_that_is_merged(space, seed)
    found = space.scoring_class(architecture)
    assert space.count_parameters(found) == space.count_parameters(architecture)
    assert count_macs(space, found) == count_macs(space, architecture)


@pytest.mark.parametrize("name", sorted(MERGED))
@fewer
@given(seeds)
def test_members_are_equal_under_a_mapping_of_their_parameters(name, seed):
    space = MERGED[name]()
    architecture = member_that_is_merged(space, seed)
    check_outputs(space, architecture, space.scoring_class(architecture))


def test_cells_of_darts_are_equal_under_a_mapping_of_their_parameters():
    space = DARTS(input_shape=(3, 16, 16), n_classes=3, channels=2, layers=4)
    one, other = pair_of_darts(space)
    assert space.canonical(one) != space.canonical(other)
    assert space.scoring_class(one) == space.scoring_class(other)
    assert space.count_parameters(one) == space.count_parameters(other)
    assert count_macs(space, one) == count_macs(space, other)
    check_outputs(space, space.canonical(one), space.canonical(other))


def test_no_mapping_makes_members_of_two_classes_equal():
    # The check above must be able to fail: two convolutions of the input, and one that is added twice.
    space = MERGED["nasbench201"]()
    two = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|")
    twice = space.parse("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
    assert space.scoring_class(two) != space.scoring_class(twice)
    with pytest.raises(AssertionError, match="no mapping"):
        check_outputs(space, two, twice)


def test_a_space_that_builds_other_networks_has_no_larger_classes():
    class Own(NASBench201):
        """Cells of someone who changed what a skip is."""

        def build(self, architecture):
            return super().build(architecture)

    own, space = Own(), NASBench201()
    merged = member_that_is_merged(space, 0)
    assert own.scoring_class(merged) == merged != space.scoring_class(merged)
    dead = merged.replace(edge_0_1="none", edge_0_2="none", edge_0_3="none")
    assert own.scoring_class(dead) == own.canonical(dead) != dead


@every_space
def test_spaces_without_classes_of_their_own_have_their_canonical_forms(name):
    space = space_of(name)
    if type(space).scoring_class is SearchSpace.scoring_class:
        architecture = space.sample(1)[0]
        assert space.scoring_class(architecture) == space.canonical(architecture)
    else:
        assert name in {*MERGED, "darts"}


def test_only_measurements_and_what_counts_layers_are_scored_for_each_canonical_form():
    assert {name for name, metric in METRICS.items() if not metric.by_class} == {"latency", "peak_memory", "vkdnw"}


def carry_draws(monkeypatch):
    """Let metrics that draw parameters draw for the second network what the mapping says; returns the mapping."""
    known, mapping = {}, []

    def draw(passes, law, purpose):
        tensors = redrawn(passes, law, purpose)
        if mapping:
            return {name: tensor for name, tensor in mapping[0].carried(known[purpose]).items() if name in tensors}
        known[purpose] = {name: tensor.clone() for name, tensor in tensors.items()}
        return tensors

    for module in ("az_nas", "zen", "vkdnw"):
        monkeypatch.setattr(f"robonas.metrics.{module}.redrawn", draw)
    return mapping


def scores_of_both(space, one, other, monkeypatch, names):
    first, second, found = networks(space, one, other)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(12, *space.input_shape, dtype=torch.float64, generator=generator)
    batch = Batch(inputs, torch.arange(12) % 3, n_classes=3)
    mapping = carry_draws(monkeypatch)
    scores = [score_network(first, batch, names)]
    mapping.append(found)
    scores.append(score_network(second, batch, names))
    return [{name: score.value for name, score in entry.items()} for entry in scores]


def test_members_have_the_same_scores_by_every_metric_that_says_so(monkeypatch):
    space = NASBench201(input_shape=(3, 16, 16), n_classes=3, channels=2, depth=1)
    names = [name for name, metric in METRICS.items() if metric.by_class]
    for seed in range(2):
        architecture = member_that_is_merged(space, seed)
        one, other = scores_of_both(space, architecture, space.scoring_class(architecture), monkeypatch, names)
        assert not any(np.isnan(value) for value in one.values())
        assert other == pytest.approx(one, rel=1e-9)


def test_members_have_the_same_scores_where_channels_are_in_another_order(monkeypatch):
    space = DARTS(input_shape=(3, 16, 16), n_classes=3, channels=2, layers=4)
    one, other = map(space.canonical, pair_of_darts(space))
    # Gradients of a sample alone that are zero up to rounding have any sign, and random signs are drawn by place.
    names = [
        name for name, metric in METRICS.items() if metric.by_class and name not in {"gradsign", "az_trainability"}
    ]
    first, second = scores_of_both(space, one, other, monkeypatch, names)
    assert not any(np.isnan(value) for value in first.values())
    assert second == pytest.approx(first, rel=1e-9)


def test_measured_memory_is_not_that_of_the_class():
    # The sums of these cells are equal, and made in another order: why `peak_memory` is scored for each.
    space = NASBench201(input_shape=(3, 16, 16), n_classes=3, channels=2, depth=1)
    batch = Batch(torch.randn(4, 3, 16, 16), torch.arange(4) % 3, n_classes=3)
    found = []
    for seed in range(12):
        member = member_that_is_merged(space, seed)
        pair = (member, space.scoring_class(member))
        values = [score_network(space.build_seeded(one), batch, ["peak_memory"])["peak_memory"].value for one in pair]
        found.append(values[0] == values[1])
    assert not all(found)
