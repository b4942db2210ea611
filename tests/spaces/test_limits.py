"""Bounds on what a device can bear, and what a space has to offer."""

import math

import pytest
import torch
from torch import nn

from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import Limits, NASBench201, from_choices, profile
from robonas.spaces.limits import MEASURES, count_macs, count_memory, measure_latency
from tests.spaces import own
from tests.tables import table


def convs(kernels=(1, 3), build=None):
    def one(kernel):
        return nn.Sequential(
            nn.Conv2d(3, 8, kernel, padding=kernel // 2, bias=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )

    return from_choices({"kernel": list(kernels)}, build or one, input_shape=(3, 8, 8), n_classes=10, name="convs")


def conv_only(kernel):
    return nn.Sequential(nn.Conv2d(3, 10, kernel), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_macs_by_hand():
    space = convs()
    # 8 × 8 places × 3·8·k² products each, and the classifier's 80.
    assert [count_macs(space, arch) for arch in space] == [64 * 24 + 80, 64 * 24 * 9 + 80]


def test_macs_are_the_published_ones_of_nasbench201():
    # The table counts the batch norms and pools too, so ours are a little below, by the same share of the places.
    space = NASBench201()
    published = table("nb201-cifar10").set_index("index")["flops"] * 1e6
    for index in (0, 1, 2, 100, 9000):
        assert count_macs(space, space.at(index)) == pytest.approx(published[index], rel=0.25)
        assert count_macs(space, space.at(index)) <= published[index]


def test_attention_counts():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(4, 4, bias=False)

        def forward(self, x):
            x = self.project(x)
            return nn.functional.scaled_dot_product_attention(x, x, x).mean(1)

    space = from_choices({"a": [1]}, lambda a: Attention(), input_shape=(6, 4), n_classes=4)
    assert count_macs(space, space.at(0)) == 6 * 4 * 4 + 2 * 6 * 6 * 4


def test_memory_by_hand():
    space = from_choices(
        {"a": [1]}, lambda a: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), input_shape=(4,), n_classes=2
    )
    parameters = 4 * 8 + 8 + 8 * 2 + 2
    # Kept: the input (for the first layer's gradient) and the ReLU's result (for its own and the second layer's).
    assert count_memory(space, space.at(0), batch_size=5) == 4 * (2 * parameters + 5 * 4 + 5 * 8)


def test_memory_grows_with_the_batch():
    space = convs()
    one, two, three = (count_memory(space, space.at(0), batch_size=n) for n in (1, 2, 3))
    assert three - two == two - one > 0


def test_latency_is_positive_and_more_work_takes_longer():
    space = from_choices(
        {"n": [1, 400]},
        lambda n: nn.Sequential(nn.Flatten(), *[nn.Linear(64, 64) for _ in range(n)], nn.Linear(64, 10)),
        input_shape=(1, 8, 8),
        n_classes=10,
    )
    fast, slow = (measure_latency(space, arch, repeats=5) for arch in space)
    assert 0 < fast < slow


def test_bounds_are_included():
    space = own.lists()
    smallest = min(space.count_parameters(arch) for arch in space)
    kept = Limits(max_params=smallest).filter(space, space)
    assert {space.count_parameters(arch) for arch in kept} == {smallest}
    assert len(kept) == 3, "isomorphic ones all pass"


def test_violations_are_sentences():
    space = convs()
    assert Limits().violation(space, space.at(1)) is None
    assert Limits(max_params=306).violation(space, space.at(1)) is None
    assert Limits(max_params=305).violation(space, space.at(1)) == "It has 306 parameters; the limit is 305 parameters."
    assert "multiply–accumulates; the limit is 1,000 mult" in Limits(max_macs=1000).violation(space, space.at(1))
    assert "bytes of memory; the limit is 10 bytes" in Limits(max_memory=10).violation(space, space.at(1))
    assert "ms of latency; the limit is 1e-06 ms" in Limits(max_latency_ms=1e-6, repeats=1).violation(
        space, space.at(1)
    )


def test_nothing_satisfies():
    space = convs()
    with pytest.raises(ConfigError) as caught:
        Limits(max_params=1).filter(space, space)
    assert str(caught.value) == (
        "0 of 2 satisfy the limits: the limit is 1 parameters, the smallest is 114 parameters. "
        "Loosen them, or take smaller networks."
    )
    with pytest.raises(
        ConfigError, match="0 of 18 satisfy the limits: the limit is 1 multiply–accumulates, the smallest"
    ):
        Limits(max_params=10**6, max_macs=1).filter(own.lists(), own.lists())


def test_bounds_that_only_together_admit_nothing():
    def build(shape):
        if shape == "deep":
            return nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(64, 10))
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 200), nn.Linear(200, 10))

    space = from_choices({"shape": ["deep", "wide"]}, build, input_shape=(3, 8, 8), n_classes=10)
    deep, wide = ((space.count_parameters(arch), count_macs(space, arch)) for arch in space)
    assert deep[0] < wide[0]
    limits = Limits(max_params=(deep[0] + wide[0]) // 2, max_macs=deep[1] - 1)
    with pytest.raises(ConfigError) as caught:
        limits.filter(space, space)
    macs = "multiply–accumulates"
    assert str(caught.value) == (
        f"0 of 2 satisfy the limits: 1 break the limit of {limits.max_params:,} parameters, from {wide[0]:,} "
        f"parameters up; 1 more break the limit of {limits.max_macs:,} {macs}, from {deep[1]:,} {macs} up. "
        "Loosen them, or take smaller networks."
    )


def test_no_candidate_runs():
    space = convs((9,), conv_only)
    with pytest.raises(ConfigError, match=r"0 of 1 satisfy the limits: none makes a network that runs: .*Kernel size"):
        Limits(max_macs=1e9).filter(space, space)


def test_no_candidates_is_no_error():
    assert Limits(max_params=1).filter(convs(), []) == []


def test_networks_that_do_not_run_are_not_allowed():
    space = convs((3, 9), conv_only)
    verdicts = Limits(max_macs=1e9).judge(space, space)
    assert next(iter(verdicts.values())) is None
    assert "does not run on an input of shape (3, 8, 8): RuntimeError" in list(verdicts.values())[1]
    for measure in (count_macs, count_memory, measure_latency):
        with pytest.raises(ArchitectureError, match="does not run on an input"):
            measure(space, space.at(1))


def test_networks_that_read_values_are_counted_on_the_cpu():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x) if float(x.sum()) == 0 else x

    space = from_choices({"a": [1]}, lambda a: Reader(), input_shape=(4,), n_classes=2)
    assert count_macs(space, space.at(0)) == 8


def test_nothing_of_the_callers_changes():
    state = torch.get_rng_state()
    space = convs()
    Limits(max_params=10**9, max_macs=1e12, max_memory=1e12, max_latency_ms=1e6, repeats=1).filter(space, space)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["max_params", "max_macs", "max_latency_ms", "max_memory", "batch_size", "repeats"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_impossible_bounds(name, value):
    with pytest.raises(ConfigError, match=f"`{name}` must be positive; got"):
        Limits(**{name: value})


def test_profile():
    space = own.lists()
    found = profile(space, 100, seed=0)
    assert len(found.frame) == 18
    counts = [space.count_parameters(arch) for arch in space]
    assert found.range("params") == (min(counts), max(counts))
    assert list(found.frame) == ["params", "macs", "memory"]
    assert found.share(Limits(max_params=max(counts))) == 1
    assert found.share(Limits(max_params=min(counts), max_macs=1e9)) == pytest.approx(3 / 18)
    assert found.share(Limits(max_params=1)) == 0
    text = str(found)
    assert text.startswith("18 of 18 architectures of own_lists")
    assert "params" in text
    assert f"{min(counts):,}" in text
    assert profile(space, 5, seed=1).frame.equals(profile(space, 5, seed=1).frame)
    assert len(profile(space, 5, seed=1).frame) == 5


def test_profile_of_what_fails():
    space = convs((3, 9), conv_only)
    found = profile(space)
    assert len(found.frame) == 1
    assert list(found.failures) == ['{"kernel":9}']
    assert found.share(Limits(max_params=10**6)) == 0.5
    assert "no network: " in str(found)
    with pytest.raises(ConfigError, match=r"None of 1 architectures of convs makes a network that runs: .*Kernel size"):
        profile(convs((9,), conv_only))


def test_profile_measures():
    space = convs()
    assert list(profile(space, measures=MEASURES, limits=Limits(repeats=1, warm_up=1)).frame) == list(MEASURES)
    with pytest.raises(ConfigError, match="one of params, macs, memory, latency_ms; got 'speed'"):
        profile(space, measures=["speed"])
    with pytest.raises(ConfigError, match="This profile has params, macs, memory; got 'latency_ms'"):
        profile(space).share(Limits(max_latency_ms=1))
