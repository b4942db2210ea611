"""A trained network in use: the preparation of its inputs, its answers with their names, and files that hold both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.prediction.preprocessing import Preprocessing

if TYPE_CHECKING:
    from robonas.prediction.answers import Predictions
    from robonas.prediction.network import ReadyNetwork
else:

    def __getattr__(name: str) -> Any:
        if name == "Predictions":  # which need NumPy: on first use
            from robonas.prediction.answers import Predictions

            return Predictions
        if name == "ReadyNetwork":  # which needs PyTorch
            from robonas.prediction.network import ReadyNetwork

            return ReadyNetwork
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Predictions", "Preprocessing", "ReadyNetwork"]
