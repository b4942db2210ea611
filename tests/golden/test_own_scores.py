"""All of NAS-Bench-201 scored by our own engine: the shipped scores, and what a search along them finds."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from robonas.experiments import run_experiment
from robonas.metrics import score_network
from tests.published import ROOT, table

SHAPES = ("cifar10", "imagenet16")
NAMES = {"cifar10": "CIFAR-10", "imagenet16": "ImageNet16-120"}


@pytest.fixture
def bench(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("whole_space")


def published_of(bench, shape: str) -> pd.DataFrame:
    return table(bench.TASKS[NAMES[shape]][0].removesuffix(".parquet"))


def own() -> pd.DataFrame:
    return table("nb201-own-scores").set_index("arch")


@pytest.mark.parametrize("shape", SHAPES)
def test_cells_of_one_class_share_their_scores_and_others_do_not(bench, shape) -> None:
    scores = own()[[f"{name}_{shape}" for name in bench.SIX]]
    assert len(scores) == bench.N_CELLS
    # Cells that no path leads through have no score: their logits do not depend on the input.
    undefined = scores.isna()
    assert (undefined.all(axis=1) == undefined.any(axis=1)).all()
    assert 5_000 < len(scores.dropna().drop_duplicates()) <= 5_425


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "least"), [("synflow", 0.99), ("grad_norm", 0.9), ("snip", 0.9), ("jacov", 0.75)])
def test_they_rank_cells_as_the_published_ones_do(bench, shape, name, least) -> None:
    published = published_of(bench, shape).set_index("arch")[name]
    both = pd.concat([published, own()[f"{name}_{shape}"]], axis=1).dropna()
    assert len(both) > 15_000
    assert spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic >= least


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cell_scored_again_has_the_shipped_scores(bench, shape) -> None:
    space, batch = bench.setting(shape, 64)
    cell = space.parse("|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|")
    network = space.build_seeded(space.scoring_class(cell), 0)
    scores = score_network(network, batch, bench.SIX)
    shipped = own().loc[space.format(cell)]
    for name in bench.SIX:
        rounding = 0.05 if name == "grasp" else 2e-3  # grasp is a small difference of large numbers
        assert scores[name].value == pytest.approx(float(shipped[f"{name}_{shape}"]), rel=rounding), name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_search_along_them_finds_the_papers_row(bench, shape, seeds) -> None:
    _, _, final, aim = bench.TASKS[NAMES[shape]]
    published = published_of(bench, shape)
    scores = own().loc[published["arch"], [f"{name}_{shape}" for name in bench.SIX]].to_numpy(float)
    task = bench.task_of(published, scores, NAMES[shape], final)
    results = run_experiment([task], ["robot", "auto"], budget=20, seeds=seeds, baselines=False)
    reached = results.at(20).groupby("strategy")["final"].apply(lambda values: np.mean(values.round(2) >= aim))
    assert reached.min() >= 0.9
