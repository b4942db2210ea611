"""The report of a search or an experiment as one page: numbers first, then pictures, then the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.report.experiment import render_experiment, write_experiment
from robonas.report.page import render, write_report

if TYPE_CHECKING:
    from robonas.report.experiment_charts import critical_difference_figure, progress_figure

__all__ = [
    "critical_difference_figure",
    "progress_figure",
    "render",
    "render_experiment",
    "write_experiment",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import the charts of experiments, and Plotly with them, when they are first asked for."""
    if name in {"critical_difference_figure", "progress_figure"}:
        from robonas.report import experiment_charts

        return getattr(experiment_charts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
