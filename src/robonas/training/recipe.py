"""The recipe of a training: the descent and the augmentation in numbers, for short and for full trainings.

| symbol | meaning |
|---|---|
| η, η_end | learning rate at its largest, and where it falls towards |
| E, W | epochs, and those of them that warm up |
| t, T | time and its end, in steps or in epochs |
| μ, λ | momentum, weight decay |
| β₁, β₂ | for AdamW, decay of the means of the gradient (β₁ = μ) and of its square |
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from robonas.common.settings import check_known, real, whole
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

Schedule: TypeAlias = Literal["cosine", "linear"]
Every: TypeAlias = Literal["step", "epoch"]
Optimizer: TypeAlias = Literal["sgd", "adamw"]

_USUAL: dict[str, tuple[float, float]] = {"sgd": (0.1, 5e-4), "adamw": (0.001, 0.05)}
"""Learning rate and weight decay of each optimiser, where a recipe gives none."""


class RecipeSettings(TypedDict, total=False):
    """The settings of `Recipe`, for functions that take them by name."""

    epochs: int
    batch_size: int
    accumulate: int
    optimizer: Optimizer
    learning_rate: float | None
    final_learning_rate: float
    schedule: Schedule
    schedule_every: Every
    warmup_epochs: int
    momentum: float
    beta2: float
    nesterov: bool
    weight_decay: float | None
    decay_all: bool
    clip: float | None
    label_smoothing: float
    auxiliary_weight: float
    drop_path: float
    flip: bool
    crop: int
    cutout: int
    resized_crop: float
    colour_jitter: float
    randaugment: int
    randaugment_magnitude: int
    mixup: float
    cutmix: float
    ema: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Gradient descent on the loss of the data's task, by SGD with momentum or by AdamW, and random changes of images.

    Learning rate and weight decay have the usual value of the optimiser where None is given; the recipe then holds
    that value.

    Args:
        epochs: Number of epochs E: how often every training sample is seen.
        batch_size: Samples a step, over all processes together.
        accumulate: Pieces in which a batch is sent through the network, one after the other, to save memory; the
            gradient is that of the whole batch, but batch normalisation sees each piece alone.
        optimizer: Rule of the descent: ``"sgd"`` with momentum, or ``"adamw"``, which transformers need.
        learning_rate: Largest learning rate, η; None for 0.1 with SGD and 0.001 with AdamW.
        final_learning_rate: Learning rate at the end, η_end.
        schedule: Shape of the learning rate's fall: half a ``"cosine"``, or ``"linear"``.
        schedule_every: Moment at which the learning rate falls: every ``"step"`` or every ``"epoch"``.
        warmup_epochs: Epochs at the start over which the learning rate rises in equal parts, W; transformers need some.
        momentum: Momentum of the descent, μ, in [0, 1); for AdamW the decay of the mean gradient, β₁.
        beta2: Decay of the mean squared gradient, β₂, in [0, 1); for AdamW alone.
        nesterov: True for Nesterov's momentum; for SGD alone.
        weight_decay: Weight decay of convolutions and linear layers, λ; None for 0.0005 with SGD, which adds λθ to the
            gradient, and 0.05 with AdamW, which takes ηλθ from the parameters θ themselves.
        decay_all: True to let weight decay act on biases and normalisation too.
        clip: Largest Euclidean norm of all gradients together, to which larger ones are scaled down; None for any.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        auxiliary_weight: Weight of the loss of a second head, for networks that in training return the logits of both.
        drop_path: Largest probability of dropping a path, for networks with an attribute `drop_path`: epoch e = 0, 1, …
            has this times e/E. 0 leaves the network's own.
        flip: True to mirror images at random.
        crop: Pixels by which images are shifted at random, at most, in each direction; 0 for not.
        cutout: Side in pixels of a square that is blanked out at a random place of each image; 0 for none.
        resized_crop: Least share of an image's area that a random crop keeps, which is then resized to the network's
            input; images are judged by their middle. 0 for not.
        colour_jitter: Largest change of brightness, contrast and saturation, as a share of 1; 0 for none.
        randaugment: Number of changes that RandAugment applies to each image of bytes before all others, such as 2; 0
            for none. Needs torchvision.
        randaugment_magnitude: Strength of these changes, from 0 to 30.
        mixup: α of MixUp, which blends each image and its label with another's, such as 0.2; 0 for none. For classes.
            Needs torchvision.
        cutmix: α of CutMix, which pastes a box of another image into each, and mixes the labels by area, such as 1; 0
            for none. Where MixUp is on too, each batch has one of them, with equal chances.
        ema: Decay of the exponential moving average of the parameters, such as 0.999, which is then the network that is
            judged and kept; 0 for the parameters of the last step.

    Raises:
        ConfigError: A setting out of range.
    """

    epochs: int = 10
    batch_size: int = 64
    accumulate: int = 1
    optimizer: Optimizer = "sgd"
    learning_rate: float | None = None
    final_learning_rate: float = 0.0
    schedule: Schedule = "cosine"
    schedule_every: Every = "step"
    warmup_epochs: int = 0
    momentum: float = 0.9
    beta2: float = 0.999
    nesterov: bool = True
    weight_decay: float | None = None
    decay_all: bool = False
    clip: float | None = None
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    drop_path: float = 0.0
    flip: bool = False
    crop: int = 0
    cutout: int = 0
    resized_crop: float = 0.0
    colour_jitter: float = 0.0
    randaugment: int = 0
    randaugment_magnitude: int = 9
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        require("optimizer", self.optimizer, self.optimizer in get_args(Optimizer), f"one of {get_args(Optimizer)}")
        for name, usual in zip(("learning_rate", "weight_decay"), _USUAL[self.optimizer], strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, usual)
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(setting.default, bool):
                require(setting.name, value, isinstance(value, bool), "true or false")
            elif isinstance(setting.default, float) or (setting.default is None and value is not None):
                real(setting.name, value)
        leasts = {"epochs": 1, "batch_size": 2, "accumulate": 1, "crop": 0, "cutout": 0, "randaugment": 0}
        for name, least in leasts.items():
            number = whole(name, getattr(self, name))
            require(name, number, number >= least, f"at least {least}")
        rate, end, clip = self.rate, self.final_learning_rate, self.clip
        require("learning_rate", rate, 0 < rate < math.inf, "positive")
        require("final_learning_rate", end, 0 <= end <= rate, f"from 0 to the learning rate, {rate}")
        require("schedule", self.schedule, self.schedule in get_args(Schedule), f"one of {get_args(Schedule)}")
        require("schedule_every", self.schedule_every, self.schedule_every in get_args(Every), "'step' or 'epoch'")
        warm = whole("warmup_epochs", self.warmup_epochs)
        require("warmup_epochs", warm, 0 <= warm < self.epochs, f"at least 0 and below `epochs`, {self.epochs}")
        require("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)")
        require("beta2", self.beta2, 0 <= self.beta2 < 1, "in [0, 1)")
        require("weight_decay", self.decay, 0 <= self.decay < math.inf, "at least 0")
        require("clip", clip, clip is None or 0 < clip < math.inf, "positive, or None")
        require("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        require("auxiliary_weight", self.auxiliary_weight, 0 <= self.auxiliary_weight < math.inf, "at least 0")
        require("drop_path", self.drop_path, 0 <= self.drop_path < 1, "in [0, 1)")
        require("resized_crop", self.resized_crop, 0 <= self.resized_crop <= 1, "in [0, 1]")
        require("colour_jitter", self.colour_jitter, 0 <= self.colour_jitter <= 1, "in [0, 1]")
        magnitude = whole("randaugment_magnitude", self.randaugment_magnitude)
        require("randaugment_magnitude", magnitude, 0 <= magnitude <= 30, "from 0 to 30")
        require("mixup", self.mixup, 0 <= self.mixup < math.inf, "at least 0")
        require("cutmix", self.cutmix, 0 <= self.cutmix < math.inf, "at least 0")
        require("ema", self.ema, 0 <= self.ema < 1, "in [0, 1)")
        if not self.momentum or self.optimizer != "sgd":
            object.__setattr__(self, "nesterov", False)  # there is nothing to look ahead by

    @property
    def rate(self) -> float:
        """Largest learning rate, η: the one that was given, or the optimiser's usual one."""
        return _USUAL[self.optimizer][0] if self.learning_rate is None else self.learning_rate

    @property
    def decay(self) -> float:
        """Weight decay, λ: the one that was given, or the optimiser's usual one."""
        return _USUAL[self.optimizer][1] if self.weight_decay is None else self.weight_decay

    @property
    def augments(self) -> bool:
        """Whether images are changed at random."""
        moved = self.flip or self.crop or self.cutout or self.resized_crop
        return bool(moved or self.colour_jitter or self.randaugment or self.mixes)

    @property
    def mixes(self) -> bool:
        """Whether images and their labels are mixed with others."""
        return bool(self.mixup or self.cutmix)


def recipe_of(settings: Mapping[str, Any], taker: Callable[..., object]) -> Recipe:
    """Return the recipe of settings that a function or class takes by name beside its own arguments.

    Raises:
        ConfigError: One that neither of them has, with the nearest that there is; or one out of range.
    """
    named = {field.name for field in fields(Recipe)}
    others = {argument.name for argument in inspect.signature(taker).parameters.values()} - {"recipe", "self"}
    check_known(settings, named | others, f"`{taker.__name__}`")
    return Recipe(**settings)


def require(name: str, value: object, holds: bool, rule: str) -> None:
    """Raise unless a setting keeps its rule.

    Raises:
        ConfigError: It does not.
    """
    if not holds:
        raise ConfigError(f"`{name}` must be {rule}; got {value!r}.")


def meanings() -> dict[str, str]:
    """Return what each setting of `Recipe` is, as its documentation says."""
    arguments = (inspect.getdoc(Recipe) or "").partition("Args:\n")[2].partition("Raises:")[0]
    found = re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", arguments, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).replace("``", "") for name, text in found}


def learning_rate(recipe: Recipe, step: int, steps_an_epoch: int) -> float:
    """Return the learning rate of a step, from 0.

    At time t of T, the first W epochs' end being t_W: η (t + 1)/t_W while t < t_W, then η_end + (η - η_end) · s with
    p = (t - t_W)/(T - t_W), and s = (1 + cos πp)/2 for the cosine, or 1 - p for the line. Time counts steps, or epochs
    where the rate changes with these only.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, arXiv 1608.03983,
    equation 5, without restarts; the warm-up is that of Goyal et al., arXiv 1706.02677, section 2.2.
    """
    time, unit = (step, steps_an_epoch) if recipe.schedule_every == "step" else (step // steps_an_epoch, 1)
    warm, end = recipe.warmup_epochs * unit, recipe.epochs * unit
    if time < warm:
        return recipe.rate * (time + 1) / warm
    passed = (time - warm) / (end - warm)
    share = (1 + math.cos(math.pi * passed)) / 2 if recipe.schedule == "cosine" else 1 - passed
    return recipe.final_learning_rate + (recipe.rate - recipe.final_learning_rate) * share


def drop_path_rate(recipe: Recipe, epoch: int) -> float:
    """Return the probability of dropping a path in an epoch, from 1: p · (epoch - 1)/E.

    Source: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018, arXiv
    1707.07012, appendix A ("ScheduledDropPath"), as DARTS uses it, epoch by epoch.
    """
    return recipe.drop_path * (epoch - 1) / recipe.epochs


def set_drop_path(network: nn.Module, recipe: Recipe, epoch: int) -> None:
    """Set the network's probability of dropping a path to that of an epoch, from 1.

    Raises:
        ConfigError: The network has no such probability.
    """
    if not recipe.drop_path:
        return
    if not isinstance(getattr(network, "drop_path", None), float | int):
        raise ConfigError(
            f"`drop_path` needs a network with an attribute `drop_path`, a number, such as those of the space 'darts'; "
            f"got {recipe.drop_path} for a {type(network).__name__}. Leave it at 0."
        )
    network.drop_path = drop_path_rate(recipe, epoch)  # type: ignore[assignment]


def steps_of_epoch(recipe: Recipe, n: int, n_processes: int = 1) -> int:
    """Return ⌈n/batch_size⌉, or fewer where a piece of a batch would be a single sample.

    Batch norm is undefined on one.
    """
    return max(1, min(math.ceil(n / recipe.batch_size), n // (2 * recipe.accumulate * n_processes)))
