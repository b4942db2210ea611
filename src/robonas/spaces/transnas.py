"""TransNAS-Bench-101: what its two spaces share: seven tasks, the stem, and a head for each task.

| task | target of a sample | head | loss |
|---|---|---|---|
| class_scene, class_object | class index (63 scenes, 100 objects) | linear | cross-entropy |
| room_layout | 9 numbers | linear | mean squared error |
| jigsaw | permutation index (1,000) of nine patches | linear on the patches' features side by side | cross-entropy |
| segmentsemantic | class of every pixel (17) | decoder | cross-entropy |
| normal, autoencoder | image of 3 channels in [-1, 1] | decoder | mean absolute error |

Source: Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural
Architecture Search", CVPR 2021, arXiv 2105.11871 (MIT licence). Widths and parameter counts of encoders, heads and
decoders are those that NAS-Bench-Suite-Zero published. The benchmark trains surface normals and autoencoding with an
adversarial loss beside the absolute error, and scenes and objects against a large network's soft answers; ours take the
plain losses. Where the decoders double the size cannot be told from the published numbers: ours do it in their last
layers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn import functional

from robonas.errors import ConfigError, UnknownNameError
from robonas.spaces.blocks import Classifier, ConvBNAct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class TransNASTask:
    """One of the seven tasks."""

    n_outputs: int
    """Classes, permutations, numbers, or channels of the answer."""
    head: Literal["linear", "patches", "segment", "generate"]
    """What follows the encoder."""
    loss: Literal["cross_entropy", "mse", "l1"]
    """What is made small."""
    input_shape: tuple[int, ...] = (3, 256, 256)
    """Shape of one sample in the benchmark."""


TASKS: Mapping[str, TransNASTask] = {
    "autoencoder": TransNASTask(3, "generate", "l1"),
    "class_object": TransNASTask(100, "linear", "cross_entropy"),
    "class_scene": TransNASTask(63, "linear", "cross_entropy"),
    "jigsaw": TransNASTask(1000, "patches", "cross_entropy", (9, 3, 64, 64)),
    "normal": TransNASTask(3, "generate", "l1"),
    "room_layout": TransNASTask(9, "linear", "mse"),
    "segmentsemantic": TransNASTask(17, "segment", "cross_entropy"),
}
"""The seven tasks, spelt as in the benchmark."""


def task_of(name: str) -> TransNASTask:
    """The task of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in TASKS:
        raise UnknownNameError(
            f"Unknown task {name!r} of TransNAS-Bench-101. Known: {', '.join(TASKS)}.",
            kind="task",
            name=name,
            known=tuple(TASKS),
        )
    return TASKS[name]


def task_loss(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The task's plain loss, a scalar ≥ 0; lower is better.

    Args:
        name: The task.
        outputs: What the network returned.
        targets: As in the table of this module; cross-entropy also takes probabilities of the outputs' shape.

    Raises:
        UnknownNameError: There is no such task.
    """
    loss = task_of(name).loss
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, targets)
    return functional.mse_loss(outputs, targets) if loss == "mse" else functional.l1_loss(outputs, targets)


def output_shape(task: TransNASTask, n_outputs: int, input_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of one answer: numbers, or maps of the input's size."""
    return (n_outputs,) if task.head in {"linear", "patches"} else (n_outputs, *input_shape[-2:])


def check_input(space: str, task: str, input_shape: Sequence[int], halvings: int) -> None:
    """Raise unless the network can take this input.

    Raises:
        ConfigError: Wrong number of dimensions, or sides that decoders cannot give back.
    """
    head = task_of(task).head
    dimensions = 4 if head == "patches" else 3
    if len(input_shape) != dimensions:
        wanted = "(9, channels, height, width)" if head == "patches" else "(channels, height, width)"
        raise ConfigError(f"`input_shape` of {space} must be {wanted} for {task}; got {tuple(input_shape)}.")
    unit = 2**halvings
    if head in {"segment", "generate"} and any(side % unit for side in input_shape[-2:]):
        raise ConfigError(
            f"Sides of the input of {space} must be multiples of {unit} for {task}, whose answer is as large; "
            f"got {tuple(input_shape)}."
        )


class Stem(nn.Sequential):
    """Two 3×3 convolutions with stride 2: a quarter of the size, `channels` wide."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__(
            ConvBNAct(c_in, channels // 2, 3, 2, activation=nn.ReLU), ConvBNAct(channels // 2, channels, 3, 2)
        )


class TransNASNetwork(nn.Module):
    """An encoder and the head of a task.

    Args:
        encoder: From images to maps.
        channels: Of the maps.
        halvings: How often the encoder halves the size.
        task: Which task.
        n_outputs: Classes, numbers or channels of the answer.
        n_patches: Images of one sample, for jigsaw.
    """

    def __init__(
        self, encoder: nn.Module, channels: int, halvings: int, task: TransNASTask, n_outputs: int, n_patches: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.patches = task.head == "patches"
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head: nn.Module
        if task.head == "linear":
            self.head = Classifier(channels, n_outputs)
        elif self.patches:
            self.head = nn.Linear(n_patches * channels, n_outputs)
        elif task.head == "segment":
            self.head = _decoder([channels, 1024, 512, 256, 128, 64, 32, 32], n_outputs, halvings, nn.ReLU)
        else:
            widths = [channels, 1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16]
            self.head = nn.Sequential(_decoder(widths, n_outputs, halvings, _Leaky), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Answers; for jigsaw from (n, patches, channels, height, width)."""
        if self.patches:
            maps = self.encoder(x.flatten(0, 1))
            features = self.pool(maps).unflatten(0, (len(x), -1)).flatten(1)  # (n, patches·channels)
        else:
            features = self.encoder(x)
        answer: Tensor = self.head(features)
        return answer


class _Leaky(nn.LeakyReLU):
    """With the slope that generators use."""

    def __init__(self) -> None:
        super().__init__(0.2)


def _decoder(widths: Sequence[int], n_outputs: int, halvings: int, activation: type[nn.Module]) -> nn.Sequential:
    """3×3 convolutions with biases; the last `halvings` before the answer double the size (transposed)."""
    steps = list(itertools.pairwise(widths))
    layers: list[nn.Module] = []
    for number, (c_in, c_out) in enumerate(steps):
        if number < len(steps) - halvings:
            layers.append(nn.Conv2d(c_in, c_out, 3, padding=1))
        else:
            layers.append(nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1))
        layers += [nn.BatchNorm2d(c_out), activation()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], n_outputs, 3, padding=1))
