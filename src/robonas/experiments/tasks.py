"""A task: a table's metrics, its objective, and what judges a search after it is over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from robonas.common.randomness import numpy_generator
from robonas.common.settings import count_of
from robonas.errors import ConfigError
from robonas.experiments.codes import codes_of_texts, family_of_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from robonas.tables import BenchmarkTable


@dataclass(frozen=True, eq=False)
class Task:
    """Candidates with recorded scores and answers. All of them have an objective.

    Raises:
        ConfigError: Arrays of other lengths, no candidate, or an objective that is not finite.
    """

    name: str
    """Name of the task."""
    architectures: tuple[str, ...]
    """Texts of the N candidates."""
    scores: NDArray[np.float64]
    """Raw metric values, (N, M); NaN where undefined."""
    metrics: tuple[str, ...]
    """Names of the columns of `scores`."""
    objective: NDArray[np.float64]
    """Value that a query returns, (N,), in its own direction."""
    objective_name: str = "objective"
    """Its column."""
    higher_is_better: bool = True
    """Direction of the objective."""
    final: NDArray[np.float64] | None = None
    """Final measure of the winner, (N,), NaN where unknown; never seen by a search."""
    final_name: str | None = None
    """Its column."""
    final_higher_is_better: bool = True
    """Direction of the final measure."""
    cost: NDArray[np.float64] | None = None
    """Recorded seconds of a query, (N,)."""
    cost_name: str | None = None
    """Its column."""
    budget: int | None = None
    """Queries of a search on this task; None leaves it to the experiment."""
    default_metrics: tuple[str, ...] = ()
    """Metrics for contenders that name none; empty for all."""
    against: NDArray[np.float64] | None = None
    """Costs against which the objective is traded off, lower is better, (N, K), K is 1 or 2; None for none."""
    against_names: tuple[str, ...] = ()
    """Their columns."""
    unread: tuple[str, ...] = ()
    """Columns of numbers of the table that are neither a metric nor anything else that is known."""
    left_out: int = field(default=0)
    """Rows of the table that have no objective, which no search can evaluate, or lack a cost of `against`."""

    def __post_init__(self) -> None:
        n = len(self.architectures)
        if n == 0:
            raise ConfigError(f"Task {self.name!r} must have at least one candidate with an objective; it has none.")
        if self.scores.shape != (n, len(self.metrics)):
            raise ConfigError(
                f"Scores of task {self.name!r} must be ({n}, {len(self.metrics)}); got {self.scores.shape}."
            )
        for what, values in (("objective", self.objective), ("final", self.final), ("cost", self.cost)):
            if values is not None and values.shape != (n,):
                raise ConfigError(f"`{what}` of task {self.name!r} must be ({n},); got {values.shape}.")
        if not np.isfinite(self.objective).all():
            raise ConfigError(f"The objective of task {self.name!r} must be finite for every candidate.")
        if self.against is not None:
            shape = (n, len(self.against_names))
            if shape[1] not in {1, 2} or self.against.shape != shape or not np.isfinite(self.against).all():
                raise ConfigError(
                    f"`against` of task {self.name!r} must be finite, with {n} rows and one or two columns that "
                    f"`against_names` calls {', '.join(self.against_names) or 'nothing'}; got {self.against.shape}."
                )
            for column, values in enumerate(self.against.T):
                if values.min() == values.max():
                    raise ConfigError(
                        f"Cost {self.against_names[column]!r} of task {self.name!r} is {values[0]:.6g} for every "
                        "candidate, so there is nothing to trade off."
                    )
        if self.budget is not None:
            count_of("budget", self.budget, f"query of task {self.name!r}")
        for name in self.default_metrics:
            self.metric_columns([name])

    def __len__(self) -> int:
        return len(self.architectures)

    @classmethod
    def from_table(
        cls,
        table: BenchmarkTable,
        *,
        objective: str,
        final: str | None = None,
        metrics: Sequence[str] | None = None,
        cost: str | None = None,
        higher_is_better: bool | None = None,
        name: str | None = None,
        budget: int | None = None,
        against: str | Sequence[str] = (),
        allow_test: bool = False,
    ) -> Self:
        """Return a task on a table. Rows without an objective are left out, and counted.

        Args:
            table: The table.
            objective: The column that a query answers with.
            final: The column that judges the winner.
            metrics: Metric columns for contenders that name none; None for all metrics that have a value.
            cost: The column of a query's recorded seconds.
            higher_is_better: Direction of the objective; None as the column says.
            name: Name of the task; None for the table's source.
            budget: Queries of a search; None leaves it to the experiment.
            against: One or two columns of costs against which the objective is traded off, such as ``"params"``; rows
                without them are left out, and counted.
            allow_test: True to allow a test or final measure as the objective.

        Raises:
            TableError: A column that does not exist or is undefined throughout.
            ConfigError: The objective is a final quantity, or serves as a metric or cost as well, or there are more
                than two costs.
        """
        column = table.column(objective)
        if column.role == "final" and not allow_test:
            known = ", ".join(table.names("objective")) or "none"
            raise ConfigError(
                f"Objective {objective!r} is a test or final measure; a search that looks at it is not judged by it "
                f"any more. Take a validation measure ({known}), or allow it by allow_test (--allow-test)."
            )
        named = tuple(dict.fromkeys(metrics)) if metrics else ()
        if metrics is not None and len(named) != len(metrics):
            raise ConfigError(f"Each metric must be named once; got {', '.join(metrics)}.")
        every = (*named, *(known for known in table.metrics if known not in named and known != objective))
        if objective in named:
            raise ConfigError(f"Column {objective!r} is the objective, so it cannot be a metric as well.")
        if final is not None and final in every:
            raise ConfigError(f"Column {final!r} is the final quantity, so it cannot be a metric as well.")
        scores = table.scores(every) if every else np.empty((len(table), 0))
        values = table.values(objective)
        has = np.isfinite(values)
        costs = (against,) if isinstance(against, str) else tuple(against)
        if (
            len(costs) > 2
            or len(set(costs)) < len(costs)
            or objective in costs
            or (final is not None and final in costs)
        ):
            raise ConfigError(
                f"`against` must name one or two columns that are neither the objective nor the final measure; got "
                f"{', '.join(costs)}."
            )
        priced = np.column_stack([table.values(one) for one in costs]) if costs else None
        if priced is not None:
            has &= np.isfinite(priced).all(axis=1)
        last = None if final is None else table.values(final)[has]
        return cls(
            name or str(table.provenance.get("source", "table")).rsplit(".", 1)[0],
            tuple(np.array(table.architectures, dtype=object)[has]),
            scores[has],
            every,
            values[has],
            objective,
            column.higher_is_better if higher_is_better is None else higher_is_better,
            last,
            final,
            True if final is None else table.column(final).higher_is_better,
            None if cost is None else table.values(cost)[has],
            cost,
            budget,
            named,
            None if priced is None else priced[has],
            costs,
            tuple(one for one in table.names("info") if one not in {*every, objective, final, cost, *costs}),
            int((~has).sum()),
        )

    @property
    def utility(self) -> NDArray[np.float64]:
        """The objective with higher is better, (N,)."""
        return self.objective if self.higher_is_better else -self.objective

    @cached_property
    def codes(self) -> NDArray[np.int64] | None:
        """Option indices read from the texts; None where they cannot be read."""
        return codes_of_texts(self.architectures)

    @cached_property
    def family(self) -> str | None:
        """Name of the published space that the candidates are from; None where it is none, or unknown."""
        return family_of_texts(self.architectures)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of all that a search is given."""
        digest = hashlib.blake2b("\n".join(self.architectures).encode(), digest_size=16)
        digest.update(self.utility.tobytes())
        if self.against is not None:
            digest.update(self.against.tobytes())
        return digest.hexdigest()

    def metric_columns(self, names: Sequence[str]) -> list[int]:
        """Return the columns of these metrics.

        Raises:
            ConfigError: A metric that the task does not have.
        """
        for name in names:
            if name not in self.metrics:
                raise ConfigError(
                    f"Task {self.name!r} has no metric {name!r}; it has {', '.join(self.metrics) or 'none'}."
                )
        return [self.metrics.index(name) for name in names]

    def pool(self, seed: int, *, half: bool) -> NDArray[np.int64]:
        """Return the rows that a search with this seed chooses from: all, or a random half for all strategies alike."""
        if not half:
            return np.arange(len(self))
        drawn = numpy_generator("half pool", seed, len(self)).permutation(len(self))[: max(1, len(self) // 2)]
        return np.sort(drawn)
