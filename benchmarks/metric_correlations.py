"""How well every metric ranks cells of NAS-Bench-201: its rank correlation with their accuracy after training.

    python benchmarks/metric_correlations.py --cells 400 --size 16 --batch 16 --cache /tmp/correlations.parquet
    python benchmarks/metric_correlations.py --channels 1 --depth 1 --size 4 --batch 3000 --metrics linear_regions

The accuracy is the published one on CIFAR-10 after 200 epochs, and the networks have the benchmark's shape unless told
otherwise. CIFAR-10 itself is not needed: the images are crops of scikit-learn's two sample photographs, or noise, and
their labels are random, as most papers found to be enough. With ``--cache`` a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch.nn import functional

import robonas
from robonas.common.randomness import numpy_generator, torch_generator
from robonas.datasets.batch import Batch
from robonas.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
TABLE = "nb201-cifar10.parquet"


def images(kind: str, n: int, size: int, seed: int) -> torch.Tensor:
    """(n, 3, size, size) images, standardised.

    Args:
        kind: ``crops`` of photographs at half their resolution; ``smooth`` noise, whose amplitude falls with the
            frequency as in photographs; or white ``noise``.
        n: How many.
        size: Pixels a side.
        seed: Of the draw.
    """
    generator = torch_generator("images", seed)
    if kind == "crops":
        from sklearn.datasets import load_sample_images

        photographs = torch.stack([torch.from_numpy(image.copy()) for image in load_sample_images().images])
        whole = functional.avg_pool2d(photographs.permute(0, 3, 1, 2).float(), 2)
        found = torch.empty(n, 3, size, size)
        for place in range(n):
            top = int(torch.randint(whole.shape[2] - size + 1, (), generator=generator))
            left = int(torch.randint(whole.shape[3] - size + 1, (), generator=generator))
            found[place] = whole[place % len(whole), :, top : top + size, left : left + size]
    else:
        found = torch.randn(n, 3, size, size, generator=generator)
        if kind == "smooth":
            frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.fftfreq(size)[None])
            frequency[0, 0] = 1.0 / size
            found = torch.fft.ifft2(torch.fft.fft2(found) / frequency).real
    return (found - found.mean()) / found.std()


def tables_folder() -> Path:
    """Where the published tables lie: ``benchmarks/tables``, else the folder that ROBONAS_DATA names."""
    own = ROOT / "benchmarks" / "tables"
    return own if (own / TABLE).is_file() else Path(os.environ.get("ROBONAS_DATA", own))


def correlations(scores: pd.DataFrame, accuracy: np.ndarray) -> pd.DataFrame:
    """For each metric, over the cells where it has a value: correlations, cells and different values.

    Correlations are turned so that positive means what the metric promises; NaN where it is constant.
    """
    rows = {}
    for name in scores:
        values = scores[name].to_numpy(float)
        known = np.isfinite(values)
        different = len(np.unique(values[known]))
        sign = 1.0 if name not in METRICS or METRICS[name].higher_is_better else -1.0
        constant = different < 2
        spearman = np.nan if constant else sign * stats.spearmanr(values[known], accuracy[known]).statistic
        kendall = np.nan if constant else sign * stats.kendalltau(values[known], accuracy[known]).statistic
        rows[name] = {"spearman": spearman, "kendall": kendall, "cells": int(known.sum()), "different": different}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("spearman", ascending=False)


def combined(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores that papers make of several metrics, as far as their parts are there; see the cards of the parts."""
    found = {}
    if {"vkdnw", "layers"} <= set(scores):
        found["vkdnw + layers"] = scores["vkdnw"] + scores["layers"]
    ranked = ["az_expressivity", "az_progressivity", "az_trainability", "az_complexity"]
    if set(ranked) <= set(scores):
        ranks = scores[ranked].fillna(-np.inf).rank() / len(scores)
        found["az (four terms)"] = np.log(ranks).sum(axis=1)
    if {"ntk_cond", "linear_regions"} <= set(scores):
        found["te (two terms)"] = (-scores["ntk_cond"]).rank() + scores["linear_regions"].rank()
    return pd.DataFrame(found, index=scores.index)


def main() -> None:
    """Score the cells and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=400, help="cells drawn at random (default 400)")
    parser.add_argument("--size", type=int, default=16, help="pixels a side (default 16)")
    parser.add_argument("--batch", type=int, default=16, help="samples (default 16)")
    parser.add_argument("--channels", type=int, default=16, help="width of the first stage (default 16)")
    parser.add_argument("--depth", type=int, default=5, help="cells a stage (default 5)")
    parser.add_argument("--images", choices=["crops", "smooth", "noise"], default="crops", help="(default crops)")
    parser.add_argument("--metrics", default="", help="names, separated by commas (default all but timings)")
    parser.add_argument("--seed", type=int, default=0, help="of the cells, the images and the networks (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--cache", help="Parquet file of scores to go on with")
    parser.add_argument("--data", type=Path, default=tables_folder(), help="folder of the published tables")
    options = parser.parse_args()
    if not (options.data / TABLE).is_file():
        sys.exit(f"The tables must lie in a folder; there is no {TABLE} in {options.data}. Set ROBONAS_DATA or --data.")
    names = (
        options.metrics.split(",") if options.metrics else [n for n, m in METRICS.items() if not m.measures_the_machine]
    )
    published = pd.read_parquet(options.data / TABLE).set_index("index")["test_acc"]
    space = robonas.NASBench201(
        input_shape=(3, options.size, options.size), channels=options.channels, depth=options.depth
    )
    cells = numpy_generator("cells", options.seed).choice(len(published), options.cells, replace=False)
    labels = torch.randint(10, (options.batch,), generator=torch_generator("labels", options.seed))
    batch = Batch(images(options.images, options.batch, options.size, options.seed), labels, n_classes=10)

    def tell(done: int, total: int) -> None:
        print(f"\r{done}/{total} classes of cells", end="", file=sys.stderr, flush=True)

    table = robonas.score(
        space,
        [space.at(int(cell)) for cell in cells],
        names,
        batch,
        seed=options.seed,
        n_jobs=options.jobs,
        cache=options.cache,
        callbacks=[tell],
    )
    print(file=sys.stderr)
    scores = pd.DataFrame(table.scores, columns=list(table.metrics))
    found = correlations(pd.concat([scores, combined(scores)], axis=1), published.loc[cells].to_numpy())
    print(
        f"{options.cells} cells, {options.channels} channels, depth {options.depth}, {options.batch} {options.images} "
        f"of {options.size}x{options.size}, against {published.name} on CIFAR-10; positive where the metric is right"
    )
    print(found.to_string(float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
