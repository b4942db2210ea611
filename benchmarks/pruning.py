"""What pruning brings at equal numbers of epochs: real learning curves of a pool, recorded once, searched many times.

    python benchmarks/pruning.py CURVES.json                 trains the pool on the embedded digits, then compares
    python benchmarks/pruning.py CURVES.json --seeds 40      more searches on the recorded curves

Every search may train for as many epochs in all as `--networks` full trainings take. A search with a pruner spreads
them over more networks. What counts is the winner: by its rank among the pool's full trainings, 1 is the best.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import optuna

import robonas
from robonas.objectives.base import CurvePoint, Evaluation, Objective

STRATEGIES = ("random", "tpe")
PRUNERS = (None, "median", "successive_halving", "hyperband")


def record(path: Path, n: int, epochs: int) -> dict[str, list[float]]:
    """The learning curves of a pool by architecture; trained where the file does not have them yet."""
    curves: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
    data = robonas.load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=4, depth=1)
    training = robonas.TrainingObjective(data, epochs=epochs, threads=1)
    for architecture in space.sample(n, seed=0):
        text = space.format(architecture)
        if len(curves.get(text, ())) != epochs:
            curves[text] = [point.value for point in training.evaluate(space, architecture, seed=0).curve]
            path.write_text(json.dumps(curves))
    return {text: curves[text] for text in map(space.format, space.sample(n, seed=0))}


class Recorded(Objective):
    """Answers from recorded curves, epoch by epoch."""

    name = "recorded"
    value_name = "validation accuracy"

    def __init__(self, curves: dict[str, list[float]]) -> None:
        self.curves = curves

    @property
    def settings(self) -> dict[str, object]:
        """None."""
        return {}

    def evaluate(self, space, architecture, *, seed, report=None) -> Evaluation:  # noqa: ARG002
        """The recorded curve, reported epoch by epoch."""
        values = self.curves[space.format(architecture)]
        points = [CurvePoint(step, len(values), value) for step, value in enumerate(values, 1)]
        for point in points:
            if report:
                report(point)
        return Evaluation(values[-1], 0.0, tuple(points))


def search(curves, strategy: str, pruner: str | None, seed: int, epochs: int) -> tuple[float, int, int]:
    """The winner's value, networks trained and networks finished within so many epochs."""
    chosen = robonas.make_strategy(strategy, **({"startup": 4} if strategy == "tpe" else {}))
    space = robonas.NASBench201(input_shape=(1, 8, 8), n_classes=10, channels=4, depth=1)
    result = robonas.search(
        space,
        Recorded(curves),
        pool=list(curves),
        strategy=chosen,
        pruner=pruner,
        budget=len(curves) // 2,
        seed=seed,
        folder=None,
        name=f"{strategy} {pruner} {seed}",
    )
    spent = np.cumsum([query.steps for query in result.queries])
    assert spent[-1] > epochs, "the budget of networks must outlast the epochs"
    within = result.queries[: int(np.searchsorted(spent, epochs, side="right"))]
    values = [query.value for query in within if query.value is not None]
    return max(values), len(within), len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--pool", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=40)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    curves = record(options.curves, options.pool, options.epochs)
    finals = np.array([values[-1] for values in curves.values()])
    total = options.networks * options.epochs
    print(f"{len(curves)} cells, best {finals.max():.4f}, median {np.median(finals):.4f}; {total} epochs a search")
    print(f"{'strategy':<10}{'pruner':<20}{'winner':>16}{'rank':>14}{'trained':>10}{'finished':>10}")
    for strategy in STRATEGIES:
        for pruner in PRUNERS:
            found = [search(curves, strategy, pruner, seed, total) for seed in range(options.seeds)]
            values, trained, finished = (np.array(column) for column in zip(*found, strict=True))
            ranks = np.array([1 + int(np.sum(finals > value)) for value in values])
            error = ranks.std(ddof=1) / np.sqrt(len(ranks))
            print(
                f"{strategy:<10}{pruner or 'none':<20}{values.mean():>9.4f} ± {values.std():.4f}"
                f"{ranks.mean():>7.1f} ± {error:<4.1f}{trained.mean():>10.1f}{finished.mean():>10.1f}"
            )


if __name__ == "__main__":
    main()
