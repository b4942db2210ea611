"""Worker processes: what they tell, how they die, and that they never outlive the process that started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
import torch

from robonas.processes import workers as processes
from robonas.processes.workers import FarTraceError, NoProcessError, Packed, Worker, in_words, receive

ROOT = Path(__file__).resolve().parents[2]


def conversation(work, argument=None, answers=()) -> list:
    """What a worker says, from its start to its end."""
    inbox: SimpleQueue = SimpleQueue()
    worker, said, left = Worker(Packed(work), inbox), [], list(answers)
    worker.run(argument)
    try:
        while not said or said[-1][0] not in {"done", "raised", "died"}:
            _, kind, value = receive(inbox)
            said.append((kind, value))
            if kind == "asked":
                worker.answer(go_on=left.pop(0))
    finally:
        worker.kill()
    return said


def test_tells_asks_and_is_done():
    def work(n, channel):
        for number in range(n):
            channel.tell(number)
            channel.ask(-number)
        return "end"

    said = conversation(work, 2, [True, True])
    assert said == [
        ("loaded", None), ("told", 0), ("asked", 0), ("told", 1), ("asked", -1), ("done", "end"),
    ]  # fmt: skip
    assert [kind for kind, _ in conversation(work, 2, [False])] == ["loaded", "told", "asked", "raised"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os._exit(3), "with exit code 3"),
        (os.abort, "by signal 6 (SIGABRT)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "by signal 9 (SIGKILL), perhaps for want of memory"),
    ],
)
def test_a_death_is_told_with_its_cause(end, words):
    assert conversation(lambda *_: end())[-1] == ("died", words)


def test_words_of_a_signal_without_a_name():
    assert in_words(-250) == "by signal 250"


def test_errors_come_back_as_they_are_with_the_place_in_the_worker():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")  # cannot be made again from its one argument

    def fails(which, channel):
        raise KeyError("lost") if which else OddError(1, 2)

    kind, error = conversation(fails, True)[-1]
    assert (kind, type(error), error.args) == ("raised", KeyError, ("lost",))
    assert isinstance(error.__cause__, FarTraceError)
    assert "in fails" in str(error.__cause__)
    error = conversation(fails, False)[-1][1]
    assert (type(error).__name__, str(error)) == ("OddError", "1 and 2")


def test_is_as_this_process_is(tmp_path, monkeypatch):
    def look(_, channel):
        return (
            str(Path.cwd()),
            os.environ.get("ROBONAS_TEST"),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            sys.path,
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROBONAS_TEST", "seen")
    monkeypatch.syspath_prepend(str(tmp_path))
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    try:
        found = conversation(look)[-1][1]
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
    assert found == (str(tmp_path), "seen", 3, torch.float64, sys.path)


def test_a_path_that_is_no_text_is_no_place_of_modules(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])  # what Python skips too
    start = json.loads(processes._interpreter(None)[-1])
    assert start["path"] == sys.path[:-1]


def test_signals_that_stop_this_program_are_left_to_it():
    def work(_, channel):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        return "alive"

    assert conversation(work)[-1] == ("done", "alive")


def test_a_system_without_processes_is_told(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(processes, "_start", refuse)
    with pytest.raises(NoProcessError, match="no process can be started"):
        Worker(Packed(print), SimpleQueue())


def test_a_killed_nursery_is_started_anew():
    if sys.platform != "linux":
        pytest.skip("workers are forked on Linux only")
    assert conversation(lambda *_: 1)[-1] == ("done", 1)
    processes._nursery.process.kill()
    processes._nursery.process.wait()
    assert conversation(lambda *_: 2)[-1] == ("done", 2)


ORPHANS = """
import os, subprocess, sys, time
from queue import SimpleQueue
from robonas.processes.workers import Packed, Worker, receive

def work(argument, channel):
    subprocess.Popen(["sleep", "300"])
    channel.tell(os.getpid())
    time.sleep(300)  # busy: it reads nothing

inbox = SimpleQueue()
workers = [Worker(Packed(work), inbox) for _ in range(2)]
for worker in workers:
    worker.run(None)
told = [value for _, kind, value in (receive(inbox) for _ in range(4)) if kind == "told"]
print(*told, flush=True)
time.sleep(300)
"""


def alive(session_of: int) -> list[str]:
    """The processes of a session."""
    found = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [row[2] for row in rows if row[0] == str(session_of) and not row[1].startswith("Z")]


@pytest.mark.skipif(os.name != "posix", reason="needs `ps`")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_and_what_they_started_end_with_the_process_that_started_them(number):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], env=environment, stdout=subprocess.PIPE, text=True)
    with parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(len(alive(pid)) == 2 for pid in workers)
        parent.send_signal(number)
    end = time.monotonic() + 30
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.05)
