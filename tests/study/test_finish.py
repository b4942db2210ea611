"""The end of a search: the best are trained again with other seeds, and the winner meets the test part once."""

from __future__ import annotations

import dataclasses
import json
import statistics

import numpy as np
import pytest
import torch

import robonas
from robonas.datasets import from_arrays
from robonas.errors import ConfigError, ObjectiveError, StudyError
from robonas.objectives import FunctionObjective, TrainingObjective
from robonas.study.confirmation import CONFIRMED, Repeated, chosen_of
from robonas.study.events import QueryFinished, TrainedAgain
from robonas.study.finish import SEEDS
from robonas.study.storage import open_storage, storage_url
from tests.objectives.toy import blobs

CPU = {"device": "cpu", "threads": 1}
SPACE = robonas.MLP(input_shape=(4,), n_classes=3)


def noisy(luck):
    """An objective whose value is a candidate's quality plus luck that depends on its seed."""
    calls: list[tuple[str, int]] = []

    def value(architecture, seed: int) -> float:
        text = SPACE.format(architecture)
        calls.append((text, seed))
        return luck(text, seed)

    return FunctionObjective(value, name="noisy", takes="architecture"), calls


def quality(text: str) -> float:
    canonical = SPACE.format(SPACE.canonical(SPACE.parse(text)))  # which is what an objective is given
    return sum(map(ord, canonical)) % 97 / 97


def search(objective, folder=None, **settings):
    given = {"strategy": "random", "pool": 12, "budget": 6, "seed": 1, "n_jobs": 0, **settings}
    return robonas.search(SPACE, objective, folder=folder, **given)


# ── the choice ──


def test_the_best_mean_is_chosen_and_failures_come_last() -> None:
    lucky, steady = Repeated(4, "a", (0.9, 0.5, 0.4)), Repeated(2, "b", (0.7, 0.7, 0.7))
    broken = Repeated(5, "c", (0.99, None, 0.98))
    assert chosen_of([lucky, steady, broken], 1.0) == 2
    assert chosen_of([lucky, steady, broken], -1.0) == 4
    assert chosen_of([broken, Repeated(7, "d", (None, None, None))], 1.0) == 5
    assert chosen_of([Repeated(7, "d", (None,))], 1.0) is None
    assert chosen_of([lucky, dataclasses.replace(lucky, query=9)], 1.0) == 4  # equals: the search's better one
    assert (broken.mean, broken.n_failed) == (pytest.approx(0.985), 1)
    assert lucky.spread == pytest.approx(statistics.stdev([0.9, 0.5, 0.4]))
    assert Repeated(1, "a", (0.5,)).spread is None


def test_the_luckiest_of_a_search_is_not_the_winner() -> None:
    """With the search's seed one candidate is lucky; with other seeds it is poor."""
    objective, calls = noisy(lambda text, seed: quality(text) if seed != 1 else 1 - quality(text))
    before = search(objective)
    found = search(objective, confirm=3, repeats=2)
    confirmation = found.confirmation
    assert [one.query for one in confirmation.candidates] == [
        query.number for query in sorted(found.queries, key=lambda query: -query.value)[:3]
    ]
    assert len(set(confirmation.seeds)) == 2
    assert all(0 <= seed < SEEDS and seed != 1 for seed in confirmation.seeds)
    for one in confirmation.candidates:
        assert one.values == pytest.approx([quality(one.architecture)] * 2)
    best = max(confirmation.candidates, key=lambda one: one.mean)
    assert (found.best.number, found.text) == (best.query, best.architecture)
    assert found.best.number != before.best.number
    assert found.value == pytest.approx(1 - quality(found.text))
    assert [query.value for query in found.queries] == [query.value for query in before.queries]
    assert len(calls) == 6 + 6 + 3 * 2
    value = json.loads(json.dumps(found.to_json()))
    assert value["best"]["query"] == value["confirmation"]["chosen"] == best.query
    assert value["confirmation"]["mean"] == pytest.approx(best.mean)


def test_losses_are_chosen_by_the_smallest_mean() -> None:
    value = lambda architecture, seed: quality(SPACE.format(architecture)) + 0.0 * seed
    objective = FunctionObjective(value, name="loss", direction="minimize", takes="architecture")
    found = search(objective, confirm=4, repeats=1)
    assert found.confirmation.winner.mean == min(one.mean for one in found.confirmation.candidates)


# ── going on ──


def test_a_confirmation_goes_on_where_it_was_and_is_not_repeated(tmp_path) -> None:
    whole, all_calls = noisy(lambda text, seed: quality(text) + seed % 7 / 100)
    expected = search(whole, tmp_path / "whole", confirm=3, repeats=2)
    objective, calls = noisy(lambda text, seed: quality(text) + seed % 7 / 100)

    def stop(event) -> None:
        if isinstance(event, TrainedAgain) and event.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(objective, tmp_path / "cut", confirm=3, repeats=2, callbacks=[stop])
    assert robonas.load_result(tmp_path / "cut").confirmation is None
    events = []
    found = search(objective, tmp_path / "cut", confirm=3, repeats=2, callbacks=[events.append])
    assert calls == all_calls
    assert [event.done for event in events if isinstance(event, TrainedAgain)] == [5, 6]
    assert found.confirmation == expected.confirmation
    assert search(objective, tmp_path / "cut", confirm=3, repeats=2).confirmation == expected.confirmation
    assert calls == all_calls
    read = robonas.load_result(tmp_path / "cut")
    assert (read.confirmation, read.text) == (found.confirmation, found.text)
    assert search(objective, tmp_path / "cut").confirmation == expected.confirmation  # known, and still true
    more = search(objective, tmp_path / "cut", confirm=4, repeats=3)
    assert len(calls) == len(all_calls) + 2 * 1 + 4
    assert more.confirmation.seeds[:2] == found.confirmation.seeds


def test_a_larger_budget_makes_a_confirmation_out_of_date(tmp_path) -> None:
    objective, calls = noisy(lambda text, seed: quality(text) + seed % 7 / 100)
    search(objective, tmp_path, confirm=2, repeats=1)
    longer = search(objective, tmp_path, budget=9)
    assert longer.confirmation is None
    assert longer.best.value == max(query.value for query in longer.queries)
    n = len(calls)
    again = search(objective, tmp_path, budget=9, confirm=2, repeats=1)
    assert n <= len(calls) <= n + 2
    assert {one.query for one in again.confirmation.candidates} == {
        query.number for query in sorted(longer.queries, key=lambda query: -query.value)[:2]
    }


def test_failed_trainings_of_a_confirmation() -> None:
    def luck(text: str, seed: int) -> float:
        if seed != 1 and quality(text) == top:
            raise ObjectiveError("no luck")
        return quality(text)

    top = max(map(quality, {query.architecture for query in search(noisy(lambda t, _: quality(t))[0]).queries}))
    found = search(noisy(luck)[0], confirm=2, repeats=2)
    failed, other = found.confirmation.candidates
    assert (failed.values, failed.mean) == ((None, None), None)
    assert found.best.number == other.query
    nobody = search(noisy(lambda text, seed: quality(text) if seed == 1 else float("nan"))[0], confirm=2)
    assert nobody.confirmation is None


def test_settings_that_cannot_be(tmp_path) -> None:
    objective, calls = noisy(lambda text, _: quality(text))
    for settings, sentence in (
        ({"confirm": 7}, "`confirm` must be at most the budget, 6; got 7"),
        ({"confirm": -1}, "`confirm` must be at least 0 candidates; got -1"),
        ({"confirm": 2, "repeats": 0}, "`repeats` must be at least 1 seed; got 0"),
        ({"confirm": 2, "against": "params", "strategy": "nsga2"}, "leave it out of a search with `against`"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            search(objective, **settings)
    assert calls == []
    search(objective, tmp_path, confirm=2)
    storage = open_storage(storage_url(tmp_path))
    study = storage.get_study_id_from_name("search")
    storage.set_study_user_attr(study, CONFIRMED, {"n_queries": 6, "seeds": [1], "candidates": [], "chosen": 1})
    with pytest.raises(StudyError, match=r"confirmation or the test of study 'search' is damaged \(ValueError"):
        robonas.load_result(tmp_path)


@pytest.mark.slow
def test_several_at_once_confirm_as_one_does() -> None:
    objective = training(isolated=True)
    alone = search(objective, budget=4, confirm=3, repeats=2)
    together = search(objective, budget=4, confirm=3, repeats=2, n_parallel=2)
    assert together.confirmation == alone.confirmation
    assert together.test == alone.test


# ── the test part ──


def training(data=None, **settings):
    given = {"epochs": 2, "batch_size": 8, "test_fraction": 0.25, "isolated": False, **CPU, **settings}
    return TrainingObjective(blobs(120) if data is None else data, **given)


def test_the_winner_meets_the_test_part_once(tmp_path, monkeypatch) -> None:
    looks = []
    real = TrainingObjective.test

    def counted(self, *given, **more):
        looks.append(given[1])
        return real(self, *given, **more)

    monkeypatch.setattr(TrainingObjective, "test", counted)
    objective = training()
    found = search(objective, tmp_path, budget=3)
    assert len(looks) == 1
    network, part = found.build(), objective.test_part
    with torch.no_grad():
        right = (network(part.raw).argmax(1) == part.labels).double()
    assert found.test.value == pytest.approx(float(right.mean()))
    assert found.test.error == pytest.approx(float(right.std()) / np.sqrt(len(part)))
    assert (found.test.query, found.test.n) == (found.best.number, 30)
    assert search(training(), tmp_path, budget=3).test == found.test == robonas.load_result(tmp_path).test
    assert len(looks) == 1
    assert found.to_json()["test"]["value"] == found.test.value
    in_memory = search(training(), budget=3)
    assert in_memory.test == found.test  # trained again, to the same end
    assert search(training(test_fraction=0), budget=2).test is None


def test_nothing_but_the_test_depends_on_the_test_part() -> None:
    data = blobs(120)
    rows = training(data).test_part.rows
    inputs = data.samples.values.clone()
    inputs[rows] = 1000 + inputs[rows].flip(0)
    other = from_arrays(inputs, data.labels, name="blobs")
    results = []
    for one in (data, other):
        objective = training(one)
        assert torch.equal(objective.test_part.rows, rows)
        parts = [objective.training_part.rows, objective.validation_part.rows, rows]
        assert torch.equal(torch.cat(parts).sort().values, torch.arange(120))
        results.append((objective, search(objective, strategy="robot", metrics=["snip", "nwot"], budget=4, confirm=2)))
    (mine, one), (theirs, other) = results
    assert (mine.training_part.mean, mine.training_part.std) == (theirs.training_part.mean, theirs.training_part.std)
    assert torch.equal(mine.batch(40, 0).inputs, theirs.batch(40, 0).inputs)
    assert np.array_equal(one.scores.scores, other.scores.scores, equal_nan=True)
    assert [(query.architecture, query.value) for query in one.queries] == [
        (query.architecture, query.value) for query in other.queries
    ]
    assert one.confirmation == other.confirmation
    assert one.text == other.text
    assert one.test.value != other.test.value


def test_classes_are_held_out_alike_and_the_fractions_are_of_what_is_left() -> None:
    objective = training(blobs(120), test_fraction=0.2, validation_fraction=0.25)
    assert [len(part) for part in (objective.test_part, objective.validation_part, objective.training_part)] == [
        24,
        24,
        72,
    ]
    for part in (objective.test_part, objective.validation_part, objective.training_part):
        assert torch.equal(torch.bincount(part.labels), torch.tensor([len(part) // 3] * 3))
    assert objective.test_part.mean == objective.training_part.mean
    more = training(blobs(120), test_fraction=0.4)
    assert set(objective.test_part.rows.tolist()) < set(more.test_part.rows.tolist())
    for wrong in (-0.1, 1, float("nan")):
        with pytest.raises(ConfigError, match="test fraction must be between 0 and 1; got"):
            training(test_fraction=wrong)
    with pytest.raises(ConfigError, match=r"`test_fraction` must be a number; got '0\.2'"):
        training(test_fraction="0.2")
    with pytest.raises(ConfigError, match="holds out no test samples"):
        training(test_fraction=0).test(SPACE, SPACE.at(0), {}, seed=0)


def test_the_confirmed_network_is_handed_over_and_tested(tmp_path) -> None:
    """Whichever is chosen, its parameters are those of the search's own training of it."""
    objective = training(epochs=1, learning_rate=0.3)
    for seed in range(1, 9):
        folder = tmp_path / str(seed)
        events = []
        found = search(objective, folder, budget=4, confirm=4, repeats=2, seed=seed, callbacks=[events.append])
        if found.best.number != found.confirmation.candidates[0].query:
            break
    else:
        pytest.fail("no confirmation changed the winner; choose other data")
    assert sum(isinstance(event, QueryFinished) for event in events) == 4
    network, part = found.build(), objective.validation_part
    with torch.no_grad():
        value = float((network(part.raw).argmax(1) == part.labels).double().mean())
    assert value == pytest.approx(found.value)
    read = robonas.load_result(folder)
    assert torch.equal(next(iter(read.load_parameters().values())), next(iter(found.load_parameters().values())))
    assert found.test.architecture == found.text
    assert sum(isinstance(event, TrainedAgain) for event in events) == 8
