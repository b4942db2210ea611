"""Random changes of a batch of images: what is drawn, on the CPU, apart from what it does, on any device.

The draws of a whole batch come from one generator, so that processes that share a batch change each image as one alone
would.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from robonas.errors import ConfigError
from robonas.training.mixing import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.training.recipe import Recipe

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey image (ITU-R BT.601)."""
_ASPECTS = (3 / 4, 4 / 3)


def draw(recipe: Recipe, n: int, shape: tuple[int, ...], generator: torch.Generator) -> dict[str, Tensor]:
    """Draw all random numbers that `n` images of a shape need; each entry has one row an image.

    Args:
        recipe: Recipe with the changes of the images.
        n: Number of images.
        shape: Shape of one image, (channels, height, width).
        generator: On the CPU.
    """
    draws: dict[str, Tensor] = {}
    if recipe.flip:
        draws["mirrored"] = torch.rand(n, generator=generator) < 0.5
    if recipe.crop:
        draws["offsets"] = torch.randint(2 * recipe.crop + 1, (2, n, 1), generator=generator).movedim(1, 0)
    if recipe.cutout:
        draws["centres"] = torch.rand(n, 2, generator=generator)
    if recipe.resized_crop:
        draws["boxes"] = draw_boxes(recipe.resized_crop, n, shape, generator)
    if recipe.colour_jitter:
        spread = 2 * torch.rand(n, 3, generator=generator) - 1
        draws["colours"] = 1 + recipe.colour_jitter * spread
    return draws | draw_seeds(recipe, n, generator)


def augment(images: Tensor, recipe: Recipe, draws: Mapping[str, Tensor], size: tuple[int, ...]) -> Tensor:
    """Crop and resize, mirror and shift images, and blank out a square of each, in that order.

    Changes of raw bytes, and those that mix images, are elsewhere: see `jitter` and `robonas.training.mixing`.

    Args:
        images: (n, channels, height, width), standardised, so that zero is the mean.
        recipe: Recipe with the changes of the images.
        draws: The rows of `draw` for these images.
        size: Shape of the network's input, which random crops are resized to.
    """
    moved = {name: values.to(images.device) for name, values in draws.items()}
    if "boxes" in moved:
        images = cut_out_boxes(images, moved["boxes"], (size[1], size[2]))
    if "mirrored" in moved:
        images = mirror(images, moved["mirrored"])
    if "offsets" in moved:
        images = shift(images, moved["offsets"], recipe.crop)
    if "centres" in moved:
        images = blank_squares(images, moved["centres"], recipe.cutout)
    return images


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror some images left to right.

    Args:
        images: (n, channels, height, width).
        mirrored: Which, booleans, (n,).
    """
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def shift(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Return a window of each image's own size, after padding it with zeros on all sides.

    Args:
        images: (n, channels, height, width).
        offsets: Row and column of the window, from 0 to 2 · padding, (n, 2, 1).
        padding: Pixels on each side.
    """
    _, channels, height, width = images.shape
    rows = offsets[:, 0] + torch.arange(height, device=images.device)
    columns = offsets[:, 1] + torch.arange(width, device=images.device)
    sample = torch.arange(len(images), device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    padded = F.pad(images, (padding, padding, padding, padding))
    return padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]


def blank_squares(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Fill a square around a pixel of each image with zeros; what lies outside of the image is lost.

    Args:
        images: (n, channels, height, width).
        centres: Row and column of the pixel as shares of height and width, in [0, 1), (n, 2).
        side: Side of the square in pixels; an even one reaches one pixel further up and to the left.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv
        1708.04552.
    """
    height, width = images.shape[-2:]
    covered = []
    for place, length in enumerate((height, width)):
        first = (centres[:, place] * length).long()[:, None] - side // 2
        pixels = torch.arange(length, device=images.device)
        covered.append((pixels >= first) & (pixels < first + side))
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return images.masked_fill(square, 0.0)


def draw_boxes(least: float, n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw boxes of random area, aspect ratio and place, (n, 4): height, width, top and left as shares.

    The area is uniform from `least` to 1, the aspect ratio log-uniform from 3/4 to 4/3; a side longer than the image's
    is cut to that. torchvision's `RandomResizedCrop` draws again instead.

    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, arXiv 1409.4842, section 6.
    """
    numbers = torch.rand(4, n, generator=generator)
    area = least + (1 - least) * numbers[0]
    low, high = map(math.log, _ASPECTS)
    aspect = torch.exp(low + (high - low) * numbers[1]) * shape[1] / shape[2]
    height, width = torch.sqrt(area / aspect).clamp(max=1), torch.sqrt(area * aspect).clamp(max=1)
    return torch.stack([height, width, (1 - height) * numbers[2], (1 - width) * numbers[3]], dim=1)


def cut_out_boxes(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a box of each image, resized bilinearly.

    Args:
        images: (n, channels, height, width).
        boxes: Height, width, top and left as shares of the image, (n, 4).
        size: (height, width) wanted.
    """
    height, width, top, left = boxes.to(images.dtype).unbind(1)
    zero = torch.zeros_like(height)
    rows = [width, zero, 2 * left + width - 1, zero, height, 2 * top + height - 1]
    grid = F.affine_grid(
        torch.stack(rows, dim=1).reshape(-1, 2, 3), [len(images), images.shape[1], *size], align_corners=False
    )
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def jitter(raw: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation of each image by a factor of its own.

    Args:
        raw: Bytes, (n, channels, height, width); saturation is for three channels.
        factors: (n, 3), in that order.

    Raises:
        ConfigError: The images are not bytes, so that nobody knows what black and white are.
    """
    if raw.dtype != torch.uint8:
        raise ConfigError(f"`colour_jitter` is for images of bytes; got {raw.dtype}. Leave it at 0.")
    brightness, contrast, saturation = factors.to(raw.device)[:, :, None, None, None].unbind(1)
    values = (raw * brightness).clamp(0, 255)
    mean = _grey(values).mean(dim=(1, 2, 3), keepdim=True)
    values = (mean + contrast * (values - mean)).clamp(0, 255)
    if values.shape[1] == len(_GREY):
        grey = _grey(values)
        values = (grey + saturation * (values - grey)).clamp(0, 255)
    return values.round().to(torch.uint8)


def _grey(values: Tensor) -> Tensor:
    if values.shape[1] != len(_GREY):
        return values.mean(dim=1, keepdim=True)
    weights = torch.tensor(_GREY, device=values.device).reshape(1, 3, 1, 1)
    return (values * weights).sum(dim=1, keepdim=True)
