"""Ctrl-C in a script: what was finished is kept, and the traceback says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from robonas.common.keeping import NOTE
from robonas.retraining import train
from robonas.scores.scoring import score
from robonas.study.loop import search
from tests.fakes import CHEAP, CountParameters, small_batch, small_space
from tests.objectives.toy import FIRST, ToySpace, blobs


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def notes_of(call) -> list[str]:
    with pytest.raises(KeyboardInterrupt) as stopped:
        call()
    return getattr(stopped.value, "__notes__", [])


def test_a_search_that_is_stopped_says_what_is_kept(tmp_path) -> None:
    given = {"metrics": CHEAP, "pool": 4, "budget": 2, "strategy": "random", "callbacks": [stop]}
    assert notes_of(lambda: search(small_space(), CountParameters(), folder=tmp_path, **given)) == [NOTE]
    assert notes_of(lambda: search(small_space(), CountParameters(), folder=None, **given)) == []


def test_scores_that_are_stopped_are_kept_in_a_cache_only(tmp_path) -> None:
    space = small_space()
    given = {"metrics": ["params"], "batch": small_batch(), "callbacks": [stop], "n_jobs": 0}
    assert notes_of(lambda: score(space, [space.at(0)], cache=tmp_path / "s.parquet", **given)) == [NOTE]
    assert notes_of(lambda: score(space, [space.at(0)], **given)) == []


def test_a_training_that_is_stopped_says_what_is_kept(tmp_path) -> None:
    given = {"space": ToySpace(), "folder": tmp_path, "epochs": 2, "device": "cpu", "threads": 1, "callbacks": [stop]}
    assert notes_of(lambda: train(FIRST, blobs(), **given)) == [NOTE]


def test_the_note_ends_the_traceback() -> None:
    code = (
        "import os, signal\nfrom robonas.common.keeping import tells_what_is_kept\n"
        "@tells_what_is_kept(lambda _: True)\ndef work():\n    os.kill(os.getpid(), signal.SIGINT)\nwork()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=os.environ)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.rstrip().endswith(f"KeyboardInterrupt\n{NOTE}")
