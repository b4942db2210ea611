"""`grasp` by its closed form behind batch norms, and by the derivative in a scale, against products one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, Need, score_network
from robonas.spaces import NASBench201


def batch_of(*shape: int, n_classes: int = 10) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, *shape, generator=generator, dtype=torch.float64)
    return Batch(inputs, torch.randint(0, n_classes, (8,), generator=generator), n_classes=n_classes)


def by_products(passes) -> float:
    products = passes.hessian_gradient_products
    return -sum(float((passes.weights[name].detach() * product).sum()) for name, product in products.items())


by_products.needs = (Need.HESSIAN,)  # type: ignore[attr-defined]


def scores(network: nn.Module, batch: Batch) -> tuple[float, float, float]:
    found = score_network(network.double(), batch, ["grasp", "grasp_bn", by_products])
    assert all(score.reason is None for score in found.values())
    return found["grasp"].value, found["grasp_bn"].value, found["by_products"].value


@pytest.mark.parametrize("seed", range(4))
def test_on_cells_it_is_the_exact_one_up_to_epsilon(seed) -> None:
    space = NASBench201(channels=8, depth=1)
    cell = next(c for c in space.sample(20, seed) if "nor_conv_3x3" in c["edge_0_3"])
    exact, closed, products = scores(space.build_seeded(cell, seed), batch_of(3, 16, 16))
    assert exact == pytest.approx(products, rel=1e-9)
    assert closed == pytest.approx(exact, rel=5e-3)
    assert closed != exact


class Tangled(nn.Module):
    """A biased convolution into a batch norm; one whose output is also used elsewhere; a tied one; and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.normed = nn.Conv2d(3, 4, 3, padding=1)
        self.used_twice = nn.Conv2d(4, 4, 3, padding=1, bias=True)
        self.tied = nn.Conv2d(4, 4, 1, bias=False)
        self.frozen = nn.Conv2d(4, 4, 1, bias=False).requires_grad_(requires_grad=False)
        self.standardised = nn.Conv2d(4, 4, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4, eps=1e-12) for _ in range(4))
        self.head = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.norms[0](self.normed(x)))
        y = self.used_twice(x)
        x = torch.tanh(self.norms[1](y) + y)
        x = torch.tanh(self.norms[2](self.tied(x)) + self.frozen(x))
        x = torch.tanh(self.tied(x))
        weight = self.standardised.weight
        x = self.norms[3](functional.conv2d(x, weight - weight.mean()) + x)
        return self.head(torch.tanh(x).mean((2, 3)))


def test_only_what_goes_into_a_norm_alone_is_closed() -> None:
    network, batch = Tangled(), batch_of(3, 6, 6)
    exact, closed, products = scores(network, batch)
    assert exact == pytest.approx(products, rel=1e-9)
    assert closed == pytest.approx(exact, rel=1e-6)


def test_without_batch_norm_it_is_the_exact_one() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 10)
    )
    exact, closed, products = scores(network, batch_of(3, 6, 6))
    assert closed == pytest.approx(exact, rel=1e-12)
    assert exact == pytest.approx(products, rel=1e-9)
    parts = score_network(network, batch_of(3, 6, 6), ["grasp", "grasp_bn"], micro_batch=3)
    assert parts["grasp"].value == pytest.approx(exact, rel=1e-9)
    assert parts["grasp_bn"].value == pytest.approx(exact, rel=1e-9)


def test_its_card_says_that_it_is_not_exact() -> None:
    assert "not exact" in METRICS["grasp_bn"].card()["weaknesses"]
