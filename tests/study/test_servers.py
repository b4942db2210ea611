"""Several workers on one PostgreSQL study: exact budgets, no training twice, and nothing lost when one is killed.

The cluster is the test's own, in a folder of its own; nothing of an installed service is used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from robonas.study.loop import load_result
from tests.study.sharing import Logged, Workers, begun, run, told, toy_space, wait_until


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


class Cluster:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://robonas:secret@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The URL of a new database."""
        import psycopg

        name = f"d{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY FILE_COPY")
        return self.url(name)


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'robonas[postgresql]'")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    user = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        import pwd

        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("needs a user 'postgres', since PostgreSQL refuses to run as root")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    home = Path(tempfile.mkdtemp(prefix="robonas-postgres-"))
    if user:
        os.chown(home, user["user"], user["group"])
    (home / "password").write_text("secret")
    (home / "password").chmod(0o644)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home)}
    quiet = {"cwd": home, "env": environment, **user, "stdout": subprocess.DEVNULL}
    make = [initdb, "-D", "data", "-U", "robonas", "-A", "scram-sha-256", "--pwfile", "password", "--no-sync"]
    subprocess.run(make, check=True, stderr=subprocess.PIPE, **quiet)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(home),
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "200",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([postgres, "-D", "data", "-p", str(port), *flags], stderr=log, **quiet)
    try:
        wait_until(lambda: _answers(port))
        yield Cluster(port)
    finally:
        process.send_signal(signal.SIGINT)  # a stop that does not wait for those who are connected
        process.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _answers(port: int) -> bool:
    import psycopg

    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(Cluster(port).url(), connect_timeout=5).close()
        return True
    return False


@pytest.fixture
def hasty(monkeypatch, request) -> None:
    """Workers that are found dead after seconds, where one is killed; elsewhere a slow machine must not look dead."""
    settings = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if settings.get("killed", True):
        monkeypatch.setattr("robonas.study.storage.HEARTBEAT_S", 1)
        monkeypatch.setattr("robonas.study.storage.GRACE_S", 10)


def round_of(server, home: Path, *, workers: int, killed: bool, budget: int = 16, **plan) -> dict[str, int]:
    """One search by some workers, each with a folder of its own; checked, and counted."""
    home.mkdir(exist_ok=True)
    url, log = server.fresh(), home / "log"
    pieces = lambda number: told(run(url, home / f"worker-{number}", Logged(log, delay=0.02), budget=budget, **plan))
    alive = Workers(workers, home, pieces)
    victim = None
    if killed:
        wait_until(lambda: len(begun(log)) >= budget // 3)
        victim = alive.processes[0].pid
        alive.kill(0)
    answers = [answer for answer in alive.join() if answer is not None]
    assert len(answers) >= workers - killed
    assert len(set(answers)) == 1, "the workers' results differ"
    result = load_result(home / f"worker-{workers - 1}", storage=url, space=toy_space())
    assert repr(told(result)) == answers[0]
    assert result.stop_reason == "budget spent"
    assert len(result.queries) == budget
    assert {query.state for query in result.queries} <= {"complete", "pruned"}
    trained = [text for _, text in begun(log)]
    twice = {text for text in trained if trained.count(text) > 1}
    # What the killed one was at is begun once more; nothing else is.
    assert len(trained) - len(set(trained)) == len(twice) <= int(killed)
    assert all(victim in {pid for pid, text in begun(log) if text == again} for again in twice)
    assert set(trained) == {query.architecture for query in result.queries}
    assert float(result.load_parameters()["full"]) == result.value
    return {"begun": len(trained), "again": len(twice)}


@pytest.mark.parametrize(
    "killed", [pytest.param(False, id="all live", marks=pytest.mark.slow), pytest.param(True, id="one killed")]
)
@pytest.mark.usefixtures("hasty")
def test_workers_share_a_study(server, tmp_path, killed) -> None:
    round_of(server, tmp_path, workers=4, killed=killed)


def test_a_pool_that_grows_is_shared_too(server, tmp_path) -> None:
    round_of(server, tmp_path, workers=4, killed=False, budget=10, grow=2, pool=20)


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
def test_pruned_searches_are_shared_too(server, tmp_path) -> None:
    round_of(server, tmp_path, workers=2, killed=True, pruner="median")


@pytest.mark.slow
def test_sixteen_that_begin_at_once(server, tmp_path) -> None:
    url, log = server.fresh(), tmp_path / "log"
    gate = tmp_path / "gate"

    def call(number: int):
        wait_until(gate.exists)
        return told(run(url, None, Logged(log)))

    workers = Workers(16, tmp_path, call)
    gate.touch()
    answers = workers.join()
    assert len(set(answers)) == 1
    assert None not in answers
    assert len(begun(log)) == 16


ROUNDS = 20


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("killed", [False, True], ids=["all live", "one killed"])
@pytest.mark.usefixtures("hasty")
def test_many_rounds(server, tmp_path, workers, killed) -> None:
    counts = []
    for number in range(ROUNDS):
        counts.append(round_of(server, tmp_path / str(number), workers=workers, killed=killed))
        print(f"{workers} workers, {'one killed' if killed else 'all live'}, round {number + 1}: {counts[-1]}")  # noqa: T201
    assert sum(count["begun"] for count in counts) == 16 * ROUNDS + sum(count["again"] for count in counts)
