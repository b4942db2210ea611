"""`training`: train a network on real data, and measure it on samples that it has not seen."""

from __future__ import annotations

import functools
import math
import time
import traceback
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from robonas.batch import resize
from robonas.errors import ConfigError, NasError, NetworkError, ObjectiveError
from robonas.objectives.augment import crop_some, flip_some
from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
from robonas.objectives.device import choose_device, choose_precision, training_settings
from robonas.randomness import seeded, torch_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.architecture import Architecture
    from robonas.batch import Batch
    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace

ValidationMetric: TypeAlias = Literal["accuracy", "balanced_accuracy", "loss"]
"""Share of right answers; its mean over the classes; mean cross-entropy, without label smoothing."""


class Training(Objective):
    """Trains the network of an architecture from scratch; its value is that of the last epoch on a held-out part.

    Stochastic gradient descent with momentum μ and learning rate η_t = η/2 · (1 + cos(π t/T)) at step t = 0 … T - 1, so
    that it falls from η almost to 0. Weight decay λ acts on tensors of two or more dimensions, thus not on biases and
    normalisation. The loss is cross-entropy with label smoothing.

    The data are split once, class by class, and standardised by the training part. Each epoch visits every training
    sample once, in a new random order, in ⌈n/batch_size⌉ batches whose sizes differ by at most one: none is dropped,
    and none is a single sample, on which batch normalisation is undefined.

    The value of the last epoch is returned, not that of the best one, which would look at the held-out part for each.

    The same canonical architecture, settings and seed give the same value in any order and any process on the same kind
    of machine. Other devices, versions of PyTorch and numbers of threads round otherwise, and some CUDA kernels add in
    an order that varies; a training can enlarge such differences.

    Args:
        data: Inputs and labels.
        epochs: How often every training sample is seen.
        batch_size: Samples a step.
        learning_rate: η, the first step's.
        momentum: μ, in [0, 1).
        nesterov: Whether momentum looks ahead.
        weight_decay: λ.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        flip: Whether images are mirrored at random.
        crop: Pixels by which images are shifted at random, at most, in each direction; 0 for not.
        validation_fraction: Share of every class that is held out.
        split_seed: Which samples are held out: the same for every seed of a search.
        metric: ``"accuracy"``, ``"balanced_accuracy"`` or ``"loss"``, on the held-out part.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        mixed_precision: Half precision where it is safe; ``"auto"`` on CUDA, not elsewhere.
        threads: CPU threads, on which rounding depends; None leaves PyTorch's setting.
        n_workers: Processes that read data ahead, where the data are read lazily; changes no value.
        output: Picks the logits, (n, n_classes), from what a network returns, where that is not the logits themselves.

    Raises:
        ConfigError: A setting out of range, or augmentation of what is not an image.
        DataError: The data cannot be split.
    """

    name = "training"

    def __init__(
        self,
        data: LabelledData,
        *,
        epochs: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        label_smoothing: float = 0.0,
        flip: bool = False,
        crop: int = 0,
        validation_fraction: float = 0.25,
        split_seed: int = 0,
        metric: ValidationMetric = "accuracy",
        device: str = "auto",
        mixed_precision: Literal["auto"] | bool = "auto",
        threads: int | None = None,
        n_workers: int = 0,
        output: Callable[[Any], Tensor] | None = None,
    ) -> None:
        _require("epochs", epochs, epochs >= 1, "at least 1")
        _require("batch_size", batch_size, batch_size >= 2, "at least 2")
        _require("learning_rate", learning_rate, 0 < learning_rate < math.inf, "positive")
        _require("momentum", momentum, 0 <= momentum < 1, "in [0, 1)")
        _require("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "at least 0")
        _require("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "in [0, 1)")
        _require("crop", crop, crop >= 0, "at least 0")
        _require("metric", metric, metric in get_args(ValidationMetric), f"one of {get_args(ValidationMetric)}")
        _require("threads", threads, threads is None or threads >= 1, "at least 1, or None")
        _require("n_workers", n_workers, n_workers >= 0, "at least 0")
        if (flip or crop) and len(data.input_shape) != 3:
            raise ConfigError(f"`flip` and `crop` are for images (channels, height, width); got {data.input_shape}.")
        self.data = data
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov and momentum > 0
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.flip = flip
        self.crop = crop
        self.validation_fraction = validation_fraction
        self.split_seed = split_seed
        self.metric = metric
        self.device = choose_device(device)
        self.precision = choose_precision(mixed_precision, self.device)
        self.threads = threads
        self.n_workers = n_workers
        self.output = output
        self.direction = "minimize" if metric == "loss" else "maximize"
        self.value_name = f"validation {metric.replace('_', ' ')}"
        self.training_part, self.validation_part = data.split(validation_fraction, split_seed)

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes a value; not `n_workers`, nor what the data and their classes are called."""
        hook = self.output
        return {
            "data": self.data.fingerprint(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "weight_decay": self.weight_decay,
            "label_smoothing": self.label_smoothing,
            "flip": self.flip,
            "crop": self.crop,
            "validation_fraction": self.validation_fraction,
            "split_seed": self.split_seed,
            "metric": self.metric,
            "device": self.device.type,
            "precision": str(self.precision).removeprefix("torch."),
            "threads": self.threads,
            "output": None if hook is None else getattr(hook, "__qualname__", type(hook).__qualname__),
        }

    def batch(self, size: int, seed: int) -> Batch:
        """Samples for the metrics, from the part that is trained on."""
        return self.data.batch(size, seed, fraction=self.validation_fraction, split_seed=self.split_seed)

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Train and validate; see `Objective.evaluate`.

        Raises:
            ObjectiveError: The loss is no longer finite, or building, forward or backward failed; with the epoch.
            NetworkError: The network does not return logits for these classes.
            ConfigError: The space makes networks for other data.
        """
        if space.input_shape != self.data.input_shape or space.n_classes != self.data.n_classes:
            raise ConfigError(
                f"The space must be made for the data, input_shape={self.data.input_shape} and "
                f"n_classes={self.data.n_classes}; got {space.input_shape} and {space.n_classes}."
            )
        text = space.format(space.canonical(architecture))
        started = time.perf_counter()
        with training_settings(self.threads):
            run = self._guard(lambda: _Run(self, space, architecture, seed), "building")
        curve: list[CurvePoint] = []
        for epoch in range(1, self.epochs + 1):
            with training_settings(self.threads), seeded("training", seed, text, epoch):
                loss, value = self._guard(functools.partial(run.epoch, epoch), f"epoch {epoch} of {self.epochs}")
            point = CurvePoint(epoch, self.epochs, value, loss, time.perf_counter() - started)
            curve.append(point)
            if report is not None:
                report(point)  # outside of our seeds and settings, and free to raise what it likes
        state = {
            name: entry.detach().cpu().clone()
            for name, entry in run.network.state_dict().items()
            if isinstance(entry, Tensor)
        }
        return Evaluation(curve[-1].value, time.perf_counter() - started, tuple(curve), state)

    def _guard(self, step: Callable[[], Any], place: str) -> Any:
        """Do a step; what goes wrong in it fails the evaluation, and its tensors are let go."""
        try:
            return step()
        except NasError:
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
            if memory and self.device.type == "cuda":
                torch.cuda.empty_cache()
            if memory:
                raise ObjectiveError(
                    f"Training ran out of memory in {place}. Use a smaller batch size or network."
                ) from error
            raise ObjectiveError(f"Training crashed in {place}: {type(error).__name__}: {error}") from error


class _Run:
    """One training: a network, its optimiser, and where the schedule stands."""

    def __init__(self, objective: Training, space: SearchSpace, architecture: Architecture, seed: int) -> None:
        self.objective = objective
        self.network = network = space.build_seeded(architecture, seed).to(objective.device)
        self.input_shape = space.input_shape_of(architecture)
        self.seed, self.text = seed, space.format(space.canonical(architecture))
        n = len(objective.training_part)
        self.steps_an_epoch = max(1, min(math.ceil(n / objective.batch_size), n // 2))
        self.step = 0
        trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not trainable:
            raise ObjectiveError("The network has no parameters to train.")
        groups = [
            {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": objective.weight_decay},
            {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=objective.learning_rate,
            momentum=objective.momentum,
            nesterov=objective.nesterov,
        )
        device = objective.device.type
        self.scaler = torch.amp.GradScaler(device) if objective.precision == torch.float16 else None

    def epoch(self, epoch: int) -> tuple[float, float]:
        """Train for an epoch, then validate: mean training loss and validation value."""
        objective, data = self.objective, self.objective.training_part
        generator = torch_generator("order", self.seed, self.text, epoch)
        order = torch.randperm(len(data), generator=generator).tensor_split(self.steps_an_epoch)
        total = torch.zeros((), device=objective.device)
        self.network.train()
        item_seed = int(torch.randint(2**62, (), generator=generator))
        for raw, labels in data.batches(order, seed=item_seed, n_workers=objective.n_workers):
            inputs = data.standardise(raw.to(objective.device, non_blocking=True))
            inputs = flip_some(inputs, generator) if objective.flip else inputs
            inputs = crop_some(inputs, objective.crop, generator) if objective.crop else inputs
            total += len(labels) * self._update(inputs, labels.to(objective.device, non_blocking=True))
            # On a GPU each look at the loss waits for it, so look rarely.
            if objective.device.type == "cpu" or self.step % 32 == 0:
                self._check(total, epoch)
        self._check(total, epoch)
        return float(total) / len(data), self._validate(epoch)

    def _update(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of descent; the loss before it."""
        objective = self.objective
        rate = cosine_rate(objective.learning_rate, self.step, self.steps_an_epoch * objective.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.step += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self._logits(inputs), targets, label_smoothing=objective.label_smoothing)
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return loss.detach()

    def _logits(self, inputs: Tensor) -> Tensor:
        """Logits in single precision, whatever the network computes in."""
        precision = self.objective.precision
        with torch.autocast(inputs.device.type, dtype=precision, enabled=precision != torch.float32):
            returned = self.network(resize(inputs, self.input_shape))
        return check_logits(returned, len(inputs), self.objective.data.n_classes, self.objective.output).float()

    def _validate(self, epoch: int) -> float:
        """The metric on the held-out part, with the network in evaluation mode."""
        objective, data = self.objective, self.objective.validation_part
        self.network.eval()
        logits, labels = [], []
        order = torch.arange(len(data)).split(max(objective.batch_size, 256))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for raw, targets in data.batches(order, n_workers=objective.n_workers):
                logits.append(self._logits(data.standardise(raw.to(objective.device))).cpu())
                labels.append(targets)
        outputs, targets = torch.cat(logits), torch.cat(labels)
        if not bool(torch.isfinite(outputs).all()):
            raise ObjectiveError(
                f"Training diverged in epoch {epoch} of {objective.epochs}: outputs on the validation part are not "
                "finite. "
                "A smaller learning rate may help."
            )
        return validation_value(outputs, targets, objective.metric)

    def _check(self, total: Tensor, epoch: int) -> None:
        if not math.isfinite(float(total)):
            raise ObjectiveError(
                f"Training diverged in epoch {epoch} of {self.objective.epochs}: the loss is not finite. "
                "A smaller learning rate may help."
            )


def cosine_rate(learning_rate: float, step: int, steps: int) -> float:
    """η/2 · (1 + cos(π t/T)): the learning rate η at step 0, falling towards 0 at step T.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, arXiv 1608.03983,
    equation 5, with η_min = 0 and no restart.
    """
    return learning_rate / 2 * (1 + math.cos(math.pi * step / steps))


def validation_value(logits: Tensor, targets: Tensor, metric: ValidationMetric) -> float:
    """The metric's value; classes without a sample do not enter the balanced accuracy.

    Args:
        logits: (n, n_classes).
        targets: Class indices, (n,).
        metric: Which one.
    """
    if metric == "loss":
        return float(F.cross_entropy(logits, targets))
    right = (logits.argmax(dim=1) == targets).to(torch.float64)
    if metric == "accuracy":
        return float(right.mean())
    return float(torch.stack([right[targets == label].mean() for label in torch.unique(targets)]).mean())


def check_logits(returned: Any, n: int, n_classes: int, output: Callable[[Any], Tensor] | None) -> Tensor:
    """The logits in what a network returned.

    Raises:
        NetworkError: There are none of shape (n, n_classes); the message says what came instead.
    """
    logits = returned if output is None else output(returned)
    if not isinstance(logits, Tensor):
        what = "The network" if output is None else "The `output` hook"
        raise NetworkError(
            f"{what} must return a tensor of logits; got a {type(logits).__name__}. "
            "Pick it with `output`, such as output=lambda returned: returned[0]."
        )
    if logits.shape != (n, n_classes):
        raise NetworkError(
            f"The network must return logits of shape ({n}, {n_classes}), one a sample and class; "
            f"got {tuple(logits.shape)}. "
            "Set the number of classes of the space, or pick the logits with `output`."
        )
    return logits


def _require(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise ConfigError(f"`{name}` must be {rule}; got {value!r}.")
