"""How often metrics read a number from the device: on a GPU each reading waits for all that was begun before."""

from collections import Counter

import pytest
import torch
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


class Readings(TorchDispatchMode):
    """Counts readings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str(func).removesuffix(".default") in READ:
            self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))


def readings(names, depth: int, monkeypatch) -> int:
    """How often something was read while metrics are computed for a cell that is repeated `depth` times a stage."""
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=depth)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 4, n_classes=10)
    network = space.build_seeded(space.parse(CELL), 0)
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
