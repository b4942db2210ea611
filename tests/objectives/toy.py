"""Small spaces and data for the tests of objectives."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from robonas.architecture import Architecture
from robonas.datasets import from_arrays
from robonas.spaces import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.architecture import Option
    from robonas.datasets import LabelledData


def blobs(n: int = 60, n_classes: int = 3, shape: tuple[int, ...] = (4,), spread: float = 0.3) -> LabelledData:
    """Points around a centre a class: easy to learn."""
    generator = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    centres = generator.normal(size=(n_classes, *shape))
    return from_arrays(centres[labels] + spread * generator.normal(size=(n, *shape)), labels, name="blobs")


def task_data(task: str, inputs: np.ndarray, values: np.ndarray) -> LabelledData:
    """Data of a task that a 1×1 convolution or a linear layer could answer, from the values that targets depend on."""
    maps = np.tanh(np.stack([values[:, 0], -values[:, 1], values[:, 0] - values[:, 1]], axis=1))
    means = maps.mean((2, 3))
    targets = {
        "classification": means.argmax(1),
        "multilabel": (means > 0).astype(np.float32),
        "regression": 100 + 50 * means,
        "segmentation": maps.argmax(1),
        "image": maps,
    }[task]
    return from_arrays(inputs, targets, n_classes=3, task=task)


class ToySpace(SearchSpace):
    """Whatever network a function makes; `twin` is isomorphic to `first`."""

    name = "toy"

    def __init__(
        self,
        make: Callable[[], nn.Module] | None = None,
        *,
        input_shape: tuple[int, ...] = (4,),
        n_classes: int = 3,
    ) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        self.make = make

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        return MappingProxyType({"which": ("first", "twin", "other")})

    def canonical(self, architecture: Architecture) -> Architecture:
        return FIRST if architecture["which"] == "twin" else architecture

    def build(self, architecture: Architecture) -> nn.Module:
        if self.make is not None:
            return self.make()
        width = 8 if architecture["which"] == "first" else 16
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(int(np.prod(self.input_shape)), width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(width, self.n_classes),
        )


FIRST, TWIN, OTHER = (Architecture({"which": which}) for which in ("first", "twin", "other"))


class Wrapped(nn.Module):
    """A linear network whose output passes through a function."""

    def __init__(self, change: Callable[[torch.Tensor], object], n_outputs: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(4, n_outputs)
        self.change = change

    def forward(self, x: torch.Tensor) -> object:
        return self.change(self.linear(x))
