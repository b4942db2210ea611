"""A search as it was asked for: checked, and with all settings on which its trials depend."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from robonas.common.settings import count_of, seed_of
from robonas.errors import ConfigError
from robonas.metrics import Metric, MetricLike, resolve_metrics
from robonas.objectives.base import Objective
from robonas.scores.scoring import Scorer
from robonas.strategies import STRATEGIES, Strategy, make_strategy
from robonas.study.against import Cost, CostMeter, costs_of
from robonas.study.pool import Candidates, Share, form_of
from robonas.study.pruning import Pruning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import optuna
    from torch import Tensor

    from robonas.datasets.batch import Batch
    from robonas.spaces import SearchSpace
    from robonas.study.limits import Limits


@dataclass(frozen=True, eq=False)
class Plan:
    """The settings of a search, checked."""

    space: SearchSpace
    """Space of the candidates."""
    objective: Objective
    """Objective that each query evaluates."""
    strategy: Strategy
    """Strategy that proposes the candidates."""
    metrics: tuple[Metric, ...]
    """Metrics that the strategy reads; none for one that reads no scores."""
    limits: Limits | None
    """Bounds that candidates must keep."""
    budget: int
    """Number of different networks that may be evaluated."""
    seed: int
    """Seed of the search."""
    grow: int
    """Number of children that join the pool before each query."""
    pruning: Pruning | None
    """Rule that ends hopeless evaluations early."""
    against: tuple[Cost, ...] = ()
    """Costs against which the objective is traded off."""
    share: Share = "canonical"
    """Candidates that are one query."""

    @classmethod
    def made(
        cls,
        space: SearchSpace,
        objective: Objective,
        metrics: Sequence[MetricLike] | None,
        limits: Limits | None,
        strategy: str | Strategy,
        budget: int,
        seed: int,
        grow: int,
        pruner: str | optuna.pruners.BasePruner | None,
        against: object = None,
        share: Share = "canonical",
    ) -> Plan:
        """Check the arguments of a search, and make its plan.

        Raises:
            ConfigError: One of them is of the wrong kind or range.
            UnknownNameError: There is no such metric, strategy, pruner or cost.
        """
        if not isinstance(objective, Objective):
            raise ConfigError(
                f"`objective` must be an Objective; got {type(objective).__name__}. Wrap a function by "
                "FunctionObjective."
            )
        if share not in get_args(Share):
            raise ConfigError(f"`share` must be one of {', '.join(get_args(Share))}; got {share!r}.")
        chosen = make_strategy(strategy)
        named = chosen.default_metrics if metrics is None else metrics
        resolved = resolve_metrics(named) if chosen.uses_scores else ()
        chosen.check_metrics([metric.name for metric in resolved])
        costs = costs_of(against, objective, limits)
        if costs and not chosen.trades_off:
            able = ", ".join(name for name, entry in STRATEGIES.items() if entry.trades_off)
            raise ConfigError(
                f"Strategy {chosen.name!r} cannot trade the objective off against a cost. Use one of {able}."
            )
        return cls(
            space,
            objective,
            chosen,
            resolved,
            limits,
            count_of("budget", budget, "evaluation"),
            seed_of(seed),
            count_of("grow", grow, "children", least=0),
            None if pruner is None else Pruning(pruner),
            costs,
            share,
        )

    @property
    def higher_is_better(self) -> list[bool]:
        """Direction of each metric."""
        return [metric.higher_is_better for metric in self.metrics]

    def candidates(
        self,
        batch: Batch | None,
        batch_size: int,
        logits: Callable[[Any], Tensor] | None,
        n_jobs: int,
        folder: Path | None,
        device: str,
    ) -> Candidates:
        """Return the rules of the pool, with a scorer where the strategy, a bound or a cost reads a metric.

        Args:
            batch: Samples for the metrics; None to draw them from the objective's data.
            batch_size: Number of samples to draw.
            logits: Function from what a network returns to its logits.
            n_jobs: Processes for scoring, and for measuring what has a bound.
            folder: Folder of the search, for the cache of scores; None for no cache.
            device: Device of the networks that metrics see.
        """
        scorer = None
        costs = [cost for cost in self.against if cost.metric is not None]
        if self.metrics or costs or (self.limits is not None and self.limits.metrics):
            seen = self._batch(batch_size) if batch is None else batch
            scorer = Scorer(self.space, seen, seed=self.seed, logits=logits, n_jobs=n_jobs, device=device)
            if folder is not None:
                scorer = replace(scorer, cache=folder / cache_file(scorer))
        form = form_of(self.space, self.share)
        meter = CostMeter(self.space, self.against, scorer, n_jobs, form) if self.against else None
        return Candidates(self.space, self.seed, self.metrics, self.limits, scorer, n_jobs, meter, self.share)

    def _batch(self, size: int) -> Batch:
        seen = self.objective.batch(size, self.seed)
        if seen is None:
            raise ConfigError(
                f"Objective {self.objective.name!r} has no data to draw a batch from. "
                "Pass `batch`, or a strategy without metrics."
            )
        return self.objective.as_seen(seen, self.space)

    def settings(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return all on which a study's trials depend but the budget: what must be equal to go on with it.

        Args:
            pairs: Texts of the candidates that were drawn, and of their canonical forms.
        """
        fingerprint = hashlib.blake2b("\n".join(text for text, _ in pairs).encode(), digest_size=16).hexdigest()
        return {
            "space": self.space.record,
            "objective": {
                "name": self.objective.name,
                "direction": self.objective.direction,
                "value_name": self.objective.value_name,
                "settings": self.objective.settings,
            },
            "strategy": {"name": self.strategy.reference, "settings": self.strategy.settings},
            "metrics": [metric.name for metric in self.metrics],
            "higher_is_better": self.higher_is_better,
            "limits": {} if self.limits is None else self.limits.settings,
            "pool": {"size": len(pairs), "fingerprint": fingerprint},
            "seed": self.seed,
            **({"share": self.share} if self.share != "canonical" else {}),
            **({"grow": self.grow} if self.grow else {}),
            **({"against": [cost.settings for cost in self.against]} if self.against else {}),
            **({"pruner": self.pruning.settings} if self.pruning else {}),
        }


def cache_file(scorer: Scorer) -> str:
    """Return the name of the file with all scores that depend on the same as a scorer's, for any study of a folder.

    It is in the search's folder.
    """
    kind = scorer.kind_of_device
    origin = json.dumps(
        [scorer.space.name, scorer.space.settings, scorer.batch.fingerprint(), scorer.seed]
        + ([] if kind == "cpu" else [kind])
    )
    return f"cache-{hashlib.blake2b(origin.encode(), digest_size=4).hexdigest()}.parquet"
