"""`robonas tables` and `robonas experiment` on a table of fifty architectures, end to end."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from tests.experiments import toy
from tests.tables.test_unpickling import Hostile
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.experiments import Results
from robonas.tables import BenchmarkTable

EXPERIMENT = [
    *("experiment", "--table", "toy.csv", "--objective", "val_acc", "--final", "test_acc", "--cost", "train_seconds"),
    *(
        "--metrics",
        "synflow,jacov",
        "--strategy",
        "average_rank,random",
        "--budget",
        "6",
        "--seeds",
        "3",
        "--jobs",
        "1",
    ),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.frame().to_csv("toy.csv", index=False)

    def invoke(*words: str, code: int = 0):
        result = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
        assert result.exit_code == code, result.output
        return result

    return invoke


def test_import_and_info(run) -> None:
    shown = run("tables", "import", "toy.csv", "-o", "out/toy.parquet")
    assert "50 architectures, from toy.csv" in shown.stdout
    table = BenchmarkTable.read("out/toy.parquet")
    assert table.names("metric") == ("jacov", "plain", "synflow")
    told = json.loads(run("tables", "info", "out/toy.parquet", "--json").stdout)
    assert told["architectures"] == 50
    assert told["provenance"]["sha256"] == table.provenance["sha256"]
    assert told["columns"][0]["defined"] == 50
    assert "nats_bench" in run("tables", "formats").stdout


def test_undefined_values_are_told(run) -> None:
    data = toy.frame()
    data.loc[:3, "jacov"] = -1e8
    data.to_csv("marked.csv", index=False)
    assert (
        "Metric 'jacov' is undefined for 4 of 50 architectures (4 sentinel)."
        in run("tables", "info", "marked.csv").stderr
    )


def test_a_hostile_file_is_one_line(run, tmp_path) -> None:
    (tmp_path / "x.p").write_bytes(pickle.dumps(Hostile(str(tmp_path / "owned"))))
    shown = run("tables", "import", "x.p", "-o", "y.parquet", code=2)
    assert "Error: 'x.p' is refused." in shown.stderr
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "y.parquet").exists()
    assert "no benchmark file 'none.json'" in run("tables", "info", "none.json", code=2).stderr


def test_experiment(run) -> None:
    shown = run(*EXPERIMENT)
    for words in (
        "average_rank",
        "each metric alone, best in hindsight",
        "final measure of the winner",
        "seed by seed",
    ):
        assert words in shown.stdout
    results = Results.read("robonas-experiment/results.parquet")
    assert results.strategies == ["average_rank", "random", "synflow alone", "jacov alone"]
    assert len(list(Path("robonas-experiment/runs").glob("*.json"))) == 4 * 3


def test_experiment_as_json_twice(run) -> None:
    first = json.loads(run(*EXPERIMENT, "--json").stdout)
    second = json.loads(run(*EXPERIMENT, "--json").stdout)  # from what was kept
    assert first == second
    row = next(row for row in first["summary"] if row["strategy"] == "average_rank" and row["queries"] == 6)
    assert row["runs"] == 3
    assert row["rank_mean"] >= 1
    assert first["tables"]["final"]["random"]["toy"].count("±") == 1
    assert {pair["other"] for pair in first["comparison"]["pairs"]} == {"random", "synflow alone", "jacov alone"}


def test_experiment_from_a_suite(run, tmp_path) -> None:
    toy.frame(seed=1).to_csv("other.csv", index=False)
    tasks = "".join(
        f'[[task]]\ntable = "{name}.csv"\nobjective = "val_acc"\nfinal = "test_acc"\n' for name in ("toy", "other")
    )
    strategies = '[[strategy]]\nname = "average_rank"\n[[strategy]]\nname = "random"\n'
    (tmp_path / "suite.toml").write_text(f"budget = 5\nseeds = 2\nhalf_pools = true\n{tasks}{strategies}")
    told = json.loads(run("experiment", "suite.toml", "--seeds", "3", "--jobs", "1", "--no-report", "--json").stdout)
    assert told["settings"]["seeds"] == [0, 1, 2]  # the command line wins
    assert told["settings"]["half_pools"] is True
    assert set(told["over_tasks"]["average_ranks"]) == {"average_rank", "random"}
    assert "Over 2 tasks" in run("experiment", "suite.toml", "--jobs", "1", "--no-report").stdout
    other = run("experiment", "suite.toml", "--strategy", "robot", "--jobs", "1", "--no-report", "--json").stdout
    assert set(json.loads(other)["over_tasks"]["average_ranks"]) == {"robot", "random"}  # the yardstick is always there
    message = run("experiment", "suite.toml", "--against", "train_seconds", code=2).stderr
    assert "give either a suite or --table" in message


def test_an_experiment_with_a_trade_off(run) -> None:
    words = [*EXPERIMENT, "--against", "train_seconds", "-o", "traded"]
    told = json.loads(run(*words, "--json").stdout)
    missing = float(told["tables"]["hypervolume_regret"]["random"]["toy"].partition(" ")[0])
    assert 0 < missing < 1
    assert "share of the front's volume that is missing" in run(*words).stdout
    run(*words, "--format", "latex")
    assert r"\caption{Share of the true front's hypervolume" in Path("traded/tables/front.tex").read_text()
    assert "Share of the true front" in Path("traded/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective", "test_acc"], "'test_acc' is a test or final measure"),
        (["--objective", "acc"], "may be any of val_acc, test_acc; name one"),
        (["--strategy", "robto"], "Did you mean 'robot'"),
        (["--metrics", "synflw"], "Did you mean 'synflow'"),
        (["--final", "val_acc_200"], "no column 'val_acc_200'"),
    ],
)
def test_experiment_mistakes(run, words, message) -> None:
    rest = {"--table": "toy.csv", "--objective": "val_acc", words[0]: words[1]}
    shown = run("experiment", *(word for pair in rest.items() for word in pair), code=2)
    assert shown.stderr.startswith("Error: ")
    assert message in shown.stderr
    assert "needs a suite, or --table and --objective" in run("experiment", code=2).stderr


def test_a_table_is_no_suite(run) -> None:
    told = " ".join(run("experiment", "toy.csv", code=2).stderr.split())
    assert told == "Error: A suite must be a .toml file; got 'toy.csv'. Name a benchmark table by `--table`."
