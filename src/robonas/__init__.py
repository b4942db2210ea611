"""robonas: training-free neural architecture search that can be trusted.

Candidates go in, each gets scores without training, a strategy learns from a few trainings which candidates deserve the
next one, and the best comes out::

    import robonas

    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=8, depth=1)
    result = robonas.search(space, robonas.TrainingObjective(data, epochs=6), budget=10)
    print(result.text, result.value)
    network = result.build()

Names are imported when they are first used, so that ``import robonas`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robonas.architecture import (
        Architecture as Architecture,
    )
    from robonas.datasets import (
        LabelledData as LabelledData,
        from_dataset as from_dataset,
        load_dataset as load_dataset,
    )
    from robonas.datasets.batch import (
        Batch as Batch,
    )
    from robonas.errors import (
        ArchitectureError as ArchitectureError,
        AskTellError as AskTellError,
        CheckpointError as CheckpointError,
        ConfigError as ConfigError,
        DataError as DataError,
        MetricError as MetricError,
        MissingExtraError as MissingExtraError,
        NasError as NasError,
        NetworkError as NetworkError,
        ObjectiveError as ObjectiveError,
        OutputError as OutputError,
        ScoreTableError as ScoreTableError,
        StudyError as StudyError,
        TableError as TableError,
        UnknownNameError as UnknownNameError,
    )
    from robonas.metrics import (
        METRICS as METRICS,
        Metric as Metric,
        Need as Need,
        Score as Score,
        list_metrics as list_metrics,
        score_network as score_network,
    )
    from robonas.objectives import (
        CommandObjective as CommandObjective,
        Evaluation as Evaluation,
        FunctionObjective as FunctionObjective,
        Objective as Objective,
        TableObjective as TableObjective,
        TrainingObjective as TrainingObjective,
    )
    from robonas.prediction import (
        Predictions as Predictions,
        Preprocessing as Preprocessing,
        ReadyNetwork as ReadyNetwork,
    )
    from robonas.report import (
        write_report as write_report,
    )
    from robonas.report.export import (
        export as export,
    )
    from robonas.retraining import (
        TrainedNetwork as TrainedNetwork,
        load_trained as load_trained,
        train as train,
    )
    from robonas.scores.scoring import (
        Scorer as Scorer,
        score as score,
    )
    from robonas.scores.table import (
        ScoreTable as ScoreTable,
    )
    from robonas.spaces import (
        DARTS as DARTS,
        MLP as MLP,
        SPACES as SPACES,
        AutoFormer as AutoFormer,
        Conv1d as Conv1d,
        MobileNetV3 as MobileNetV3,
        NASBench101 as NASBench101,
        NASBench201 as NASBench201,
        NASBenchMacro as NASBenchMacro,
        NATSSize as NATSSize,
        SearchSpace as SearchSpace,
        TransNASMacro as TransNASMacro,
        TransNASMicro as TransNASMicro,
        from_choices as from_choices,
        from_models as from_models,
        list_spaces as list_spaces,
        make_space as make_space,
    )
    from robonas.strategies import (
        STRATEGIES as STRATEGIES,
        Strategy as Strategy,
        list_strategies as list_strategies,
        make_strategy as make_strategy,
    )
    from robonas.study.limits import (
        Limits as Limits,
    )
    from robonas.study.loop import (
        load_result as load_result,
        search as search,
    )
    from robonas.study.profiling import (
        profile as profile,
    )
    from robonas.study.query import (
        Query as Query,
    )
    from robonas.study.result import (
        SearchResult as SearchResult,
    )
    from robonas.study.sampler import (
        StrategySampler as StrategySampler,
    )
    from robonas.training.recipe import (
        Recipe as Recipe,
    )

_HOMES = {
    "Architecture": "architecture",
    "ArchitectureError": "errors",
    "AskTellError": "errors",
    "AutoFormer": "spaces",
    "Batch": "datasets.batch",
    "CheckpointError": "errors",
    "CommandObjective": "objectives",
    "ConfigError": "errors",
    "Conv1d": "spaces",
    "DARTS": "spaces",
    "DataError": "errors",
    "Evaluation": "objectives",
    "FunctionObjective": "objectives",
    "LabelledData": "datasets",
    "Limits": "study.limits",
    "METRICS": "metrics",
    "MLP": "spaces",
    "Metric": "metrics",
    "MetricError": "errors",
    "MissingExtraError": "errors",
    "MobileNetV3": "spaces",
    "NASBench101": "spaces",
    "NASBench201": "spaces",
    "NASBenchMacro": "spaces",
    "NATSSize": "spaces",
    "NasError": "errors",
    "Need": "metrics",
    "NetworkError": "errors",
    "Objective": "objectives",
    "ObjectiveError": "errors",
    "OutputError": "errors",
    "Predictions": "prediction",
    "Preprocessing": "prediction",
    "Query": "study.query",
    "ReadyNetwork": "prediction",
    "Recipe": "training.recipe",
    "SPACES": "spaces",
    "STRATEGIES": "strategies",
    "Score": "metrics",
    "ScoreTable": "scores.table",
    "ScoreTableError": "errors",
    "Scorer": "scores.scoring",
    "SearchResult": "study.result",
    "SearchSpace": "spaces",
    "Strategy": "strategies",
    "StrategySampler": "study.sampler",
    "StudyError": "errors",
    "TableError": "errors",
    "TableObjective": "objectives",
    "TrainedNetwork": "retraining",
    "TrainingObjective": "objectives",
    "TransNASMacro": "spaces",
    "TransNASMicro": "spaces",
    "UnknownNameError": "errors",
    "export": "report.export",
    "score_network": "metrics",
    "from_choices": "spaces",
    "from_dataset": "datasets",
    "from_models": "spaces",
    "list_metrics": "metrics",
    "list_spaces": "spaces",
    "list_strategies": "strategies",
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
