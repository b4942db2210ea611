"""`training`: train a network on real data, and measure it on samples that it has not seen."""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from typing import TYPE_CHECKING, Any, Unpack

import torch

from robonas.common.randomness import seeded
from robonas.common.settings import LARGEST_JOBS, real, seed_of, whole
from robonas.datasets.batch import middle
from robonas.errors import ConfigError
from robonas.objectives.base import CurvePoint, Evaluation, Judged, Objective, Report
from robonas.training.descent import Descent, check_images, check_space, guarded
from robonas.training.device import Mixed, choose_device, choose_precision, training_settings
from robonas.training.guessing import guess_of
from robonas.training.measures import measure_of
from robonas.training.recipe import Recipe, RecipeSettings, recipe_of, require, steps_of_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from robonas.architecture import Architecture
    from robonas.datasets import LabelledData
    from robonas.datasets.batch import Batch
    from robonas.spaces import SearchSpace


class TrainingObjective(Objective):
    """Trains the network of an architecture from scratch; its value is that of the last epoch on a held-out part.

    How it trains are the settings of `robonas.objectives.Recipe`, given by name: `epochs`, `batch_size`, `optimizer`,
    `learning_rate`, `flip`, and more. With their defaults: stochastic gradient descent with Nesterov momentum and
    learning rate η_t = η/2 · (1 + cos(π t/T)) at step t = 0 … T - 1, so that it falls from η almost to 0; weight decay
    on tensors of two or more dimensions, thus not on biases and normalisation; the loss of the data's task (see
    `robonas.datasets.targets`), for classes the cross-entropy.

    The data are split once, class by class where there are classes, and standardised by the training part. Each epoch
    visits every training sample once, in a new random order, in ⌈n/batch_size⌉ batches whose sizes differ by at most
    one: none is dropped, and none is a single sample, on which batch normalisation is undefined.

    The value of the last epoch is returned, not that of the best one, which would look at the held-out part for each.

    The same canonical architecture, settings and seed give the same value in any order and any process on the same kind
    of machine, with any number of cores. Other devices, kinds of processors, versions of PyTorch and `threads` round
    otherwise, and some CUDA kernels add in an order that varies; a training can enlarge such differences.

    Args:
        data: Inputs and labels, or other targets.
        validation_fraction: Share that is held out, of every class where there are classes.
        test_fraction: Share that is held out of everything before that, of every class where there are classes: neither
            metrics, standardisation, trainings nor the choice of a network see it. A search judges its winner on it at
            the end. 0 for none; the other fractions are of what is left.
        training_fraction: Share of every class that is trained with; None for all that is not held out.
        split_seed: Seed of the split into training and validation part: the same for every seed of a search.
        measure: Measure on the held-out part: ``"loss"`` for every task; for classification also ``"accuracy"``
            (the default), ``"balanced_accuracy"``, ``"f1"``, ``"auroc"``, ``"average_precision"`` and ``"matthews"``,
            for several labels ``"f1"``, ``"auroc"`` and ``"average_precision"``, for regression ``"r2"`` (default) and
            ``"mae"``, for segmentation ``"mean_iou"`` (default), ``"dice"`` and ``"pixel_accuracy"``, for images
            ``"ssim"`` (default). `robonas.training.measures.MEASURES` has their definitions, directions and ranges.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        mixed_precision: Half precision where it is safe; ``"auto"`` on CUDA, not elsewhere; ``"bf16"`` or ``"fp16"``
            for that one.
        threads: CPU threads of a training, on which rounding depends, and so the value by a little; with the default,
            one, it is the same with any number of cores, and of trainings at once. None leaves PyTorch's setting.
        n_workers: Processes that read data ahead, where the data are read lazily; changes no value.
        logits: Picks the logits, or other answer, from what a network returns, where it is not that itself.
        isolated: True to let a search train in a process of its own, to which the data are sent once: a training that
            crashes, or is ended for want of memory, is then one failed evaluation, and a stop need not wait for it.
            What a training prints goes to the standard error. Values are the same either way.
        recipe: Settings of `Recipe`, by name.

    Raises:
        ConfigError: A setting out of range, or one that does not suit the data, such as augmentation of no image.
        DataError: The data cannot be split.
    """

    name = "training"

    def __init__(
        self,
        data: LabelledData,
        *,
        validation_fraction: float = 0.25,
        test_fraction: float = 0.0,
        training_fraction: float | None = None,
        split_seed: int = 0,
        measure: str | None = None,
        device: str = "auto",
        mixed_precision: Mixed = "auto",
        threads: int | None = 1,
        n_workers: int = 0,
        logits: Callable[[Any], Tensor] | None = None,
        isolated: bool = True,
        **recipe: Unpack[RecipeSettings],
    ) -> None:
        self.recipe = recipe_of(recipe, TrainingObjective)
        self.isolated = isolated
        split_seed = seed_of(split_seed, "split_seed")
        check_processes(threads, n_workers)
        check_images(self.recipe, data)
        check_hook(self.recipe, logits)
        self.data = data
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.training_fraction = training_fraction
        self.split_seed = split_seed
        self.measure, self._judge = measure_of(data.task, measure, data.labels)
        self.device = choose_device(device)
        self.precision = choose_precision(mixed_precision, self.device)
        self.threads = threads
        self.n_workers = n_workers
        self.logits = logits
        self.direction = self._judge.direction
        self.value_name = f"validation {self._judge.words}"
        self.tests = bool(real("test_fraction", test_fraction))
        self._rest, test_part = data.hold_out(test_fraction, split_seed) if self.tests else (data, None)
        self.training_part, self.validation_part = self._rest.split(
            validation_fraction, split_seed, training_fraction=training_fraction
        )
        self.test_part = None if test_part is None else test_part.standardised(self.training_part)

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes a value; not `n_workers`, nor what the data and their classes are called."""
        return {
            "data": self.data.fingerprint(),
            **dataclasses.asdict(self.recipe),
            "validation_fraction": self.validation_fraction,
            "test_fraction": self.test_fraction,
            "training_fraction": self.training_fraction,
            "split_seed": self.split_seed,
            "measure": self.measure,
            "device": self.device.type,
            "precision": str(self.precision).removeprefix("torch."),
            "threads": self.threads,
            "logits": name_of_hook(self.logits),
        }

    def about_data(self) -> dict[str, Any]:
        """Return the data's name (with its path, where it has one), task, shape, samples, and what guessing reaches."""
        return {
            "name": self.data.name,
            "task": self.data.task,
            "input_shape": list(self.data.input_shape),
            "outputs": self.data.n_classes,
            "samples": len(self.data),
            "training": len(self.training_part),
            "validation": len(self.validation_part),
            "guess": guess_of(self._judge, self.training_part, self.validation_part),
            "steps": self.recipe.epochs * steps_of_epoch(self.recipe, len(self.training_part)),
        }

    def devices(self) -> list[str]:
        """Return the device, or all GPUs that are visible where it is CUDA without a number."""
        if str(self.device) == "cuda":
            return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        return [str(self.device)]

    def on(self, device: str) -> TrainingObjective:
        """Return this objective, with the same data, on another device."""
        other = copy.copy(self)
        other.device = torch.device(device)
        return other

    def batch(self, size: int, seed: int) -> Batch:
        """Draw samples for the metrics from the training part."""
        return self._rest.batch(
            size,
            seed,
            fraction=self.validation_fraction,
            split_seed=self.split_seed,
            training_fraction=self.training_fraction,
        )

    def as_seen(self, batch: Batch, space: SearchSpace) -> Batch:
        """Return the middle of each image, where networks are trained with crops of them."""
        if not self.recipe.resized_crop:
            return batch
        check_space(space, self.data, self.recipe)
        return dataclasses.replace(batch, inputs=middle(batch.inputs, space.input_shape))

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Train and validate; see `Objective.evaluate`.

        Raises:
            ObjectiveError: The loss is no longer finite, or building, forward or backward failed; with the epoch.
            NetworkError: The network does not return logits, or other answers, of the data's shape.
            ConfigError: The space makes networks for other data, or ones that the recipe cannot train.
        """
        check_space(space, self.data, self.recipe)
        text = space.format(space.canonical(architecture))
        started = time.perf_counter()

        def run(descent: Descent, epoch: int) -> tuple[float, float]:
            return descent.epoch(epoch), self._validate(descent)

        descent = self._begun(space, architecture, seed)
        curve: list[CurvePoint] = []
        epochs = self.recipe.epochs
        for epoch in range(1, epochs + 1):
            with training_settings(self.threads), seeded("training", seed, text, epoch):
                step = functools.partial(run, descent, epoch)
                loss, value = guarded(step, f"epoch {epoch} of {epochs}", self.device)
            point = CurvePoint(epoch, epochs, value, loss, time.perf_counter() - started)
            curve.append(point)
            if report is not None:
                report(point)  # outside of our seeds and settings, and free to raise what it likes
        seconds = time.perf_counter() - started
        return Evaluation(curve[-1].value, seconds, tuple(curve), descent.parameters(), descent.preprocessing)

    def test(
        self, space: SearchSpace, architecture: Architecture, parameters: Mapping[str, Tensor], *, seed: int
    ) -> Judged:
        """Judge a trained network on the test part; see `Objective.test`."""
        part = self.test_part
        if part is None:
            return super().test(space, architecture, parameters, seed=seed)
        descent = self._begun(space, architecture, seed)
        descent.load_parameters(dict(parameters))
        with training_settings(self.threads), seeded("test", seed):
            rows = guarded(lambda: self._rows(descent, part), "the test", self.device)
        return Judged(self._judge.finish(rows), len(part), self._judge.error(rows))

    def _begun(self, space: SearchSpace, architecture: Architecture, seed: int) -> Descent:
        """Return the training of an architecture before its first epoch."""

        def begin() -> Descent:
            return Descent(
                self.recipe,
                space.build_seeded(architecture, seed),
                self.training_part,
                input_shape=space.input_shape_of(architecture),
                seed=(seed, space.format(space.canonical(architecture))),
                device=self.device,
                precision=self.precision,
                n_workers=self.n_workers,
                logits=self.logits,
            )

        with training_settings(self.threads):
            return guarded(begin, "building", self.device)

    def _validate(self, descent: Descent) -> float:
        """Return the measure on the held-out part."""
        return self._judge.finish(self._rows(descent, self.validation_part))

    def _rows(self, descent: Descent, part: LabelledData) -> Tensor:
        """Return what the measure keeps of each sample of a part."""
        return torch.cat([self._judge.reduce(outputs, targets) for outputs, targets in descent.logits(part)])


def check_processes(threads: int | None, n_workers: int) -> None:
    """Raise unless a training can have so many threads and reading processes.

    Raises:
        ConfigError: It cannot.
    """
    fits = threads is None or 1 <= whole("threads", threads) <= LARGEST_JOBS
    require("threads", threads, fits, f"from 1 to {LARGEST_JOBS:,}, or None")
    fits = 0 <= whole("n_workers", n_workers) <= LARGEST_JOBS
    require("n_workers", n_workers, fits, f"from 0 to {LARGEST_JOBS:,}")


def check_hook(recipe: Recipe, logits: Callable[[Any], Tensor] | None) -> None:
    """Raise where both a hook and an auxiliary head would read what a network returns.

    Raises:
        ConfigError: Both are given.
    """
    if recipe.auxiliary_weight and logits is not None:
        raise ConfigError("`auxiliary_weight` reads (logits, auxiliary logits) itself; leave out `logits`, or it.")


def name_of_hook(logits: Callable[[Any], Tensor] | None) -> str | None:
    """Return the name of a `logits` hook in settings."""
    return None if logits is None else getattr(logits, "__qualname__", type(logits).__qualname__)
