"""Kills of a search that evaluates several candidates at once, and of its workers, at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from robonas.study.loop import load_result
from tests.study.sharing import Logged, Workers, begun, run, told, toy_space, wait_until

KILLS = 25


class Apart(Logged):
    """Evaluated in a process of its own also where one runs at a time."""

    isolated = True


def alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 4])
def test_kills_at_random_moments_lose_nothing_and_leave_no_process(tmp_path, n) -> None:
    draw = random.Random(n)
    log, folder = tmp_path / "log", tmp_path / "run"
    plan = {"budget": 40, "n_parallel": n, "folder": folder}
    kills = drivers = 0
    known: dict[str, tuple] = {}
    while kills < KILLS:
        before = len(begun(log))
        worker = Workers(
            1, tmp_path / f"home-{kills}", lambda _: run(objective=Apart(log, delay=0.08), **plan).stop_reason
        )
        process = worker.processes[0]
        wait_until(lambda: len(begun(log)) > before or process.exitcode is not None)  # noqa: B023
        while kills < KILLS and process.exitcode is None:
            time.sleep(draw.uniform(0, 0.4))
            kills += 1
            running = [pid for pid, _ in begun(log)[-n:] if alive(pid)]
            if running and draw.random() < 0.5:
                with suppress(OSError):
                    os.kill(draw.choice(running), signal.SIGKILL)
            else:
                worker.kill(0)
                drivers += 1
        worker.join()
        wait_until(lambda: not any(alive(pid) for pid, _ in begun(log)))
        result = load_result(folder, space=toy_space())
        for query in result.queries:  # what was answered stays as it was
            if query.architecture in known:
                assert (query.state, query.value) == known[query.architecture]
            elif query.state != "running":
                known[query.architecture] = (query.state, query.value)
        if result.stop_reason == "budget spent":
            plan["budget"] += 20
    assert drivers > KILLS // 5
    whole = run(objective=Apart(log), **plan)
    assert whole.stop_reason == "budget spent"
    assert len({query.architecture for query in whole.queries}) == len(whole.queries) == plan["budget"]
    space = toy_space()
    for query in whole.queries:
        cell = space.parse(query.architecture)
        if query.state == "complete":
            assert query.value == (cell["a"] * 37 + cell["b"] * 53) % 101
        else:
            assert "by signal 9" in query.failure or "died in each of 2 attempts" in query.failure
    if n == 1 and all(query.state == "complete" for query in whole.queries):
        assert told(whole) == told(run(**{**plan, "folder": None}))
