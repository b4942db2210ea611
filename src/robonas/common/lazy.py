"""Heavy libraries on first use.

Modules that only describe things, such as a metric with its card, must be imported fast, for `robonas list`. Such a
module writes ``from robonas.common.lazy import torch`` at its top instead of ``import torch``, and uses it in its
functions as ever. Base classes, decorators and constants that need the library belong into a module of their own, which
is imported inside a function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from scipy import linalg, special, stats
    from torch import nn
    from torch.nn import functional


class _Lazy:
    """Stands for a module, and imports it when the first of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"<module {self._name!r}, on first use>"

    def __reduce__(self) -> tuple[type[_Lazy], tuple[str]]:
        return _Lazy, (self._name,)


if not TYPE_CHECKING:
    np = _Lazy("numpy")
    linalg = _Lazy("scipy.linalg")
    special = _Lazy("scipy.special")
    stats = _Lazy("scipy.stats")
    torch = _Lazy("torch")
    nn = _Lazy("torch.nn")
    functional = _Lazy("torch.nn.functional")

__all__ = ["functional", "linalg", "nn", "np", "special", "stats", "torch"]
