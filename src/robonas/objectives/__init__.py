"""Objectives: what a query answers.

Adding one: a file beside this one with a subclass of `Objective`, and a line in `OBJECTIVES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
from robonas.objectives.command import CommandObjective
from robonas.objectives.function import FunctionObjective
from robonas.objectives.table import TableObjective
from robonas.objectives.training import Training
from robonas.recipe import Recipe, RecipeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

OBJECTIVES: Mapping[str, type[Objective]] = {
    "command": CommandObjective,
    "function": FunctionObjective,
    "table": TableObjective,
    "training": Training,
}
"""Every objective by name."""

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
    "Training",
]
