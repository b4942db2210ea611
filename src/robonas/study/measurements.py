"""Costs of candidates, measured in worker processes, so that a network that ends its process costs itself only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from robonas.errors import ArchitectureError, MetricError
from robonas.processes.executors import working_on
from robonas.processes.parallel import Tell, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.architecture import Architecture
    from robonas.spaces import SearchSpace

CHUNK = 8
"""Architectures a task of a worker."""
NO_NETWORK = "no network that runs"
"""Reason to leave out a candidate whose network cannot be built or run."""
NO_COUNT = "a cost that cannot be counted"
"""Reason to leave out a candidate whose network runs, but is not understood."""
DEADLY = "a network that ends its process"
"""Reason to leave out a candidate that kills the worker which measures it."""
Measure: TypeAlias = "Callable[[SearchSpace, Architecture, str], float]"
"""Function that measures one quantity of one architecture, such as `Limits.cost`."""


@dataclass(frozen=True)
class Measured:
    """The measured values of one architecture."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    """Values by name, in the order in which they were measured."""
    reason: str | None = None
    """Reason why the next one has no value, as a sentence; None where there was no next one."""
    cause: str | None = None
    """The same in few words, as candidates are counted by."""


def measure_each(
    space: SearchSpace,
    architectures: Sequence[Architecture],
    measures: Sequence[str],
    measure: Measure,
    *,
    goes_on: Callable[[str, float], bool] = lambda *_: True,
    n_jobs: int = 1,
) -> dict[Architecture, Measured]:
    """Measure some quantities of each architecture, in worker processes.

    Args:
        space: Space of the architectures.
        architectures: Different architectures.
        measures: Names of the quantities, in the order in which they are measured.
        measure: Function that measures one of them.
        goes_on: Function from a quantity and its value to whether the next one is to be measured too.
        n_jobs: Worker processes, as joblib counts them; 0 measures in this process. Time is measured by at most one.
    """

    def work(some: Sequence[Architecture], tell: Tell[Architecture, Measured]) -> None:
        for architecture in some:
            values: dict[str, float] = {}
            reason = cause = None
            for name in measures:
                try:
                    values[name] = measure(space, architecture, name)
                except (ArchitectureError, MetricError) as error:
                    reason, cause = str(error), NO_NETWORK if isinstance(error, ArchitectureError) else NO_COUNT
                    break
                if not goes_on(name, values[name]):
                    break
                tell(architecture, Measured(dict(values)), part=True)
            tell(architecture, Measured(values, reason, cause))

    def dead(_: Architecture, parts: list[Measured], how: str) -> Measured:
        return Measured(parts[-1].numbers if parts else {}, died(how), DEADLY)

    if "latency_ms" in measures:
        n_jobs = min(abs(n_jobs), 1)
    found: dict[Architecture, Measured] = {}
    with working_on(None):  # time and memory are those of this machine
        for some in spread(work, architectures, n_jobs=n_jobs, chunk=CHUNK, dead=dead):
            found |= some
    return found


def failures(
    space: SearchSpace, architectures: Sequence[Architecture], n_jobs: int = 1
) -> dict[Architecture, str | None]:
    """Return why each architecture makes no network that runs, found out in worker processes; None where it does.

    Args:
        space: Space of the architectures.
        architectures: Different architectures.
        n_jobs: Worker processes, as joblib counts them; 0 tries them in this process.
    """

    def work(some: Sequence[Architecture], tell: Tell[Architecture, str | None]) -> None:
        for architecture in some:
            tell(architecture, space.failure(architecture))

    found: dict[Architecture, str | None] = {}
    for some in spread(work, architectures, n_jobs=n_jobs, chunk=CHUNK, dead=lambda _, __, how: died(how)):
        found |= some
    return found


def died(how: str) -> str:
    """Return the sentence for an architecture whose process ended in this way, such as ``by signal 11 (SIGSEGV)``."""
    return f"Its process ended {how}."
