"""What a GPU would have to do for metrics, counted without one.

Each reading of a number from the device waits for all that was begun before; each operation that is no view is at least
one kernel launch.
"""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, score_network
from robonas.spaces import NASBench201

CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
SIX = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
READ = {"aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten.masked_select"}
"""Operations that wait for the device."""
A_LAYER = {
    "az_expressivity": "the spectrum of each block's features, which is judged before the next",
    "az_progressivity": "the same",
    "az_trainability": "the gradient between two blocks, which is judged before the next",
    "meco": "the spectrum of each map",
    "meco_opt": "the same",
}
"""Metrics that read something for each layer, and what."""


VIEWS = {
    "_reshape_alias",
    "_unsafe_view",
    "alias",
    "as_strided",
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "expand",
    "new_empty",
    "new_empty_strided",
    "permute",
    "select",
    "slice",
    "split",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unsqueeze",
    "view",
}
"""Operations that launch nothing."""


class Launches(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found += func.overloadpacket.__name__ not in VIEWS
        return func(*args, **(kwargs or {}))


class Readings(TorchDispatchMode):
    """Counts readings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str(func).removesuffix(".default") in READ:
            self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))


def setting(depth: int) -> tuple[torch.nn.Module, Batch]:
    """Return a network whose cell is repeated `depth` times a stage, and a batch."""
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=depth)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 4, n_classes=10)
    return space.build_seeded(space.parse(CELL), 0), batch


def readings(names, depth: int, monkeypatch) -> int:
    """Return how often something is read."""
    network, batch = setting(depth)
    lists = []
    with monkeypatch.context() as patch, Readings() as counted:
        read = torch.Tensor.tolist
        patch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(1) or read(tensor))
        score_network(network, batch, names)
    return counted.found.total() + len(lists)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if not metric.measures_the_machine])
def test_readings_do_not_grow_with_the_network(name, monkeypatch) -> None:
    shallow, deep = (readings([name], depth, monkeypatch) for depth in (1, 3))
    if name in A_LAYER:
        assert shallow < deep <= 3 * shallow
    else:
        assert shallow == deep <= 20


def test_the_papers_six_read_fifteen_numbers(monkeypatch) -> None:
    assert readings(SIX, 3, monkeypatch) == readings(SIX, 1, monkeypatch) <= 15


@pytest.mark.parametrize("depth", [1, 2])
def test_the_papers_six_launch_little_more_than_their_passes_alone(depth) -> None:
    network, batch = setting(depth)
    with Launches() as engine:
        score_network(network, batch, SIX)

    network.train()
    weights = [module.weight for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    positive = copy.deepcopy(network).double().eval()
    ones = torch.ones(1, 3, 8, 8, dtype=torch.float64)
    with Launches() as passes:
        inputs = batch.inputs.clone().requires_grad_()
        logits = network(inputs)
        torch.autograd.grad(logits.sum(), inputs, retain_graph=True)  # jacov
        loss = functional.cross_entropy(logits, batch.targets)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)  # grad_norm, snip, fisher
        torch.autograd.grad(sum((g * g.detach()).sum() for g in gradients), weights)  # grasp
        torch.autograd.grad(positive(ones).sum(), [p for p in positive.parameters() if p.ndim > 1])  # synflow
    assert engine.found <= 1.3 * passes.found
