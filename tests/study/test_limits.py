"""Bounds on what a device can bear, and what a space has to offer."""

import math
import os
import signal

import pytest
import torch
from torch import nn

from robonas.costs.measuring import COSTS, count_macs, count_memory, measure_latency
from robonas.datasets.batch import Batch
from robonas.errors import ArchitectureError, ConfigError, UnknownNameError
from robonas.scores.scoring import Scorer, score
from robonas.spaces import NASBench201, from_choices, make_space
from robonas.study.limits import Limits
from robonas.study.pool import Candidates
from robonas.study.profiling import profile
from tests.published import table
from tests.spaces import own


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
    judgement = Limits(max_macs=1e9).judge(space, space)
    assert judgement.left_out == {"no network that runs": 1}
    verdicts = judgement.reasons
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
            return self.linear(x) if float(x.sum()) >= 0 else x

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


def test_profile_of_no_quantity_has_no_lines():
    assert len(str(profile(own.lists(), 3, quantities=[])).splitlines()) == 2


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
    assert list(profile(space, quantities=COSTS, limits=Limits(repeats=1, warm_up=1)).frame) == list(COSTS)
    with pytest.raises(ConfigError, match="one of params, macs, memory, latency_ms; got 'speed'"):
        Limits().cost(space, space.at(0), "speed")
    with pytest.raises(UnknownNameError, match="Unknown metric 'speed'"):
        profile(space, quantities=["speed"])
    with pytest.raises(ConfigError, match="This profile has params, macs, memory; got 'latency_ms'"):
        profile(space).share(Limits(max_latency_ms=1))


# ── metrics ──


def shaped(widths=(4, 8, 16), dead=()):
    """Networks of one hidden layer; some answer without looking."""

    def build(width):
        layers = [nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 3)]
        return nn.Sequential(*layers, Silence() if width in dead else nn.Identity())

    return from_choices({"width": list(widths)}, build, input_shape=(1, 4, 4), n_classes=3, name="shaped")


class Silence(nn.Module):
    """Zero, whatever comes."""

    def forward(self, x):
        return 0 * x.detach()


BATCH = Batch(torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3, 3)


def weight_sum(passes):
    """Of the absolute weights."""
    return sum(float(weight.abs().sum()) for weight in passes.weights.values())


weight_sum.needs = ("parameters",)


def scores_of(space, metric):
    return score(space, space, [metric], BATCH).scores[:, 0]


@pytest.mark.parametrize("metric", ["l2_norm", "depth", "snip", "synflow", "params"])
def test_a_metrics_bound_is_included(metric):
    space = shaped()
    values = scores_of(space, metric)
    middle = sorted(values)[1]
    least = Limits(at_least={metric: middle}).judge(space, space, scorer=Scorer(space, BATCH))
    assert [reason is None for reason in least.reasons.values()] == [value >= middle for value in values]
    most = Limits(at_most={metric: middle}).judge(space, space, scorer=Scorer(space, BATCH))
    assert [reason is None for reason in most.reasons.values()] == [value <= middle for value in values]
    for architecture, value in zip(space, values, strict=True):
        broken = Limits(at_most={metric: middle}).violation(space, architecture, scorer=Scorer(space, BATCH))
        assert (broken is None) == (value <= middle), "one alone is judged as all together"


def test_a_users_metric_as_a_bound():
    space = shaped()
    values = scores_of(space, weight_sum)
    limits = Limits(max_params=200, at_least={weight_sum: values[1]})
    judgement = limits.judge(space, space, scorer=Scorer(space, BATCH))
    assert judgement.allowed == [space.at(1)]
    assert judgement.left_out == {
        f"weight_sum below {values[1]:.6g}": 1,
        "more than 200 parameters": 1,
    }
    assert limits.settings == {"params": 200.0, "weight_sum >=": values[1]}
    assert "It has weight_sum" in judgement.reasons[space.at(0)]


def test_what_breaks_a_cheap_bound_meets_no_metric(monkeypatch):
    seen = []
    real = Scorer.score

    def spy(self, pool, *rest, **settings):
        seen.extend(pool)
        return real(self, pool, *rest, **settings)

    monkeypatch.setattr(Scorer, "score", spy)
    space = shaped()
    Limits(max_params=170, at_most={"depth": 9}, max_latency_ms=1e6).filter(space, space, scorer=Scorer(space, BATCH))
    assert seen == [space.format(space.at(place)) for place in (0, 1)]


def test_candidates_without_a_value_are_out():
    space = shaped(dead=(8,))
    judgement = Limits(at_least={"synflow": -1e9}).judge(space, space, scorer=Scorer(space, BATCH))
    assert judgement.left_out == {"synflow undefined": 1}
    assert judgement.reasons[space.at(1)].startswith("It has no synflow: synflow: ")
    with pytest.raises(ConfigError) as caught:
        Limits(at_least={"synflow": -1e9}).filter(space, [space.at(1)], scorer=Scorer(space, BATCH))
    assert "0 of 1 satisfy the limits: 1 have synflow undefined: It has no synflow: " in str(caught.value)


def test_metric_bounds_that_nothing_meets_name_the_nearest_value():
    space = shaped()
    values = scores_of(space, "l2_norm")
    with pytest.raises(ConfigError) as caught:
        Limits(at_least={"l2_norm": 1e6}).filter(space, space, scorer=Scorer(space, BATCH))
    assert str(caught.value) == (
        f"0 of 3 satisfy the limits: the limit is at least l2_norm 1e+06, the largest is l2_norm {max(values):.6g}. "
        "Loosen them, or take other networks."
    )
    low, high = sorted(values)[:2]
    third = (high - low) / 3
    limits = Limits(at_least={"l2_norm": low + third}, at_most={"l2_norm": high - third})
    with pytest.raises(ConfigError) as caught:
        limits.filter(space, space, scorer=Scorer(space, BATCH))
    assert "1 break the limit of at least l2_norm" in str(caught.value)
    assert "2 more break the limit of at most l2_norm" in str(caught.value)


@pytest.mark.parametrize("name", ["grasp", "gradsign", "ntk_cond", "ntk_trace", "vkdnw"])
def test_dear_metrics_are_no_bounds(name):
    with pytest.raises(ConfigError, match=f"`at_most` must bound cheap metrics, .* '{name}' costs (double|a pass)"):
        Limits(at_most={name: 1.0})


def test_bad_bounds_on_metrics():
    with pytest.raises(ConfigError, match=r"'latency' measures this machine. Use `max_latency_ms`"):
        Limits(at_most={"latency": 1.0})
    with pytest.raises(ConfigError, match=r"'peak_memory' measures this machine. Use `max_memory`"):
        Limits(at_most={"peak_memory": 1.0})
    with pytest.raises(UnknownNameError, match="Did you mean 'synflow'"):
        Limits(at_least={"synflw": 1.0})
    for value in (math.nan, math.inf, "80", True, None):
        with pytest.raises(ConfigError, match="`at_least` of synflow must be a number; got"):
            Limits(at_least={"synflow": value})
    with pytest.raises(ConfigError, match=r"`at_least` must map metrics to numbers; got \['synflow'\]"):
        Limits(at_least=["synflow"])
    with pytest.raises(ConfigError, match=r"Bounds on metrics \(depth\) need samples to score with. Pass `scorer`"):
        Limits(at_most={"depth": 3}).filter(shaped(), shaped())


def test_settings_say_how_was_measured():
    assert Limits(max_params=7, max_memory=8, batch_size=5, repeats=2).settings == {
        "params": 7.0,
        "memory": 8.0,
        "batch_size": 5,
    }
    assert Limits(max_latency_ms=3, repeats=2).settings == {
        "latency_ms": 3.0,
        "latency_batch_size": 1,
        "device": "cpu",
        "warm_up": 3,
        "repeats": 2,
    }


def test_the_metric_params_is_told_from_the_measure():
    space = shaped()
    limits = Limits(max_params=10**6, at_least={"params": 1.0})
    assert [bound.key for bound in limits.bounds] == ["params", "params (metric)"]
    with pytest.raises(ConfigError, match=r"at least params \(metric\) 1, the largest is params \(metric\) 0.00"):
        limits.filter(space, space, scorer=Scorer(space, BATCH))


def test_profile_of_metrics():
    space = shaped(dead=(8,))
    values = scores_of(space, "l2_norm")
    limits = Limits(max_params=170, at_least={"l2_norm": sorted(values)[1]}, at_most={"synflow": 1e9})
    found = profile(space, limits=limits, quantities=["params", "snip"], batch=BATCH)
    assert list(found.frame) == ["params", "snip", "l2_norm", "synflow"]
    assert found.range("l2_norm") == (min(values), max(values))
    assert [found.share(bound) for bound in limits.bounds] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert found.share(limits) == 0, "what is undefined is out"
    assert found.verdict(limits) == (
        "Within the limits: nothing in the sample of 3: each can be kept alone, but not all together. "
        "Loosen them, or take a larger sample."
    )
    strict = Limits(at_least={"l2_norm": 1e6})
    assert "at least l2_norm 1e+06, and the largest is l2_norm " in profile(space, limits=strict).verdict(strict)
    loose = Limits(max_params=10**6)
    assert profile(space, limits=loose).verdict(loose) == "Within the limits: 100.0 % of the sample."


@pytest.mark.parametrize("task", ["class_scene", "jigsaw", "segmentsemantic", "autoencoder", "room_layout"])
def test_profiles_of_spaces_without_data_see_noise(task):
    shape = (9, 1, 8, 8) if task == "jigsaw" else (1, 32, 32)
    space = make_space("transnas_micro", task=task, input_shape=shape, channels=2)
    assert profile(space, 1, quantities=["grad_norm"]).frame["grad_norm"].item() > 0


def deadly(how=lambda: os.kill(os.getpid(), signal.SIGSEGV)):
    """Three networks; the second ends its process, even where only its shapes are computed."""

    class Deadly(nn.Module):
        def forward(self, x):
            return how()

    def build(kernel):
        return Deadly() if kernel == 3 else conv_only(kernel)

    return convs((1, 3, 5), build)


@pytest.mark.parametrize(
    ("bound", "n_jobs"),
    [
        ({"max_macs": 1e9}, 2),
        ({"max_memory": 1e9}, 1),
        pytest.param({"max_macs": 1e9}, 1, marks=pytest.mark.slow),
        pytest.param({"max_memory": 1e9}, 2, marks=pytest.mark.slow),
        *(pytest.param({"max_latency_ms": 1e9, "repeats": 1}, n, marks=pytest.mark.slow) for n in (1, 2)),
    ],
)
def test_a_network_that_kills_its_process_is_left_out_with_its_reason(bound, n_jobs):
    space = deadly()
    judgement = Limits(**bound).judge(space, space, n_jobs=n_jobs)
    assert list(judgement.reasons.values()) == [None, "Its process ended by signal 11 (SIGSEGV).", None]
    assert judgement.left_out == {"a network that ends its process": 1}
    assert Limits(**bound).violation(space, space.at(1)) == "Its process ended by signal 11 (SIGSEGV)."


@pytest.mark.slow
def test_a_death_among_other_bounds():
    space = deadly(lambda: os._exit(3))
    with pytest.raises(ConfigError, match="none makes a network that runs: Its process ended with exit code 3"):
        Limits(max_params=10, max_macs=1).filter(space, [space.at(1)])
    judgement = Limits(max_params=300, max_macs=1e9).judge(space, space)
    assert judgement.reasons[space.at(1)] == "Its process ended with exit code 3."
    assert judgement.reasons[space.at(2)] == "It has 760 parameters; the limit is 300 parameters."


def test_a_profile_leaves_out_what_kills_its_process():
    found = profile(deadly(), quantities=("params", "macs", "memory", "latency_ms"))
    assert found.n == 3
    assert list(found.failures.values()) == ["Its process ended by signal 11 (SIGSEGV)."]
    assert len(found.frame) == 2
    assert found.frame.notna().all().all()


def test_measures_are_those_of_this_process():
    space = NASBench201(channels=4, depth=1, input_shape=(3, 8, 8))
    sample = space.sample(12)
    here, there = (profile(space, 12, n_jobs=n_jobs).frame for n_jobs in (0, 2))
    assert here.equals(there)
    limits = Limits(max_params=int(here["params"].median()), max_memory=float(here["memory"].median()))
    judged = [limits.judge(space, sample, n_jobs=n_jobs) for n_jobs in (0, 1, 2)]
    assert judged[0] == judged[1] == judged[2]
    assert 0 < len(judged[0].allowed) < 12


@pytest.mark.slow
def test_a_child_that_kills_its_process_does_not_join():
    space = deadly()
    for limits in (None, Limits(max_macs=1e9)):
        assert Candidates(space, 0, limits=limits).may_join(list(space)) == [True, False, True]
    scorer = Scorer(space, Batch(torch.randn(8, 3, 8, 8), torch.arange(8), n_classes=10))
    limits = Limits(at_most={"flops": 1e9})
    assert Candidates(space, 0, limits=limits, scorer=scorer).may_join(list(space)) == [True, False, True]
