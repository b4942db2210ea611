"""Experiments: strategies × tasks × seeds on recorded benchmarks, and the tables and figures that come of them.

A search is given metrics and the objective and nothing else: `runs.search` has no way to see a final quantity, which is
looked up for the candidates that it has chosen after it is over.
"""

from __future__ import annotations

from robonas.experiments.contenders import Contender
from robonas.experiments.formats import NamedTable, all_tables, to_csv, to_latex, to_markdown
from robonas.experiments.own_table import Noise, build_table, noise_of
from robonas.experiments.ranking import metric_correlations, metric_quality
from robonas.experiments.results import Results
from robonas.experiments.runs import run_experiment
from robonas.experiments.statistics import cautions, compare, critical_difference
from robonas.experiments.suite import load_suite
from robonas.experiments.summary import across_tasks, paper_table, summarise
from robonas.experiments.tasks import Task

__all__ = [
    "Contender",
    "NamedTable",
    "Noise",
    "Results",
    "Task",
    "across_tasks",
    "all_tables",
    "build_table",
    "cautions",
    "compare",
    "critical_difference",
    "load_suite",
    "metric_correlations",
    "metric_quality",
    "noise_of",
    "paper_table",
    "run_experiment",
    "summarise",
    "to_csv",
    "to_latex",
    "to_markdown",
]
