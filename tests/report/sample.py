"""Searches that never ran: plausible results, made in milliseconds, for the report's tests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from robonas.common.randomness import numpy_generator
from robonas.metrics.base import Score
from robonas.objectives.base import CurvePoint
from robonas.scores.table import ScoreTable, provenance
from robonas.spaces.base import SearchSpace
from robonas.spaces.nasbench201 import NASBench201
from robonas.strategies.base import Summary
from robonas.strategies.scaling import column_medians, fill_missing, min_max
from robonas.study.query import Query
from robonas.study.result import SearchResult

if TYPE_CHECKING:
    from robonas.architecture import Architecture, Option

METRICS = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov", "params")
WEIGHTS = (0.18, -0.31, 0.05, -0.62, 0.94, 0.71, 0.33)
FAILURE = "loss became NaN in epoch 3 of 8 at learning rate 0.1"


def space() -> NASBench201:
    return NASBench201(input_shape=(1, 8, 8), channels=4, depth=1)


def table(n: int = 120, seed: int = 0, metrics: tuple[str, ...] = METRICS, undefined: float = 0.03) -> ScoreTable:
    """Scores that go with a hidden quality, each to its own degree, some of them undefined."""
    cells = space()
    generator = numpy_generator("sample table", seed)
    pool = cells.sample(n, seed)
    quality = {}
    scores: dict[str, dict[str, Score]] = {}
    pairs = []
    for architecture in pool:
        canonical = cells.format(cells.canonical(architecture))
        pairs.append((cells.format(architecture), canonical))
        if canonical in scores:
            continue
        quality[canonical] = math.log(cells.count_parameters(architecture))
        scores[canonical] = {}
        for place, name in enumerate(metrics):
            value = quality[canonical] + generator.normal() * (0.2 + 0.25 * place)
            if name == "params":
                value = cells.count_parameters(architecture) / 1e6
            missing = name != "params" and generator.random() < undefined
            scores[canonical][name] = Score(
                math.nan if missing else value,
                "no gradient reaches the input" if missing else None,
                0.004 + 0.003 * place,
            )
    origin = provenance(cells.name, cells.settings, "c0ffee" * 5, seed)
    return ScoreTable.from_scores(pairs, scores, metrics, origin)


def combined(scores: ScoreTable, weights: tuple[float, ...]) -> np.ndarray:
    scaled = min_max(scores.scores)
    return fill_missing(scaled, column_medians(scaled)) @ np.array(weights)


def curve(final: float, generator: np.random.Generator, epochs: int = 8) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            step,
            epochs,
            value=float(final - (final - 0.1) * math.exp(-0.7 * step) + generator.normal() * 0.006 * (epochs - step)),
            loss=2.3 * math.exp(-0.4 * step),
            seconds=0.8 * step,
        )
        for step in range(1, epochs + 1)
    )


def result(
    n_queries: int = 12,
    *,
    n_pool: int = 120,
    n_explored: int = 5,
    strategy: str = "robot",
    failures: tuple[int, ...] = (4,),
    pruned: tuple[int, ...] = (),
    seed: int = 0,
    learns: bool = True,
    minimise: bool = False,
    **changes: Any,
) -> SearchResult:
    """A search; `changes` replace fields of the result."""
    scores = table(n_pool)
    generator = numpy_generator("sample result", strategy, seed)
    weights = WEIGHTS
    merged = combined(scores, weights)
    rows = [int(row) for row in scores.distinct]
    ordered = sorted(rows, key=lambda row: -merged[row])
    explored = [int(row) for row in generator.choice(rows, min(len(rows), n_queries), replace=False)]
    chosen = explored[:n_explored] if learns else explored
    chosen += [row for row in ordered if row not in chosen][: n_queries - len(chosen)]
    queries = []
    for number, row in enumerate(chosen, start=1):
        value = 0.80 + 0.055 * float(merged[row]) + float(generator.normal()) * 0.012
        value = round(min(value, 0.995) if not minimise else 1 - min(value, 0.995), 4)
        exploring = learns and number <= n_explored
        phase = ("explore" if exploring else "exploit") if learns else "random"
        line = curve(value, generator)
        failed, ended = number in failures, number in pruned
        queries.append(
            Query(
                number=number,
                architecture=scores.architectures[row],
                row=row,
                phase=phase,
                state="failed" if failed else "pruned" if ended else "complete",
                value=None if failed or ended else value,
                partial=line[2].value if ended else None,
                seconds=float(generator.uniform(4, 9)) * (0.4 if failed else 1),
                reason="Top of the combined metric." if phase == "exploit" else "Top of a trial weighting.",
                failure=FAILURE if failed else None,
                weights=weights if learns else None,
                curve=line[:3] if failed or ended else line,
            )
        )
    n_explored = min(n_explored, n_queries)
    learned = Summary(weights, merged, n_explored, {"weight_proposals": n_queries, "repeats": n_queries - n_explored})
    made = SearchResult(
        study="digits-demo",
        space=space(),
        scores=scores,
        strategy=strategy,
        objective="training",
        value_name="validation error" if minimise else "validation accuracy",
        direction="minimize" if minimise else "maximize",
        budget=n_queries,
        seed=seed,
        queries=tuple(queries),
        stop_reason="budget spent",
        summary=learned if learns else Summary(),
        settings={
            "strategy": {"name": strategy, "settings": {}},
            "budget": n_queries,
            "seed": seed,
            "objective": {"epochs": 8, "learning_rate": 0.1},
        },
    )
    return replace(made, **changes)


def random_baseline(n_queries: int = 12, **changes: Any) -> SearchResult:
    """The same number of random trainings."""
    return result(n_queries, strategy="random", learns=False, failures=(), seed=changes.pop("seed", 3), **changes)


class HostileSpace(SearchSpace):
    """Small networks whose texts try to be markup, and are long."""

    name = "hostile<i>"

    def __init__(self) -> None:
        super().__init__(input_shape=(4,), n_classes=2)

    @property
    def choices(self) -> dict[str, tuple[Option, ...]]:
        return {"<b>depth</b>": (1, 2, 3), "kind": ("</script><script>window.hacked=1</script>", "x" * 300, "%{x}")}

    def build(self, architecture: Architecture) -> nn.Module:
        self.check(architecture)
        return nn.Linear(4, 2)


def hostile() -> SearchResult:
    """Markup in every text that a user, a space or a failure can bring."""
    cells = HostileSpace()
    metrics = ("<img src=x onerror=hack()>", "%{y}")
    texts = [cells.format(architecture) for architecture in cells]
    scores = {
        text: {name: Score(float(row * (place + 1) % 7)) for place, name in enumerate(metrics)}
        for row, text in enumerate(texts)
    }
    pool = ScoreTable.from_scores([(text, text) for text in texts], scores, metrics, {"versions": {"<u>": "1 & 2"}})
    failure = "</script><script>window.hacked=1</script> & <b>'quoted' \"twice\"</b>"
    queries = [
        Query(1, texts[0], 0, "<s>phase</s>", "complete", 0.5, 1.0, failure, curve=(CurvePoint(1, 1, 0.5),)),
        Query(2, texts[1], 1, "explore", "failed", None, 1.0, failure, failure),
        Query(3, texts[2], 2, "exploit", "complete", 0.25, 1.0, failure),
        Query(4, texts[3], 3, "exploit", "complete", 0.75, 1.0, failure),
        Query(5, texts[4], 4, "exploit", "complete", 0.6, 1.0, failure),
    ]
    weights = (0.5, -0.25)
    return SearchResult(
        study="<script>alert(1)</script>",
        space=cells,
        scores=pool,
        strategy="<robot>",
        objective="a & b",
        value_name="<em>value</em>",
        direction="maximize",
        budget=5,
        seed=0,
        queries=tuple(queries),
        stop_reason="budget spent",
        summary=Summary(weights, combined(pool, weights), 2),
        settings={"note": failure},
    )
