"""`tensorboard`: a search or a full training as TensorBoard shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.callbacks.base import Log, Numbers, results_of
from robonas.common.files import check_folder
from robonas.errors import MissingExtraError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from robonas.study.query import Query
    from robonas.study.result import SearchResult


class TensorBoard(Log):
    """Logs into a folder, which ``tensorboard --logdir FOLDER`` shows.

    A search is a run of its name: ``value``, ``best`` and ``seconds`` by number of the query, and its settings as text.
    Each query is a run below it: its learning curve by epoch, and its architecture as text. A full training is a run
    with all that its log has, by epoch.

    Args:
        folder: Folder to log into.
        name: Name of the run; None for that of the study, or ``"training"``.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        OutputError: The folder cannot be written.
    """

    tracker = "TensorBoard"

    def __init__(self, folder: str | os.PathLike[str] = "robonas-logs", name: str | None = None) -> None:
        super().__init__(name)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("A log for TensorBoard", "tensorboard") from error
        self._writer_of: Any = SummaryWriter
        self.folder = check_folder(folder)
        self._run = Path()
        self._writers: dict[int, Any] = {}

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a run; see `Log.begin`."""
        self._run = self.folder / name
        self._writers = {0: self._writer_of(self._run)}
        rows = "\n".join(f"| {key} | {str(value).replace('|', chr(92) + '|')} |" for key, value in settings.items())
        self._writers[0].add_text("settings", f"| setting | value |\n|---|---|\n{rows}")
        self._writers[0].flush()

    def begin_query(self, query: Query) -> None:
        """Begin an evaluation; see `Log.begin_query`."""
        writer = self._writers[query.number] = self._writer_of(self._run / f"query-{query.number:03}")
        writer.add_text("architecture", f"    {query.architecture}")

    def log_step(self, query: Query, step: int, numbers: Numbers) -> None:
        """Log a step; see `Log.log_step`."""
        writer = self._writers[query.number]
        for name, value in numbers.items():
            writer.add_scalar(f"curve/{name}", value, step)
        writer.flush()

    def end_query(self, query: Query, best: float | None) -> None:
        """End an evaluation; see `Log.end_query`."""
        self._writers.pop(query.number).close()
        for name, value in results_of(query, best).items():
            self._writers[0].add_scalar(f"search/{name}", value, query.number)
        if query.failure is not None:
            self._writers[0].add_text("failures", query.failure, query.number)
        self._writers[0].flush()

    def log_epoch(self, epoch: int, numbers: Numbers) -> None:
        """Log an epoch; see `Log.log_epoch`."""
        for name, value in numbers.items():
            self._writers[0].add_scalar(f"training/{name}", value, epoch)
        self._writers[0].flush()

    def end(self, result: SearchResult | None, failed: bool) -> None:
        """End the run; see `Log.end`."""
        del failed
        if result is not None and any(query.value is not None for query in result.queries):
            self._writers[0].add_text("winner", f"    {result.text}\n\n{result.value_name} {result.value:.6g}")
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
