"""A search in which a scoring class is one query."""

from __future__ import annotations

import pytest

from robonas.errors import ConfigError, StudyError
from robonas.study.loop import load_result, search
from tests.fakes import CHEAP, CountParameters, small_batch, small_space

SPACE = small_space()
# In all three, a 1x1 and a 3x3 convolution of the input are added; the last is another class.
SUM = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|"
OTHER_WAY = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
SWAPPED = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
CHAIN = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
POOL = [SUM, OTHER_WAY, CHAIN, SWAPPED]


def run(folder=None, **changes):
    settings = {"metrics": CHEAP, "pool": POOL, "budget": 2, "share": "class", "strategy": "robot", **changes}
    return search(SPACE, CountParameters(), folder=folder, **settings)


def classes(texts):
    return [SPACE.format(SPACE.scoring_class(SPACE.parse(text))) for text in texts]


def told(result):
    return [(q.architecture, q.row, q.value) for q in result.queries], result.scores.fingerprint(), result.stop_reason


def test_the_first_member_in_the_pool_stands_for_its_class() -> None:
    result = run(budget=4, grow=0, pool=[*POOL[1:], SUM, *map(SPACE.format, SPACE.sample(8, 0))])
    asked = [query.architecture for query in result.queries]
    assert len(set(classes(asked))) == len(asked) == 4
    assert not {SUM, SWAPPED} & set(asked)
    assert result.scores.frame["canonical"].tolist() == classes(result.scores.architectures)


def test_members_are_queries_of_their_own_by_default() -> None:
    asked = [query.architecture for query in run(budget=4, share="canonical").queries]
    assert sorted(asked) == sorted(POOL)


def test_the_budget_counts_classes() -> None:
    with pytest.raises(ConfigError, match=r"2 different networks \(4 architectures\), fewer than the budget of 3"):
        run(budget=3)


@pytest.mark.parametrize("strategy", ["random", "auto"])
def test_strategies_with_and_without_scores(strategy) -> None:
    asked = [query.architecture for query in run(strategy=strategy).queries]
    assert sorted(asked) == sorted([SUM, CHAIN])


def test_it_goes_on_and_is_read_as_it_was(tmp_path) -> None:
    first = run(tmp_path, budget=1)
    whole = run(tmp_path)
    assert told(load_result(tmp_path)) == told(whole) == told(run())
    assert [query.architecture for query in whole.queries][:1] == [query.architecture for query in first.queries]
    with pytest.raises(StudyError, match="share"):
        run(tmp_path, share="canonical")


def test_children_of_a_growing_pool_are_of_new_classes() -> None:
    pool = [SPACE.format(one) for one in SPACE.sample(10, 3)]
    result = run(pool=pool, budget=4, grow=5)
    grown = result.scores.architectures[len(pool) :]
    assert len(grown) == 15
    assert classes(grown) == list(grown)
    assert not set(grown) & set(classes(pool))


def test_costs_and_limits_are_those_of_the_class() -> None:
    pool = [SUM, OTHER_WAY, CHAIN.replace("1x1", "3x3"), SWAPPED]
    result = run(against="params", strategy="auto", pool=pool)
    assert result.costs[:, 0].tolist() == [float(SPACE.count_parameters(SPACE.parse(text))) for text in pool]
    series = {SUM: 3.0, pool[2]: 2.0}
    assert run(against=series, strategy="auto", pool=pool).costs[:, 0].tolist() == [3.0, 3.0, 2.0, 3.0]


def test_a_word_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="`share` must be one of canonical, class; got 'both'"):
        run(share="both", batch=small_batch())
