"""The command line, end to end, on small real trainings."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.scores.table import ScoreTable

RUNNER = CliRunner()
SMALL = ["--space-set", "channels=2", "--space-set", "depth=1", "--jobs", "1", "--pool", "12", "-m", "snip,synflow"]
SHORT = [*SMALL, "--budget", "3", "--epochs", "1", "--batch-size", "16"]


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory) -> str:
    """The folder of a finished search with a baseline."""
    folder = str(tmp_path_factory.mktemp("run") / "search")
    result = RUNNER.invoke(app, ["search", "--data", images, *SHORT, "-o", folder, "--compare", "random"])
    assert result.exit_code == 0, result.output
    assert "auto found" in result.stdout
    assert "random" in result.stdout
    assert "One seed proves little" in result.stdout
    return folder


def call(*arguments: str, code: int = 0):
    result = RUNNER.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if code == 2:
        assert "Traceback" not in result.output
    return result


def test_search_leaves_everything_in_its_folder(finished) -> None:
    names = {path.name for path in Path(finished).iterdir()}
    assert {"study.db", "search.scores.parquet", "search.safetensors", "result.json", "report.html"} <= names
    assert ScoreTable.read(f"{finished}/search.scores.parquet").metrics == ("snip", "synflow")


def test_show_tells_what_was_found(finished) -> None:
    shown = call("show", finished)
    assert "auto found" in shown.stdout
    assert "Queries" in shown.stdout
    value = json.loads(call("show", finished, "--json").stdout)
    assert len(value["queries"]) == 3
    assert value["best"]["value"] == max(query["value"] for query in value["queries"])


def test_search_again_is_instant_and_the_same(finished, images) -> None:
    before = json.loads(call("show", finished, "--json").stdout)
    again = json.loads(call("search", "--data", images, *SHORT, "-o", finished, "--json", "--no-report").stdout)
    again.pop("baselines")
    assert again == before


@pytest.mark.parametrize("suffix", ["json", "csv", "safetensors", "pt2"])
def test_export(finished, tmp_path, suffix) -> None:
    path = tmp_path / f"out.{suffix}"
    call("export", finished, "-o", str(path))
    if suffix == "json":
        assert json.loads(path.read_text())["study"] == "search"
    elif suffix == "csv":
        assert len(path.read_text().splitlines()) == 4
    elif suffix == "safetensors":
        assert "classifier.weight" in load_file(path)
    else:
        import torch

        network = torch.export.load(path).module()
        assert network(torch.zeros(5, 1, 8, 8, dtype=torch.uint8)).shape == (5, 10)


def test_export_to_an_unknown_format_is_told(finished, tmp_path) -> None:
    assert "must end in one of .json, .csv" in call("export", finished, "-o", str(tmp_path / "x.docx"), code=2).stderr


def test_report_is_written_with_another_study_beside_it(finished, tmp_path) -> None:
    page = tmp_path / "page.html"
    call("report", finished, "-o", str(page), "--compare", "search-random")
    assert "random" in page.read_text(encoding="utf-8")


def test_score_writes_a_table_and_goes_on_with_it(images, tmp_path) -> None:
    path = str(tmp_path / "s.parquet")
    first = call("score", "--data", images, *SMALL, "-o", path)
    assert "snip" in first.stdout
    assert len(ScoreTable.read(path)) == 12
    rows = json.loads(call("score", "--data", images, *SMALL, "-o", path, "--json").stdout)
    assert {row["metric"] for row in rows} == {"snip", "synflow"}


def test_score_reads_architectures_from_a_file(images, tmp_path) -> None:
    (tmp_path / "archs.txt").write_text(
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|\n"
        "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|\n"
    )
    path = str(tmp_path / "s.parquet")
    call("score", "--data", images, *SMALL, "-o", path, "--architectures", str(tmp_path / "archs.txt"))
    assert len(ScoreTable.read(path)) == 2


@pytest.mark.parametrize("what", ["metrics", "spaces", "strategies", "datasets"])
def test_lists(what) -> None:
    rows = json.loads(call("list", what, "--json").stdout)
    assert call("list", what).stdout.startswith(rows[0]["name"])


def test_one_entry_has_its_whole_card() -> None:
    shown = call("list", "metrics", "snip").stdout
    for key in ("meaning", "formula", "direction", "range", "needs", "source", "weaknesses"):
        assert key in shown
    assert "Did you mean 'snip'" in call("list", "metrics", "snp", code=2).stderr


def test_profile_of_a_space_counts_what_keeps_the_limits() -> None:
    value = json.loads(call("space", "profile", "nasbench201", "--sample", "100", "--max-params", "1", "--json").stdout)
    assert value["share_within_limits"] == 0
    assert {row["measure"] for row in value["measures"]} == {"params"}, "nothing dearer is measured in vain"
    told = call("space", "profile", "nasbench201", "--sample", "9", "--max-macs", "1", "--at-most", "depth=99")
    assert "Not measured, since nothing keeps the limits: params, memory." in told.stderr
    assert "Within the limits: nothing in the sample of 9: at most 1 multiply" in told.stdout
    value = json.loads(call("space", "profile", "nasbench201", "--sample", "5", "--max-macs", "1e9", "--json").stdout)
    assert {row["measure"] for row in value["measures"]} == {"params", "macs", "memory"}
    assert "Within the limits" in call("space", "profile", "nasbench201", "--sample", "5", "--max-macs", "1e9").stdout


def test_every_default_is_in_the_help() -> None:
    environment = {"COLUMNS": "200"}
    shown = " ".join(RUNNER.invoke(app, ["search", "--help"], env=environment).stdout.split())
    for default in ("digits", "nasbench201", "auto", "20", "1000", "robonas-run", "0.25", "10"):
        assert f"[default: {default}]" in shown, default


def test_settings_from_a_file_and_the_command_line_wins(images, tmp_path) -> None:
    (tmp_path / "run.toml").write_text(
        f'data = "{images}"\nmetrics = ["snip", "synflow"]\npool = 12\nbudget = 2\nepochs = 1\njobs = 1\nseed = 5\n'
        "batch-size = 16\nreport = false\n[space-set]\nchannels = 2\ndepth = 1\n"
    )
    config = ["search", str(tmp_path / "run.toml"), "-o", str(tmp_path / "run"), "--json"]
    value = json.loads(call(*config, "--budget", "1").stdout)
    assert value["seed"] == 5
    assert value["budget"] == 1
    assert value["settings"]["space"]["settings"]["channels"] == 2


def test_pruned_trainings_are_told_everywhere(images, tmp_path) -> None:
    (tmp_path / "run.toml").write_text(
        f'data = "{images}"\nprune = "successive_halving"\nstrategy = "random"\nbudget = 9\nepochs = 3\njobs = 1\n'
        "pool = 12\n[space-set]\nchannels = 2\ndepth = 1\n"
    )
    told = call("search", str(tmp_path / "run.toml"), "-o", str(tmp_path / "run"))
    assert "pruned at 0." in told.stderr
    assert "after 1 of 3 epochs" in told.stderr
    assert "of 27 epochs saved" in " ".join(told.stdout.replace("│", " ").split())
    value = json.loads(call("show", str(tmp_path / "run"), "--json").stdout)
    states = [query["state"] for query in value["queries"]]
    assert states[0] == "complete"
    assert "pruned" in states
    assert value["settings"]["pruner"] == {"name": "successive_halving"}
    assert value["steps"]["done"] + value["steps"]["saved"] == 27
    shown = call("show", str(tmp_path / "run")).stdout
    assert "partial" in shown
    assert "nan" not in shown
    assert "epochs saved" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "No such option: --foo. See 'robonas --help'."),
        (["serch"], "Did you mean 'search'"),
        (["tables", "--foo"], "No such option: --foo"),
        (["search", "--data", "digit"], "Did you mean 'digits'"),
        (["search", "--space", "nasbench20"], "Did you mean 'nasbench201'"),
        (["search", "--strategy", "robt"], "Did you mean 'robot'"),
        (["search", "--prune", "medain"], "Did you mean 'median'"),
        (["search", "-m", "sinp"], "Did you mean 'snip'"),
        (["search", "--compare", "randon"], "Did you mean 'random'"),
        (["search", "--budget", "0"], "at least 1 evaluation; got 0"),
        (["search", "--pool", "3"], "fewer than the budget"),
        (["search", "--space-set", "chanels=3"], "chanels"),
        (["search", "--space-set", "channels"], "must read KEY=VALUE"),
        (["search", "--space-set", "channels=0"], "must be at least 1"),
        (["search", "--space-set", "channels=abc"], "`channels` of `nasbench201` must be a whole number; got 'abc'"),
        (["search", "--space", "mobilenetv3", "--space-set", "width=x"], "`width` of mobilenetv3 must be a number"),
        (["search", "--space-set", "input_shape=3"], "`input_shape` must be a list of sizes; got 3"),
        (["search", "--jobs", "100001"], "`n_jobs` must be at most"),
        (["search", "--data", "/no[word]/x.npz", "--image-size", "16"], "There is no file '/no[word]/x.npz'"),
        (["search", "--data", "digits", "--image-mode", "RGB"], "does not take these settings"),
        (["search", "--epochs", "0"], "epochs"),
        (["search", "--learning-rate", "-1"], "learning_rate"),
        (["search", "--device", "tpu"], "tpu"),
        (["search", "--data", "folder:/nowhere"], "/nowhere"),
        (["search", "/nowhere.toml"], "Cannot read settings file"),
        (["search", "--storage", "nonsense://x"], "cannot be kept in 'nonsense://x'"),
        (["show", "/nowhere"], "There is no search in"),
        (["list", "metric"], "Did you mean 'metrics'"),
        (["score", "--architectures", "/nowhere.txt"], "Cannot read architectures"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = call(*arguments, code=2).stderr
    assert message in told
    assert len(told.strip().splitlines()) == 1


def test_brackets_in_a_path_are_no_markup(images, tmp_path) -> None:
    folder = str(tmp_path / "t[/b][word]")
    first = call("search", "--data", images, *SHORT, "-o", folder)
    assert f"Report: {folder}/report.html" in first.stderr
    assert f"Report: {folder}/report.html" in call("report", folder).stderr
    assert f"Written: {folder}/x.csv" in call("export", folder, "-o", f"{folder}/x.csv").stderr


def test_a_full_disk_at_the_end_hides_no_result(finished, images, monkeypatch) -> None:
    move = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name in {"result.json", "report.html"}:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", full)
    told = call("search", "--data", images, *SHORT, "-o", finished, code=2)
    assert "auto found" in told.stdout
    assert f"Cannot write '{finished}/result.json': No space left on device. Finished work is kept" in told.stderr
    told = call("search", "--data", images, *SHORT, "-o", finished, "--json", code=2)
    assert len(json.loads(told.stdout)["queries"]) == 3
    assert f"Cannot write '{finished}/report.html': No space left" in call("report", finished, code=2).stderr


def test_another_storage_is_read_again(images, tmp_path) -> None:
    folder, storage = str(tmp_path / "run"), f"sqlite:///{tmp_path}/other.db"
    call("search", "--data", images, *SHORT, "-o", folder, "--storage", storage, "--no-report", "--compare", "random")
    assert len(json.loads(call("show", folder, "--storage", storage, "--json").stdout)["queries"]) == 3
    call("report", folder, "--storage", storage, "--compare", "search-random")
    call("export", folder, "--storage", storage, "-o", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").is_file()
    assert "it was run with a storage of its own" in call("show", folder, code=2).stderr


def test_random_search_needs_no_scores(images, tmp_path) -> None:
    folder = str(tmp_path / "run")
    found = call("search", "--data", images, *SHORT, "-o", folder, "--strategy", "random")
    assert "random found" in found.stdout
    assert "random found" in call("show", folder).stdout


def test_a_space_from_a_file_is_shown_from_another_folder(images, tmp_path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "own_space.py").write_text(
        "from torch import nn\nfrom robonas.spaces import from_choices\n\n\n"
        "def build(width):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))\n\n\n"
        "ok = from_choices({'width': list(range(2, 14))}, build, input_shape=(1, 8, 8), n_classes=10)\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path / "here")
    given = ["--data", images, "--jobs", "1", "--pool", "6", "-m", "snip", "--budget", "2", "--epochs", "1"]
    folder = str(tmp_path / "run")
    call("search", *given, "--batch-size", "16", "--space", "./own_space.py:ok", "-o", folder, "--no-report")
    monkeypatch.chdir(tmp_path / "there")
    told = " ".join(call("show", folder, code=2).stderr.split())
    assert "what a file names is never imported" in told  # a folder may be of others
    value = json.loads(call("show", folder, "--space", "../here/own_space.py:ok", "--json").stdout)
    assert value["settings"]["space"]["name"] == f"{tmp_path.resolve()}/here/own_space.py:ok"


def test_lone_texts_and_json_in_a_settings_file(images, tmp_path) -> None:
    (tmp_path / "run.toml").write_text(
        f'data = "{images}"\nmetrics = "snip"\ncompare = "random"\npool = 6\nbudget = 1\nepochs = 1\njobs = 1\n'
        "batch-size = 16\nreport = false\njson = true\n[space-set]\nchannels = 2\ndepth = 1\n"
    )
    value = json.loads(call("search", str(tmp_path / "run.toml"), "-o", str(tmp_path / "run")).stdout)
    assert value["settings"]["metrics"] == ["snip"]
    assert [other["strategy"] for other in value["baselines"]] == ["random"]


def test_a_date_among_settings_in_a_file_is_told(tmp_path) -> None:
    (tmp_path / "run.toml").write_text("[strategy-set]\nfoo = 2024-01-01\n")
    told = call("search", str(tmp_path / "run.toml"), code=2).stderr
    assert "Setting 'strategy-set.foo'" in told
    assert "got 2024-01-01" in told


def test_grey_and_colour_images_are_converted_when_asked(tmp_path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            shape = (8, 8, 3) if number % 2 else (8, 8)
            picture = Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))
            picture.save(tmp_path / "data" / label / f"{number}.png")
    given = ["score", "--data", str(tmp_path / "data"), *SMALL, "--batch-size", "4", "-o", str(tmp_path / "s.parquet")]
    assert "--image-mode" in call(*given, code=2).stderr
    call(*given, "--image-mode", "L")
    assert len(ScoreTable.read(tmp_path / "s.parquet")) == 12


def test_arrays_have_a_size_of_their_own(images) -> None:
    told = call("score", "--data", images, "--image-size", "16", code=2).stderr
    assert "have their own size" in told


def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_bytes(b"\xef\xbb\xbfbudget = 0\n")
    assert "at least 1 evaluation; got 0" in call("search", str(tmp_path / "run.toml"), code=2).stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('budget = "3"', "Setting 'budget' of '{path}' must be a whole number, without quotes; got '3'."),
        ("budget = true", "Setting 'budget' of '{path}' must be a whole number, without quotes; got True."),
        ("budget = 3.0", "Setting 'budget' of '{path}' must be a whole number, without quotes; got 3.0."),
        ("budget = [3]", "must be a whole number, without quotes; got [3]."),
        ("budget = {x = 3}", "must be a whole number, without quotes; got {{'x': 3}}."),
        ("learning-rate = true", "Setting 'learning-rate' of '{path}' must be a number, without quotes; got True."),
        ('learning-rate = "0.1"', "must be a number, without quotes; got '0.1'."),
        ('report = "no"', "Setting 'report' of '{path}' must be true or false; got 'no'."),
        ("report = 0", "must be true or false; got 0."),
        ("strategy = 3", "Setting 'strategy' of '{path}' must be a text, in quotes; got 3."),
        ("folder = true", "must be a text, in quotes; got True."),
        ('metrics = ["snip", 3]', "Setting 'metrics' of '{path}' must be a text, in quotes; got 3."),
        ("seed = 2024-01-01", "must be a whole number, without quotes; got datetime.date(2024, 1, 1)."),
        ("[search]\nbudget = true", "Setting 'budget' of '{path}' must be a whole number, without quotes; got True."),
    ],
)
def test_a_setting_of_another_kind_in_a_file_is_told(line, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(line + "\n")
    told = call("search", str(tmp_path / "run.toml"), code=2).stderr
    assert message.format(path=tmp_path / "run.toml") in told
    assert len(told.strip().splitlines()) == 1


def test_an_unknown_setting_in_a_file_is_told(tmp_path) -> None:
    (tmp_path / "run.toml").write_text("bugdet = 3\n")
    told = call("search", str(tmp_path / "run.toml"), code=2).stderr
    assert "unknown setting 'bugdet'. Did you mean 'budget'?" in told.replace("\n", " ")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(images, tmp_path) -> None:
    arguments = [
        *("search", "--data", images, *SMALL, "--budget", "4", "--epochs", "30", "--batch-size", "16"),
        *("-o", str(tmp_path / "run"), "--no-report"),
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "robonas.cli.app", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A shell's background job, such as this test's may be, ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("auto") and "  1  " in line:
            break
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    rest = child.stderr.read()
    assert child.wait() == 130, rest
    assert "run the same command again to go on" in rest
    assert "Traceback" not in rest
    child.stderr.close()
    done = json.loads(call("show", str(tmp_path / "run"), "--json").stdout)
    assert done["stop_reason"] == "interrupted"
    value = json.loads(call(*arguments, "--json").stdout)
    assert len(value["queries"]) == 4
    assert value["queries"][0] == done["queries"][0]


def test_a_strategy_is_not_compared_with_itself(images, tmp_path) -> None:
    told = call("search", "--data", images, *SHORT, "-o", str(tmp_path / "run"), "--compare", "auto", code=2)
    assert "must name another strategy than the search's own; got 'auto'" in " ".join(told.stderr.split())


def test_scores_as_csv(images, tmp_path) -> None:
    path = tmp_path / "s.csv"
    told = call("score", "--data", images, *SMALL, "-o", str(path))
    assert f"Scores: {path} (with reasons and times: {tmp_path / 's.parquet'})" in " ".join(told.stderr.split())
    first = path.read_text(encoding="utf-8")
    assert first.splitlines()[0] == "architecture,snip,synflow"
    assert len(first.splitlines()) == 13
    assert len(ScoreTable.read(tmp_path / "s.parquet")) == 12
    call("score", "--data", images, *SMALL, "-o", str(path))
    assert path.read_text(encoding="utf-8") == first
    refused = call("score", "--data", images, *SMALL, "-o", str(tmp_path / "s.xlsx"), code=2)
    assert "`--output` must end in .parquet or .csv" in refused.stderr
