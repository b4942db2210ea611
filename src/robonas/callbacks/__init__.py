"""Callbacks that log a search or a full training where others look at it: TensorBoard, MLflow, Weights & Biases.

Each is made and given to `search` or `train` in ``callbacks=[...]``. What it needs is an extra of the same name as the
log. Adding one: a file beside this one with a class of `Log`, and a line in `LOGS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from robonas.common.registry import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from robonas.callbacks.base import Log as Log
    from robonas.callbacks.mlflow import MLflow as MLflow
    from robonas.callbacks.tensorboard import TensorBoard as TensorBoard
    from robonas.callbacks.wandb import WandB as WandB

_HOMES = {"Log": "base", "MLflow": "mlflow", "TensorBoard": "tensorboard", "WandB": "wandb"}
LOGS: Mapping[str, str] = {"mlflow": "MLflow", "tensorboard": "TensorBoard", "wandb": "WandB"}
"""The class of every log, by the name that the command line has for it."""


def make_log(name: str, folder: Path) -> Log:
    """Make a log by its name, with its own settings.

    Args:
        name: Name of the log; see `LOGS`.
        folder: Folder of the search or the training, in which logs that are files are kept.

    Raises:
        UnknownNameError: There is no such log.
        MissingExtraError: What it needs is not installed.
    """
    kind = lookup("log", name, LOGS)
    make = getattr(importlib.import_module(f"{__name__}.{name}"), kind)
    log: Log = make(folder / "tensorboard") if name == "tensorboard" else make()
    return log


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["LOGS", "Log", "MLflow", "TensorBoard", "WandB", "make_log"]
