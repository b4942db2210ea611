"""Networks for the tests of metrics: small, varied, and hostile."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robonas.datasets.batch import Batch

if TYPE_CHECKING:
    from types import ModuleType


def benchmark(name: str) -> ModuleType:
    """A module of the benchmarks."""
    if name not in sys.modules:
        path = Path(__file__).resolve().parents[2] / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def plain_metrics() -> ModuleType:
    """The independent implementations that the benchmarks keep."""
    return benchmark("plain_metrics")


def images(n: int = 8, shape: tuple[int, ...] = (3, 8, 8), n_classes: int = 4, seed: int = 0) -> Batch:
    """Noise with labels."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        torch.randn(n, *shape, generator=generator),
        torch.randint(0, n_classes, (n,), generator=generator),
        n_classes=n_classes,
    )


def seeded(make, seed: int = 0) -> nn.Module:
    """A network whose parameters depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def convnet(activation=nn.ReLU, norm=nn.BatchNorm2d, *, width: int = 6, n_classes: int = 4) -> nn.Module:
    """Two convolutions, a pooling and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        norm(width),
        activation(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        norm(width),
        activation(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, n_classes),
    )


class Residual(nn.Module):
    """A block that adds in place after activating in place."""

    def __init__(self, *, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        t = self.norm(self.stem(x))
        u = t * t  # saves t, which the next line overwrites
        v = nn.functional.relu(t, inplace=self.inplace)
        if self.inplace:
            u += self.body(v)
            u.relu_()
            u[:, 0] = 0.5
        else:
            u = torch.relu(u + self.body(v))
            u = torch.cat([torch.full_like(u[:, :1], 0.5), u[:, 1:]], 1)
        return self.head((u + v).mean((2, 3)))
