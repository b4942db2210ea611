"""What the page says, word by word."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from robonas.report import words
from robonas.report.numbers import Standing
from tests.report import sample
from tests.report.test_numbers import with_values


def stand(value, label="robot", n=10, failed=0):
    complete = 0 if value is None else n - failed
    return Standing(label, value, 1 if complete else None, n, complete, n - complete, 1.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "direction", "sentence"),
    [
        (0.9, 0.8, "maximize", "It beats random by 0.10: 0.9000 against 0.8000 (10 trainings each)."),
        (0.8, 0.9, "maximize", "The baseline random did better, by 0.10: 0.9000 against 0.8000 (10 trainings each)."),
        (0.8, 0.9, "minimize", "It beats random by 0.10: 0.8000 against 0.9000 (10 trainings each)."),
        (0.9, 0.8, "minimize", "The baseline random did better, by 0.10: 0.8000 against 0.9000 (10 trainings each)."),
        (0.9, 0.9, "maximize", "It ties with random: both reach 0.9000 (10 trainings each)."),
        (None, 0.9, "maximize", "The baseline random did better: it reached 0.9000 (10 trainings each)."),
        (
            0.9,
            None,
            "maximize",
            "The baseline random completed none of its 10 trainings, so there is nothing to compare with.",
        ),
        (
            None,
            None,
            "maximize",
            "The baseline random completed nothing either (10 trainings each), so nothing can be compared.",
        ),
    ],
)
def test_verdict_is_honest(ours, theirs, direction, sentence):
    assert words.verdict(stand(ours), stand(theirs, "random"), direction) == sentence


def test_verdict_names_unequal_efforts_and_small_gaps():
    sentence = words.verdict(stand(0.90001, n=12), stand(0.9, "random", n=20), "maximize")
    assert sentence == "It beats random by 1e−5: 0.90001 against 0.90000 (12 trainings against 20)."


def test_pruning_is_told_with_what_it_saved():
    one = words.headline(sample.result(20, failures=(), pruned=(9,)), [], None)
    assert one.remarks[0] == (
        "1 of 20 trainings was pruned: ended early, with 5 of 160 epochs saved. A pruned network is never the winner."
    )
    two = words.headline(sample.result(20, failures=(), pruned=(9, 11)), [], None)
    assert two.remarks[0].startswith("2 of 20 trainings were pruned: ended early, with 10 of 160 epochs saved.")


def test_headline_of_a_win_with_a_failure():
    result = sample.result(20, n_explored=8)
    found = words.headline(result, [sample.random_baseline(20)], {"parameters": 11_766, "macs": 92_576})
    assert found.found == (
        f"A network with validation accuracy {result.value:.4f}, 11,766 parameters and 92,576 MACs: "
        "found by robot in 20 trainings from a pool of 109 distinct candidates."
    )
    assert len(found.verdicts) == 1
    luck = f"{result.value:.4f} is the best of 19 trainings, and so partly luck: `--confirm 3` trains the best again"
    assert found.remarks == (
        "This is one run of each: a gap can be luck. Repeat with other seeds before you conclude anything.",
        f"1 of 20 trainings failed and counts towards the budget; the reason: {sample.FAILURE}",
        f"{luck} with other seeds.",
    )


def test_headline_of_a_network_whose_operations_cannot_be_counted():
    found = words.headline(sample.result(20), [], {"parameters": 11_766, "macs": None})
    assert " and 11,766 parameters: found by robot" in found.found


def test_headline_without_size_and_with_recorded_values():
    found = words.headline(replace(sample.result(3, failures=()), objective="table"))
    assert found.found.startswith("A network with validation accuracy 0.")
    assert ": found by robot in 3 evaluations from" in found.found
    assert found.verdicts == ()
    assert found.remarks == (
        (
            "The middle one of the 3 evaluations reached 0.8383. The search was not compared with another one; "
            "`--compare random` does that."
        ),
    )


def test_headline_of_nothing():
    nothing = words.headline(sample.result(queries=()))
    assert nothing.found == "Nothing found yet: robot has started no training."
    failed = words.headline(with_values([None, None]))
    assert failed.found == "Nothing found: none of the 2 trainings of robot completed."
    assert failed.remarks == ("2 of 2 trainings failed and count towards the budget; the reason (each time): why",)


def test_remarks_on_an_early_end():
    result = sample.result(4, failures=(), budget=9, stop_reason="interrupted")
    assert "The search was interrupted after 4 of 9 trainings; run it again to go on." in words.headline(result).remarks
    result = replace(result, stop_reason="candidates exhausted")
    assert "The pool ran out after 4 of 9 trainings: there was nothing left to ask." in words.headline(result).remarks
    running = with_values([0.5, None], states={1: "running"})
    assert words.headline(running).remarks == ("1 training had not answered when the search stopped.",)
    assert words.headline(with_values([0.5])).remarks == ("With one training, the best is simply the only one.",)
    uneven = words.headline(sample.result(4, failures=()), [sample.random_baseline(6)]).remarks
    assert any("unequal numbers of trainings" in sentence for sentence in uneven)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (1.0, "1"),
        (12_345.0, "12,345"),
        (0.98125, "0.9812"),
        (94.366, "94.37"),
        (-16.05, "−16.05"),
        (123_456.7, "123,457"),
        (3.2e10, "3.2e10"),
        (1e-5, "1e−5"),
        (-1e8, "−1e8"),
    ],
)
def test_numbers_for_people(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.4242, "0.42 s"),
        (12.345, "12.3 s"),
        (59.99, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 05 min"),
        (3_599.9, "1 h 00 min"),
        (300_000, "3 days 11 h"),
        (math.nan, "–"),
    ],
)
def test_durations_for_people(seconds, text):
    assert words.duration(seconds) == text
