"""Random flips and crops of a batch of images, drawn from a generator of their own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def flip_some(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image is mirrored left to right with probability 1/2.

    Args:
        images: (n, channels, height, width), on any device.
        generator: On the CPU, so that every device draws alike.
    """
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)


def crop_some(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image is padded with zeros on all sides, and a window of its old size is cut out anywhere, uniformly.

    Args:
        images: (n, channels, height, width), standardised, so that zero is the mean.
        padding: Pixels on each side.
        generator: On the CPU.
    """
    n, channels, height, width = images.shape
    offsets = torch.randint(2 * padding + 1, (2, n, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    sample = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    padded = F.pad(images, (padding, padding, padding, padding))
    return padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]
