"""Commands that should come at once load nothing heavy, and print in any encoding, to any disk and pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from robonas.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("torch", "numpy", "scipy", "pandas", "botorch", "gpytorch", "optuna", "sklearn", "plotly", "pyarrow", "rich"),
    "pydantic",  # by which Typer converts options
)
HELP = [
    ["--help"],
    ["--version"],
    *([command, "--help"] for command in ("search", "train", "score", "show", "report", "export", "list")),
    *([command, "--help"] for command in ("experiment", "tables", "space")),
    *(["tables", command, "--help"] for command in ("import", "info", "formats")),
    ["space", "profile", "--help"],
]
LISTS = [
    *(["list", what] for what in ("metrics", "spaces", "strategies", "datasets")),
    ["list", "metrics", "zico"],
    ["list", "spaces", "darts"],
    ["list", "strategies", "robot"],
    ["list", "datasets", "digits"],
    ["list", "metrics", "--json"],
]
SPY = """
import sys
from pathlib import Path
from robonas.cli.app import main
sys.argv = ["robonas", *sys.argv[1:]]
try:
    main()
finally:
    print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def run(*arguments: str, code: str | None = None, stdout: int = subprocess.PIPE, **environment: str):
    start = ["-c", code] if code else ["-m", "robonas"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize("arguments", [*HELP, *LISTS], ids=" ".join)
def test_loads_nothing_heavy(arguments) -> None:
    done = run(*arguments, code=SPY)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.decode().rpartition("LOADED")[2].split())
    assert "robonas" in loaded
    assert not loaded & set(HEAVY)


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    import robonas

    told = run("--version").stdout.decode()
    assert told.startswith(f"robonas {robonas.__version__} (Python ")
    assert f"PyTorch {version('torch')}" in told


def test_metrics_are_listed_in_a_line_each() -> None:
    lines = run("list", "metrics").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == list(METRICS)
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if "lower is better" in line} == {
        name for name, metric in METRICS.items() if not metric.higher_is_better
    }
    assert not any("higher is better" in line for line in lines)
    assert all(metric.brief and len(metric.brief) <= 46 for metric in METRICS.values())


@pytest.mark.parametrize("what", ["spaces", "strategies", "datasets"])
def test_lists_fit_eighty_columns(what) -> None:
    lines = run("list", what).stdout.decode().splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("environment", ENCODINGS, ids=lambda entry: "-".join(entry.values()))
@pytest.mark.parametrize("arguments", [["--help"], ["list", "metrics", "zico"], ["list", "metrics", "zico", "--json"]])
def test_prints_in_every_encoding(arguments, environment) -> None:
    done = run(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert b"Traceback" not in done.stderr


def test_json_is_whole_in_ascii() -> None:
    import json

    plain = json.loads(run("list", "metrics", "zico", "--json", PYTHONIOENCODING="ascii").stdout)
    assert plain["formula"] == METRICS["zico"].formula


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--help"], ["list", "metrics"], ["list", "metrics", "--json"]])
def test_a_full_disk_is_told_in_one_line(arguments) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(*arguments, stdout=full.fileno())
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "Error: Cannot write the output: No space left on device. Make room, or send it elsewhere."
    ]


def test_a_closed_pipe_is_no_trouble() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("list", "metrics", stdout=writer)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.slow
def test_a_folder_of_any_name_in_a_locale_without_its_letters(tmp_path) -> None:
    from robonas import FunctionObjective, search
    from robonas.spaces import NASBench201

    def value(network, **_) -> float:
        return float(sum(parameter.numel() for parameter in network.parameters()))

    folder = tmp_path / "aus gabe é"
    space = NASBench201(input_shape=(1, 8, 8), channels=4, depth=1)
    search(space, FunctionObjective(value), strategy="random", budget=2, pool=4, folder=folder)
    environment = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for arguments in (["show", str(folder)], ["report", str(folder)], ["show", str(folder), "--json"]):
        done = run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout or (folder / "report.html").is_file()


def test_a_table_is_shown_without_what_searches_need() -> None:
    done = run("tables", "info", str(ROOT / "benchmarks" / "tables" / "nb201-cifar10.parquet"), code=SPY)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.decode().rpartition("LOADED")[2].split())
    assert "pandas" in loaded
    assert not loaded & {"torch", "scipy", "botorch", "gpytorch", "optuna", "sqlalchemy", "sklearn", "plotly"}


@pytest.mark.parametrize("strategy", ["auto", pytest.param("robot", marks=pytest.mark.slow)])
def test_show_and_report_load_only_what_they_need(tmp_path, strategy) -> None:
    """Also after a search that trained: sizes are recorded with the trials, and the summary in the folder."""
    import robonas

    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=10, channels=4, depth=1)
    objective = robonas.TrainingObjective(data, epochs=1, training_fraction=0.1)
    metrics = ["params", "l2_norm"]
    found = robonas.search(space, objective, strategy=strategy, metrics=metrics, budget=3, pool=9, folder=tmp_path)
    counted = sum(parameter.numel() for parameter in found.build().parameters())
    assert found.best.size is not None
    assert found.size["parameters"] == counted
    for arguments in (["show"], ["show", "--json"], ["report"]):
        done = run(*arguments, str(tmp_path), code=SPY)
        assert done.returncode == 0, done.stderr
        loaded = set(done.stderr.decode().rpartition("LOADED")[2].split())
        assert "robonas" in loaded
        assert not loaded & {"torch", "scipy", "botorch", "gpytorch", "optuna", "sqlalchemy", "alembic", "sklearn"}
