"""Retraining: the winner of a search, trained in full, with checkpoints, on one device or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.retraining.result import TrainedNetwork, is_training, load_trained

if TYPE_CHECKING:
    from robonas.retraining.run import train
else:

    def __getattr__(name: str) -> Any:
        if name == "train":  # which needs PyTorch: on first use
            from robonas.retraining.run import train

            return train
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["TrainedNetwork", "is_training", "load_trained", "train"]
