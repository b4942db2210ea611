"""Values worked out by hand, and equal to independent implementations in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, score_network
from robonas.spaces import NASBench201
from tests.metrics.networks import benchmark, convnet, images, plain_metrics, seeded

PLAIN = plain_metrics()
PUBLIC_WAY = benchmark("public_way")


def value(network, batch, name, **settings):
    score = score_network(network, batch, [name], **settings)[name]
    assert score.reason is None, score.reason
    return score.value


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    layer.weight.data = torch.tensor(weight)
    return layer


@pytest.fixture
def pair() -> tuple[nn.Module, Batch]:
    """z = 2 x₁ − x₂ for x = (1, 0) and (1, 1), with targets 1 and 0 and a squared error."""
    batch = Batch(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0], [0.0]]), n_classes=1, task="regression")
    return linear([[2.0, -1.0]]), batch


def test_gradient_metrics_by_hand(pair) -> None:
    """z = (2, 1), errors (1, 1), L = 1; ∂L/∂w = mean of 2·error·x = (2, 1)."""
    network, batch = pair
    assert value(network, batch, "grad_norm") == pytest.approx(math.sqrt(5))
    assert value(network, batch, "snip") == pytest.approx(4 + 1)
    assert value(network, batch, "plain") == pytest.approx(4 - 1)


def test_grasp_by_hand(pair) -> None:
    """H = mean of 2·x xᵀ = [[2, 1], [1, 1]]; H g = (5, 3); −w·Hg = −(10 − 3)."""
    assert value(*pair, "grasp") == pytest.approx(-7.0)


def test_fisher_by_hand(pair) -> None:
    """a · ∂L/∂a with ∂L/∂a = 2·error/n = 1: (2, 1); fan-in 2; ½ mean of squares = 5/4."""
    assert value(*pair, "fisher") == pytest.approx(2 * 0.5 * (4 + 1) / 2)


def test_data_free_metrics_by_hand(pair) -> None:
    """R = |2| + |−1| on ones, so that Σ |w ∂R/∂w| = 3; the norm of the weights is √5; 2 parameters, 2 multiply-adds."""
    network, batch = pair
    assert value(network, batch, "synflow") == pytest.approx(math.log(3))
    assert value(network, batch, "l2_norm") == pytest.approx(math.sqrt(5))
    assert value(network, batch, "params") == pytest.approx(2e-6)
    assert value(network, batch, "flops") == pytest.approx(2e-6)


def test_nwot_by_hand() -> None:
    """Codes 10, 01 and 11 of two units: K has 2 on its diagonal, 0 for the first pair, 1 for the others; det = 4."""
    network = nn.Sequential(nn.ReLU(), linear([[1.0, 2.0]]))
    inputs = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    batch = Batch(inputs, torch.zeros(3, 1), n_classes=1, task="regression")
    assert value(network, batch, "nwot") == pytest.approx(math.log(4))


def test_jacov_by_hand() -> None:
    """Two orthogonal rows have correlation −1 after centring: λ = 0 and 2."""
    network = nn.Sequential(nn.ReLU(), linear([[1.0, 1.0]]))
    batch = Batch(torch.tensor([[1.0, -1.0], [-1.0, 2.0]]), torch.zeros(2, 1), n_classes=1, task="regression")
    expected = -sum(math.log(eigenvalue + 1e-5) + 1 / (eigenvalue + 1e-5) for eigenvalue in (0.0, 2.0))
    assert value(network, batch, "jacov") == pytest.approx(expected)


def test_macs_of_a_convolution() -> None:
    """A 3×3 convolution from 3 to 8 channels on 8×8 has 13,824 multiply-adds."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(512, 4))
    assert value(network, images(), "flops") == pytest.approx((13_824 + 512 * 4) / 1e6)


CELLS = (1, 2, 777)
SPACE = NASBench201(input_shape=(3, 16, 16), channels=4, depth=1)


@pytest.mark.parametrize("name", sorted(set(PLAIN.PLAIN) & set(METRICS) - {"zen"}))
@pytest.mark.parametrize("cell", CELLS)
def test_equals_the_plain_implementation(name, cell) -> None:
    """Float32 with shared passes, to 1e-5 of float64 with a pass of its own.

    `plain` cancels, so that its error is measured by the size of its summands.
    """
    network = SPACE.build_seeded(SPACE.at(cell), 0)
    batch = images(16, (3, 16, 16), 10)
    scores = score_network(network, batch, list(METRICS))
    double = copy.deepcopy(network).double()
    expected = PLAIN.PLAIN[name](double, batch.inputs.double(), batch.targets)
    scale = scores["snip"].value if name == "plain" else 0.0
    tolerance = 2e-4 if name == "grasp" else 1e-5  # float32 noise of the double backward
    assert scores[name].value == pytest.approx(expected, rel=tolerance, abs=1e-6 * scale)
    exact = score_network(double, batch, [name])[name].value
    assert exact == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_sequential_network_equals_the_plain_implementation() -> None:
    network = seeded(convnet).double()
    batch = images()
    for name, plain in PLAIN.PLAIN.items():
        if name in METRICS and name != "zen":
            expected = plain(network, batch.inputs.double(), batch.targets)
            assert value(network, batch, name) == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("name", ["fisher", "grad_norm", "grasp", "jacov", "snip", "synflow"])
def test_the_public_way_with_all_edges_has_the_same_values(name) -> None:
    """So that the benchmark compares the same work: dead edges, masks and layout change nothing."""
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    cell = space.parse("|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|skip_connect~1|none~2|")
    network, batch = space.build_seeded(cell, 0), images(8, n_classes=10)
    full = PUBLIC_WAY.full_network(network, cell)
    assert sum(p.numel() for p in full.parameters()) > sum(p.numel() for p in network.parameters())
    public = PUBLIC_WAY.PUBLIC[name](full, batch.inputs, batch.targets)
    assert public == pytest.approx(value(network, batch, name), rel=1e-4)
