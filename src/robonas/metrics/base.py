"""Training-free metrics and their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from robonas.datasets.targets import TASKS, Task
from robonas.errors import ConfigError
from robonas.metrics.passes.needs import Need as Need  # noqa: PLC0414  # for metrics, which need it beside `Metric`

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.passes import Passes


Cost: TypeAlias = Literal[
    "free", "forward", "backward", "double backward", "several passes", "a pass for each sample or class"
]
DEAR: frozenset[Cost] = frozenset({"double backward", "a pass for each sample or class"})
"""Costs at which a metric is no longer cheap."""


YARDSTICK = (
    "with the test accuracies of 400 cells of NAS-Bench-201 on CIFAR-10, scored with 16 crops of photographs of 16×16 "
    "pixels; positive where the direction is right"
)
"""Setting with which `Metric.agreement` is measured."""


@dataclass(frozen=True)
class Metric:
    """A training-free metric and its card.

    A metric is a function from the shared `Passes` over one network to one number. It must not change the network or
    what it reads; what it reads it declares in `needs`.
    """

    name: str
    """The name in tables and on the command line."""
    compute: Callable[[Passes], float]
    """Function from the passes to the score; may raise `MetricError` with the reason why there is none."""
    needs: frozenset[Need]
    """The passes that it reads."""
    meaning: str
    """Meaning of the metric in one sentence."""
    formula: str
    """Its definition, in plain characters."""
    source: str
    """Paper and equation, and how we differ from the reference code."""
    brief: str = ""
    """Meaning in a few words, for a table: at most 46 characters, without the direction."""
    higher_is_better: bool = True
    """Direction in which networks are expected to be better."""
    needs_labels: bool = False
    """Whether the targets of the batch matter."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """Range of the value."""
    weaknesses: str = ""
    """Cases in which it cannot be trusted."""
    tasks: tuple[Task, ...] = TASKS
    """Kinds of targets for which it is defined."""
    least_samples: int = 2
    """Smallest batch that it needs."""
    sample_by_sample: bool = False
    """Whether it makes a pass for each sample, or each class."""
    by_class: bool = False
    """Whether the scores of all architectures of a scoring class have one distribution, so that one is scored for all.
    True only where the names, number and order of modules and the order of channels mean nothing."""
    measures_the_machine: bool = False
    """Whether the value is a measurement of this machine, which differs from run to run."""
    agreement: str = ""
    """Its rank correlation with the accuracies of NAS-Bench-201 as `benchmarks/metric_correlations.py` measures it."""
    reported: str = ""
    """The rank correlations that papers report, and at which setting."""

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip() or "," in self.name:
            raise ConfigError(
                f"A metric's name must be a word without commas or surrounding spaces; got {self.name!r}."
            )

    def unsuited(self, batch: Batch) -> str | None:
        """Return why this batch gives the metric no value whatever the network, or None."""
        if batch.task not in self.tasks:
            return f"{self.name} is defined for {' and '.join(self.tasks)}, and the batch's task is {batch.task}"
        if len(batch) < self.least_samples:
            return f"{self.name} needs at least {self.least_samples} samples, and the batch has {len(batch)}"
        return None

    def card(self) -> dict[str, str]:
        """Return all that there is to know about the metric, in words, by heading."""
        low, high = self.bounds
        needs = sorted(need.value for need in self.needs)
        return {
            "name": self.name,
            "meaning": self.meaning,
            "formula": self.formula,
            "direction": "higher is better" if self.higher_is_better else "lower is better",
            "range": f"{low:g} to {high:g}".replace("-inf", "−∞").replace("inf", "∞"),
            "needs": "; ".join([*needs, *(["labels"] if self.needs_labels else [])]),
            "tasks": ", ".join(self.tasks),
            "cost": self.cost,
            "scored": "once a scoring class" if self.by_class else "once a canonical form",
            "source": self.source,
            "agreement": f"{self.agreement} {YARDSTICK}" if self.agreement else "not measured",
            "reported agreement": self.reported or "none known",
            "weaknesses": self.weaknesses or "none known",
        }

    @property
    def cost(self) -> Cost:
        """Cost of the metric when it is computed alone."""
        if self.sample_by_sample:
            return "a pass for each sample or class"
        if Need.OWN_PASSES in self.needs:
            return "several passes"
        if self.needs & {Need.HESSIAN, Need.CURVATURE, Need.NORMED_CURVATURE}:
            return "double backward"
        if self.needs & {Need.GRADIENTS, Need.SALIENCIES, Need.JACOBIAN}:
            return "backward"
        return "free" if self.needs <= {Need.PARAMETERS} else "forward"


@dataclass(frozen=True)
class Score:
    """A metric's value for one network, or the reason why it has none."""

    value: float
    """Finite, or NaN where `reason` says why."""
    reason: str | None = None
    """Reason why the value is NaN; None where it is not."""
    seconds: float = 0.0
    """CPU time: its own, and its share of the passes that it shares."""
