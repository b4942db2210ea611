"""RandAugment, MixUp and CutMix of torchvision, under a seed of their own.

torchvision draws from PyTorch's global generator. Here that generator is seeded for each image, or for each batch, and
is afterwards as it was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from robonas.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from robonas.training.recipe import Recipe


def draw_seeds(recipe: Recipe, n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw a seed for each image for RandAugment, and one for the batch for MixUp and CutMix; an entry has `n` rows.

    Args:
        recipe: Recipe with the changes of the images.
        n: Number of images.
        generator: On the CPU.
    """
    draws = {}
    if recipe.randaugment:
        draws["policies"] = torch.randint(2**62, (n,), generator=generator)
    if recipe.mixup or recipe.cutmix:
        draws["mixes"] = torch.randint(2**62, (1,), generator=generator).expand(n)
    return draws


def randaugment(raw: Tensor, recipe: Recipe, seeds: Tensor) -> Tensor:
    """Apply some random changes to each image, such as a rotation or less contrast: RandAugment.

    Args:
        raw: Bytes on the CPU, (n, channels, height, width).
        recipe: Recipe with the number of changes and their magnitude.
        seeds: A seed for each image, (n,).

    Returns:
        Bytes of the same shape.

    Raises:
        ConfigError: The images are not bytes.

    Source:
        Cubuk, Zoph, Shlens and Le, "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space",
        NeurIPS 2020, arXiv 1909.13719, by `torchvision.transforms.v2.RandAugment`.
    """
    if raw.dtype != torch.uint8:
        raise ConfigError(f"`randaugment` is for images of bytes; got {raw.dtype}. Leave it at 0.")
    change = _transforms().RandAugment(num_ops=recipe.randaugment, magnitude=recipe.randaugment_magnitude)
    changed = torch.empty_like(raw)
    with torch.random.fork_rng(devices=[]):
        for place, (image, seed) in enumerate(zip(raw, seeds.tolist(), strict=True)):
            torch.default_generator.manual_seed(seed)
            changed[place] = change(image)
    return changed


def mix(images: Tensor, labels: Tensor, recipe: Recipe, seed: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """Mix each image and its label with those of the image before it, by MixUp or CutMix.

    MixUp returns λx + (1 - λ)x', CutMix x with a box of x' that covers about 1 - λ of it, with λ from Beta(α, α), the
    same for all images of a batch. Labels are mixed likewise, for CutMix by the area of the box. Where both are on,
    each batch has one of them, with equal chances.

    Args:
        images: (n, channels, height, width), standardised.
        labels: Class indices, (n,).
        recipe: Recipe with the α of each.
        seed: Seed of the draws.
        n_classes: Number of classes.

    Returns:
        Images of the same shape, and a probability for each class, (n, n_classes).

    Source:
        Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv 1710.09412,
        and Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV
        2019, arXiv 1905.04899, by `torchvision.transforms.v2`. Images arrive in random order, so that the one before
        is a random one.
    """
    transforms = _transforms()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        cuts = bool(recipe.cutmix) and (not recipe.mixup or bool(torch.rand(()) < 0.5))
        kind, alpha = (transforms.CutMix, recipe.cutmix) if cuts else (transforms.MixUp, recipe.mixup)
        mixed: tuple[Tensor, Tensor] = kind(alpha=alpha, num_classes=n_classes)(images, labels)
    return mixed


def check_torchvision(recipe: Recipe) -> None:
    """Raise where a recipe needs torchvision, and it is not installed.

    Raises:
        MissingExtraError: It is not.
    """
    if recipe.randaugment or recipe.mixup or recipe.cutmix:
        _transforms()


def _transforms() -> Any:
    try:
        from torchvision.transforms import v2
    except ImportError as error:
        raise MissingExtraError("RandAugment, MixUp or CutMix", "vision") from error
    return v2
