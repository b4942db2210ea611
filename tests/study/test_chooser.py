"""The choice of the next query: the pool as it stands, and what the strategy is told of the history."""

from __future__ import annotations

import numpy as np
import pytest

from robonas.errors import StudyError
from robonas.metrics import Score
from robonas.objectives.base import CurvePoint
from robonas.scores.table import ScoreTable
from robonas.strategies import make_strategy
from robonas.strategies.base import Trial
from robonas.study.chooser import Chooser, generations, grown
from robonas.study.events import PoolGrown
from robonas.study.pool import Candidates
from robonas.study.query import Query
from tests.study.sharing import toy_space

SPACE = toy_space()
TEXTS = [SPACE.format(SPACE.at(index)) for index in range(6)]


def table(scores=(1.0, 5.0, 3.0), *, pairs=None) -> ScoreTable:
    pairs = pairs or [(text, text) for text in TEXTS[: len(scores)]]
    found = {canonical: {"m": Score(value)} for (_, canonical), value in zip(pairs, scores, strict=True)}
    return ScoreTable.from_scores(pairs, found, ("m",), {"seed": 0})


def query(number, text, state="complete", **parts) -> Query:
    return Query(number, text, 0, "explore", state, **parts)


def chooser(pool=None, strategy="average_rank", **changes) -> Chooser:
    settings = {"budget": 3, "seed": 0, "higher_is_better": [True], "direction": "maximize", **changes}
    return Chooser(SPACE, make_strategy(strategy), table() if pool is None else pool, **settings)


def test_the_best_by_the_metric_is_chosen_first_and_no_candidate_twice() -> None:
    asked, chosen = [], chooser(budget=9)
    assert chosen.limit == 3
    for number, row in enumerate((1, 2, 0), 1):
        assert chosen.ready(asked)
        candidate = chosen.choose(asked)
        assert (candidate.row, candidate.architecture, candidate.n_rows) == (row, TEXTS[row], 3)
        assert candidate.parameters() == dict(SPACE.parse(TEXTS[row]))
        assert candidate.children == ()
        asked.append(query(number, TEXTS[row], value=0.5))
    assert chosen.choose(asked) is None


def test_a_metric_of_which_less_is_better_is_turned_round() -> None:
    assert chooser(higher_is_better=[False]).choose([]).row == 0


def test_isomorphic_candidates_are_one() -> None:
    pairs = [(TEXTS[0], TEXTS[0]), (TEXTS[1], TEXTS[0]), (TEXTS[2], TEXTS[2])]
    chosen = chooser(table((7.0, 7.0, 3.0), pairs=pairs))
    assert len(chosen.problem) == chosen.limit == 2
    assert chosen.choose([query(1, TEXTS[0], value=1.0)]).row == 2


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_the_strategy_is_told_higher_is_better(direction, sign) -> None:
    points = (CurvePoint(1, 4, 0.1), CurvePoint(2, 4, 0.3))
    asked = [
        query(1, TEXTS[2], value=0.7),
        query(2, TEXTS[0], "pruned", partial=0.3, curve=points),
        query(3, TEXTS[1], "failed"),
        query(4, TEXTS[1], "running"),
    ]
    assert chooser(direction=direction).history(asked) == [
        Trial(2, sign * 0.7),
        Trial(0, sign * 0.3, pruned=2),
        Trial(1, failed=True),
        Trial(1),
    ]


def test_children_join_after_the_first_answer_and_are_recorded_with_the_query() -> None:
    events, saved = [], []
    pool = ScoreTable.from_scores([(text, text) for text in TEXTS], {}, (), {"seed": 0})
    grows = chooser(
        pool, "random", grow=2, candidates=Candidates(SPACE, 0), tell=events.append, save=saved.append,
        higher_is_better=[],
    )  # fmt: skip
    assert grows.limit == 3  # the budget: the pool is no bound
    first = grows.choose([])
    assert first.children == ()
    running = [query(1, first.architecture, "running")]
    assert grows.ready(running)
    asked = [query(1, first.architecture, value=1.0)]
    assert not grows.ready(asked)
    grows.prepare(asked)
    assert events == [PoolGrown(2, 8)]
    assert grows.ready(asked)
    second = grows.choose(asked)
    assert second.n_rows == 8
    assert len(set(second.children) - set(TEXTS)) == 2
    assert [len(entry) for entry in saved] == [6, 8]
    asked.append(
        query(2, second.architecture, "running", children=second.children, children_scores=second.children_scores)
    )
    assert not grows.ready(asked)  # the study says that they have joined, and this one has not read it yet
    grows.settle(asked)
    assert grows.joined.tolist() == [0] * 6 + [1] * 2
    other = chooser(pool, "random", grow=2, candidates=Candidates(SPACE, 0), higher_is_better=[])
    other.follow(asked)
    assert other.table.architectures == grows.table.architectures
    with pytest.raises(StudyError, match="begun with other scores of"):
        other.follow([asked[0], query(2, TEXTS[0], "running", children=second.children, children_scores="other")])


def test_generations_are_what_joined_and_when() -> None:
    asked = [query(1, "a"), query(2, "b", children=("x", "y")), query(3, "c"), query(4, "d", children=("z",))]
    assert generations(asked) == [(1, ("x", "y")), (3, ("z",))]


def test_a_child_joins_once_at_its_first_time() -> None:
    sampled = table((1.0, 2.0))
    assert grown(sampled, None, []) == (sampled, None)
    children = table((8.0, 9.0), pairs=[(text, text) for text in TEXTS[4:6]])
    pool, joined = grown(sampled, children, [(1, [TEXTS[5]]), (3, [TEXTS[5], TEXTS[4]])])
    assert pool.architectures == (TEXTS[0], TEXTS[1], TEXTS[5], TEXTS[4])
    assert joined.tolist() == [0, 0, 1, 3]
    np.testing.assert_array_equal(pool.scores[:, 0], [1, 2, 9, 8])
    with pytest.raises(StudyError, match="There are no scores of"):
        grown(sampled, children, [(1, [TEXTS[3]])])
