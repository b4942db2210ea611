"""Networks in wrappers and compiled forms: the value of the plain network, or NaN with the true reason."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from robonas.metrics import METRICS, score_network
from tests.metrics.networks import images, seeded

ALL = [name for name, metric in METRICS.items() if not metric.measures_the_machine]


def plain() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 1, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )


class Outer(nn.Module):
    """A network around another one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Checkpointed(nn.Module):
    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.body, self.reentrant = plain(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        return self.body[3:](checkpoint(self.body[:3], x, use_reentrant=self.reentrant))


class Called(nn.Module):
    """A network whose parameters are given to `functional_call`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.functional_call(self.body, dict(self.body.named_parameters()), (x,))


def compiled_part() -> nn.Module:
    network = plain()
    network[0].compile(backend="eager")
    return network


def compiled_itself() -> nn.Module:
    network = plain()
    network.compile(backend="eager")
    return network


def compiled_forward() -> nn.Module:
    network = plain()
    network.forward = torch.compile(network.forward, backend="eager")
    return network


def wrapped_in_checkpoints() -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    network = plain()
    network[3] = checkpoint_wrapper(network[3])
    return network


SAME = {
    "compiled": lambda: torch.compile(plain(), backend="eager"),
    "compiled ahead of time": lambda: torch.compile(plain(), backend="aot_eager"),
    "compiled inside": lambda: Outer(torch.compile(plain(), backend="eager")),
    "a part compiled": compiled_part,
    "compiled in place": compiled_itself,
    "its forward compiled": compiled_forward,
    "traced by torch.fx": lambda: torch.fx.symbolic_trace(plain()),
    "spread over devices": lambda: nn.DataParallel(plain()),
    "checkpointed": lambda: Checkpointed(reentrant=False),
    "checkpointed, reentrant": lambda: Checkpointed(reentrant=True),
    "wrapped in checkpoints": wrapped_in_checkpoints,
    "functional_call": Called,
    "inside another": lambda: Outer(Outer(plain())),
}


@pytest.fixture(scope="module")
def expected():
    return score_network(seeded(plain), images(), ALL)


@pytest.mark.parametrize("form", SAME)
def test_the_same_values(form, expected) -> None:
    checkpoints = dict(vars(torch.utils.checkpoint))
    scores = score_network(seeded(SAME[form]), images(), ALL)
    for name in ALL:
        assert scores[name].reason is None, name
        assert scores[name].value == pytest.approx(expected[name].value, rel=1e-5), name
    assert dict(vars(torch.utils.checkpoint)) == checkpoints


def test_a_network_of_several_processes_is_scored_in_one(expected) -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        network = nn.parallel.DistributedDataParallel(seeded(plain))
        for _ in range(2):
            scores = score_network(network, images(), ["snip", "grasp", "depth"])
            for name, score in scores.items():
                assert score.value == pytest.approx(expected[name].value, rel=1e-5), name
    finally:
        torch.distributed.destroy_process_group()


def _quietly(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


class WithFunction(nn.Module):
    """A network that calls a function where nobody sees what it does."""

    def __init__(self, function) -> None:
        super().__init__()
        self.first, self.function, self.last = nn.Conv2d(3, 6, 3), function, nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)).mean((2, 3)))


def rectified(x: Tensor) -> Tensor:
    return torch.relu(x)


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(F.dropout(x.flatten(1), 0.5, training=self.training))


def exported() -> nn.Module:
    return torch.export.export(plain(), (torch.randn(8, 3, 8, 8),)).module()


UNSEEN = {
    "scripted": (lambda: torch.jit.script(plain()), "the network is compiled by TorchScript"),
    "traced": (lambda: torch.jit.trace(plain().eval(), torch.ones(2, 3, 8, 8)), "the network is compiled by TorchS"),
    "scripted inside": (lambda: Outer(torch.jit.script(plain())), "its part 'inner' is compiled by TorchScript"),
    "a scripted function": (lambda: WithFunction(torch.jit.script(rectified)), "computes aten::relu out of sight"),
    "a bare operation": (lambda: WithFunction(torch.ops.aten.relu.default), "computes aten::relu out of sight"),
    "exported": (exported, "is a graph of bare operations"),
    "exported inside": (lambda: Outer(exported()), "its part 'inner"),
    "quantised": (
        lambda: torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear}),
        "its part '8' is quantised (Linear)",
    ),
    "traced in evaluation mode": (lambda: torch.fx.symbolic_trace(Dropping().eval()), "traced in evaluation mode"),
}


COUNTED = {"params", "l2_norm", "layers", "macs", "flops", "az_complexity", "depth"}
"""Metrics that read no call into PyTorch."""


@pytest.mark.parametrize("form", UNSEEN)
def test_what_cannot_be_seen_has_a_reason(form) -> None:
    make, why = UNSEEN[form]
    network = _quietly(lambda: seeded(make))
    scores = score_network(network, images(), ALL)
    assert {name for name, score in scores.items() if score.reason is None} <= COUNTED
    for name, score in scores.items():
        if score.reason is not None:
            assert why in score.reason, (name, score.reason)


def test_the_function_in_the_open_has_values() -> None:
    """The same network as with the scripted function, written plainly."""
    scores = score_network(seeded(lambda: WithFunction(rectified)), images(), ALL)
    assert {name for name, score in scores.items() if score.reason} <= {"az_progressivity", "az_trainability"}
