"""Kill -9, in the middle of scoring and in the middle of a training: nothing but the work in flight is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.experiments import toy
from tests.fakes import CHEAP, CountParameters, small_batch, small_space
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.scores.table import ScoreTable
from robonas.study.loop import load_result, search

ROOT = Path(__file__).resolve().parents[2]
SEARCH = """
import sys
from robonas.study.loop import search
from tests.fakes import CHEAP, CountParameters, small_space
objective = CountParameters(delay={delay}, log={log!r})
search(small_space(), objective, metrics=CHEAP, pool=30, budget=6, folder={folder!r}, n_jobs={jobs}, **{more})
"""
GROWING = {"grow": 4, "strategy": "auto"}
SCORE = """
from robonas.scores.scoring import score
from tests.fakes import CHEAP, small_batch, small_space
space = small_space()
score(space, space.sample(200, 0), CHEAP, small_batch(), cache={cache!r})
"""


def start(code: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def wait_until(condition, child: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, child.stderr.read().decode()
        assert time.monotonic() < end, "the child did not get there in time"
        time.sleep(0.02)


def kill(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stderr.close()


def told(result) -> list:
    return [(q.architecture, q.phase, q.state, q.value, q.weights, q.curve) for q in result.queries]


@pytest.mark.parametrize(
    "more",
    [pytest.param({}, id="fixed pool"), pytest.param(GROWING, id="growing pool", marks=pytest.mark.slow)],
)
def test_a_search_killed_twice_ends_as_the_uninterrupted_one(tmp_path, more) -> None:
    plan = {"metrics": CHEAP, "pool": 30, "budget": 6, **more}
    whole = search(small_space(), CountParameters(), folder=None, **plan)
    log = tmp_path / "log.txt"
    lines = lambda: log.read_text().splitlines() if log.exists() else []
    folder = tmp_path / "run"
    for begun in (2, 5):
        child = start(SEARCH.format(delay=0.2, log=str(log), folder=str(folder), jobs=1, more=more))
        wait_until(lambda: len(lines()) >= begun, child)  # noqa: B023
        kill(child)
    half = load_result(folder)
    assert half.stop_reason == "interrupted"
    assert 3 <= len(half.queries) <= 5
    resumed = search(small_space(), CountParameters(log=str(log)), folder=folder, n_jobs=2, **plan)
    assert told(resumed) == told(whole)
    assert resumed.scores.fingerprint() == whole.scores.fingerprint()
    assert len(lines()) <= 6 + 2  # six trainings, and the two in flight once more


@pytest.mark.slow
def test_processes_that_share_a_growing_study_agree(tmp_path) -> None:
    log, folder = tmp_path / "log.txt", tmp_path / "run"
    lines = lambda: log.read_text().splitlines() if log.exists() else []
    children = [start(SEARCH.format(delay=0.3, log=str(log), folder=str(folder), jobs=1, more=GROWING)) for _ in "ab"]
    wait_until(lambda: len(lines()) >= 3, children[0])
    kill(children[0])
    children[1].wait(timeout=120)
    assert children[1].returncode == 0, children[1].stderr.read().decode()
    children[1].stderr.close()
    result = load_result(folder)
    assert result.stop_reason == "budget spent"
    assert len({query.architecture for query in result.queries}) == 6
    canonical = result.scores.frame["canonical"]
    assert not canonical.iloc[30:].duplicated().any()
    assert result.n_grown >= 12
    assert all((result.joined_after(query) or 0) < query.number for query in result.queries)
    again = search(small_space(), CountParameters(), metrics=CHEAP, pool=30, budget=6, folder=folder, **GROWING)
    assert told(again) == told(result)


def test_scoring_killed_goes_on_where_it_was(tmp_path) -> None:
    from robonas.scores.scoring import score

    cache = tmp_path / "s.parquet"
    partial = tmp_path / "s.parquet.partial"
    child = start(SCORE.format(cache=str(cache)))
    wait_until(lambda: partial.exists() and len(partial.read_bytes().splitlines()) > 20, child)
    kill(child)
    kept = partial.read_bytes().count(b"\n") - 1
    assert not cache.exists()
    space, told_of = small_space(), []
    table = score(
        space, space.sample(200, 0), CHEAP, small_batch(), cache=cache, callbacks=[lambda done, _: told_of.append(done)]
    )
    assert told_of[0] == kept
    fresh = score(space, space.sample(200, 0), CHEAP, small_batch())
    assert table.fingerprint() == fresh.fingerprint()


# ── signals, at the command line ──

SMALL = ["--space-set", "channels=2", "--space-set", "depth=1"]
CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
COMMANDS = {
    "search": [*SMALL, "--pool", "12", "-m", "params", "-T", "3", "--epochs", "30", "-j", "1", "-o", "out"],
    "score": [*SMALL, "--pool", "2000", "-j", "2", "-o", "out/s.parquet"],
    "train": ["--architecture", CELL, *SMALL, "--epochs", "1000", "-o", "out"],
}
BEGUN = {"search": "auto ", "score": "scoring", "train": "epoch "}
"""What a command says once it is at its work."""
SILENT = {
    "experiment": ["--table", "toy.csv", "--objective", "val_acc", "--seeds", "500", "-j", "2", "-o", "out"],
    "tables": ["import", "large.csv", "-o", "out.parquet"],
    "space": ["profile", "nasbench201", *SMALL, "--sample", "15000", "-j", "1"],
}
"""Commands that say nothing before their end, where there is no terminal."""
WORDS = "Stopped. Finished work is kept: run the same command again to go on."


class Command:
    """`robonas` in a session of its own, so that a signal can be sent to all that Ctrl-C would reach."""

    def __init__(self, name: str, folder: Path, arguments: list[str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored, and passes that on
        self.process = subprocess.Popen(
            [sys.executable, "-m", "robonas", name, *(arguments or {**COMMANDS, **SILENT}[name])],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def wait_for(self, word: str) -> None:
        """Read until a line has this word."""
        for line in self.process.stderr:
            self.said.append(line)
            if word in line:
                return
        raise AssertionError(f"ended with {self.process.wait()}: {''.join(self.said)}")

    def wait_until(self, condition) -> None:
        """Wait until something is true."""
        end = time.monotonic() + 120
        while not condition():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < end, "it did not come about in time"
            time.sleep(0.005)

    def has_open(self, file: Path) -> bool:
        """Whether it has opened this file."""
        for handle in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if handle.readlink() == file:
                    return True
        return False

    def kill(self) -> None:
        """Kill -9, of it alone; what it has started ends by itself."""
        self.process.kill()
        self.process.communicate()
        end = time.monotonic() + 60
        while left := self.children():
            assert time.monotonic() < end, left
            time.sleep(0.02)

    def children(self) -> list[str]:
        """Everything that it has started and that still runs, as `ps` shows it."""
        found = subprocess.run(
            ["ps", "-ww", "-eo", "pid,ppid,stat,args"], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 3) for line in found.splitlines()[1:]]
        mark = f'"parent": {self.process.pid},'  # workers are forks of what was started with it
        return [row[3] for row in rows if mark in row[3] and not row[2].startswith("Z")]

    def stop(self, *signals: int) -> tuple[int, str]:
        """Send signals to the whole group; the exit code, and what was said after."""
        for number in signals:
            os.killpg(self.process.pid, number)
            time.sleep(0.05)
        rest = self.process.communicate(timeout=60)[1]
        assert not self.children()
        return self.process.returncode, rest


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        pytest.param((signal.SIGINT,), 130, id="Ctrl-C", marks=pytest.mark.slow),
        pytest.param((signal.SIGINT, signal.SIGINT), 130, id="Ctrl-C twice"),
        pytest.param((signal.SIGTERM,), 143, id="SIGTERM", marks=pytest.mark.slow),
        pytest.param((signal.SIGHUP,), 129, id="SIGHUP", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_search_in_one_line_and_leaves_nothing(tmp_path, signals, code) -> None:
    command = Command("search", tmp_path)
    command.wait_for(BEGUN["search"])
    assert command.children()
    ended, rest = command.stop(*signals)
    assert ended == code
    assert [line for line in rest.splitlines() if not line.startswith("auto ")] == [WORDS]
    left = [path.name for path in (tmp_path / "out").iterdir() if ".lock-" in path.name or path.name.endswith(".tmp")]
    assert left == []
    half = load_result(tmp_path / "out")
    assert half.stop_reason == "interrupted"


@pytest.mark.parametrize(("name", "number"), [("score", signal.SIGINT), ("train", signal.SIGTERM)])
def test_a_signal_ends_other_commands(tmp_path, name, number) -> None:
    command = Command(name, tmp_path)
    command.wait_for(BEGUN[name])
    ended, rest = command.stop(number)
    assert ended == 128 + number
    assert [line for line in rest.splitlines() if not line.startswith(BEGUN[name])] == [WORDS]


ENDS = [
    ((signal.SIGINT,), 130),
    ((signal.SIGINT, signal.SIGINT), 130),
    ((signal.SIGTERM,), 143),
    ((signal.SIGHUP,), 129),
]
EACH = [("experiment", 0), ("tables", 2), ("space", 3), ("tables", 1)]
"""Every command by some signal, every signal in some command; all pairs where there is time."""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param(name, end, marks=() if (name, end) in EACH else pytest.mark.slow)
        for name in SILENT
        for end in range(len(ENDS))
    ],
)
def test_a_signal_ends_commands_that_say_nothing(tmp_path, name, end) -> None:
    toy.frame().to_csv(tmp_path / "toy.csv", index=False)
    if name == "tables":
        large = toy.frame(400_000).assign(arch=lambda frame: frame.index.map(lambda row: f"a{row}"))
        large.to_csv(tmp_path / "large.csv", index=False)
    command = Command(name, tmp_path)
    begun = {
        "experiment": lambda: len(list(tmp_path.glob("out/runs/*.json"))) > 2,
        "tables": lambda: command.has_open(tmp_path / "large.csv"),
        "space": lambda: len(command.children()) > 2,  # a worker, and not only what forks it
    }
    command.wait_until(begun[name])
    signals, code = ENDS[end]
    ended, rest = command.stop(*signals)
    assert (ended, rest.splitlines()) == (code, [WORDS])
    assert not [path for path in tmp_path.rglob("*") if "lock" in path.name or path.name.endswith(".tmp")]
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_table_that_is_built(tmp_path, number) -> None:
    arguments = ["build", "nasbench201", *SMALL, "--pool", "30", "-m", "params", "--seeds", "2", "--epochs", "20"]
    command = Command("tables", tmp_path, [*arguments, "-j", "1", "-o", "b.parquet"])
    command.wait_until(lambda: list(tmp_path.glob("b/*.db")))
    ended, rest = command.stop(number)
    assert ended == 128 + number
    assert rest.splitlines()[-1] == WORDS
    assert not [path for path in tmp_path.rglob("*") if ".lock-" in path.name or path.name.endswith(".tmp")]


# ── the same command again ──

QUICK = [*SMALL, "--pool", "12", "-m", "params,synflow", "-T", "3", "--epochs", "3", "--batch-size", "16"]


def outcome(folder: Path) -> tuple:
    """All that a search has found, but for the seconds that it took."""
    result = load_result(folder)
    parameters = {name: value.tolist() for name, value in result.load_parameters().items()}
    curves = [[(point.step, point.steps, point.value, point.loss) for point in q.curve] for q in result.queries]
    values = [entry[:-1] for entry in told(result)]
    return result.stop_reason, values, curves, result.scores.fingerprint(), result.architecture, parameters


def finished(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_search_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, images, number) -> None:
    command = Command("search", tmp_path, [*QUICK, "--data", images, "-j", "2", "-o", "out"])
    command.wait_for(BEGUN["search"])
    assert command.stop(number)[0] == 128 + number
    assert load_result(tmp_path / "out").stop_reason == "interrupted"
    for folder in ("out", "whole"):
        finished(["search", *QUICK, "--data", images, "-j", "1", "-o", str(tmp_path / folder)])
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_scoring_that_was_stopped_ends_as_if_it_had_not_been(tmp_path) -> None:
    arguments = [*SMALL, "-m", "params,synflow", "--pool", "400", "-j", "2"]
    command = Command("score", tmp_path, [*arguments, "-o", "s.parquet"])
    partial = tmp_path / "s.parquet.partial"
    command.wait_until(lambda: partial.exists() and partial.read_bytes().count(b"\n") > 8)
    assert command.stop(signal.SIGINT)[0] == 130
    assert partial.exists()
    assert not (tmp_path / "s.parquet").exists()
    for name in ("s.parquet", "whole.parquet"):
        finished(["score", *arguments, "-o", str(tmp_path / name)])
    one, other = (ScoreTable.read(tmp_path / name) for name in ("s.parquet", "whole.parquet"))
    assert one.fingerprint() == other.fingerprint()


KILLS = 24


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_command_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path, images, jobs) -> None:
    draw = random.Random(jobs)
    arguments = [*QUICK, "--data", images, "-j", str(jobs)]
    command = Command("search", tmp_path, [*arguments, "-o", "whole"])
    command.wait_until((tmp_path / "whole").exists)
    began = time.monotonic()
    command.process.communicate()
    takes, whole = time.monotonic() - began, outcome(tmp_path / "whole")
    caught, other = 0, []
    for kill in range(KILLS):
        folder = tmp_path / f"run-{kill}"
        command = Command("search", tmp_path, [*arguments, "-o", folder.name])
        command.wait_until(folder.exists)
        time.sleep(draw.uniform(0, takes))
        caught += command.process.poll() is None
        command.kill()
        finished(["search", *arguments, "-o", str(folder)])
        if outcome(folder) != whole:
            other.append(kill)
        print(f"{jobs} jobs: {kill + 1} kills, {caught} before the end; {len(other)} results differ", flush=True)  # noqa: T201
        assert not [path for path in folder.iterdir() if ".lock-" in path.name or path.name.endswith(".tmp")]
    assert caught > KILLS // 2
    assert not other
