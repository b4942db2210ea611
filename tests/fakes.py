"""Small spaces, batches and objectives for tests; importable by child processes as `tests.fakes`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from robonas.common.randomness import torch_generator
from robonas.datasets.batch import Batch
from robonas.errors import ObjectiveError
from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
from robonas.spaces import NASBench201, SearchSpace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from robonas.architecture import Architecture

CHEAP = ("grad_norm", "snip", "synflow", "params")
"""Metrics without a double backward."""


def small_space() -> NASBench201:
    """Cells in the smallest network."""
    return NASBench201(input_shape=(1, 8, 8), n_classes=10, channels=2, depth=1)


def small_batch(n: int = 8, seed: int = 0) -> Batch:
    """Noise of the small space's shape."""
    generator = torch_generator("test batch", seed)
    inputs = torch.randn(n, 1, 8, 8, generator=generator)
    return Batch(inputs, torch.randint(10, (n,), generator=generator), 10)


class CountParameters(Objective):
    """Prefers large networks: instant, exact, without data.

    Args:
        fail: Fails where this is true of a parameter count.
        delay: Seconds a step.
        log: File to which each architecture is appended when its evaluation begins.
    """

    name = "count_parameters"
    value_name = "thousand parameters"

    def __init__(
        self,
        *,
        fail: Callable[[int], bool] = lambda _: False,
        delay: float = 0.0,
        log: str | os.PathLike[str] | None = None,
        direction: str = "maximize",
    ) -> None:
        self.fail = fail
        self.delay = delay
        self.log = log
        self.direction = direction  # type: ignore[assignment]

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def batch(self, size: int, seed: int) -> Batch:
        return small_batch(min(size, 8), seed)

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        assert isinstance(space, NASBench201)
        count = space.count_parameters(architecture)
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as stream:
                stream.write(space.format(architecture) + "\n")
        points = []
        for step in (1, 2):
            time.sleep(self.delay)
            points.append(CurvePoint(step, 2, count * step / 2000))
            if report:
                report(points[-1])
        if self.fail(count):
            raise ObjectiveError(f"diverged at {count} parameters")
        return Evaluation(count / 1000, 1.0, tuple(points), {"count": torch.tensor([float(count)])})
