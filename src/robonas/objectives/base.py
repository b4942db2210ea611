"""Objectives: the expensive evaluation that a search spends its budget on."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from robonas.common.settings import called
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from robonas.architecture import Architecture
    from robonas.datasets.batch import Batch
    from robonas.prediction.preprocessing import Preprocessing
    from robonas.spaces import SearchSpace


@dataclass(frozen=True)
class CurvePoint:
    """One epoch of a training, or one step of another evaluation."""

    step: int
    """Number of the step, from 1 to `steps`."""
    steps: int
    """Number of steps in all."""
    value: float
    """The objective's value now, in its own direction."""
    loss: float | None = None
    """Mean training loss of the epoch."""
    seconds: float = 0.0
    """Seconds since the start of the evaluation."""


Report: TypeAlias = Callable[[CurvePoint], None]
"""Called after every step; may raise to stop the evaluation."""


@dataclass(frozen=True)
class Evaluation:
    """The answer of an objective to one query."""

    value: float
    """Finite; in the objective's own direction."""
    seconds: float
    """Wall-clock time, or the recorded cost of a table."""
    curve: tuple[CurvePoint, ...] = field(default=(), repr=False)
    """The learning curve, a point an epoch."""
    parameters: dict[str, Tensor] | None = field(default=None, repr=False)
    """The trained network's state on the CPU; None where nothing was trained."""
    preprocessing: Preprocessing | None = field(default=None, repr=False)
    """Preparation of the network's inputs, kept with `parameters`; None where it takes them as they come."""


@dataclass(frozen=True)
class Judged:
    """The value of a trained network on samples that were held out of everything."""

    value: float
    """Finite; in the objective's own direction."""
    n: int
    """Number of samples."""
    error: float | None = None
    """Standard error of the value, as far as it comes from the number of samples: the standard deviation over samples,
    by √n; None where the value is no mean over samples."""


class Objective(abc.ABC):
    """Evaluates architectures, one at a time."""

    name: ClassVar[str]
    """The name in the catalogue."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether a larger value is better.

    Inside a search higher is always better; the study turns the sign at its border.
    """
    value_name: str = "value"
    """Name of the value, such as ``"validation accuracy"``."""
    tests: bool = False
    """Whether it holds samples out of everything, on which `test` judges the winner of a search."""
    isolated: bool = False
    """Whether a search evaluates in a process of its own, so that what ends the process costs one evaluation."""

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings on which the value depends.

        Two objectives with equal settings answer alike. JSON values; data enter by their fingerprint.
        """

    def __repr__(self) -> str:
        return called(type(self).__name__, self.settings)

    @abc.abstractmethod
    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Evaluate one architecture.

        The answer depends on the canonical architecture, the settings and the seed, and on nothing else. Global
        generators are left as they were.

        Args:
            space: Builds the network.
            architecture: Architecture to evaluate.
            seed: The run's seed.
            report: Called after every epoch.

        Raises:
            ObjectiveError: The evaluation failed, with the reason: it diverged, crashed, or has no finite value.
        """

    def test(
        self,
        space: SearchSpace,
        architecture: Architecture,
        parameters: Mapping[str, Tensor],  # noqa: ARG002
        *,
        seed: int,  # noqa: ARG002
    ) -> Judged:
        """Judge a trained network on the samples that are held out of everything.

        Args:
            space: Builds the network.
            architecture: Architecture of the network.
            parameters: Its trained state, as `Evaluation` has it.
            seed: Seed that it was trained with.

        Raises:
            ConfigError: The objective holds out none; see `tests`.
            ObjectiveError: The test failed, with the reason.
        """
        raise ConfigError(f"Objective {self.name!r} holds out no test samples; {space.format(architecture)} has none.")

    def about_data(self) -> dict[str, Any]:
        """Return what a report tells of the data: JSON values such as ``name`` and numbers of samples; {} where none.

        Nothing of it changes a value.
        """
        return {}

    def devices(self) -> list[str]:
        """Return the devices that evaluations at once are divided among; none where the objective has no say in it."""
        return []

    def on(self, device: str) -> Objective:  # noqa: ARG002
        """Return this objective on another device of the same kind, such as ``"cuda:1"``."""
        return self

    def batch(self, size: int, seed: int) -> Batch | None:  # noqa: ARG002
        """Return a batch of its training data for the metrics; None where it has no data."""
        return None

    def as_seen(self, batch: Batch, space: SearchSpace) -> Batch:  # noqa: ARG002
        """Return the batch after this objective's own preparation of inputs, such as cropping."""
        return batch
