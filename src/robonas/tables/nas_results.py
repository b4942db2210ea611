"""Records of trainings as NAS-Bench-201 and NATS-Bench keep them, as columns.

A record of an architecture maps a schedule (``"12"``, ``"200"``, or ``"less"`` and ``"full"``) to its trainings, each
on a data set with a seed. Three trainings on one schedule become their mean.

| data set | trained on | ``x-valid`` | ``x-test`` | ``ori-test`` |
|---|---|---|---|---|
| cifar10-valid | half of CIFAR-10's training images | the other half | – | CIFAR-10's test images |
| cifar10 | all training images | – | – | test images |
| cifar100, ImageNet16-120 | all training images | one half of the test images | the other half | all test images |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.errors import TableError
from robonas.tables.base import Column, Role
from robonas.tables.building import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SPLITS: Mapping[str, tuple[str, Role]] = {
    "x-valid": ("val_acc", "objective"),
    "x-test": ("test_acc", "final"),
    "ori-test": ("test_acc", "final"),
}
_ALL_TEST = "test_all_acc"
"""``ori-test`` where ``x-test`` is a half of it."""


def values_of(record: Mapping[str, Any], *, first: bool = True) -> Iterator[Raw]:
    """Return all columns of one schedule of one architecture; several schedules differ in their epochs.

    ``val_acc``, ``test_acc`` and ``test_all_acc`` (see the table above) after the last epoch, in percent;
    ``train_seconds``, of the whole training; ``val_seconds``, of one validation; ``params`` and ``flops`` in millions,
    and ``latency`` in seconds, which do not depend on the schedule.

    Args:
        record: One schedule.
        first: True for the architecture's first entry; others repeat what does not depend on the schedule.

    Raises:
        TableError: The record is not of this form.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    try:
        for (task, _), training in record["all_results"].items():
            by_task.setdefault(str(task), []).append(training)
        for task, trainings in by_task.items():
            epochs = int(trainings[0]["epochs"])
            yield from _accuracies(task, epochs, trainings)
            yield from _costs(task, epochs, trainings)
            if first:
                yield from _sizes(task, trainings)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise TableError(
            f"A record of trainings must have all_results by data set and seed; got {type(error).__name__} {error}."
        ) from error


def _accuracies(task: str, epochs: int, trainings: list[Mapping[str, Any]]) -> Iterator[Raw]:
    splits = {split for training in trainings for split in training["eval_names"]}
    for split in ("x-valid", "x-test", "ori-test"):
        if split not in splits:
            continue
        base, role = _SPLITS[split]
        if split == "ori-test" and "x-test" in splits:
            base = _ALL_TEST
        found = [training["eval_acc1es"].get(f"{split}@{epochs - 1}") for training in trainings]
        known = [float(value) for value in found if value is not None]
        note = "mean over seeds" if len(trainings) > 1 else "one seed"
        column = Column(base, role, base=base, task=task, epochs=epochs, unit="%", note=note)
        yield Raw(column, float(np.mean(known)) if known else None)


def _costs(task: str, epochs: int, trainings: list[Mapping[str, Any]]) -> Iterator[Raw]:
    def seconds(base: str, values: list[float]) -> Raw:
        column = Column(base, "cost", base=base, task=task, epochs=epochs, higher_is_better=False, unit="s")
        return Raw(column, float(np.mean(values)))

    yield seconds("train_seconds", [sum(training["train_times"].values()) for training in trainings])
    checks = [training["eval_times"].get(f"x-valid@{epochs - 1}") for training in trainings]
    if any(check is not None for check in checks):
        yield seconds("val_seconds", [check for check in checks if check is not None])


def _sizes(task: str, trainings: list[Mapping[str, Any]]) -> Iterator[Raw]:
    for base, key in (("params", "params"), ("flops", "flop")):
        column = Column(base, "metric", base=base, task=task, unit="million")
        yield Raw(column, float(np.mean([float(training[key]) for training in trainings])))
    latencies = [float(np.mean(training["latency"])) for training in trainings if training.get("latency")]
    if latencies:
        column = Column("latency", "cost", base="latency", task=task, higher_is_better=False, unit="s")
        yield Raw(column, float(np.mean(latencies)))
