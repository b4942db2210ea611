"""One training: a network, its optimiser, and where the recipe stands. Short and full trainings are made of it."""

from __future__ import annotations

import contextlib
import math
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from robonas.common.kernels import safe_kernels
from robonas.common.randomness import seeded, torch_generator
from robonas.common.registry import told_with_place
from robonas.datasets.batch import resize
from robonas.datasets.targets import NUMBERS, loss_of
from robonas.errors import ConfigError, NasError, ObjectiveError
from robonas.prediction.preprocessing import Preprocessing
from robonas.training.augment import augment, draw, jitter
from robonas.training.averaging import averaged
from robonas.training.logits import check_heads, check_logits
from robonas.training.mixing import check_torchvision, mix, randaugment
from robonas.training.optimizers import make_optimizer
from robonas.training.recipe import Recipe, learning_rate, set_drop_path, steps_of_epoch
from robonas.training.workers import ALONE, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace

T = TypeVar("T")


class Descent:
    """A training that runs epoch by epoch, which takes an epoch at a time.

    Args:
        recipe: Recipe of the training.
        network: Network to train, on any device.
        data: Data to train with, standardised.
        input_shape: Shape of the network's inputs.
        seed: Seed of the order of the samples and of augmentation: the run's seed and the text of the architecture.
        device: Device of the training.
        precision: Number type of convolutions and matrix products.
        n_workers: Processes that read data ahead.
        logits: Picks the logits from what the network returns.
        workers: The processes that train it together.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        data: LabelledData,
        *,
        input_shape: tuple[int, ...],
        seed: tuple[int, str],
        device: torch.device,
        precision: torch.dtype = torch.float32,
        n_workers: int = 0,
        logits: Callable[[Any], Tensor] | None = None,
        workers: Workers = ALONE,
    ) -> None:
        self.recipe, self.data, self.workers = recipe, data, workers
        self.input_shape, self.seed = input_shape, seed
        self.preprocessing = Preprocessing.of(data, input_shape, crop=bool(recipe.resized_crop))
        self.device, self.precision = device, precision
        self.n_workers, self.hook = n_workers, logits
        self.network = network.to(device)
        self.average = averaged(self.network, recipe.ema) if recipe.ema else None
        self.steps_an_epoch = steps_of_epoch(recipe, len(data), workers.n)
        self.step, self.last_epoch = 0, 0  # how many steps were taken, and the number of the latest epoch
        self.optimizer = make_optimizer(self.network, recipe)
        self.scaler = torch.amp.GradScaler(device.type) if precision == torch.float16 else None
        self._model: nn.Module | None = None
        least = 2 * recipe.accumulate * workers.n
        if len(data) < least > 2:
            raise ConfigError(
                f"{workers.n} processes with batches in {recipe.accumulate} pieces need at least {least} samples to "
                f"train with; got {len(data)}. Take fewer."
            )

    # ── training ──

    def epoch(self, epoch: int) -> float:
        """Train for an epoch, from 1; the mean loss over its samples, each before the step that it led to.

        Raises:
            ObjectiveError: The loss is no longer finite.
        """
        recipe, data, workers = self.recipe, self.data, self.workers
        self.last_epoch = epoch
        generator = torch_generator("order", *self.seed, epoch)
        batches = torch.randperm(len(data), generator=generator).tensor_split(self.steps_an_epoch)
        total = torch.zeros((), device=self.device)
        self.network.train()
        set_drop_path(self.network, recipe, epoch)
        model = self._wrapped()
        item_seed = int(torch.randint(2**62, (), generator=generator))
        pieces = [piece for batch in batches for piece in workers.share(batch).tensor_split(recipe.accumulate)]
        reader = data.batches(pieces, seed=item_seed, n_workers=self.n_workers)
        for batch in batches:
            draws = draw(recipe, len(batch), data.input_shape, generator)
            mine = {name: values[workers.share_range(len(batch))] for name, values in draws.items()}
            parts = [
                dict(zip(mine, rows, strict=True))
                for rows in zip(*(values.tensor_split(recipe.accumulate) for values in mine.values()), strict=True)
            ] or [{}] * recipe.accumulate
            total += self._update(model, reader, parts, len(batch))
            # On a GPU each look at the loss waits for it, so look rarely.
            if self.device.type == "cpu" or self.step % 32 == 0:
                self._check(total, epoch)
        total = workers.total(total)
        self._check(total, epoch)
        workers.align(self.network)
        if self.average is not None:
            workers.align(self.average.module)
        return float(total) / len(data)

    def _update(
        self, model: nn.Module, reader: Iterator[tuple[Tensor, Tensor]], parts: list[dict[str, Tensor]], n: int
    ) -> Tensor:
        """Return one step of descent; the sum of the losses of this process's samples before it."""
        recipe = self.recipe
        rate = learning_rate(recipe, self.step, self.steps_an_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.step += 1
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for number, draws in enumerate(parts, 1):
            raw, labels = next(reader)
            inputs, targets = self._prepare(raw, draws), labels.to(self.device, non_blocking=True)
            if "mixes" in draws:
                inputs, targets = mix(inputs, targets, recipe, int(draws["mixes"][0]), self.data.n_classes)
            last = number == len(parts) or model is self.network
            with contextlib.nullcontext() if last else model.no_sync():  # type: ignore[operator]
                loss = self._loss(model, inputs, targets)
                # Of the whole batch's mean loss, the part of these samples; processes are averaged afterwards.
                scaled = loss * (len(labels) * self.workers.n / n)
                (scaled if self.scaler is None else self.scaler.scale(scaled)).backward()  # type: ignore[no-untyped-call]
            total += len(labels) * loss.detach()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def _prepare(self, raw: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """Return stored inputs as the network is trained with them."""
        raw = randaugment(raw, self.recipe, draws["policies"]) if "policies" in draws else raw
        raw = raw.to(self.device, non_blocking=True)
        raw = jitter(raw, draws["colours"]) if "colours" in draws else raw
        inputs = augment(self.data.standardise(raw), self.recipe, draws, self.input_shape)
        return resize(inputs, self.input_shape)

    def _loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the task's mean loss, with that of the auxiliary head where it counts."""
        recipe, task = self.recipe, self.data.task
        with self._autocast(), safe_kernels(self.network, self.device):
            returned = model(inputs)
        shape, smoothing = (len(inputs), *self.data.output_shape), recipe.label_smoothing
        if not recipe.auxiliary_weight:
            return loss_of(check_logits(returned, shape, self.hook).float(), targets, task, label_smoothing=smoothing)
        head, side = (
            loss_of(logits.float(), targets, task, label_smoothing=smoothing) for logits in check_heads(returned, shape)
        )
        return head + recipe.auxiliary_weight * side

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32)

    def _wrapped(self) -> nn.Module:
        """Return the network as the processes train it; made late, when its state may be that of a checkpoint."""
        if self._model is None:
            with seeded("probe"):
                raw, labels = next(self.data.batches([torch.arange(min(2, len(self.data)))]))
                inputs, targets = self._whole(raw), labels.to(self.device)
                self._model = self.workers.wrap(self.network, lambda trial: self._loss(trial, inputs, targets))
        return self._model

    def _check(self, total: Tensor, epoch: int) -> None:
        if not math.isfinite(float(total)):
            raise ObjectiveError(
                f"Training diverged in epoch {epoch} of {self.recipe.epochs}: the loss is not finite. "
                "A smaller learning rate may help."
            )

    # ── judging ──

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept: the average of the parameters where the recipe has one."""
        return self.network if self.average is None else self.average.module

    def logits(self, data: LabelledData, workers: Workers = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
        """Return logits and targets of data in batches, on the CPU, with the network in evaluation mode.

        Args:
            data: Standardised as those that it was trained with.
            workers: Those that share the data; each gets its own part.
        """
        network = self.judged.eval()
        order = workers.share(torch.arange(len(data))).split(max(self.recipe.batch_size, 256))  # type: ignore[no-untyped-call]
        batches = [places for places in order if len(places)]
        with torch.no_grad():
            for raw, targets in data.batches(batches, n_workers=self.n_workers):
                inputs = self._whole(raw)
                with self._autocast():
                    returned = network(inputs)
                logits = check_logits(returned, (len(inputs), *data.output_shape), self.hook).float().cpu()
                if not bool(torch.isfinite(logits).all()):
                    raise ObjectiveError(
                        f"Training diverged in epoch {self.last_epoch} of {self.recipe.epochs}: outputs on held-out "
                        "samples are not finite. A smaller learning rate may help."
                    )
                yield logits, targets

    def _whole(self, raw: Tensor) -> Tensor:
        """Return stored inputs as the network is judged on them: nothing random, the middle where crops are resized."""
        return self.preprocessing.prepare(raw.to(self.device))

    # ── stopping and going on ──

    def parameters(self) -> dict[str, Tensor]:
        """Return the state of the network that is judged and kept, copied to the CPU."""
        return _tensors(self.judged)

    def load_parameters(self, parameters: dict[str, Tensor]) -> None:
        """Judge with these `parameters` from now on."""
        self.judged.load_state_dict(parameters)

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on: tensors and plain values."""
        return {
            "network": _tensors(self.network),
            "average": None if self.average is None else _tensors(self.average),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "step": self.step,
            "epoch": self.last_epoch,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; before the first epoch of this object."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.last_epoch = int(state["step"]), int(state["epoch"])


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state, copied to the CPU."""
    return {
        name: entry.detach().cpu().clone() for name, entry in network.state_dict().items() if isinstance(entry, Tensor)
    }


def check_space(space: SearchSpace, data: LabelledData, recipe: Recipe) -> None:
    """Raise unless the networks of a space take these data.

    Raises:
        ConfigError: They are made for other inputs or classes.
    """
    if not recipe.resized_crop:
        space.check_data(data)
        return
    ours, theirs = space.input_shape, data.input_shape
    fits = len(ours) == len(theirs) == 3 and ours[0] == theirs[0] and ours[1] <= theirs[1] and ours[2] <= theirs[2]
    if not fits or space.output_shape != data.output_shape:
        raise ConfigError(
            f"The space must be made for the data, input_shape={theirs} or a smaller height and width and "
            f"n_classes={data.n_classes}; got {ours} and {space.n_classes}."
        )


def check_images(recipe: Recipe, data: LabelledData) -> None:
    """Raise where a recipe changes images and the data are none, or mixes or smooths labels and there are none.

    Raises:
        ConfigError: They have no height and width, targets that are maps, no classes, or another number of channels
            than RandAugment takes.
        MissingExtraError: The recipe needs torchvision, and it is not installed.
    """
    if recipe.augments and (len(data.input_shape) != 3 or data.task not in NUMBERS):
        raise ConfigError(
            "`flip`, `crop`, `cutout`, `resized_crop`, `colour_jitter`, `randaugment`, `mixup` and `cutmix` are for "
            "images (channels, height, width) whose targets are no maps; "
            f"got {data.input_shape} for {data.task}."
        )
    if recipe.mixes and data.task != "classification":
        raise ConfigError(f"`mixup` and `cutmix` need one class for each sample; got {data.task}. Leave them at 0.")
    if recipe.randaugment and data.input_shape[0] not in {1, 3}:
        raise ConfigError(f"`randaugment` is for images of 1 or 3 channels; got {data.input_shape[0]}.")
    if recipe.label_smoothing and data.task not in {"classification", "segmentation"}:
        raise ConfigError(f"`label_smoothing` needs classes; got {recipe.label_smoothing!r} for {data.task}.")
    check_torchvision(recipe)


def guarded(step: Callable[[], T], place: str, device: torch.device) -> T:
    """Do a step of a training; what goes wrong in it is told with its place, and its tensors are let go.

    Raises:
        ObjectiveError: Out of memory, or anything that the network raised.
    """
    try:
        return step()
    except NasError:
        raise
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if memory and device.type == "cuda":
            torch.cuda.empty_cache()
        if memory:
            raise ObjectiveError(
                f"Training ran out of memory in {place}. Use a smaller batch size or network."
            ) from error
        raise ObjectiveError(f"Training crashed in {place}: {told_with_place(error)}") from error
