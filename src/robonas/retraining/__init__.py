"""Retraining: the one network that is wanted, trained in full, with checkpoints, on one device or many."""

from __future__ import annotations

from robonas.retraining.result import TrainedNetwork, is_training, load_trained
from robonas.retraining.run import train

__all__ = ["TrainedNetwork", "is_training", "load_trained", "train"]
