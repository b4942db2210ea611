"""What one and the same answer to every input reaches, and what is no better than that."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robonas.common.chance import is_hardly_better
from robonas.datasets import from_arrays
from robonas.training.guessing import guess_of
from robonas.training.measures import measure_of

INPUTS = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32)


def data(labels, task="classification"):
    return from_arrays(INPUTS[: len(labels)], np.array(labels), task=task)


def guess(fitting, judging, name=None):
    _, measure = measure_of(fitting.task, name)
    return guess_of(measure, fitting, judging)


def test_of_classes_it_is_the_most_frequent_one_in_the_training_part() -> None:
    fitting, judging = data([0, 1, 1, 1, 2, 2]), data([0, 1, 2, 1, 2, 2, 2, 2])
    found = guess(fitting, judging)
    assert found["value"] == pytest.approx(2 / 8)  # class 1, though class 2 is more frequent where it is judged
    assert found["error"] == pytest.approx(math.sqrt(0.25 * 0.75 * 8 / 7) / math.sqrt(8))
    assert guess(fitting, judging, "balanced_accuracy") == {"value": pytest.approx(1 / 3), "error": None}
    assert guess(fitting, judging, "auroc") is None
    shares = np.array([2, 4, 3]) / 9
    expected = -np.log(shares)[[0, 1, 2, 1, 2, 2, 2, 2]].mean()
    assert guess(fitting, judging, "loss")["value"] == pytest.approx(expected)


def test_of_numbers_it_is_their_mean_and_of_maps_there_is_none() -> None:
    one = data([1.0, 2.0, 3.0, 6.0], "regression")
    assert guess(one, one)["value"] == pytest.approx(0.0, abs=1e-6)
    assert guess(one, one, "mae")["value"] == pytest.approx((2 + 1 + 0 + 3) / 4)
    labels = data([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]], "multilabel")
    assert 0 < guess(labels, labels)["value"] < math.log(2)
    rare = data([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]], "multilabel")
    assert guess(rare, data([[0.0, 0.0], [0.0, 0.0]], "multilabel"), "f1") is None  # no label occurs or is answered
    maps = from_arrays(
        np.random.default_rng(1).normal(size=(4, 1, 2, 2)).astype(np.float32),
        np.arange(16).reshape(4, 2, 2) % 2,
        task="segmentation",
    )
    assert guess(maps, maps) is None


@pytest.mark.parametrize(
    ("value", "n_tried", "hardly"),
    [(0.33, 1, True), (0.45, 1, True), (0.46, 1, False), (0.46, 8, True), (0.49, 8, True), (0.51, 8, False)],
)
def test_the_best_of_many_must_be_further_above_a_guess_than_one(value, n_tried, hardly) -> None:
    error = math.sqrt(1 / 3 * 2 / 3 / 60)
    assert is_hardly_better(value, 1 / 3, error, "maximize", n_tried) is hardly
    assert is_hardly_better(-value, -1 / 3, error, "minimize", n_tried) is hardly


def test_without_a_standard_error_it_must_be_better_at_all() -> None:
    assert is_hardly_better(0.0, 0.0, None, "maximize", 5)
    assert not is_hardly_better(1e-9, 0.0, None, "maximize", 5)
