"""Folders of full trainings: how they are named, and that one training at a time writes to each."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from robonas.common.files import check_folder, unwritable
from robonas.errors import CheckpointError, ConfigError, NasError
from robonas.retraining.checkpoint import CHECKPOINT
from robonas.study.query import training_folder
from robonas.study.result import SearchResult
from robonas.study.sharing import lock_of
from robonas.study.storage import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.architecture import Architecture
    from robonas.training.workers import Workers


def folder_after(winner: SearchResult | Architecture | str) -> Path:
    """Return the folder for the training of a search's winner; ``robonas-train`` where the search has no folder."""
    if not isinstance(winner, SearchResult) or winner.folder is None:
        return Path("robonas-train")
    return training_folder(winner.folder, winner.study)


@contextlib.contextmanager
def alone_in(folder: Path, workers: Workers) -> Iterator[Path]:
    """Lock the folder until the block ends, so that no other training writes to it.

    Raises:
        CheckpointError: Another one does.
        ConfigError: It holds a search.
        OutputError: It cannot be written.
    """
    if (folder / DATABASE).exists():
        raise ConfigError(f"'{folder}' is the folder of a search. Choose another one for the full training.")
    if workers.rank:
        yield folder
        return
    try:
        check_folder(folder).mkdir(parents=True, exist_ok=True)
        lock = lock_of(folder / CHECKPOINT)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(
            f"Another program is training in '{folder}'. Wait for it, or choose another folder."
        ) from error
    except NasError:
        raise
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        for left in folder.glob(f".{CHECKPOINT}.*.tmp"):
            left.unlink()  # of a program that was killed while it wrote
        yield folder
    finally:
        lock.release()
