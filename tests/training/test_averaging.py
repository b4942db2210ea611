"""The running average of parameters, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robonas.training.averaging import averaged


class Counter(nn.Module):
    """A parameter, a real buffer, and a table of indices."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("index", torch.arange(100))


def test_the_average_by_hand() -> None:
    network = Counter()
    model = averaged(network, 0.3)
    assert not any(entry is model.module.weight for entry in network.parameters())
    expected = None
    for t, value in enumerate((1.0, 5.0, -2.0, 4.0, 4.0)):
        network.weight.data.fill_(value)
        network.mean.fill_(10 * value)
        model.update_parameters(network)
        decay = min(0.3, (1 + t) / (10 + t))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert model.module.weight.tolist() == pytest.approx([expected] * 2, rel=1e-12)
        assert model.module.mean.tolist() == pytest.approx([10 * expected] * 2, rel=1e-12)
        assert torch.equal(model.module.index, torch.arange(100))  # never 6 where there was a 7
    assert expected not in {4.0, None}
    assert network.weight.tolist() == [4.0, 4.0]


def test_a_decay_that_is_reached() -> None:
    """2/11 and 3/12 are below 0.9, and used instead; a long training comes to 0.9."""
    network = Counter()
    model = averaged(network, 0.9)
    for _ in range(200):
        model.update_parameters(network)
    network.weight.data.fill_(1.0)
    model.update_parameters(network)
    assert model.module.weight.tolist() == pytest.approx([0.1, 0.1])


def test_the_average_goes_on_from_its_state() -> None:
    network, other = Counter(), Counter()
    model, copy = averaged(network, 0.9), averaged(other, 0.9)
    for step in range(4):
        network.weight.data.fill_(float(step))
        if step == 2:
            copy.load_state_dict(model.state_dict())
        for one in (model, copy) if step >= 2 else (model,):
            one.update_parameters(network)
    assert torch.equal(model.module.weight, copy.module.weight)
    assert int(copy.n_averaged) == 4
