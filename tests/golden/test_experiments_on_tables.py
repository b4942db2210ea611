"""The paper's NAS-Bench-201 rows through the experiments (He et al., ICLR 2024, table 2: 94.36 and 46.34 after 20)."""

from __future__ import annotations

import pytest

from robonas.experiments import Task, load_suite, metric_quality, run_experiment, summarise
from robonas.tables import read_table
from tests.published import ROOT, TABLES

PAPER = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")


def task(name: str) -> Task:
    return Task.from_table(
        read_table(TABLES / f"{name}.parquet"),
        objective="val_acc_cifar10_12ep",
        final="test_acc",
        cost="train_seconds_12ep",
        metrics=PAPER,
    )


@pytest.mark.parametrize(("name", "least"), [("nb201-cifar10", 94.36), ("nb201-ImageNet16-120", 46.33)])
@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_robot_row_of_table_2(name: str, least: float, seeds: int) -> None:
    results = run_experiment([task(name)], ["robot"], budget=20, seeds=seeds, baselines=False)
    row = summarise(results, [20]).iloc[0]
    assert row["final_mean"] >= least
    assert 2000 < row["cost_s_mean"] < 3700  # the paper has 3051 s, on a 1080 Ti, for its own draws of the metrics


def test_single_metrics_of_the_design_study() -> None:
    """Rank of the first and best rank among twenty, as we measured them with the reference code's rules."""
    found = metric_quality(task("nb201-cifar10"), 20).set_index("metric")
    assert found.loc["synflow", ["first_rank", "best_rank"]].tolist() == [10148, 1]
    assert found.loc["jacov", ["first_rank", "best_rank"]].tolist() == [812, 184]
    assert found.loc["grad_norm", "first_rank"] == 14805
    assert found.loc["jacov", "spearman"] == pytest.approx(0.74, abs=0.005)
    assert found.loc["plain", "spearman"] == pytest.approx(-0.24, abs=0.005)


def test_the_suite_of_the_paper_is_read() -> None:
    suite = load_suite(ROOT / "benchmarks" / "paper.toml")
    assert [(task.name, len(task), task.budget) for task in suite.tasks] == [
        ("CIFAR-10", 15_625, None),
        ("ImageNet16-120", 15_625, None),
        ("micro Scene", 4_096, 100),
    ]
