"""Profile of a search space: sizes and costs of a sample of its architectures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from robonas.common.randomness import torch_generator
from robonas.common.settings import count_of, jobs_of
from robonas.costs.measuring import COSTS
from robonas.errors import ConfigError
from robonas.metrics import resolve_metrics
from robonas.scores.scoring import device_of, score
from robonas.study.bounds import Bound
from robonas.study.limits import Limits
from robonas.study.measurements import measure_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from robonas.architecture import Architecture
    from robonas.datasets.batch import Batch
    from robonas.spaces import SearchSpace


@dataclass(frozen=True)
class Profile:
    """Measures and scores of a sample of a space; printed as a table of ranges."""

    space: SearchSpace
    """The space."""
    frame: pd.DataFrame = field(repr=False)
    """One row an architecture that makes a network, indexed by its text, one column a cost or metric; NaN where it
    has no value. Where nothing keeps a bound, what is dearer than it was not measured."""
    failures: Mapping[str, str]
    """Reasons why the others make none, by their texts."""

    @property
    def n(self) -> int:
        """Number of architectures in the sample."""
        return len(self.frame) + len(self.failures)

    def range(self, quantity: str) -> tuple[float, float]:
        """Return the smallest and largest value.

        Raises:
            ConfigError: It was not measured.
        """
        if quantity not in self.frame:
            raise ConfigError(f"This profile has {', '.join(map(str, self.frame))}; got {quantity!r}.")
        return float(self.frame[quantity].min()), float(self.frame[quantity].max())

    def share(self, limits: Limits | Bound) -> float:
        """Return the share of the sample that keeps a bound, or all of some, from 0 to 1.

        What has no network keeps none.

        Raises:
            ConfigError: A bounded quantity was not measured.
        """
        kept = self.frame.index == self.frame.index
        for bound in (limits,) if isinstance(limits, Bound) else limits.bounds:
            if not kept.any():  # what is dearer may not have been measured
                break
            self.range(bound.key)
            kept &= [bound.keeps(value) for value in self.frame[bound.key]]
        return float(kept.sum()) / self.n

    def verdict(self, limits: Limits) -> str:
        """Return whether bounds can be met, as sentences: the share that keeps them, or the bounds in the way.

        Raises:
            ConfigError: A bounded quantity was not measured.
        """
        share = self.share(limits)
        if share > 0:
            return f"Within the limits: {100 * share:.1f} % of the sample."
        told = []
        for bound in limits.bounds:
            if bound.key not in self.frame:
                continue
            low, high = self.range(bound.key)
            nearest = low if bound.upper else high
            if math.isnan(nearest):
                told.append(f"{bound.key} has no value anywhere")
            elif not bound.keeps(nearest):
                told.append(f"{bound}, and the {'smallest' if bound.upper else 'largest'} is {bound.told(nearest)}")
        alone = "; ".join(told) or "each can be kept alone, but not all together"
        return f"Within the limits: nothing in the sample of {self.n:,}: {alone}. Loosen them, or take a larger sample."

    def __str__(self) -> str:
        size = self.space.size
        whole = "an unknown number of" if size is None else f"{size:,}"
        wide = max([10, *(len(str(quantity)) for quantity in self.frame)])
        lines = [f"{self.n:,} of {whole} architectures of {self.space.name}"]
        lines.append(f"{'':>{wide}} {'least':>14} {'median':>14} {'most':>14}")
        for quantity in self.frame:
            values = self.frame[quantity]
            cells = " ".join(f"{value:>14,.6g}" for value in (values.min(), values.median(), values.max()))
            lines.append(f"{quantity:>{wide}} {cells}")
        lines += [f"no network: {reason}" for reason in list(self.failures.values())[:3]]
        return "\n".join(lines)


def profile(
    space: SearchSpace,
    n: int = 100,
    seed: int = 0,
    *,
    quantities: Sequence[str] = ("params", "macs", "memory"),
    limits: Limits | None = None,
    batch: Batch | None = None,
    n_jobs: int = 1,
    score_device: str = "cpu",
) -> Profile:
    """Return what a space has to offer: costs of `n` architectures, or of all where there are fewer.

    Args:
        space: The space.
        n: Number of architectures to sample.
        seed: Seed of the sample, and of the networks' parameters for metrics.
        quantities: Names of costs (``"params"``, ``"macs"``, ``"memory"``, and ``"latency_ms"``, which runs every
            network) and metrics. Of two of one name, such as ``"params"``, the cost is meant.
        limits: Limits whose quantities are measured too, and first: where nothing in the sample keeps one, nothing
            dearer is measured. Also settings of the costs, such as the batch size.
        batch: Samples for metrics; by default white noise, whose scores differ from those of real data.
        n_jobs: Worker processes; 0 does all in this process, which a network that crashes ends. Latency is measured by
            one.
        score_device: Device of the networks that metrics see; see `score`.

    Raises:
        ConfigError: No architecture is asked for, a metric is named twice, there is no such device, or none of the
            sample makes a network that runs.
        UnknownNameError: There is no such cost or metric.
    """
    import pandas as pd

    score_device = device_of(score_device)
    settings = limits if limits is not None else Limits()
    names = dict.fromkeys([*quantities, *(bound.name for bound in settings.bounds if bound.metric is None)])
    counted = [name for name in names if name in COSTS]
    others = [name for name in quantities if name not in COSTS]
    metrics = {metric.name: metric for metric in resolve_metrics(others)} if others else {}
    metrics |= {bound.key: bound.metric for bound in settings.bounds if bound.metric is not None}
    size, n, n_jobs = space.size, count_of("n", n, "architecture"), jobs_of(n_jobs)
    columns: dict[str, dict[Architecture, float]] = {}
    failures: dict[Architecture, str] = {}
    sample = space.sample(n if size is None else min(n, size), seed)
    bounds = {bound.name: bound for bound in settings.bounds if bound.metric is None}
    kept, hopeless = set(sample), False
    for quantity in sorted(counted, key=lambda name: (name not in bounds, list(COSTS).index(name))):
        if hopeless:
            break
        column = columns.setdefault(quantity, {})
        left = [architecture for architecture in sample if architecture not in failures]
        for architecture, found in measure_each(space, left, [quantity], settings.cost, n_jobs=n_jobs).items():
            if found.reason is None:
                column[architecture] = found.numbers[quantity]
            else:
                failures[architecture] = found.reason
        if quantity in bounds:
            kept &= {architecture for architecture, value in column.items() if bounds[quantity].keeps(value)}
            hopeless = not kept
    rows = [architecture for architecture in sample if architecture not in failures]
    if not rows:
        reason = next(iter(failures.values()), "the sample is empty")
        raise ConfigError(
            f"None of {len(failures):,} architectures of {space.name} makes a network that runs: {reason}"
        )
    frame = pd.DataFrame(
        {name: [columns[name][row] for row in rows] for name in counted if name in columns},
        index=[space.format(architecture) for architecture in rows],
    )
    if metrics and not hopeless:
        seen = batch if batch is not None else noise(space, seed=seed)
        different = {metric.name: metric for metric in metrics.values()}
        table = score(space, rows, tuple(different.values()), seen, seed=seed, n_jobs=n_jobs, device=score_device)
        for key, metric in metrics.items():
            frame[key] = table.scores[:, table.metrics.index(metric.name)]
    return Profile(space, frame, {space.format(architecture): reason for architecture, reason in failures.items()})


def noise(space: SearchSpace, size: int = 16, seed: int = 0) -> Batch:
    """Return white noise with targets at random, for a space without data."""
    import torch

    from robonas.datasets.batch import Batch

    task, shape = space.answers[0], space.output_shape
    generator = torch_generator("profile", seed)
    inputs = torch.randn(size, *space.input_shape, generator=generator)
    if task == "image":
        targets = torch.rand(size, *shape, generator=generator)
    else:
        targets = torch.randint(shape[0], (size, *shape[1:]), generator=generator)
    return Batch(inputs, targets, space.n_classes, task)
