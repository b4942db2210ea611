"""`mlflow`: a search or a full training as runs of MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.callbacks.base import Log, Numbers, flat, results_of
from robonas.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.study.query import Query
    from robonas.study.result import SearchResult

_LONGEST_VALUE = 500
"""Characters of a parameter that every server of MLflow takes."""
_PARAMETERS = 100
"""Parameters that MLflow takes at once."""


class MLflow(Log):
    """Logs to an experiment of MLflow; your own active run is not touched.

    A search is a run with its settings as parameters and ``value``, ``best`` and ``seconds`` by number of the query.
    Each query is a run below it, with the choices of its architecture as parameters and its learning curve by epoch. A
    full training is a run with all that its log has, by epoch.

    Args:
        experiment: Name of the experiment, which is made where there is none.
        uri: URI of the tracking server, or of a folder; None for that of ``MLFLOW_TRACKING_URI``, or MLflow's default.
        name: Name of the run; None for that of the study, or ``"training"``.

    Raises:
        MissingExtraError: MLflow is not installed.
    """

    tracker = "MLflow"

    def __init__(self, experiment: str = "robonas", uri: str | None = None, name: str | None = None) -> None:
        super().__init__(name)
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise MissingExtraError("A log for MLflow", "mlflow") from error
        self._client: Any = MlflowClient(tracking_uri=uri)
        self.experiment = experiment
        self._experiment_id = ""
        self._run = ""
        self._queries: dict[int, str] = {}

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Begin a run; see `Log.begin`."""
        found = self._client.get_experiment_by_name(self.experiment)
        self._experiment_id = found.experiment_id if found else self._client.create_experiment(self.experiment)
        self._queries = {}
        self._run = self._client.create_run(self._experiment_id, run_name=name).info.run_id
        self._note(self._run, settings)

    def begin_query(self, query: Query) -> None:
        """Begin an evaluation; see `Log.begin_query`."""
        tags = {"mlflow.parentRunId": self._run}
        run = self._client.create_run(self._experiment_id, run_name=f"query {query.number}", tags=tags).info.run_id
        self._queries[query.number] = run
        self._note(run, {"architecture": query.architecture, "phase": query.phase})

    def log_step(self, query: Query, step: int, numbers: Numbers) -> None:
        """Log a step; see `Log.log_step`."""
        self._measure(self._queries[query.number], numbers, step)

    def end_query(self, query: Query, best: float | None) -> None:
        """End an evaluation; see `Log.end_query`."""
        run = self._queries.pop(query.number)
        if query.value is not None:
            self._measure(run, {"final value": query.value}, query.steps)
        if query.failure is not None:
            self._client.set_tag(run, "failure", query.failure[:_LONGEST_VALUE])
        states = {"complete": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
        self._client.set_terminated(run, states.get(query.state, "KILLED"))
        self._measure(self._run, results_of(query, best), query.number)

    def log_epoch(self, epoch: int, numbers: Numbers) -> None:
        """Log an epoch; see `Log.log_epoch`."""
        self._measure(self._run, numbers, epoch)

    def end(self, result: SearchResult | None, failed: bool) -> None:
        """End the run; see `Log.end`."""
        if result is not None and any(query.value is not None for query in result.queries):
            self._note(self._run, {"winner": result.text})
        for run in (*self._queries.values(), self._run):
            self._client.set_terminated(run, "FAILED" if failed else "FINISHED")

    def _note(self, run: str, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        rows = [Param(_name(key), str(value)[:_LONGEST_VALUE]) for key, value in flat(settings).items()]
        for start in range(0, len(rows), _PARAMETERS):
            self._client.log_batch(run, params=rows[start : start + _PARAMETERS])

    def _measure(self, run: str, numbers: Numbers, step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(run, name, value, step=step)


def _name(key: str) -> str:
    """Return a name as MLflow takes it: letters, digits and a few marks."""
    return "".join(mark if mark.isalnum() or mark in "_-. /" else "_" for mark in key)[:250]
