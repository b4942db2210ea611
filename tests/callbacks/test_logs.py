"""Logs: what TensorBoard, MLflow and Weights & Biases get of a search and of a full training."""

from __future__ import annotations

import sys
import warnings

import pytest

from robonas.callbacks import LOGS, Log, TensorBoard, make_log
from robonas.callbacks.base import flat
from robonas.errors import ConfigError, MissingExtraError, ObjectiveError, UnknownNameError
from robonas.study.events import EpochFinished
from robonas.study.loop import search
from tests.fakes import CHEAP, CountParameters, small_space

SPACE = small_space()


class Troubled(CountParameters):
    """Fails at its second evaluation."""

    def evaluate(self, space, architecture, *, seed, report=None):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 2:
            raise ObjectiveError("no luck")
        return super().evaluate(space, architecture, seed=seed, report=report)


def run(*logs, objective=None, **changes):
    plan = {"metrics": CHEAP, "pool": 12, "budget": 4, "strategy": "random", "folder": None, "n_jobs": 0, **changes}
    return search(SPACE, objective or Troubled(), callbacks=list(logs), **plan)


def epochs(n: int = 3):
    for epoch in range(1, n + 1):
        yield EpochFinished(epoch, n, 0.1 / epoch, 2.0 / epoch, 0.25 * epoch, 1.0 / epoch, None, None, 1.5)


class Written(Log):
    """Keeps what it is told."""

    tracker = "a list"

    def __init__(self, name=None, fail_at: str = "") -> None:
        super().__init__(name)
        self.told: list[tuple] = []
        self.fail_at = fail_at

    def _write(self, *what) -> None:
        if what[0] == self.fail_at:
            raise OSError("the server is gone")
        self.told.append(what)

    def begin(self, name, settings) -> None:
        self._write("begin", name, settings)

    def begin_query(self, query) -> None:
        self._write("begin_query", query.number)

    def log_step(self, query, step, numbers) -> None:
        self._write("log_step", query.number, step, sorted(numbers))

    def end_query(self, query, best) -> None:
        self._write("end_query", query.number, query.state, best)

    def log_epoch(self, epoch, numbers) -> None:
        self._write("log_epoch", epoch, numbers)

    def end(self, result, failed) -> None:
        self._write("end", None if result is None else len(result.queries), failed)


def test_a_search_is_a_run_of_queries_and_steps() -> None:
    log = Written()
    result = run(log)
    assert log.told[0][:2] == ("begin", "search")
    assert log.told[0][2]["budget"] == 4
    assert log.told[0][2]["space.name"] == SPACE.reference
    steps = [told[1:] for told in log.told if told[0] == "log_step"]
    assert [told[:2] for told in steps] == [(number, step) for number in (1, 3, 4) for step in (1, 2)]
    assert all({"seconds", "value"} <= set(names) for _, _, names in steps)
    ends = [told for told in log.told if told[0] == "end_query"]
    assert [told[1:3] for told in ends] == [(1, "complete"), (2, "failed"), (3, "complete"), (4, "complete")]
    assert ends[-1][3] == result.value
    assert log.told[-1] == ("end", 4, False)


def test_a_full_training_is_a_run_of_epochs_and_one_log_serves_both() -> None:
    log = Written("mine")
    for row in epochs():
        log(row)
    assert [told[0] for told in log.told] == ["begin", "log_epoch", "log_epoch", "log_epoch", "end"]
    assert log.told[0][1] == "mine"
    assert log.told[2][2] == {"learning_rate": 0.05, "training_loss": 1.0, "value": 0.5, "loss": 0.5, "seconds": 1.5}
    run(log)
    assert log.told[-1] == ("end", 4, False)


def test_an_error_in_a_search_ends_the_run_as_failed() -> None:
    def stop(event) -> None:
        if type(event).__name__ == "QueryFinished":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Written() as log:
        run(log, stop)
    assert log.told[-1] == ("end", None, True)


def test_trouble_later_on_ends_the_log_and_not_the_search() -> None:
    log = Written(fail_at="end_query")
    with pytest.warns(UserWarning, match=r"The log to a list has failed and is ended \(OSError: the server is gone\)"):
        result = run(log)
    assert len(result.queries) == 4
    assert [told[0] for told in log.told].count("begin_query") == 1


def test_trouble_at_the_beginning_is_told_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"Cannot log to a list \(OSError: the server is gone\)\. Mend it"):
        run(Written(fail_at="begin"))


def test_settings_are_flattened() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [1, "x"], "e": None, "f": True}) == {"a.b": 1, "d": "1, x", "f": True}


def test_logs_are_made_by_name(tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="Unknown log 'tensorbord'. Did you mean 'tensorboard'"):  # noqa: RUF043
        make_log("tensorbord", tmp_path)
    for name in LOGS:
        module = {"mlflow": "mlflow", "tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}[name]
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(MissingExtraError, match=rf"pip install 'robonas\[{name}\]'"):
                make_log(name, tmp_path)


def test_tensorboard_reads_what_was_logged(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        events = EventAccumulator(str(folder))
        events.Reload()
        return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}, events

    log = TensorBoard(tmp_path / "logs")
    result = run(log)
    numbers, events = read(tmp_path / "logs" / "search")
    done = [(query.number, query.value) for query in result.queries if query.value is not None]
    assert numbers["search/value"] == [(number, pytest.approx(value)) for number, value in done]
    assert numbers["search/best"][-1] == (4, pytest.approx(result.value))
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}
    assert "| seed | 0 |" in texts["settings/text_summary"]
    assert texts["failures/text_summary"] == "no luck"
    assert result.text in texts["winner/text_summary"]
    curve, _ = read(tmp_path / "logs" / "search" / "query-003")
    assert curve["curve/value"] == [(p.step, pytest.approx(p.value)) for p in result.queries[2].curve]
    for row in epochs():
        log(row)
    numbers, _ = read(tmp_path / "logs" / "training")
    assert numbers["training/value"] == [(1, 0.25), (2, 0.5), (3, 0.75)]


def test_mlflow_has_a_run_a_query_below_that_of_the_search(tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    from robonas.callbacks import MLflow

    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of folders as stores
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}" if _is_whole_mlflow() else (tmp_path / "runs").as_uri()
        log = MLflow("mine", uri=uri)
        result = run(log)
        client = mlflow.MlflowClient(tracking_uri=uri)
        found = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
        assert mlflow.active_run() is None
        (search_run,) = [each for each in found if "mlflow.parentRunId" not in each.data.tags]
        assert search_run.info.status == "FINISHED"
        assert search_run.data.params["budget"] == "4"
        assert search_run.data.params["winner"] == result.text
        values = client.get_metric_history(search_run.info.run_id, "value")
        assert [(m.step, m.value) for m in values] == [
            (q.number, q.value) for q in result.queries if q.value is not None
        ]
        children = {each.info.run_name: each for each in found if each is not search_run}
        assert {name: each.info.status for name, each in children.items()} == {
            "query 1": "FINISHED",
            "query 2": "FAILED",
            "query 3": "FINISHED",
            "query 4": "FINISHED",
        }
        assert children["query 2"].data.tags["failure"] == "no luck"
        assert children["query 3"].data.params["architecture"] == result.queries[2].architecture
        for row in epochs():
            log(row)
        found = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
        (training,) = [each for each in found if each.info.run_name == "training"]
        assert training.data.metrics["value"] == 0.75


def _is_whole_mlflow() -> bool:
    from importlib.util import find_spec

    return find_spec("alembic") is not None and find_spec("mlflow.store.db") is not None


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(tmp_path, monkeypatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "300")  # for its own process, which a busy machine starts late
    from robonas.callbacks import WandB

    told: list[dict] = []
    last: dict = {}
    log = WandB("mine", mode="offline", dir=str(tmp_path))
    begin = log.begin

    def watched(name, settings) -> None:
        begin(name, settings)
        write, finish, summary = log._run.log, log._run.finish, log._run.summary
        names = ("winner", CountParameters().value_name)
        log._run.log = lambda row: (told.append(row), write(row))
        log._run.finish = lambda **more: (last.update({key: summary.get(key) for key in names}), finish(**more))

    monkeypatch.setattr(log, "begin", watched)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        result = run(log)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("run-*.wandb")
    assert file.stat().st_size > 0
    assert last == {"winner": result.text, result.value_name: result.value}
    ends = [row for row in told if "query" in row]
    assert [(row["query"], row.get("search/value")) for row in ends] == [(q.number, q.value) for q in result.queries]
    assert sum("epoch" in row for row in told) == sum(len(query.curve) for query in result.queries)
    assert [row[:4] for row in told[-1]["queries"].data] == [
        [query.number, query.architecture, query.phase, query.state] for query in result.queries
    ]
