"""Silence of Optuna's log about robonas's own studies; the user's studies are logged as ever."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Quiet(logging.Filter):
    """Rejects what one thread says that is no warning."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        return record.levelno >= logging.WARNING or threading.get_ident() != self._thread


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Reject what Optuna logs in this thread until the block ends, but for warnings.

    The verbosity of Optuna, which is the user's, is not touched.
    """
    quiet = _Quiet()
    loggers = [
        entry
        for name, entry in logging.root.manager.loggerDict.copy().items()
        if name.startswith("optuna.") and isinstance(entry, logging.Logger)
    ]
    for logger in loggers:
        logger.addFilter(quiet)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(quiet)
