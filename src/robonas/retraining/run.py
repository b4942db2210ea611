"""Training a network in full: epoch by epoch, a checkpoint after each, alone or in several processes."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from robonas.common.bars import with_bars
from robonas.common.files import write_tensors, write_text
from robonas.common.keeping import tells_what_is_kept
from robonas.common.randomness import seeded
from robonas.common.settings import plain, real, seed_of
from robonas.costs.size import network_size
from robonas.errors import CheckpointError, ConfigError, DataError
from robonas.objectives.training import check_hook, check_processes, name_of_hook
from robonas.prediction.files import NOTE
from robonas.processes import stops
from robonas.retraining.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, write_checkpoint
from robonas.retraining.places import alone_in, folder_after
from robonas.retraining.progress import bar_of_training, say_going_on
from robonas.retraining.result import BEST, LOG, NETWORK, RESULT, TrainedNetwork, load_trained, read_parameters
from robonas.study.events import EpochFinished, caller_of
from robonas.study.result import SearchResult
from robonas.training.descent import Descent, check_images, check_space, guarded
from robonas.training.device import Mixed, choose_device, choose_precision, training_settings
from robonas.training.guessing import guess_of
from robonas.training.measures import MEASURES, Measure, guesses, measure_of
from robonas.training.recipe import RecipeSettings, learning_rate, recipe_of
from robonas.training.workers import Workers, working_together

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from robonas.architecture import Architecture
    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace


SMALL_MACS = 10_000_000
"""Multiply-adds a sample below which a network is trained by one thread."""


@tells_what_is_kept(lambda _: True)
@with_bars(bar_of_training)
def train(
    winner: SearchResult | Architecture | str,
    data: LabelledData,
    *,
    space: SearchSpace | None = None,
    test: LabelledData | None = None,
    folder: str | os.PathLike[str] | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float | None = None,
    split_seed: int = 0,
    measure: str | None = None,
    seed: int = 0,
    device: str = "auto",
    mixed_precision: Mixed = "auto",
    threads: int | None = None,
    n_workers: int = 0,
    logits: Callable[[Any], Tensor] | None = None,
    callbacks: Sequence[Callable[[EpochFinished], None]] = (),
    progress: bool | None = None,  # noqa: ARG001  # read by its decorator
    **recipe: Unpack[RecipeSettings],
) -> TrainedNetwork:
    """Train one network in full, such as the winner of a search, in a larger size and for longer.

    After every epoch a checkpoint is written. Stopped at any moment and called again with the same arguments, it goes
    on after the last finished epoch, and ends with the same parameters as without the stop, bit by bit, where the
    device adds in a fixed order, as CPUs do.

    Started by ``torchrun --nproc-per-node N``, N processes train one network: `batch_size` is that of all together, the
    samples of each batch and their augmentation are those of one process, gradients are averaged, and process 0 writes
    the files, which all must see. Batch normalisation and random layers see each process's part alone.

    The parameters that are kept are those of the best epoch on the validation part, or without one, of the last epoch.
    The test set is seen once, with these, at the end.

    Args:
        winner: A search's result, whose best architecture is trained; or an architecture, or its text.
        data: Data to train and to validate with.
        space: Builds the network: the same as the search's, in any size. The search's own where there is one.
        test: A test set, with the same classes.
        folder: Folder for everything that is kept: ``checkpoint.pt``, ``log.csv``, ``best.safetensors``, and at the end
            ``network.safetensors`` and ``training.json``. None for a folder beside the search's, named after it:
            `folder_after`; ``robonas-train`` for an architecture.
        validation_fraction: Share that is held out, of every class where there are classes; 0 to train with all.
        test_fraction: Share that is held out of everything before that, in place of a test set; 0 for none. By default
            that of the search, with the same samples, where `winner` is its result, the data are the same, and there is
            no test set; else 0.
        split_seed: Seed of the split into training and validation part.
        measure: Measure on the validation part, as for `TrainingObjective`: the accuracy for classes.
        seed: Seed of the first parameters, the order of samples, augmentation, and random layers.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``; with several processes, each takes the GPU
            of its number.
        mixed_precision: ``"auto"`` on CUDA, not elsewhere; True, False, ``"bf16"`` or ``"fp16"``.
        threads: CPU threads, on which rounding depends; None for one where the network is small (fewer than 10 million
            multiply-adds a sample), and for PyTorch's setting, mostly one a core, where it is not, since a full
            training runs alone. With a number, such as 1, the end is the same on machines with other numbers of cores.
        n_workers: Processes that read data ahead, where they are read lazily.
        logits: Picks the logits from what the network returns.
        callbacks: Functions that are called after every epoch, in process 0, in this order.
        progress: Show a progress bar: True for always, as plain lines where there is no terminal; False for never; None
            on a terminal and in a notebook.
        recipe: Settings of `robonas.training.recipe.Recipe`, by name: `epochs`, `batch_size`, `learning_rate`, …

    Returns:
        The trained network and how it came about.

    Raises:
        ConfigError: A setting out of range; a space that is not the winner's, or not made for the data.
        ArchitectureError: The architecture does not belong to the space.
        StudyError: The search has no winner.
        DataError: The data cannot be split, or the test set has other classes or sizes.
        ObjectiveError: The training diverged or crashed; with the epoch.
        NetworkError: The network's output is not what the recipe needs.
        CheckpointError: The folder holds a checkpoint that is damaged, or of a training with other settings, or another
            program is training there.
    """
    chosen = recipe_of(recipe, train)
    seed, split_seed = seed_of(seed), seed_of(split_seed, "split_seed")
    check_processes(threads, n_workers)
    check_images(chosen, data)
    check_hook(chosen, logits)
    measure, judge = measure_of(data.task, measure, data.labels)
    home = folder_after(winner) if folder is None else Path(folder)
    where, text = _find(winner, space)
    check_space(where, data, chosen)
    share, test_seed = held_out_by(winner, data) if test_fraction is None else (test_fraction, split_seed)
    if test is not None and test_fraction:
        raise ConfigError(f"`test_fraction` holds out a test set of its own; got {test_fraction} and `test` too.")
    rest, fitting = data, None if test is None else _as_test(test, data)
    if fitting is None and real("test_fraction", share):
        rest, fitting = data.hold_out(share, test_seed)
    training, validation = _parts(rest, validation_fraction, split_seed)
    tested = None if fitting is None else fitting.standardised(training)
    threads = _threads(where, text) if threads is None else threads
    with working_together(choose_device(device)) as (workers, here), alone_in(home, workers) as place:
        precision = choose_precision(mixed_precision, here)
        settings = plain(
            {
                "architecture": text,
                "space": where.record,
                "data": data.fingerprint(),
                "recipe": dataclasses.asdict(chosen),
                "validation_fraction": validation_fraction,
                **({"test_fraction": share, "test_seed": test_seed} if rest is not data else {}),
                "split_seed": split_seed,
                "measure": measure,
                "seed": seed,
                "device": here.type,
                "precision": str(precision).removeprefix("torch."),
                "threads": threads,
                "processes": workers.n,
                "logits": name_of_hook(logits),
            }
        )
        architecture = where.parse(text)

        def begin() -> Descent:
            return Descent(
                chosen,
                where.build_seeded(architecture, seed),
                training,
                input_shape=where.input_shape_of(architecture),
                seed=(seed, text),
                device=here,
                precision=precision,
                n_workers=n_workers,
                logits=logits,
                workers=workers,
            )

        guess: dict[str, Any] | None = None if validation is None else guess_of(judge, training, validation)
        if guess is not None and validation is not None:
            guess |= {"n": len(validation), "direction": judge.direction}
        run = _Run(place, settings, judge, validation, workers, threads, caller_of(callbacks), guess)
        run.check_parts(validation, tested)
        with training_settings(threads):
            descent = guarded(begin, "building", here)
        log = run.epochs(descent, callbacks)
        return run.finish(descent, log, where, tested)


class _Run:
    """The epochs of one training, and its files."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        measure: Measure,
        validation: LabelledData | None,
        workers: Workers,
        threads: int | None,
        tell: Callable[[EpochFinished], None],
        guess: dict[str, Any] | None,
    ) -> None:
        self.folder, self.settings, self.measure, self.validation = folder, settings, measure, validation
        self.workers, self.threads, self.tell, self.guess = workers, threads, tell, guess
        self.text: str = settings["architecture"]

    def epochs(self, descent: Descent, callbacks: Sequence[object] = ()) -> tuple[EpochFinished, ...]:
        """Go on from the checkpoint to the last epoch; the bar among the callbacks says so."""
        n_epochs = descent.recipe.epochs
        checkpoint = read_checkpoint(self.folder, self.settings)
        log: tuple[EpochFinished, ...] = ()
        if checkpoint is not None:
            try:
                descent.load_state(checkpoint.state)
            except (RuntimeError, KeyError, ValueError, TypeError) as error:
                raise CheckpointError(
                    f"Checkpoint '{self.folder / CHECKPOINT}' does not fit its own network ({error}): it is damaged, "
                    "or of another version of robonas. Remove it to train from the start."
                ) from error
            log = checkpoint.log
            say_going_on(callbacks, log)
        others = ("process", self.workers.rank) if self.workers.rank else ()
        for epoch in range(len(log) + 1, n_epochs + 1):
            stops.check()
            started = time.perf_counter()
            rate = learning_rate(descent.recipe, descent.step, descent.steps_an_epoch)
            with training_settings(self.threads), seeded("training", *descent.seed, epoch, *others):
                step = functools.partial(self._epoch, descent, epoch)
                loss, judged = guarded(step, f"epoch {epoch} of {n_epochs}", descent.device)
            row = EpochFinished(epoch, n_epochs, rate, loss, **judged, seconds=time.perf_counter() - started)
            log = (*log, row)
            if self.workers.rank == 0:
                if row.value is not None and self.best_epoch(log) == epoch:
                    # Before the checkpoint: a stop between the two repeats this epoch, and writes the same again.
                    self._write(BEST, descent, epoch)
                write_checkpoint(self.folder, Checkpoint(self.settings, log, descent.state()))
                write_text(self.folder / LOG, as_csv(log))
                self.tell(row)
        return log

    def _epoch(self, descent: Descent, epoch: int) -> tuple[float, dict[str, float | None]]:
        loss = descent.epoch(epoch)
        if self.validation is None:
            return loss, dict.fromkeys(("value", "loss", "top1", "top5"))
        return loss, self._judge(descent, self.validation)

    def _judge(self, descent: Descent, data: LabelledData) -> dict[str, float | None]:
        """Return value, loss, and top-1 and (of six classes or more) top-5 accuracy; processes share the samples."""
        losses, classes = MEASURES[data.task]["loss"], data.task == "classification"
        rows: list[list[Tensor]] = []
        for outputs, targets in descent.logits(data, self.workers):
            found = [self.measure.reduce(outputs, targets), losses.reduce(outputs, targets)]
            rows.append([*found, guesses(outputs, targets)] if classes else found)
        wanted = descent.device if descent.device.type == "cuda" else torch.device("cpu")
        value, loss, *right = (
            self.workers.gather(torch.cat(parts).to(wanted), len(data)).cpu() for parts in zip(*rows, strict=True)
        )
        top1, top5 = right[0].mean(0).tolist() if right else (None, None)
        top5 = top5 if data.n_classes > 5 else None  # else it is 1, whatever the network has learned
        return {"value": self.measure.finish(value), "loss": losses.finish(loss), "top1": top1, "top5": top5}

    def check_parts(self, *parts: LabelledData | None) -> None:
        """Raise unless every process has a sample of each part to judge by.

        Raises:
            ConfigError: There are more processes.
        """
        least = min((len(part) for part in parts if part is not None), default=self.workers.n)
        if least < self.workers.n:
            raise ConfigError(
                f"The validation part and the test set must have a sample for each of {self.workers.n} processes; "
                f"got {least}. Start fewer."
            )

    def best_epoch(self, log: tuple[EpochFinished, ...]) -> int:
        """Return the epoch with the best validation value, the earliest of equals; without values, the last epoch."""
        if log[-1].value is None:
            return len(log)
        sign = 1.0 if self.measure.direction == "maximize" else -1.0
        return max(log, key=lambda row: (sign * (row.value or 0.0), -row.epoch)).epoch

    def finish(
        self, descent: Descent, log: tuple[EpochFinished, ...], space: SearchSpace, test: LabelledData | None
    ) -> TrainedNetwork:
        """Keep the best network, test it, and write what came of it."""
        epoch, known = self.best_epoch(log), self._known(space, test)
        self.workers.wait()  # until all have looked, before any of them writes
        if known is not None:
            return known
        if self.validation is not None:
            descent.load_parameters(read_parameters(self.folder / BEST, self.text))
        tested = None
        if test is not None:
            with training_settings(self.threads):
                judge = functools.partial(self._judge, descent, test)
                judged = guarded(judge, "the test", descent.device)
            found = {name: value for name, value in judged.items() if value is not None}
            tested = {**found, "n": len(test), "data": test.fingerprint()}
        how = descent.preprocessing
        result = TrainedNetwork(space, self.text, self.settings, log, epoch, tested, self.folder, how, guess=self.guess)
        if self.workers.rank == 0:
            self._write(NETWORK, descent, epoch)
            result.write_json(self.folder / RESULT)
        self.workers.wait()
        return result

    def _known(self, space: SearchSpace, test: LabelledData | None) -> TrainedNetwork | None:
        """Return the result of an earlier call with the same settings and test set; None where there is none."""
        if not (self.folder / RESULT).is_file() or not (self.folder / NETWORK).is_file():
            return None
        known = load_trained(self.folder, space=space)
        tested = test is None or (known.test is not None and known.test["data"] == test.fingerprint())
        return known if tested and known.settings == self.settings else None

    def _write(self, name: str, descent: Descent, epoch: int) -> None:
        notes = {"architecture": self.text, "space": json.dumps(self.settings["space"]), "epoch": str(epoch)}
        write_tensors(self.folder / name, descent.parameters(), {**notes, NOTE: descent.preprocessing.to_text()})


def as_csv(log: tuple[EpochFinished, ...]) -> str:
    """Return the epochs as comma-separated values, a row each; empty where nothing was measured."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(EpochFinished)]
    writer.writerows([names, *([getattr(row, name) for name in names] for row in log)])
    return stream.getvalue()


def _threads(space: SearchSpace, text: str) -> int | None:
    """Return one thread for a small network, whose operations take no longer than it takes to share them out."""
    architecture = space.parse(text)
    size = network_size(lambda: space.build_seeded(architecture, 0), space.input_shape_of(architecture))
    macs = size["macs"]
    return 1 if macs is not None and macs < SMALL_MACS else None


def _find(winner: SearchResult | Architecture | str, space: SearchSpace | None) -> tuple[SearchSpace, str]:
    """Return the space that builds the network, and the canonical text of its architecture."""
    if isinstance(winner, SearchResult):
        where = space or winner.space
        if where.reference != winner.space.reference:
            raise ConfigError(
                f"The space must be that of the search, {winner.space.reference!r}, in any size; "
                f"got {where.reference!r}."
            )
        winner = winner.text
    elif space is None:
        raise ConfigError(f"An architecture needs its `space` to be built; got {str(winner)!r} alone.")
    else:
        where = space
    architecture = where.parse(winner) if isinstance(winner, str) else winner
    return where, where.format(where.canonical(architecture))


def held_out_by(winner: SearchResult | Architecture | str, data: LabelledData) -> tuple[float, int]:
    """Return which share of these data the search of a winner has held out of everything, and the seed of that split.

    Args:
        winner: Result of a search, or an architecture, which holds out nothing.
        data: The data; of others a search holds out nothing.
    """
    if not isinstance(winner, SearchResult):
        return 0.0, 0
    settings = winner.settings.get("objective", {}).get("settings", {})
    if not settings.get("test_fraction") or settings.get("data") != data.fingerprint():
        return 0.0, 0
    return settings["test_fraction"], settings["split_seed"]


def _parts(data: LabelledData, fraction: float, seed: int) -> tuple[LabelledData, LabelledData | None]:
    """Return what is trained with, and what is held out."""
    return data.split(fraction, seed) if real("validation_fraction", fraction) else (data.standardised(), None)


def _as_test(test: LabelledData, data: LabelledData) -> LabelledData:
    """Return the test set, with the names of the classes that the training has."""
    if test.task != data.task:
        raise DataError(f"The test set must be of the training's task, {data.task}; it is of {test.task}.")
    if test.input_shape != data.input_shape:
        raise DataError(f"The test set must have inputs of shape {data.input_shape}; got {test.input_shape}.")
    if test.class_names != data.class_names[: test.n_classes]:  # the last classes may have no sample
        pairs = zip(test.class_names, (*data.class_names, *(None,) * test.n_classes), strict=False)
        place, (theirs, ours) = next((place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1])
        raise DataError(
            f"The test set must have the classes of the training, in their order; class {place} is {theirs!r} there "
            f"and {'missing' if ours is None else repr(ours)} here."
        )
    test = dataclasses.replace(test, class_names=data.class_names)
    if test.output_shape != data.output_shape:
        raise DataError(f"The test set must have targets of shape {data.output_shape}; got {test.output_shape}.")
    return test
