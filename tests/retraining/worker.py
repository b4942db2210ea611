"""What `torchrun` starts in the tests: one training on digits, of a network that says nothing of batch statistics.

Usage: worker.py FOLDER [STOP_AFTER_EPOCH] [norm]
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import robonas
from robonas.datasets import from_arrays


class Plain(nn.Module):
    """No batch normalisation and nothing random, and a layer that gets no gradient."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4) if norm else nn.Identity())
        self.tail = nn.Sequential(nn.ReLU(), nn.Dropout(0.2 if norm else 0.0), nn.Flatten(), nn.Linear(256, 10))
        self.unused = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.body(x))


def space(norm: bool = False) -> robonas.SearchSpace:
    return robonas.from_choices(
        {"norm": [norm]}, lambda norm: Plain(norm=norm), input_shape=(1, 8, 8), n_classes=10, name="plain"
    )


def data(n: int = 203) -> robonas.datasets.LabelledData:
    whole = robonas.load_dataset("digits")
    return from_arrays(whole.samples.values[:n], whole.labels[:n], n_classes=10, name="some digits")


def run(folder: str, stop: int | None = None, *, norm: bool = False) -> robonas.TrainedNetwork:
    def tell(row) -> None:
        if row.epoch == stop:
            raise KeyboardInterrupt

    where = space(norm)
    return robonas.train(
        next(iter(where)),
        data(),
        space=where,
        folder=folder,
        test=data(51),
        epochs=4,
        batch_size=31,
        accumulate=2,
        clip=1.0,
        crop=1,
        ema=0.9,
        cutout=3,
        device="cpu",
        threads=1,
        callbacks=[tell],
    )


if __name__ == "__main__":
    place, *rest = sys.argv[1:]
    stops = [int(word) for word in rest if word.isdigit()]
    run(place, stops[0] if stops else None, norm="norm" in rest)
