"""The script that measures how metrics agree with accuracies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "metric_correlations.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("metric_correlations", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_correlations_point_as_the_metric_promises(script) -> None:
    accuracy = np.array([0.1, 0.4, 0.3, 0.9, 0.5])
    scores = pd.DataFrame(
        {
            "nwot": [1.0, 4.0, 3.0, 9.0, np.nan],
            "ntk_cond": [9.0, 5.0, 6.0, 1.0, 4.0],
            "linear_regions": [16.0] * 5,
        }
    )
    found = script.correlations(scores, accuracy)
    assert found.loc["nwot", ["spearman", "kendall", "cells", "different"]].tolist() == [1.0, 1.0, 4.0, 4.0]
    assert found.loc["ntk_cond", "spearman"] == pytest.approx(1.0)  # lower is better
    assert np.isnan(found.loc["linear_regions", "spearman"])
    assert found.loc["linear_regions", "different"] == 1


def test_combined_scores_are_those_of_the_papers(script) -> None:
    terms = ["az_expressivity", "az_progressivity", "az_trainability", "az_complexity"]
    scores = pd.DataFrame({"vkdnw": [1.0, 2.0], "layers": [3.0, 1.0], **{key: [1.0, 2.0] for key in terms}})
    found = script.combined(scores)
    assert found["vkdnw + layers"].tolist() == [4.0, 3.0]
    assert found["az (four terms)"].tolist() == [pytest.approx(4 * np.log(0.5)), 0.0]


@pytest.mark.parametrize("kind", ["crops", "smooth", "noise"])
def test_images_are_standardised_and_repeatable(script, kind: str) -> None:
    images = script.images(kind, 6, 8, 0)
    assert images.shape == (6, 3, 8, 8)
    assert float(images.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(images.std()) == pytest.approx(1.0, abs=1e-5)
    assert images.equal(script.images(kind, 6, 8, 0))
    neighbours = np.corrcoef(images[..., :-1].flatten().numpy(), images[..., 1:].flatten().numpy())[0, 1]
    assert (neighbours > 0.4) == (kind != "noise")
