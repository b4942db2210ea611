"""Laws of every metric on every space: repeatable, alone or with others, in either mode, and nothing is touched."""

from __future__ import annotations

import functools
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings, strategies as st
from torch import nn

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, score_network
from robonas.spaces import SPACES, make_space
from tests.laws.test_space_laws import SMALL


@functools.cache
def space_of(name: str):
    return make_space(name, **SMALL.get(name, {}))


@functools.cache
def batch_of(shape: tuple[int, ...], n_classes: int) -> Batch:
    generator = torch.Generator().manual_seed(7)
    return Batch(
        torch.randn(4, *shape, generator=generator),
        torch.randint(0, n_classes, (4,), generator=generator),
        n_classes=n_classes,
    )


def case(name: str, seed: int) -> tuple[nn.Module, Batch]:
    space = space_of(name)
    (architecture,) = space.sample(1, seed)
    return space.build_seeded(architecture, seed), batch_of(space.input_shape, space.n_classes)


LARGE = {"autoformer", "mobilenetv3"}
"""Spaces whose smallest networks take seconds; of their kind, tests/metrics/test_any_network.py has smaller ones."""
every_space = pytest.mark.parametrize(
    "space", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in sorted(SPACES)]
)
REPEATABLE = [name for name, metric in METRICS.items() if not metric.measures_the_machine]
names = st.lists(st.sampled_from(REPEATABLE), min_size=1, max_size=2, unique=True)
seeds = st.integers(0, 40)
few = settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


def values(scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def snapshot(network: nn.Module, batch: Batch) -> dict:
    """All that must not change, by value and by identity."""
    return {
        "modes": [module.training for module in network.modules()],
        "hooks": [
            (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
            for module in network.modules()
        ],
        "identities": [id(tensor) for tensor in (*network.parameters(), *network.buffers())],
        "values": [tensor.detach().clone() for tensor in (*network.parameters(), *network.buffers())],
        "versions": [tensor._version for tensor in (*network.parameters(), *network.buffers())],
        "grads": [None if p.grad is None else p.grad.clone() for p in network.parameters()],
        "requires": [p.requires_grad for p in network.parameters()],
        "layout": [(tensor.stride(), tensor.dtype, tensor.device) for tensor in network.parameters()],
        "batch": (batch.inputs.clone(), batch.targets.clone(), batch.inputs.requires_grad),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1],  # noqa: NPY002
        "python": random.getstate(),
        "threads": torch.get_num_threads(),
        "default": torch.get_default_dtype(),
    }


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@every_space
@few
@given(seed=seeds)
def test_finite_or_nan_with_a_reason_and_nothing_is_touched(space: str, seed: int) -> None:
    network, batch = case(space, seed)
    for place, parameter in enumerate(network.parameters()):
        if place % 3 == 0:
            parameter.grad = torch.ones_like(parameter)
        if place % 5 == 4:
            parameter.requires_grad_(False)
    for place, module in enumerate(network.modules()):
        module.training = place % 2 == 0
    before = snapshot(network, batch)
    scores = score_network(network, batch, list(METRICS), seed=seed)
    after = snapshot(network, batch)
    for key, value in before.items():
        assert same(value, after[key]), key
    assert list(scores) == list(METRICS)
    for name, score in scores.items():
        if score.reason is None:
            low, high = METRICS[name].bounds
            assert math.isfinite(score.value), name
            assert low <= score.value <= high, name
        else:
            assert math.isnan(score.value), name
            assert score.reason.startswith(name), name


@every_space
@few
@given(seed=seeds, chosen=names, shuffle=st.randoms(use_true_random=False))
def test_the_same_alone_or_together_in_any_order_twice_and_in_either_mode(
    space: str, seed: int, chosen, shuffle
) -> None:
    network, batch = case(space, seed)
    everything = list(REPEATABLE)
    shuffle.shuffle(everything)
    together = values(score_network(network, batch, everything, seed=seed))
    network.eval()
    for name in chosen:
        alone = values(score_network(network, batch, [name], seed=seed))[name]
        assert alone == pytest.approx(together[name], rel=1e-6, abs=1e-9, nan_ok=True), name
    some = values(score_network(network, batch, chosen, seed=seed))
    assert some == values(score_network(network, batch, chosen, seed=seed))
