"""Objectives: what a query answers.

Adding one: a file beside this one with a subclass of `Objective`, and a line in `OBJECTIVES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
from robonas.objectives.command import CommandObjective
from robonas.objectives.function import FunctionObjective
from robonas.objectives.table import TableObjective
from robonas.training.recipe import Recipe, RecipeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.objectives.training import TrainingObjective

    OBJECTIVES: Mapping[str, type[Objective]]
    """Every objective by name."""
else:

    def __getattr__(name: str) -> Any:
        if name not in {"OBJECTIVES", "TrainingObjective"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from robonas.objectives.training import TrainingObjective  # which needs PyTorch: on first use

        ours = (CommandObjective, FunctionObjective, TableObjective, TrainingObjective)
        return TrainingObjective if name == "TrainingObjective" else {objective.name: objective for objective in ours}


__all__ = [
    "OBJECTIVES",
    "CommandObjective",
    "CurvePoint",
    "Evaluation",
    "FunctionObjective",
    "Objective",
    "Recipe",
    "RecipeSettings",
    "Report",
    "TableObjective",
    "TrainingObjective",
]
