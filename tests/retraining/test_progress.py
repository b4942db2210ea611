"""The bar of a full training: a line an epoch in a log, and one process that shows it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from robonas.common import bars
from robonas.retraining.progress import bar_of_training, say_going_on
from robonas.study.events import EpochFinished


def row(epoch: int, value: float | None = 0.5) -> EpochFinished:
    return EpochFinished(epoch, 3, 0.1, 1.25, value, None, None, None, 2.0)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_process_writes_a_line_an_epoch(monkeypatch, rank) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(bars, "err", Console(file=stream))
    monkeypatch.setenv("RANK", rank)
    with bar_of_training({"progress": True}) as bar:
        bar(row(1))
        bar(row(2, None))
    expected = [
        "epoch    1 of 3     2.0 s  loss 1.2500  validation 0.5000",
        "epoch    2 of 3     2.0 s  loss 1.2500",
    ]
    assert stream.getvalue().splitlines() == (expected if rank == "0" else [])


def test_a_training_that_goes_on_says_so(monkeypatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(bars, "err", Console(file=stream))
    monkeypatch.delenv("RANK", raising=False)
    with bar_of_training({"progress": True}) as bar:
        for log in ([], [row(1)], [row(1), row(2, None)], [row(1), row(2), row(3)]):
            say_going_on([print, bar], log)
    assert stream.getvalue().splitlines() == [
        "going on after epoch 1 of 3, loss 1.2500  validation 0.5000",
        "going on after epoch 2 of 3, loss 1.2500",
        "the training of 3 epochs is finished already, loss 1.2500  validation 0.5000",
    ]


def test_a_terminal_gets_a_bar(monkeypatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(bars, "err", Console(file=stream, force_terminal=True, width=120))
    monkeypatch.delenv("RANK", raising=False)
    with bar_of_training({}) as bar:
        bar(row(3))
    assert "3/3" in stream.getvalue()
    assert "validation 0.5000" in stream.getvalue()
