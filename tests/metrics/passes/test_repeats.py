"""Equal calls are computed once, and whoever writes to a shared result gets one of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robonas.datasets.batch import Batch
from robonas.metrics import score_network
from robonas.metrics.passes.recorder import Recorder
from robonas.metrics.passes.repeats import Repeats

NAMES = ["grad_norm", "fisher", "grasp", "jacov", "nwot"]


class Twice(nn.Module):
    """Reads one ReLU twice, and between the two does what `meddle` does."""

    def __init__(self, meddle) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.left, self.right = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)
        self.meddle = meddle

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        first, second = torch.relu(x), functional.relu(x)
        first = self.meddle(first)
        return self.head((self.left(first) * self.right(second + torch.relu(x))).mean((2, 3)))


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 2, 6, 6, generator=generator, dtype=torch.float64)
    return Batch(inputs, torch.tensor([0, 1, 2, 0, 1, 2]), n_classes=3)


def by_a_hook(x: Tensor) -> Tensor:
    x.register_hook(lambda gradient: 2.0 * gradient)
    return x


def doubled_gradient(x: Tensor) -> Tensor:
    return 2.0 * x - x.detach()


@pytest.mark.parametrize(
    ("meddle", "pure"),
    [
        (lambda x: x.mul_(2.0), lambda x: 2.0 * x),
        (lambda x: functional.hardtanh(x, 0.0, 0.5, inplace=True), lambda x: functional.hardtanh(x, 0.0, 0.5)),
        (by_a_hook, doubled_gradient),
    ],
)
def test_meddling_with_a_shared_result_changes_nothing_for_others(meddle, pure) -> None:
    ours = score_network(Twice(meddle).double(), batch(), NAMES[:2])
    theirs = score_network(Twice(pure).double(), batch(), NAMES[:2])
    for name in NAMES[:2]:
        assert ours[name].value == pytest.approx(theirs[name].value, rel=1e-12), name


def test_sharing_changes_no_value(monkeypatch) -> None:
    network = Twice(lambda x: x).double()
    shared = score_network(network, batch(), NAMES)
    monkeypatch.setattr(Repeats, "find", lambda *_: None)
    alone = score_network(network, batch(), NAMES)
    for name in NAMES:
        assert shared[name].value == pytest.approx(alone[name].value, rel=1e-10), name


def test_only_equal_calls_on_the_same_tensor_are_shared() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with Recorder(repeats=Repeats()):
        one, same, other = functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 4)
        positive = torch.relu(x)
        equal = torch.relu(x.clone())
    assert one is same
    assert one.shape != other.shape
    assert positive is not equal


def test_a_write_through_a_view_is_noticed() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    recorder = Recorder(repeats=Repeats())
    with recorder:
        pooled = functional.avg_pool2d(x, 2)
        pooled.view(-1)
        assert not recorder.repeats.spoilt
        pooled.view(-1).mul_(2.0)
    assert recorder.repeats.spoilt
