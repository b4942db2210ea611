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
plain losses, as `robonas.datasets.targets` defines them. Where the decoders double the size cannot be told from the
published numbers: ours do it in their last layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from robonas.common.lazy import nn
from robonas.common.registry import unknown_name
from robonas.datasets.targets import NUMBERS, Task
from robonas.errors import ConfigError
from robonas.spaces.base import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.spaces.networks.transnas import TransNASNetwork


@dataclass(frozen=True)
class TransNASTask:
    """One of the seven tasks."""

    n_outputs: int
    """Classes, permutations, numbers, or channels of the answer."""
    head: Literal["linear", "patches", "segment", "generate"]
    """Part of the network that follows the encoder."""
    kind: Task
    """Kind of its targets, which chooses the loss."""
    input_shape: tuple[int, ...] = (3, 256, 256)
    """Shape of one sample in the benchmark."""


TASKS: Mapping[str, TransNASTask] = {
    "autoencoder": TransNASTask(3, "generate", "image"),
    "class_object": TransNASTask(100, "linear", "classification"),
    "class_scene": TransNASTask(63, "linear", "classification"),
    "jigsaw": TransNASTask(1000, "patches", "classification", (9, 3, 64, 64)),
    "normal": TransNASTask(3, "generate", "image"),
    "room_layout": TransNASTask(9, "linear", "regression"),
    "segmentsemantic": TransNASTask(17, "segment", "segmentation"),
}
"""The seven tasks, spelt as in the benchmark."""


def task_of(name: str) -> TransNASTask:
    """Return the task of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS, f"Unknown task {name!r} of TransNAS-Bench-101")
    return TASKS[name]


class TransNASSpace(SearchSpace):
    """The base of the benchmark's two spaces: a task, its head, and the width of the first module.

    Args:
        input_shape: (channels, height, width), for jigsaw with the number of patches before; None for the benchmark's.
        n_classes: Classes, numbers or channels of the answer; None for the task's.
        task: One of seven, such as ``"class_scene"``.
        channels: Width of the first module's input; 64 in the benchmark, even.

    Raises:
        UnknownNameError: There is no such task.
        ConfigError: A size that the network cannot have.
    """

    most_halvings: ClassVar[int]
    """Largest number of times that an encoder halves the size."""

    def __init__(
        self,
        *,
        input_shape: Sequence[int] | None = None,
        n_classes: int | None = None,
        task: str = "class_scene",
        channels: int = 64,
    ) -> None:
        self.card = task_of(task)
        super().__init__(
            input_shape=self.card.input_shape if input_shape is None else input_shape,
            n_classes=self.card.n_outputs if n_classes is None else n_classes,
        )
        self.task = task
        self._check_input()
        if channels < 2 or channels % 2:
            raise ConfigError(f"`channels` of {self.name} must be even and at least 2; got {channels}.")
        self.channels = channels

    def _check_input(self) -> None:
        """Raise where the number of dimensions is wrong, or where decoders cannot give back the sides."""
        shape, head, unit = self.input_shape, self.card.head, 2**self.most_halvings
        if len(shape) != (4 if head == "patches" else 3):
            wanted = "(9, channels, height, width)" if head == "patches" else "(channels, height, width)"
            raise ConfigError(f"`input_shape` of {self.name} must be {wanted} for {self.task}; got {shape}.")
        if head in {"segment", "generate"} and any(side % unit for side in shape[-2:]):
            raise ConfigError(
                f"Sides of the input of {self.name} must be multiples of {unit} for {self.task}, whose answer is as "
                f"large; got {shape}."
            )

    @classmethod
    def fitting(cls, task: Task, input_shape: Sequence[int]) -> dict[str, Any]:
        """Return the task of the benchmark that is of the data's kind: the one of its kind that needs nothing else."""
        if task == "classification":
            return {"task": "jigsaw" if len(input_shape) == 4 else "class_scene"}
        kinds = {"segmentation": "segmentsemantic", "image": "autoencoder", "regression": "room_layout"}
        return {"task": kinds[task]} if task in kinds else {}

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {**super().settings, "task": self.task, "channels": self.channels}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one answer: numbers, or maps of the input's size."""
        return (self.n_classes,) if self.card.kind in NUMBERS else (self.n_classes, *self.input_shape[-2:])

    @property
    def answers(self) -> tuple[Task, ...]:
        """Numbers of any kind, or the maps of the task."""
        return NUMBERS if self.card.kind in NUMBERS else (self.card.kind,)

    def network(self, encoder: Sequence[nn.Module], channels: int, halvings: int) -> TransNASNetwork:
        """Build the network of an encoder, its last number of channels and its halvings, with the head of the task."""
        from robonas.spaces.networks.transnas import TransNASNetwork

        patches = self.input_shape[0] if len(self.input_shape) == 4 else 1
        return TransNASNetwork(nn.Sequential(*encoder), channels, halvings, self.card.head, self.n_classes, patches)
