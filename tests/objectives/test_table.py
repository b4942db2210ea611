"""Recorded values: which row answers, what it costs, and which columns may not."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives import TableObjective
from robonas.spaces import NASBench201
from tests.objectives.toy import FIRST, OTHER, TWIN, ToySpace
from tests.published import table

SPACE = ToySpace()


def look_up(objective, architecture=FIRST):
    answer = objective.evaluate(SPACE, architecture, seed=0)
    return answer.value, answer.seconds


def test_exact_text_first_then_the_canonical_one():
    both = TableObjective({str(FIRST): 1.0, str(TWIN): 2.0}, costs={str(FIRST): 10, str(TWIN): 20})
    assert look_up(both) == (1.0, 10.0)
    assert look_up(both, TWIN) == (2.0, 20.0)
    assert look_up(TableObjective({str(FIRST): 1.0}), TWIN) == (1.0, 0.0)


def test_frames_and_series():
    frame = pd.DataFrame({"text": [str(FIRST), str(OTHER)], "val_acc": [0.5, 0.6], "seconds": [3, 4]})
    assert look_up(TableObjective(frame, column="val_acc", key="text", costs="seconds")) == (0.5, 3.0)
    indexed = frame.set_index("text")
    assert look_up(TableObjective(indexed, column="val_acc"), OTHER) == (0.6, 0.0)
    series = TableObjective(indexed["val_acc"], costs=indexed["seconds"])
    assert look_up(series, OTHER) == (0.6, 4.0)
    assert series.value_name == "val_acc"


@pytest.mark.parametrize("column", ["test_acc", "acc_test", "testAcc", "Test accuracy", "final", "x-final-acc"])
def test_a_test_column_is_no_objective_by_accident(column):
    frame = pd.DataFrame({column: [1.0]}, index=[str(FIRST)])
    for make in (
        lambda **more: TableObjective(frame, column=column, **more),
        lambda **more: TableObjective(frame[column], **more),
        lambda **more: TableObjective(frame[column], name="fine", **more),
        lambda **more: TableObjective({str(FIRST): 1.0}, name=column, **more),
    ):
        with pytest.raises(ConfigError, match="is a test or final measure"):
            make()
        assert look_up(make(allow_test=True)) == (1.0, 0.0)


@pytest.mark.parametrize("column", ["val_acc", "latest", "contest", "accuracy_semifinal"])
def test_other_columns_are_fine(column):
    assert TableObjective({str(FIRST): 1.0}, name=column).value_name == column


def test_what_the_table_does_not_hold():
    with pytest.raises(
        ObjectiveError, match=r"of 1 architectures does not hold .*other.* The nearest that it holds is '.*first"
    ):
        look_up(TableObjective({str(FIRST): 1.0}), OTHER)


@pytest.mark.parametrize(("value", "reason"), [(math.nan, "nan"), (math.inf, "inf"), (None, "None"), ("x", "'x'")])
def test_values_that_are_no_numbers_fail_when_asked_for(value, reason):
    objective = TableObjective({str(FIRST): value, str(OTHER): 1.0})
    assert look_up(objective, OTHER) == (1.0, 0.0)
    with pytest.raises(ObjectiveError, match=f"The table's 'value' of .* returned {reason}"):
        look_up(objective)


def test_a_missing_cost_fails():
    with pytest.raises(ObjectiveError, match="The table's cost"):
        look_up(TableObjective({str(FIRST): 1.0}, costs={}))


FRAME = pd.DataFrame({"val_acc": [0.5, 0.6]}, index=[str(FIRST), str(FIRST)])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TableObjective({}), "it is empty"),
        (lambda: TableObjective(FRAME), "needs `column`, the column of values; it has val_acc"),
        (lambda: TableObjective(FRAME, column="val_ac"), "no column 'val_ac'. Did you mean 'val_acc'?"),
        (lambda: TableObjective(FRAME, column="val_acc"), "occurs twice"),
        (lambda: TableObjective(FRAME.reset_index(drop=True), column="val_acc"), "Name their column with `key`"),
        (lambda: TableObjective(FRAME["val_acc"], column="val_acc"), "the values are a Series"),
        (lambda: TableObjective({"a": 1.0}, column="val_acc"), "the values are a mapping"),
        (lambda: TableObjective(FRAME["val_acc"][:1], costs="seconds"), "needs a DataFrame"),
        (lambda: TableObjective({FIRST: 1.0}), "take `str` of each architecture in a mapping"),
        (lambda: TableObjective({"a": 1.0}, costs={1: 2.0}), "must have the texts of architectures as its keys; got 1"),
        (lambda: TableObjective([1.0]), "must be a mapping, a Series or a DataFrame; got a list"),
        (lambda: TableObjective({"a": 1.0}, direction="best"), "`direction` must be"),
    ],
)
def test_tables_that_cannot_be_used(make, sentence):
    with pytest.raises(ConfigError, match=sentence.replace("?", r"\?")):
        make()


def test_settings_tell_tables_apart_whatever_their_order():
    values = {"a": 1.0, "b": 2.0}
    one = TableObjective(values)
    assert one.settings == TableObjective({"b": 2.0, "a": 1.0}).settings
    for other in (
        TableObjective({**values, "b": 3.0}),
        TableObjective(values, costs=values),
        TableObjective({"a": 1.0}),
    ):
        assert other.settings != one.settings


def test_the_published_table():
    frame = table("nb201-cifar10")
    objective = TableObjective(frame, column="val_acc_cifar10_12ep", key="arch", costs="train_seconds_12ep")
    space = NASBench201()
    for index in (0, 1, 4711, 15624):
        answer = objective.evaluate(space, space.at(index), seed=0)
        assert answer.value == frame["val_acc_cifar10_12ep"][index]
        assert answer.seconds == frame["train_seconds_12ep"][index]
    with pytest.raises(ConfigError, match="'test_acc' is a test or final measure"):
        TableObjective(frame, column="test_acc", key="arch")
