"""What is said of how good the winner really is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robonas.report import page, words
from robonas.study.certainty import certainty, doubt, in_rows, luck, sentences, value_with_noise
from robonas.study.confirmation import Confirmation, FinalTest, Repeated
from tests.report import sample
from tests.report.test_page import Reader


def confirmed(values=(0.9, 0.8, 0.85), test=True):
    result = sample.result(20, failures=())
    best = result.best
    again = Repeated(best.number, best.architecture, values)
    other = Repeated(result.queries[0].number, result.queries[0].architecture, (0.1,) * len(values))
    return replace(
        result,
        confirmation=Confirmation((5, 6, 7)[: len(values)], (again, other), best.number),
        test=FinalTest(best.number, best.architecture, 0.84, 200, 0.026) if test else None,
    )


def test_a_value_with_its_noise() -> None:
    result = confirmed()
    assert value_with_noise(result) == "0.8500 ± 0.0500"
    known = certainty(result)
    assert (known.mean, known.spread, known.n_seeds) == (pytest.approx(0.85), pytest.approx(0.05), 3)
    assert (known.tested, known.test_error, known.n_tested, known.n_complete) == (0.84, 0.026, 200, 20)
    again, test = sentences(result)
    assert again == (
        "Trained again with 3 other seeds, the winner reaches 0.8500 on average, with a standard deviation of 0.0500; "
        f"in the search it reached {result.value:.4f}. It has the best mean of the 2 candidates that were trained "
        "again."
    )
    assert test == (
        "On 200 samples that were held out of everything, the trained network reaches 0.8400 ± 0.0260 (standard error)."
    )
    assert in_rows(result) == {
        "how sure": f"mean ± standard deviation of 3 with other seeds; {result.value:.4f} in the search",
        "test": "0.8400 ± 0.0260 on 200 samples that nobody saw",
    }
    assert luck(result) == []
    headline = words.headline(result)
    assert f"{result.value_name} 0.8500 ± 0.050" in headline.found
    assert list(headline.remarks[:2]) == sentences(result)


def test_one_seed_has_no_spread() -> None:
    result = confirmed((0.9,), test=False)
    assert value_with_noise(result) == "0.9000"
    assert sentences(result)[0].startswith(
        "Trained again with one other seed, the winner reaches 0.9000 on average; in"
    )


def test_the_best_of_many_is_partly_luck() -> None:
    result = sample.result(20, failures=())
    assert value_with_noise(result) == f"{result.value:.4f}"
    assert sentences(result) == []
    (sentence,) = luck(result)
    assert sentence.startswith(f"{result.value:.4f} is the best of 20 trainings, and so partly luck: `--confirm 3`")
    assert words.headline(result).remarks[-1] == sentence
    assert in_rows(result) == {
        "how sure": "the best of 20, and so partly luck; --confirm 3 or confirm=3 tells how much"
    }
    assert luck(replace(result, objective="table")) == []  # the same value every time


def test_nothing_is_known_of_nothing() -> None:
    result = replace(sample.result(20, failures=()), queries=())
    assert certainty(result) is None
    assert value_with_noise(result) == "–"
    assert (sentences(result), luck(result), in_rows(result)) == ([], [], {})


def test_the_page_has_every_training_with_another_seed() -> None:
    result = confirmed((0.9, None, 0.85))
    text = Reader(page.render(result)).text
    assert "QueryMeanDeviationIn the searchSeed 1Seed 2Seed 3" in text
    assert f"{result.best.number}0.87500.035{result.value:.4f}0.9000failed0.8500" in text
    assert "Seed 1" not in Reader(page.render(sample.result(20))).text


def guessed(value: float, error: float | None = 0.02):
    about = {"guess": {"value": value, "error": error}, "steps": 15}
    return replace(sample.result(20, failures=()), provenance={"data": about})


def test_a_value_that_may_be_a_guess_is_told_first() -> None:
    result = guessed(sample.result(20, failures=()).value - 0.05)
    (sentence,) = doubt(result)
    assert sentence.startswith("Nothing may have been learned yet: one and the same answer to every input reaches 0.8")
    assert "the best of 20 trainings after 15 steps of each is hardly above it. Train longer (`--epochs`)" in sentence
    assert words.headline(result).remarks[0] == sentence
    assert in_rows(result)["by guessing"].endswith(
        "; the best is hardly above it: train longer than 15 steps, or by another recipe"
    )


def test_a_value_far_above_a_guess_is_not_doubted() -> None:
    result = guessed(0.1)
    assert doubt(result) == []
    assert in_rows(result)["by guessing"] == "0.1000, by the same answer to every input"
    assert doubt(sample.result(20, failures=())) == []
    assert "by guessing" not in in_rows(replace(result, objective="table"))
