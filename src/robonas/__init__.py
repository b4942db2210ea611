"""robonas: training-free neural architecture search that can be trusted.

Candidates go in, each gets scores without training, a strategy learns from a few trainings which candidates deserve the
next one, and the best comes out::

    import robonas

    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=8, depth=1)
    result = robonas.search(space, robonas.Training(data, epochs=6), budget=10)
    print(result.text, result.value)
    network = result.build()

Names are imported when they are first used, so that ``import robonas`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robonas.architecture import Architecture as Architecture
    from robonas.datasets import from_dataset as from_dataset, load_dataset as load_dataset
    from robonas.datasets.batch import Batch as Batch
    from robonas.errors import NasError as NasError
    from robonas.metrics import METRICS as METRICS, Metric as Metric, compute as compute
    from robonas.objectives import (
        FunctionObjective as FunctionObjective,
        Objective as Objective,
        TableObjective as TableObjective,
        Training as Training,
    )
    from robonas.report import write_report as write_report
    from robonas.retraining import TrainedNetwork as TrainedNetwork, load_trained as load_trained, train as train
    from robonas.scores.scoring import score as score
    from robonas.scores.table import ScoreTable as ScoreTable
    from robonas.spaces import (
        SPACES as SPACES,
        NASBench201 as NASBench201,
        SearchSpace as SearchSpace,
        from_choices as from_choices,
        from_models as from_models,
        make_space as make_space,
    )
    from robonas.strategies import STRATEGIES as STRATEGIES, Strategy as Strategy, make_strategy as make_strategy
    from robonas.study.limits import Limits as Limits
    from robonas.study.loop import load_result as load_result, search as search
    from robonas.study.profiling import profile as profile
    from robonas.study.result import SearchResult as SearchResult
    from robonas.study.sampler import StrategySampler as StrategySampler

_HOMES = {
    "Architecture": "architecture",
    "Batch": "datasets.batch",
    "FunctionObjective": "objectives",
    "Limits": "study.limits",
    "METRICS": "metrics",
    "Metric": "metrics",
    "NASBench201": "spaces",
    "NasError": "errors",
    "Objective": "objectives",
    "SPACES": "spaces",
    "STRATEGIES": "strategies",
    "ScoreTable": "scores.table",
    "SearchResult": "study.result",
    "SearchSpace": "spaces",
    "Strategy": "strategies",
    "StrategySampler": "study.sampler",
    "TableObjective": "objectives",
    "TrainedNetwork": "retraining",
    "Training": "objectives",
    "compute": "metrics",
    "from_choices": "spaces",
    "from_dataset": "datasets",
    "from_models": "spaces",
    "load_dataset": "datasets",
    "load_result": "study.loop",
    "load_trained": "retraining",
    "make_space": "spaces",
    "make_strategy": "strategies",
    "profile": "study.profiling",
    "score": "scores.scoring",
    "search": "study.loop",
    "train": "retraining",
    "write_report": "report",
}
__version__ = "0.1.0"
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'robonas' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"robonas.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
