"""`wandb`: a search or a full training as a run of Weights & Biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.callbacks.base import Log, Numbers, results_of
from robonas.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.study.query import Query
    from robonas.study.result import SearchResult


class WandB(Log):
    """Logs to a project of Weights & Biases; your own run is not touched.

    A search is one run: ``search/value``, ``search/best`` and ``search/seconds`` by ``query``, the learning curve of
    every query by ``epoch``, and at the end a table of all queries. A full training is one run with all that its log
    has, by epoch.

    Args:
        project: Name of the project.
        name: Name of the run; None for that of the study, or ``"training"``.
        settings: Further settings of `wandb.init`, such as ``mode="offline"``, ``dir`` or ``group``.

    Raises:
        MissingExtraError: `wandb` is not installed.
    """

    tracker = "Weights & Biases"

    def __init__(self, project: str = "robonas", name: str | None = None, **settings: Any) -> None:
        super().__init__(name)
        try:
            import wandb
        except ImportError as error:
            raise MissingExtraError("A log for Weights & Biases", "wandb") from error
        self._wandb: Any = wandb
        self.project, self.settings = project, settings
        self._run: Any = None

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a run; see `Log.begin`."""
        self._run = self._wandb.init(
            **{"project": self.project, "name": name, "config": dict(settings), "reinit": "create_new", **self.settings}
        )
        for step, names in (("query", "search/*"), ("epoch", "curves/*"), ("epoch", "training/*")):
            self._run.define_metric(step)
            self._run.define_metric(names, step_metric=step)

    def begin_query(self, query: Query) -> None:
        """Begin an evaluation, of which nothing is logged yet."""

    def log_step(self, query: Query, step: int, numbers: Numbers) -> None:
        """Log a step; see `Log.log_step`."""
        named = {f"curves/query {query.number} {name}": value for name, value in numbers.items() if name != "seconds"}
        self._run.log({"epoch": step, **named})

    def end_query(self, query: Query, best: float | None) -> None:
        """End an evaluation; see `Log.end_query`."""
        named = {f"search/{name}": value for name, value in results_of(query, best).items()}
        self._run.log({"query": query.number, **named})

    def log_epoch(self, epoch: int, numbers: Numbers) -> None:
        """Log an epoch; see `Log.log_epoch`."""
        self._run.log({"epoch": epoch, **{f"training/{name}": value for name, value in numbers.items()}})

    def end(self, result: SearchResult | None, failed: bool) -> None:
        """End the run; see `Log.end`."""
        if result is not None and any(query.value is not None for query in result.queries):
            self._run.summary.update({"winner": result.text, result.value_name: result.value})
            columns = ["number", "architecture", "phase", "state", "value", "seconds"]
            rows = result.history()[columns].astype(object).to_numpy().tolist()
            self._run.log({"queries": self._wandb.Table(columns=columns, data=rows)})
        self._run.finish(exit_code=1 if failed else 0)
