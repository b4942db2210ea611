"""The candidates of a search: drawn or given, within its limits, and scored."""

from __future__ import annotations

import pytest

from robonas.errors import ArchitectureError, ConfigError, StudyError
from robonas.scores.scoring import Scorer, texts
from robonas.study.limits import Limits
from robonas.study.loop import search
from robonas.study.plan import Plan
from robonas.study.pool import Candidates, draw_pool
from tests.fakes import CHEAP, CountParameters, small_batch, small_space
from tests.study.sharing import toy_space

SPACE = small_space()
HUNDRED = toy_space()


def test_a_number_draws_a_sample_and_no_more_than_there_are() -> None:
    pairs, whole = draw_pool(HUNDRED, 7, 3)
    assert (pairs, whole) == (texts(HUNDRED, HUNDRED.sample(7, 3)), False)
    pairs, whole = draw_pool(HUNDRED, 5000, 0)
    assert len(pairs) == 100
    assert whole


def test_a_pool_may_be_given_as_architectures_or_texts() -> None:
    some = HUNDRED.sample(3)
    given = [some[0], HUNDRED.format(some[1]), some[0]]
    pairs, whole = draw_pool(HUNDRED, given, 0)
    assert [text for text, _ in pairs] == [HUNDRED.format(some[place]) for place in (0, 1, 0)]
    assert not whole
    assert draw_pool(HUNDRED, HUNDRED, 0)[1]


@pytest.mark.parametrize(
    ("pool", "error"), [([], ConfigError), (0, ConfigError), ("12", ConfigError), (["nonsense"], ArchitectureError)]
)
def test_a_pool_that_is_none_is_told(pool, error) -> None:
    with pytest.raises(error):
        draw_pool(HUNDRED, pool, 0)


def settings(pairs, limits) -> dict:
    plan = Plan.made(SPACE, CountParameters(), ("params",), limits, "random", 1, 0, 0, None)
    return plan.settings(pairs)


def test_without_bounds_all_are_within_limits() -> None:
    pairs, _ = draw_pool(SPACE, 5, 0)
    for limits in (None, Limits()):
        assert Candidates(SPACE, 0, limits=limits).within_limits(pairs, settings(pairs, limits), None) == (pairs, {})


def test_what_breaks_a_limit_is_left_out_and_counted(tmp_path) -> None:
    pairs, _ = draw_pool(SPACE, 12, 0)
    sizes = [SPACE.count_parameters(SPACE.parse(text)) for text, _ in pairs]
    bound = sorted(sizes)[5]
    limits = Limits(max_params=bound)
    kept, left_out = Candidates(SPACE, 0, limits=limits).within_limits(pairs, settings(pairs, limits), tmp_path / "m")
    assert kept == [pair for pair, size in zip(pairs, sizes, strict=True) if size <= bound]
    assert left_out == {f"more than {bound:,} parameters": sum(size > bound for size in sizes)}
    assert not (tmp_path / "m").exists()  # it can be counted again


def test_a_child_must_keep_the_limits_and_make_a_network() -> None:
    small, large = sorted(SPACE.sample(12), key=SPACE.count_parameters)[::11]
    rules = Candidates(SPACE, 0, limits=Limits(max_params=SPACE.count_parameters(small)))
    assert rules.may_join([large, small]) == [False, True]

    class Broken(type(SPACE)):
        def build(self, architecture):
            raise ValueError("no such layer")

    assert Candidates(Broken(input_shape=(1, 8, 8), channels=2, depth=1), 0).may_join([small]) == [False]


def test_candidates_are_scored_only_where_the_strategy_reads_scores() -> None:
    some = [SPACE.format(architecture) for architecture in SPACE.sample(2)]
    scorer = Scorer(SPACE, small_batch(), n_jobs=0)
    assert Candidates(SPACE, 0, scorer=scorer).scores_of(some).metrics == ()
    plan = Plan.made(SPACE, CountParameters(), ("params",), None, "average_rank", 1, 0, 0, None)
    scored = Candidates(SPACE, 0, plan.metrics, scorer=scorer).scores_of(some)
    expected = [SPACE.count_parameters(SPACE.parse(text)) / 1e6 for text in some]
    assert scored.scores[:, 0].tolist() == expected


def test_limits_by_latency_remember_only_their_own_pool(tmp_path) -> None:
    plan = {"metrics": CHEAP, "budget": 4, "strategy": "random", "limits": Limits(max_latency_ms=1e6)}
    with pytest.raises(ConfigError, match="Enlarge the pool"):
        search(SPACE, CountParameters(), folder=tmp_path, pool=2, **plan)
    assert len(search(SPACE, CountParameters(), folder=tmp_path, pool=20, **plan).queries) == 4


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[]\nx", b"{}\nx", b'{"origin": 1', b"7"], ids=repr)
def test_a_damaged_memory_of_limits_is_one_sentence(tmp_path, damage) -> None:
    file = tmp_path / "allowed.txt"
    file.write_bytes(damage)
    rules = Candidates(SPACE, 0, limits=Limits(max_latency_ms=1e6))
    settings = dict.fromkeys(("space", "limits", "pool", "seed"))
    with pytest.raises(StudyError, match="Delete it: they are measured again"):
        rules.within_limits([], settings, file)
