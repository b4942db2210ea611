"""No backward pass of the engine or of a training meets the kernel that writes beyond its buffer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from robonas.common.kernels import SafeKernels, with_unit_stride
from robonas.metrics import METRICS, score_network
from robonas.objectives import TrainingObjective
from tests.metrics.networks import images, seeded
from tests.objectives.toy import FIRST, ToySpace, blobs


def strided(width: int = 4) -> nn.Module:
    """A shortcut of stride 2 beside a convolution of stride 2, as residual networks have it."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, width, 3, padding=1)
            self.norm = nn.BatchNorm2d(width)
            self.body, self.shortcut = nn.Conv2d(width, 8, 3, 2, 1), nn.Conv2d(width, 8, 1, 2, bias=False)
            self.after = nn.BatchNorm2d(8)
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            x = torch.relu(self.norm(self.stem(x)))
            return self.head(torch.relu(self.after(self.body(x) + self.shortcut(x))).mean((2, 3)))

    return Block()


class Strides(TorchDispatchMode):
    """Notes the pointwise convolutions with a stride of which a gradient is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.backward, self.found = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            self.backward += 1
            if args[2].shape[2:].numel() == 1 and max(args[4]) > 1:
                self.found.append((tuple(args[1].shape), tuple(args[2].shape), args[4]))
        return func(*args, **(kwargs or {}))


def test_no_metric_meets_the_kernel() -> None:
    network, batch = seeded(strided), images()
    for names in (list(METRICS), ["snip"], ["grasp"], ["zico"]):
        with Strides() as seen:
            scores = score_network(network, batch, names)
        assert not any(score.reason for score in scores.values())
        assert seen.backward
        assert seen.found == []


def test_nor_does_a_metric_of_ones_own_that_runs_the_network() -> None:
    def mine(passes) -> float:
        passes.run(passes.inputs(), purpose="mine").sum().backward()
        return 1.0

    mine.needs = ["own_passes"]
    with Strides() as seen:
        score_network(seeded(strided), images(), [mine])
    assert seen.backward
    assert seen.found == []


def test_nor_does_a_training_whose_images_are_channels_last() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 1, stride=2), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(torch.relu(self.body(x.contiguous(memory_format=torch.channels_last))).mean((2, 3)))

    data = blobs(16, 3, shape=(3, 8, 8))
    space = ToySpace(Last, input_shape=(3, 8, 8))
    objective = TrainingObjective(data, epochs=1, batch_size=8, device="cpu", threads=1)
    with Strides() as seen:
        objective.evaluate(space, FIRST, seed=0)
    assert seen.backward
    assert seen.found == []


CALLS = {
    "2-D": (F.conv2d, (2, 4, 8, 8), (6, 4, 1, 1), {"stride": 2}),
    "odd sides": (F.conv2d, (2, 4, 7, 9), (6, 4, 1, 1), {"stride": (2, 3)}),
    "one direction": (F.conv2d, (2, 4, 7, 8), (6, 4, 1, 1), {"stride": [1, 2], "padding": "valid"}),
    "padded": (F.conv2d, (2, 4, 7, 8), (6, 4, 1, 1), {"stride": 2, "padding": (1, 2)}),
    "padded alike": (F.conv2d, (2, 4, 7, 8), (6, 4, 1, 1), {"stride": 3, "padding": 1, "dilation": 2}),
    "groups": (F.conv2d, (2, 4, 8, 8), (8, 2, 1, 1), {"stride": 2, "groups": 2}),
    "depthwise": (F.conv2d, (2, 4, 8, 8), (4, 1, 1, 1), {"stride": 2, "groups": 4}),
    "one sample": (F.conv2d, (4, 8, 8), (6, 4, 1, 1), {"stride": 2}),
    "1-D": (F.conv1d, (2, 4, 9), (6, 4, 1), {"stride": 2, "padding": 1}),
    "3-D": (F.conv3d, (2, 4, 5, 6, 7), (6, 4, 1, 1, 1), {"stride": (1, 2, 3), "padding": (0, 1, 0)}),
    "no stride": (F.conv2d, (2, 4, 8, 8), (6, 4, 1, 1), {}),
    "larger": (F.conv2d, (2, 4, 8, 8), (6, 4, 3, 3), {"stride": 2}),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_same_values_and_derivatives(name) -> None:
    """Value, gradient and second derivative, in float64, with and without names of arguments."""
    func, shape, kernel, options = CALLS[name]
    generator = torch.Generator().manual_seed(0)
    x, w, b = (
        torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in (shape, kernel, kernel[:1])
    )
    answers = []
    for mode in (False, True):
        if mode:
            with SafeKernels():
                y = func(x, w, b, **options)
        else:
            y = func(x, w, b, **options)
        gradients = torch.autograd.grad(y.square().sum(), (x, w, b), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in gradients), (x, w, b))
        answers.append((y, *gradients, *second))
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)
    ordered, _ = with_unit_stride(func, (x, w, b, options.get("stride", 1), options.get("padding", 0)), {})
    assert ordered[1] is w


def test_the_layout_of_images_stays() -> None:
    x, w = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last), torch.randn(6, 4, 1, 1)
    with SafeKernels():
        assert F.conv2d(x, w, stride=2).is_contiguous(memory_format=torch.channels_last)
        assert F.conv2d(x.contiguous(), w, stride=2).is_contiguous()
        with pytest.raises(RuntimeError, match="padding='same'"):
            F.conv2d(x, w, stride=2, padding="same")


SCRIPT = """
import torch
from robonas.metrics import score_network
from tests.metrics.networks import images, seeded
from tests.common.test_kernels import strided
for step in range(12):
    scores = score_network(seeded(strided, step), images(), ["snip", "grasp", "fisher", "zico"])
assert not any(score.reason for score in scores.values())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the checking allocator is glibc's")
def test_a_processor_without_avx512_survives() -> None:
    """Under the instruction set that has the fault, with an allocator that notices."""
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
        "LD_PRELOAD": "libc_malloc_debug.so.0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
