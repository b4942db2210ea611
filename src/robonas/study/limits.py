"""Bounds that candidates must keep, on size, work, time, memory and any cheap metric, before anything expensive."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from robonas.common.settings import called, real, whole
from robonas.costs.measuring import COSTS, count_macs, count_memory, measure_latency
from robonas.errors import ConfigError
from robonas.metrics import Score
from robonas.study.bounds import Bound, check_together, metric_bounds
from robonas.study.measurements import Measured, measure_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from robonas.architecture import Architecture
    from robonas.metrics import Metric, MetricLike
    from robonas.scores.cache import Scores
    from robonas.scores.scoring import Scorer
    from robonas.spaces import SearchSpace


@dataclass(frozen=True)
class Judgement:
    """Which candidates keep some bounds."""

    reasons: Mapping[Architecture, str | None]
    """Reason why each candidate is not allowed, as a sentence, or None where it is; in their order."""
    left_out: Mapping[str, int]
    """Number of rejected candidates by the first limit that each breaks, such as ``"more than 10,000 parameters"``."""

    @property
    def allowed(self) -> list[Architecture]:
        """Those that keep all bounds, in their order."""
        return [architecture for architecture, reason in self.reasons.items() if reason is None]


@dataclass(frozen=True, repr=False)
class Limits:
    """Bounds that an architecture must keep, each of them included; None for no bound.

    Bounds on metrics are by name, reference, function or `Metric`, in the metric's own unit: ``at_most={"depth": 12}``.
    A metric without a value breaks its bound. Metrics that measure this machine, or need a second backward pass or a
    pass for each sample or class, are too dear to filter by; one's own may be anything.

    Raises:
        ConfigError: A bound that no number can keep, two that no candidate can keep together, a setting that is not
            positive and finite, or a metric that is too dear.
        UnknownNameError: There is no such metric.

    Example:
        >>> from robonas.spaces import NASBench201
        >>> space = NASBench201(channels=4, depth=1, input_shape=(3, 8, 8))
        >>> limits = Limits(max_params=10_000)
        >>> limits.violation(space, space.at(0)) is None, limits.violation(space, space.at(1))
        (True, 'It has 14,134 parameters; the limit is 10,000 parameters.')
    """

    max_params: int | None = None
    """Parameters."""
    max_macs: float | None = None
    """Multiply–accumulate operations of one sample."""
    max_latency_ms: float | None = None
    """Median time of a forward pass, measured on this machine, in milliseconds."""
    max_memory: float | None = None
    """Bytes that a training step keeps."""
    at_least: Mapping[MetricLike, float] = field(default_factory=dict)
    """Smallest value of each of some metrics."""
    at_most: Mapping[MetricLike, float] = field(default_factory=dict)
    """Largest value of each of some metrics."""
    batch_size: int = 64
    """Samples of the training step whose memory is bounded."""
    latency_batch_size: int = 1
    """Samples of the forward pass that is timed."""
    device: str = "cpu"
    """Device on which the forward pass is timed."""
    warm_up: int = 3
    """Passes before the timed ones."""
    repeats: int = 15
    """Timed passes; their median counts."""
    bounds: tuple[Bound, ...] = field(init=False, repr=False)
    """The bounds that are set, the cheapest first."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.name in {"device", "bounds", "at_least", "at_most"}:
                continue
            value = getattr(self, entry.name)
            if value is not None and not (0 < real(entry.name, value) < float("inf")):
                raise ConfigError(f"`{entry.name}` must be positive; got {value!r}.")
            if entry.name in {"batch_size", "latency_batch_size", "warm_up", "repeats"}:
                whole(entry.name, value)
        measured = {name: getattr(self, f"max_{name}") for name in COSTS}
        bounds = [Bound(name, float(value), upper=True) for name, value in measured.items() if value is not None]
        timed = [bound for bound in bounds if bound.name == "latency_ms"]
        counted = [bound for bound in bounds if bound.name != "latency_ms"]
        of_metrics = [*metric_bounds("at_least", self.at_least), *metric_bounds("at_most", self.at_most)]
        check_together([*counted, *of_metrics])
        object.__setattr__(self, "bounds", (*counted, *of_metrics, *timed))

    def __repr__(self) -> str:
        given = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.repr}
        usual = {entry.name: entry.default for entry in fields(self)}
        return called(type(self).__name__, {name: value for name, value in given.items() if value != usual[name]})

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics with a bound, each once."""
        return tuple({bound.name: bound.metric for bound in self.bounds if bound.metric is not None}.values())

    @property
    def settings(self) -> dict[str, float | str]:
        """The bounds as JSON values, metrics as ``"synflow >="``, and how what is bounded was measured."""
        settings: dict[str, float | str] = {
            bound.key if bound.metric is None else f"{bound.key} {'<=' if bound.upper else '>='}": bound.value
            for bound in self.bounds
        }
        how = {
            "memory": ("batch_size",),
            "latency_ms": ("latency_batch_size", "device", "warm_up", "repeats"),
        }
        return settings | {name: getattr(self, name) for key, names in how.items() if key in settings for name in names}

    def cost(self, space: SearchSpace, architecture: Architecture, cost: str) -> float:
        """Return one cost of one architecture, measured in this process: a network that crashes ends it.

        Raises:
            ArchitectureError: It makes no network that runs.
            ConfigError: There is no such cost.
            MetricError: It cannot be counted.
        """
        if cost == "params":
            return float(space.count_parameters(architecture))
        if cost == "macs":
            return float(count_macs(space, architecture))
        if cost == "memory":
            return float(count_memory(space, architecture, self.batch_size))
        if cost == "latency_ms":
            return measure_latency(
                space,
                architecture,
                batch_size=self.latency_batch_size,
                device=self.device,
                warm_up=self.warm_up,
                repeats=self.repeats,
            )
        raise ConfigError(f"A cost must be one of {', '.join(COSTS)}; got {cost!r}.")

    def violation(self, space: SearchSpace, architecture: Architecture, *, scorer: Scorer | None = None) -> str | None:
        """Say why the architecture is not allowed, by the first bound that it breaks; None where it is allowed.

        Args:
            space: Space of the architecture.
            architecture: The candidate.
            scorer: Scorer for metrics; needed where a metric has a bound.

        Raises:
            ConfigError: A metric has a bound, and there is no scorer.
        """
        return self.violations(space, [architecture], scorer=scorer)[architecture]

    def violations(
        self,
        space: SearchSpace,
        candidates: Iterable[Architecture],
        *,
        scorer: Scorer | None = None,
        n_jobs: int = 1,
    ) -> dict[Architecture, str | None]:
        """Say of each candidate why it is not allowed, as `violation` does; none needs to be, unlike in `judge`.

        Args:
            space: Space of the candidates.
            candidates: Candidates to judge.
            scorer: Scorer for metrics; needed where a metric has a bound. Its cache is not used.
            n_jobs: Worker processes that measure; 0 measures in this process.

        Raises:
            ConfigError: A metric has a bound, and there is no scorer.
        """
        self._check_scorer(scorer)

        def scored(texts: Sequence[str]) -> list[Scores]:
            assert scorer is not None
            found = scorer.scores_of(texts, self.metrics)
            return [found[text] for text in texts]

        classes = {architecture: space.canonical(architecture) for architecture in candidates}
        known = self._judge(space, classes.values(), scored, n_jobs)
        return {architecture: known[canonical].reason for architecture, canonical in classes.items()}

    def judge(
        self,
        space: SearchSpace,
        candidates: Iterable[Architecture],
        *,
        scorer: Scorer | None = None,
        n_jobs: int = 1,
    ) -> Judgement:
        """Judge every candidate; isomorphic ones once, and by metrics only what keeps the cheaper bounds.

        Networks are measured in worker processes, so that one that crashes is left out, with its reason.

        Args:
            space: Space of the candidates.
            candidates: Candidates to judge.
            scorer: Scorer for metrics; needed where a metric has a bound.
            n_jobs: Worker processes that measure; 0 measures in this process. Latency is measured by one.

        Raises:
            ConfigError: No candidate is allowed; the message says which bound is in the way, and the nearest value. Or
                a metric has a bound, and there is no scorer.
        """
        self._check_scorer(scorer)

        def scored(texts: Sequence[str]) -> list[Scores]:
            assert scorer is not None
            table = scorer.score(texts, self.metrics)
            return [
                {
                    name: Score(table.scores[row, column], table.reason(row, name))
                    for column, name in enumerate(table.metrics)
                }
                for row in range(len(table))
            ]

        classes = {architecture: space.canonical(architecture) for architecture in candidates}
        known = self._judge(space, classes.values(), scored, n_jobs)
        verdicts = {architecture: known[canonical] for architecture, canonical in classes.items()}
        if verdicts and all(verdict.reason is not None for verdict in verdicts.values()):
            raise ConfigError(self._nobody(len(verdicts), list(known.values())))
        counts = Counter(verdict.cause for verdict in verdicts.values() if verdict.cause is not None)
        reasons = {architecture: verdict.reason for architecture, verdict in verdicts.items()}
        return Judgement(reasons, dict(counts.most_common()))

    def filter(
        self,
        space: SearchSpace,
        candidates: Iterable[Architecture],
        *,
        scorer: Scorer | None = None,
        n_jobs: int = 1,
    ) -> list[Architecture]:
        """Return the candidates that keep all bounds, in their order; see `judge`.

        Raises:
            ConfigError: There is none; the message says which bound is the obstacle and what the nearest value is.
        """
        return self.judge(space, candidates, scorer=scorer, n_jobs=n_jobs).allowed

    def _check_scorer(self, scorer: Scorer | None) -> None:
        if scorer is None and self.metrics:
            names = ", ".join(metric.name for metric in self.metrics)
            raise ConfigError(f"Bounds on metrics ({names}) need samples to score with. Pass `scorer`.")

    def _judge(
        self,
        space: SearchSpace,
        classes: Iterable[Architecture],
        scored: Callable[[Sequence[str]], list[Scores]],
        n_jobs: int,
    ) -> dict[Architecture, Measured]:
        """Judge isomorphism classes: costs by count come first, then metrics, then time, each of what is left.

        Returns:
            What is known of each class, and why it is not allowed.
        """
        known = dict.fromkeys(classes, Measured())
        groups: dict[int, list[Bound]] = {}
        for bound in self.bounds:
            groups.setdefault(2 if bound.name == "latency_ms" else 0 if bound.metric is None else 1, []).append(bound)
        for group, bounds in groups.items():
            left = [architecture for architecture, so_far in known.items() if so_far.reason is None]
            if group == 1 and left:
                for architecture, scores in zip(left, scored([space.format(one) for one in left]), strict=True):
                    known[architecture] = _by_scores(known[architecture], bounds, scores)
            elif group != 1:
                found = self._measured(space, left, bounds, n_jobs)
                known |= {one: _by_costs(known[one], bounds, found[one]) for one in left}
        return known

    def _measured(
        self, space: SearchSpace, some: Sequence[Architecture], bounds: Sequence[Bound], n_jobs: int
    ) -> dict[Architecture, Measured]:
        """Measure what has a bound, until one is broken."""
        keeps = {bound.name: bound.keeps for bound in bounds}
        return measure_each(
            space, some, list(keeps), self.cost, goes_on=lambda name, value: keeps[name](value), n_jobs=n_jobs
        )

    def _nobody(self, n: int, verdicts: Sequence[Measured]) -> str:
        """Return the sentence for bounds that no candidate keeps."""
        obstacles = []
        for bound in self.bounds:
            values = [verdict.numbers[bound.key] for verdict in verdicts if bound.key in verdict.numbers]
            first = [verdict.numbers[bound.key] for verdict in verdicts if verdict.cause == bound.fault]
            pick, end, way = (min, "smallest", "up") if bound.upper else (max, "largest", "down")
            limit = bound.limit
            if len(values) == len(verdicts) and not any(map(bound.keeps, values)):
                obstacles.append(f"the limit is {limit}, the {end} is {bound.told(pick(values))}")
            elif first:
                more = "more " if obstacles else ""
                nearest = bound.told(pick(first))
                obstacles.append(f"{len(first):,} {more}break the limit of {limit}, from {nearest} {way}")
        undefined = Counter(v.cause for v in verdicts if v.cause is not None and v.cause.endswith(_UNDEFINED))
        for cause, count in undefined.items():
            reason = next(v.reason for v in verdicts if v.cause == cause)
            obstacles.append(f"{count:,} have {cause}: {reason}".rstrip("."))
        if not obstacles:
            obstacles.append(f"none makes a network that runs: {verdicts[0].reason}".rstrip("."))
        other = "smaller" if all(bound.upper for bound in self.bounds) else "other"
        return f"0 of {n:,} satisfy the limits: {'; '.join(obstacles)}. Loosen them, or take {other} networks."


_UNDEFINED = " undefined"


def _by_costs(so_far: Measured, bounds: Sequence[Bound], found: Measured) -> Measured:
    """Return what is known with some costs, and why they are not allowed."""
    values = {**so_far.numbers, **found.numbers}
    if found.reason is not None:
        return Measured(values, found.reason, found.cause)
    for bound in bounds:
        if bound.name in values and not bound.keeps(values[bound.name]):
            return Measured(values, bound.broken_by(values[bound.name]), bound.fault)
    return Measured(values)


def _by_scores(so_far: Measured, bounds: Sequence[Bound], scores: Scores) -> Measured:
    """Return what is known with some scores, and why they are not allowed."""
    known = {bound.key: scores[bound.name].value for bound in bounds}
    values = {**so_far.numbers, **{key: value for key, value in known.items() if not math.isnan(value)}}
    for bound in bounds:
        score = scores[bound.name]
        if math.isnan(score.value):
            return Measured(values, f"It has no {bound.key}: {score.reason}.", f"{bound.key}{_UNDEFINED}")
        if not bound.keeps(score.value):
            return Measured(values, bound.broken_by(score.value), bound.fault)
    return Measured(values)
