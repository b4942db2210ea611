"""Checkpoints: where a training stands after an epoch, in one file that is whole or absent, and never unpickled."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robonas.common.files import replacing
from robonas.common.reading import parse_json
from robonas.common.settings import differences
from robonas.errors import CheckpointError, TableError
from robonas.study.events import EpochFinished
from robonas.tables.torch_files import BFLOAT16, read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

CHECKPOINT = "checkpoint.pt"
"""Name of the file in a training's folder."""
_FORMAT = 1
_AGAIN = "Restore it from a copy, or remove it to train from the start."


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs."""

    settings: Mapping[str, Any]
    """Settings that must be equal to go on; JSON values."""
    log: tuple[EpochFinished, ...]
    """Its epochs."""
    state: dict[str, Any]
    """State of the network, the optimiser and the gradient scaler: tensors and plain values."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a folder, in the place of the one before."""
    import torch

    content = {
        "format": _FORMAT,
        "settings": json.dumps(checkpoint.settings),
        "log": [dataclasses.asdict(row) for row in checkpoint.log],
        "state": checkpoint.state,
    }
    stream = io.BytesIO()
    torch.save(content, stream)
    with replacing(folder / CHECKPOINT) as temporary:
        temporary.write_bytes(stream.getbuffer())  # PyTorch's own writing to files hides a full disk


def read_checkpoint(folder: Path, settings: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """Read the checkpoint in a folder; None where there is none.

    Args:
        folder: Folder of the training.
        settings: Settings that the checkpoint must have; None for any.

    Raises:
        CheckpointError: It is damaged, of another version, or of a training with other settings.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        content = read_torch(path, make=_tensor)
    except (TableError, OSError) as error:
        raise CheckpointError(f"Checkpoint '{path}' is damaged or none of robonas ({error}). {_AGAIN}") from error
    number = content.get("format") if isinstance(content, dict) else None
    if number != _FORMAT:
        raise CheckpointError(
            f"Checkpoint '{path}' must be of format {_FORMAT}, which this version of robonas reads; got {number!r}. "
            f"{_AGAIN}"
        )
    try:
        given = parse_json(content["settings"])
        found = Checkpoint(dict(given), tuple(EpochFinished(**row) for row in content["log"]), dict(content["state"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"Checkpoint '{path}' is damaged ({error}). {_AGAIN}") from error
    if settings is not None:
        changed = list(differences(found.settings, settings))
        if changed:
            raise CheckpointError(
                f"Checkpoint '{path}' is of a training with other settings: {'; '.join(changed[:4])}. "
                "Choose another folder for this training, or the settings of the checkpoint to go on with it."
            )
    return found


def _tensor(array: NDArray[np.generic], kind: str) -> Tensor:
    """Return the tensor of these numbers."""
    import torch

    if kind == BFLOAT16:
        return torch.from_numpy(array.view("<i2")).view(torch.bfloat16)
    return torch.from_numpy(array)
