"""Signals that ask the command line to stop."""

import os
import subprocess
import sys

import pytest

ENTERED = """
import signal
from contextlib import contextmanager
from robonas.processes.stops import Stop, stopping

@contextmanager
def signalled_while_entered():
    print("entered")
    signal.raise_signal(signal.SIGTERM)
    print("still here")
    try:
        yield
    finally:
        print("undone")

try:
    with stopping(), signalled_while_entered():
        signal.pause()
except Stop:
    print("stopped")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_block_that_is_being_entered_is_entered_before_the_program_stops() -> None:
    done = subprocess.run([sys.executable, "-c", ENTERED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n") == ["entered", "still here", "undone", "stopped", ""]
