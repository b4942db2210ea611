"""A program as the objective: what it is given, what it prints, how it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives import CommandObjective
from tests.objectives.toy import FIRST, TWIN, ToySpace

SPACE = ToySpace()


def python(code, *arguments, **settings):
    return CommandObjective([sys.executable, "-c", code, *arguments], **settings)


def evaluate(objective, architecture=FIRST, seed=0):
    return objective.evaluate(SPACE, architecture, seed=seed)


def test_the_canonical_architecture_comes_as_json_on_standard_input():
    code = (
        "import json, sys; said = json.load(sys.stdin);"
        "assert said == {'architecture': {'which': 'first'}, 'text': '{\"which\":\"first\"}', 'seed': 7,"
        " 'space': {'name': 'toy', 'input_shape': [4], 'n_classes': 3}}, said;"
        "print('epoch 1: 0.3'); print(0.75); print()"
    )
    answer = evaluate(python(code), TWIN, seed=7)
    assert answer.value == 0.75
    assert answer.seconds > 0


def test_places_in_the_arguments_are_filled_and_nothing_is_expanded():
    code = (
        "import json, sys; assert json.loads(sys.argv[1]) == {'which': 'first'};"
        "assert sys.argv[2:] == ['--seed=3', '{\"which\":\"first\"}', '$HOME', '*', ';'], sys.argv; print(1e-3)"
    )
    objective = python(code, "{architecture}", "--seed={seed}", "{text}", "$HOME", "*", ";")
    assert evaluate(objective, seed=3).value == 0.001


def test_a_text_is_split_and_runs_in_its_folder(tmp_path):
    (tmp_path / "run me.py").write_text("import os; print(len(os.listdir('.')))")
    assert evaluate(CommandObjective(f"'{sys.executable}' 'run me.py'", folder=tmp_path)).value == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; print(1); sys.exit('no data')", "ended with exit status 1. It said: no data"),
        ("raise ValueError('x')", "ended with exit status 1. It said: ValueError: x"),
        ("pass", "must print the value as its last line; it printed nothing"),
        ("print(1); print('done')", "a number, as its last line; it printed 'done'"),
        ("print('nan')", "must return a finite number; it returned nan"),
        ("print('-inf')", "must return a finite number; it returned -inf"),
        ("print('1,5')", "it printed '1,5'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit status -9"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\n')", "a number, as its last line"),
    ],
)
def test_failures(code, reason):
    with pytest.raises(ObjectiveError, match=reason):
        evaluate(python(code))


def test_too_long_is_killed_with_its_children(tmp_path):
    code = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    started = time.monotonic()
    with pytest.raises(ObjectiveError, match="was killed after 4 seconds"):
        evaluate(python(code, timeout=4))
    assert time.monotonic() - started < 40
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):  # an orphan that has died may wait for its new parent to notice
        if not alive(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child still runs")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return os.path.isdir("/proc/self") is False  # noqa: PTH112


def test_large_output_does_not_block():
    code = "import sys; sys.stderr.write('x' * 10**6); print('y' * 10**6); print(2)"
    assert evaluate(python(code)).value == 2


def test_no_such_program_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="Cannot run command 'no-such-program': there is no 'no-such-program'"):
        evaluate(CommandObjective("no-such-program"))
    (tmp_path / "plain.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"Cannot run command .*plain.txt"):
        evaluate(CommandObjective([str(tmp_path / "plain.txt")]))


@pytest.mark.parametrize(
    ("command", "settings", "sentence"),
    [
        ("", {}, "it is empty"),
        ([], {}, "it is empty"),
        ("a 'b", {}, "No closing quotation"),
        ("a", {"timeout": 0}, "`timeout` must be a positive number"),
        ("a", {"timeout": float("inf")}, "`timeout` must be a positive number of seconds, or None; got inf"),
        ("a", {"timeout": "5"}, "`timeout` must be a number; got '5'"),
        ("a", {"direction": "down"}, "`direction` must be"),
    ],
)
def test_settings_out_of_range(command, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        CommandObjective(command, **settings)


def test_settings():
    objective = CommandObjective("train --fast {text}", timeout=5, name="loss", direction="minimize")
    assert objective.settings == {"command": ["train", "--fast", "{text}"], "timeout": 5, "folder": None}
    assert (objective.value_name, objective.direction) == ("loss", "minimize")


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent death signal")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_with_the_search_that_started_it(tmp_path, number):
    """With all that it has started, even what is in a session of its own."""
    search = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from robonas.objectives import CommandObjective\n"
        "from robonas.study.loop import search\n"
        "from tests.objectives.toy import ToySpace\n"
        "search(ToySpace(), CommandObjective(sys.argv[1:]), strategy='random', pool=2, budget=1, folder=None)\n"
    )
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'new')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pids')!r})\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", search, sys.executable, "-c", program], stderr=subprocess.PIPE)
    with process:
        while not (tmp_path / "pids").exists():
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.05)
        process.send_signal(number)
        process.stderr.read()
        assert process.wait(60) != 0
    pids = list(map(int, (tmp_path / "pids").read_text().split()))
    assert len(pids) == 2
    for _ in range(200):
        if not any(map(alive, pids)):
            return
        time.sleep(0.05)
    pytest.fail("the program or its child still runs")
