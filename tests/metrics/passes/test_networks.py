"""Walking through a network and standing in for its tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robonas.metrics.passes.modules import buffers_of, modules_of, parameters_of
from robonas.metrics.passes.networks import call


class Tied(nn.Module):
    """Shares a module and a parameter, has an absent child and an absent bias, and writes to a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.again = self.first
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.absent = None
        self.register_module("none", None)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.calls = self.calls + 1
        x = self.second(self.again(self.first(self.norm(x))))
        if self.fails:
            raise RuntimeError("no")
        return x


def test_walks_as_pytorch_does() -> None:
    network = nn.Sequential(Tied(), nn.ReLU(), nn.Sequential(Tied()))
    assert modules_of(network) == list(network.named_modules())
    for ours, theirs in (
        (parameters_of(network), dict(network.named_parameters())),
        (buffers_of(network), dict(network.named_buffers())),
    ):
        assert list(ours) == list(theirs)
        assert all(ours[name] is theirs[name] for name in theirs)


def test_a_stand_in_stands_wherever_the_tensor_is_used() -> None:
    network, x = Tied(), torch.randn(4, 3)
    identity = torch.eye(3)
    result = call(network, x, tensors={"first.weight": identity, "second.bias": torch.zeros(3)})
    torch.testing.assert_close(result, nn.functional.batch_norm(x, None, None, training=True))


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_as_it_was(fails) -> None:
    network = Tied()
    network.fails = fails
    before = {**parameters_of(network), **buffers_of(network)}
    values = {name: tensor.detach().clone() for name, tensor in before.items()}
    try:
        call(network, torch.randn(4, 3), tensors={"first.weight": torch.eye(3)})
    except RuntimeError:
        assert fails
    after = {**parameters_of(network), **buffers_of(network)}
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert all(torch.equal(after[name], values[name]) for name in values)
