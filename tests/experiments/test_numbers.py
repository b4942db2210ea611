"""Rankings, summaries, statistics, codes, suites and figures, by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from robonas.errors import ConfigError, TableError
from robonas.experiments import (
    Results,
    across_tasks,
    compare,
    critical_difference,
    load_suite,
    metric_quality,
    paper_table,
    run_experiment,
    summarise,
    to_markdown,
)
from robonas.experiments.codes import codes_of_texts
from robonas.experiments.ranking import kendall, ndcg_at, order_of, precision_at, ranks_of, spearman
from robonas.experiments.statistics import holm
from robonas.experiments.summary import BEST_SINGLE, MEAN_SINGLE
from robonas.report.experiment_charts import critical_difference_figure, progress_figure
from tests.experiments import toy

# ── rankings ──


def test_ranks_share_the_better_one_and_nan_comes_last() -> None:
    assert ranks_of(np.array([3.0, 5.0, np.nan, 5.0, 1.0])).tolist() == [3, 1, 5, 1, 4]
    assert order_of(np.array([3.0, 5.0, np.nan, 5.0, 1.0])).tolist() == [1, 3, 0, 4, 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_ranks_are_scipys(values) -> None:
    array = np.array(values, dtype=float)
    np.testing.assert_array_equal(ranks_of(array), stats.rankdata(-array, method="min"))


def test_the_top_is_what_matters() -> None:
    utility = np.arange(1000.0)[::-1]
    scores = utility.copy()
    scores[10:] = np.random.default_rng(0).permutation(990) - 1000.0
    assert precision_at(scores, utility, 10) == 1.0
    assert ndcg_at(scores, utility, 10) == pytest.approx(1.0)
    assert abs(spearman(scores, utility)) < 0.2  # a rank correlation does not see it


def test_precision_by_hand() -> None:
    utility = np.array([4.0, 3.0, 2.0, 1.0])
    assert precision_at(np.array([4.0, 1.0, 3.0, 2.0]), utility, 2) == 0.5
    assert precision_at(np.array([1.0, 2.0, 3.0, 4.0]), utility, 2) == 0.0
    assert precision_at(np.array([1.0, 2.0, 3.0, 4.0]), utility, 9) == 1.0
    tied = np.array([3.0, 3.0, 3.0, 1.0])
    assert precision_at(np.array([1.0, 2.0, 3.0, 0.0]), tied, 1) == 1.0


def test_ndcg_by_hand() -> None:
    utility, scores = np.array([0.0, 1.0, 0.5]), np.array([3.0, 2.0, 1.0])
    gains = 2**utility - 1
    expected = (gains[0] + gains[1] / np.log2(3)) / (gains[1] + gains[2] / np.log2(3))
    assert ndcg_at(scores, utility, 2) == pytest.approx(expected)
    assert ndcg_at(scores, 7 * utility - 100, 2) == pytest.approx(expected)


@pytest.mark.parametrize("scores", [[1.0, 1.0, 1.0], [np.nan] * 3, [np.inf, 2.0, 2.0]])
def test_undefined_is_none_not_nan_or_zero(scores) -> None:
    utility = np.array([1.0, 2.0, 3.0])
    for measure in (spearman, kendall):
        assert measure(np.array(scores), utility) is None
    assert precision_at(np.array(scores), utility, 2) is None
    assert ndcg_at(np.array(scores), utility, 2) is None
    assert spearman(utility, np.ones(3)) is None
    assert ndcg_at(utility, np.ones(3), 2) is None
    assert spearman(utility[:1], utility[:1]) is None


def test_missing_scores_are_left_out_of_correlations() -> None:
    scores, utility = np.array([1.0, np.nan, 3.0, 2.0]), np.array([1.0, 9.0, 3.0, 2.0])
    assert spearman(scores, utility) == pytest.approx(1.0)
    assert kendall(scores, utility) == pytest.approx(1.0)


def test_metric_quality() -> None:
    found = metric_quality(toy.task(), 5).set_index("metric")
    assert found.loc["jacov", "spearman"] > 0.8 > abs(found.loc["plain", "spearman"])
    assert found.loc["jacov", "best_rank"] == 1
    assert found["defined"].tolist() == [50, 50, 50]


# ── summaries ──


@pytest.fixture(scope="module")
def results() -> Results:
    tasks = [toy.task(f"toy{seed}", seed=seed) for seed in range(3)]
    return run_experiment(tasks, ["average_rank", "robot"], budget=7, seeds=3, half_pools=True)


def test_summary_is_of_the_state_at_so_many_queries(results) -> None:
    found = summarise(results).set_index(["task", "strategy", "queries"])
    assert sorted(set(found.index.get_level_values("queries"))) == [5, 7]
    runs = results.frame.query("task == 'toy1' and strategy == 'robot' and query == 5")
    row = found.loc[("toy1", "robot", 5)]
    assert row["runs"] == 3
    for measure in ("rank", "regret", "final", "final_rank", "cost_s"):
        assert row[f"{measure}_mean"] == pytest.approx(runs[measure].mean())
        assert row[f"{measure}_std"] == pytest.approx(runs[measure].std())
        assert row[f"{measure}_median"] == pytest.approx(runs[measure].median())
    assert 0 <= row["precision"] <= 1
    with pytest.raises(ConfigError, match="must be at least 1; got 0"):
        summarise(results, [0])


def test_across_tasks_is_a_geometric_mean(results) -> None:
    found = across_tasks(results, [5])
    at = results.at(5)
    means = at[at["strategy"] == "robot"].groupby("task")["rank"].mean()
    assert found.loc["robot", 5] == pytest.approx(np.prod(means) ** (1 / 3))
    assert list(found[5]) == sorted(found[5])


def test_paper_tables(results) -> None:
    found = paper_table(results, "rank")
    assert list(found.index) == ["average_rank", "robot", "random", MEAN_SINGLE, BEST_SINGLE]
    assert list(found.columns) == ["toy0", "toy1", "toy2", "cost_s"]
    at = results.at(7)
    robot = at.query("strategy == 'robot' and task == 'toy2'")["rank"]
    assert found.loc["robot", "toy2"] == f"{robot.mean():.1f} ± {robot.std(ddof=0):.1f}"
    singles = at.query("kind == 'single' and task == 'toy2'").groupby("strategy")["rank"].mean()
    assert found.loc[BEST_SINGLE, "toy2"].startswith(f"{singles.min():.1f} ±")
    assert (
        paper_table(results, "final").loc[BEST_SINGLE, "toy0"] >= paper_table(results, "final").loc[MEAN_SINGLE, "toy0"]
    )
    assert to_markdown(found).splitlines()[0] == "|  | toy0 | toy1 | toy2 | cost (s) |"
    with pytest.raises(ConfigError, match="A quantity must be one of"):
        paper_table(results, "speed")


# ── statistics ──


def made(values: dict[str, dict[str, list[float]]]) -> Results:
    """Results of one query a run: task, strategy, then the ranks of its seeds."""
    rows = [
        {"task": task, "strategy": name, "kind": "strategy", "seed": seed, "query": 1, "row": seed, "rank": rank}
        for task, strategies in values.items()
        for name, ranks in strategies.items()
        for seed, rank in enumerate(ranks)
    ]
    return Results(pd.DataFrame(rows), {})


def test_paired_comparison_by_hand() -> None:
    found = compare(made({"t": {"a": [1, 2, 3, 4.0], "b": [2, 4, 3, 3.0], "c": [1, 2, 3, 4.0]}}), "a").set_index(
        "other"
    )
    row = found.loc["b"]
    assert (row["advantage"], row["wins"], row["ties"], row["losses"], row["seeds"]) == (0.5, 2, 1, 1, 4)
    assert row["low"] <= 0.5 <= row["high"]
    assert found.loc["c", "p"] is None
    assert found.loc["c", "advantage"] == 0.0
    alone = compare(made({"t": {"a": [1.0], "b": [3.0]}}), "a").iloc[0]
    assert (alone["advantage"], alone["low"], alone["p"]) == (2.0, None, None)


def test_the_same_difference_with_every_seed_is_not_tested() -> None:
    row = compare(made({"t": {"a": [1, 2, 3, 4, 5.0], "b": [184, 185, 186, 187, 188.0]}}), "a").iloc[0]
    assert (row["advantage"], row["wins"]) == (183.0, 5)
    assert (row["low"], row["high"], row["p"], row["p_holm"]) == (None, None, None, None)
    beside = {"a": [1, 2, 3, 4, 5.0], "b": [184, 185, 186, 187, 188.0], "c": [3, 5, 7, 9, 11.0]}
    other = compare(made({"t": beside}), "a").set_index("other").loc["c"]
    assert (other["p"], other["p_holm"]) == (1 / 16, 1 / 8)  # corrected for both


def test_wilcoxon_is_exact_for_few_seeds() -> None:
    found = compare(made({"t": {"a": [1, 1, 1, 1, 1.0], "b": [2, 3, 4, 5, 6.0]}}), "a").iloc[0]
    assert found["p"] == pytest.approx(2 / 2**5)
    many = compare(made({"t": {"a": [1.0] * 30, "b": [float(i + 2) for i in range(30)]}}), "a").iloc[0]
    assert many["p"] < 1e-5
    assert many["low"] > 0


def test_holm() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_critical_difference_by_demsars_numbers() -> None:
    ranks = {f"t{i}": {"a": [1.0], "b": [2.0], "c": [3.0], "d": [4.0]} for i in range(14)}
    found = critical_difference(made(ranks), reference="a")
    # Demšar (2006), section 3.2.2: four classifiers on fourteen data sets, q = 2.569, CD = 1.25
    assert found.difference == pytest.approx(1.25, abs=0.005)
    assert found.average_ranks.to_dict() == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert found.friedman_p < 1e-6
    assert found.groups == (("a", "b"), ("b", "c"), ("c", "d"))
    assert found.pairs.loc["a", "d"] < 0.001 < found.pairs.loc["a", "b"]
    assert found.pairs.loc["a", "b"] == found.pairs.loc["b", "a"]
    z = (4 - 1) / np.sqrt(4 * 5 / (6 * 14))
    assert found.against.set_index("strategy").loc["d", "z"] == pytest.approx(z)


def test_critical_difference_edges() -> None:
    same = critical_difference(made({f"t{i}": {"a": [1.0], "b": [1.0], "c": [1.0]} for i in range(3)}))
    assert same.friedman_p is None
    assert same.groups == (("a", "b", "c"),)
    two = critical_difference(made({f"t{i}": {"a": [1.0], "b": [2.0]} for i in range(3)}))
    assert two.friedman_p is None
    with pytest.raises(ConfigError, match="At least two strategies"):
        critical_difference(made({"t": {"a": [1.0]}}))
    with pytest.raises(ConfigError, match="no strategy 'z'"):
        critical_difference(made({"t": {"a": [1.0], "b": [1.0]}}), reference="z")
    with pytest.raises(ConfigError, match="compared by one of rank, regret, final_rank"):
        compare(made({"t": {"a": [1.0], "b": [1.0]}}), "a", quantity="final")


def test_strategies_that_miss_a_task_are_not_compared_over_tasks() -> None:
    found = critical_difference(made({"t": {"a": [1.0], "b": [2.0], "c": [3.0]}, "u": {"a": [1.0], "b": [2.0]}}))
    assert list(found.average_ranks.index) == ["a", "b"]


# ── codes ──


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["|a~0|+|b~0|a~1|", "|b~0|+|b~0|c~1|"], [[0, 0], [1, 1]]),
        (["(0, 1, 2)", "(2, 1, 10)"], [[0, 0], [1, 1]]),
        (["64-41414-3_33_123", "64-41414-0_33_124"[:-1] + "0"], [[1, 1], [0, 0]]),
        (["64-1242-basic", "64-12421-basic"], [[0], [1]]),
        (["0120", "0221"], [[0, 0], [1, 1]]),
        (["8:16:64", "16:8:64"], [[0, 1], [1, 0]]),
        (['{"a": 1, "b": "x"}', '{"b": "y", "a": 1}'], [[0], [1]]),
    ],
)
def test_codes(texts, expected) -> None:
    assert codes_of_texts(texts).tolist() == expected


def test_numbers_that_are_equal_are_in_the_order_of_their_texts() -> None:
    texts = [text for number in range(8) for text in (f'{{"a": {number}}}', f'{{"a": {number}.0}}')]
    assert codes_of_texts(texts)[:, 0].tolist() == list(range(16))  # in every process, whatever its hashes


@pytest.mark.parametrize("texts", [["cell", "resnet18"], ["a b", "c"], ["{broken", "{"], ["same"]])
def test_texts_without_choices_have_no_codes(texts) -> None:
    assert codes_of_texts(texts) is None


# ── suites ──

SUITE = """
budget = 4
seeds = 2
[[task]]
table = "toy.csv"
objective = "val_acc"
final = "test_acc"
metrics = ["synflow"]
[[strategy]]
name = "average_rank"
[[strategy]]
name = "average_rank"
label = "all"
metrics = "all"
"""


def suite(folder, text: str = SUITE):
    toy.frame().to_csv(folder / "toy.csv", index=False)
    (folder / "s.toml").write_text(text)
    return load_suite(folder / "s.toml")


def test_suite(tmp_path) -> None:
    found = suite(tmp_path)
    assert found.settings == {"budget": 4, "seeds": 2}
    task = found.tasks[0]
    assert task.default_metrics == ("synflow",)
    assert [contender.metrics_on(task) for contender in found.contenders] == [
        ("synflow",),
        ("synflow", "jacov", "plain"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget = 4", "budgte = 4", "unknown setting 'budgte'"),
        ("budget = 4", 'budget = "4"', "must have as 'budget' a whole number; got '4'"),
        ("budget = 4", "budget = true", "must have as 'budget' a whole number; got True"),
        ('objective = "val_acc"', "", "Task 1 .* must have 'objective'"),
        ('metrics = "all"', 'metrics = "some"', "list of metrics, or 'all'"),
        ("[[strategy]]\nname", "[[strategy]]\nnmae", "Strategy 1 .* unknown setting 'nmae'"),
        ("[[task]]", "[[task", "is not TOML"),
        ('"test_acc"', '"tset_acc"', "Did you mean 'test_acc'"),
    ],
)
def test_suite_mistakes(tmp_path, old, new, message) -> None:
    with pytest.raises((ConfigError, TableError), match=message):
        suite(tmp_path, SUITE.replace(old, new, 1))
    with pytest.raises(ConfigError, match="Cannot read suite"):
        load_suite(tmp_path / "none.toml")


# ── figures ──


def test_progress_figure(results) -> None:
    figure = progress_figure(results)
    lines = [trace for trace in figure.data if trace.name == "robot" and trace.fill is None]
    assert len(lines) == 3
    runs = results.frame.query("task == 'toy0' and strategy == 'robot'").groupby("query")["rank"]
    np.testing.assert_allclose(np.asarray(lines[0].y, dtype=float), runs.mean())
    band = next(trace for trace in figure.data if trace.name == "robot" and trace.fill == "toself")
    np.testing.assert_allclose(np.asarray(band.y, dtype=float)[:7], runs.mean() + runs.sem())
    assert figure.layout.yaxis.type == "log"
    json.loads(figure.to_json())
    with pytest.raises(ConfigError, match="no strategy 'x'"):
        progress_figure(results, strategies=["x"])


def test_critical_difference_figure(results) -> None:
    found = critical_difference(results)
    figure = critical_difference_figure(found)
    assert len(figure.data) == 1 + len(found.groups)
    json.loads(figure.to_json())
