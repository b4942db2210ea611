"""Settings of all tests."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
import time

import pytest
import sqlalchemy
from hypothesis import settings

# Time limits an example are for idle machines, and these tests run beside each other. In CI every run has the same
# examples, so that a change that does not touch a law cannot fail it.
settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")

MEMORY = "/dev/shm"
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    # The folders of tests are in memory where there is room, since many tests would wait for the disk and little else.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _do_not_wait_for_the_disk(connection, _record) -> None:
    """Let SQLite leave it to the system when a study reaches the disk: what tests kill are processes, not machines."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def _no_process_is_left():
    """Every test: no worker is left but those that are kept for the next work, for some seconds."""
    yield
    end = time.monotonic() + 10
    while (left := _workers_left()) > 0 and time.monotonic() < end:
        time.sleep(0.02)
    assert left <= 0, f"{left} worker processes were neither ended nor given back"


def _workers_left() -> int:
    workers = sys.modules.get("robonas.processes.workers")
    if workers is None:
        return 0
    return sum(thread.name == workers.READER for thread in threading.enumerate()) - len(workers._kept)
