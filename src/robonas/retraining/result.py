"""Result of a full training: the network, its settings and log, and how good it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.common.files import read_tensors, write_text
from robonas.common.notebook import facts_html, facts_text
from robonas.common.reading import parse_json
from robonas.common.registry import recorded_arguments, recorded_name
from robonas.costs.size import as_size, network_size
from robonas.errors import CheckpointError
from robonas.prediction.files import NOTE
from robonas.prediction.preprocessing import Preprocessing
from robonas.retraining.checkpoint import CHECKPOINT, read_checkpoint
from robonas.retraining.shown import facts_of, picture_of, title_of
from robonas.study.events import EpochFinished

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    import pandas as pd
    from torch import Tensor, nn

    from robonas.prediction import Predictions, ReadyNetwork
    from robonas.spaces import SearchSpace

RESULT = "training.json"
NETWORK = "network.safetensors"
BEST = "best.safetensors"
LOG = "log.csv"


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network that was trained in full."""

    space: SearchSpace
    """Builds it."""
    text: str
    """The text of its architecture."""
    settings: Mapping[str, Any]
    """All that the training depended on; JSON values."""
    log: tuple[EpochFinished, ...]
    """Its epochs."""
    epoch: int
    """Whose parameters were kept: the best on the validation part, the earliest on ties; without one, the last."""
    test: Mapping[str, Any] | None
    """On the test set, seen once at the end: ``value`` of the metric, ``loss``, ``top1`` where there are classes and
    ``top5`` where there are six or more, the number ``n`` of samples and a hash of the ``data``."""
    folder: Path
    """Folder of the training."""
    preprocessing: Preprocessing
    """Preparation of its inputs, and meaning of its answers."""
    counted: Mapping[str, int | None] | None = None
    """Its size, where it was counted before."""
    guess: Mapping[str, Any] | None = None
    """On the validation part, the ``value`` of one and the same answer to every input, its standard ``error``, the
    number ``n`` of samples and the ``direction`` of the measure; None without such a part, and for maps."""

    def __repr__(self) -> str:
        return facts_text(title_of(self), facts_of(self, self.counted))

    def _repr_html_(self) -> str:
        return facts_html(title_of(self), facts_of(self, self.counted), picture_of(self))

    @property
    def validation(self) -> dict[str, float] | None:
        """The kept epoch's ``value``, ``loss``, ``top1`` and ``top5`` on the validation part; None without one."""
        row = vars(self.log[self.epoch - 1])
        return {name: row[name] for name in ("value", "loss", "top1", "top5") if row[name] is not None} or None

    @property
    def parameters_file(self) -> Path:
        """The trained parameters (safetensors)."""
        return self.folder / NETWORK

    def load_parameters(self) -> dict[str, Tensor]:
        """Read the trained parameters and buffers.

        Raises:
            CheckpointError: The file is gone, damaged, or of another network.
        """
        return read_parameters(self.parameters_file, self.text)

    def build(self, *, trained: bool = True, logits: Callable[[Any], Tensor] | None = None) -> nn.Module:
        """Build the network: trained and ready for use, a `ReadyNetwork`; or as it was before.

        A `ReadyNetwork` takes inputs as they come and standardises them itself; its ``network`` is the one within.

        Args:
            trained: Load the trained parameters.
            logits: Picks the answer from what the trained network returns, where the training was given one too.

        Raises:
            CheckpointError: The parameters are gone, damaged, or of another network.
        """
        return self._ready(logits) if trained else self._bare()

    def _bare(self) -> nn.Module:
        return self.space.build_seeded(self.space.parse(self.text), self.settings["seed"])

    def _ready(self, logits: Callable[[Any], Tensor] | None) -> ReadyNetwork:
        from robonas.prediction import ReadyNetwork

        network = self._bare()
        parameters = self.load_parameters()
        try:
            network.load_state_dict(parameters)
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise CheckpointError(
                f"'{self.parameters_file}' does not hold the parameters of the network that the space builds "
                f"({told[:200]}): has its code changed? Use `build(trained=False)`, or train again."
            ) from error
        return ReadyNetwork(network, self.preprocessing, logits=logits)

    def predict(
        self, inputs: Any, *, batch_size: int = 64, logits: Callable[[Any], Tensor] | None = None
    ) -> Predictions:
        """Return the answers to images, files of images, arrays or a data set, with their names.

        Args:
            inputs: Inputs as they come, not standardised; see `ReadyNetwork.predict`.
            batch_size: Number of inputs that go through the network at once.
            logits: Picks the answer from what the network returns, where the training was given one too.

        Raises:
            CheckpointError: The parameters are gone, damaged, or of another network.
            DataError: There is no input, or one cannot be read, or does not fit.
        """
        return self._ready(logits).predict(inputs, batch_size=batch_size)

    @property
    def size(self) -> dict[str, int | None]:
        """Its ``parameters`` and ``macs`` (multiply-accumulates of one sample), None where not countable."""
        if self.counted is not None:
            return dict(self.counted)
        return network_size(self._bare, self.space.input_shape_of(self.space.parse(self.text)))

    def history(self) -> pd.DataFrame:
        """Return one row an epoch."""
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.log])

    def to_json(self) -> dict[str, Any]:
        """Return everything but the parameters as JSON values."""
        return {
            "architecture": self.text,
            "choices": dict(self.space.parse(self.text)),
            **self.size,
            "epoch": self.epoch,
            "validation": self.validation,
            "test": None if self.test is None else dict(self.test),
            "guess": None if self.guess is None else dict(self.guess),
            "seconds": sum(row.seconds for row in self.log),
            "parameters_file": str(self.parameters_file),
            NOTE: self.preprocessing.to_json(),
            "settings": dict(self.settings),
            "log": [vars(row) for row in self.log],
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` to a file."""
        write_text(path, json.dumps(self.to_json(), indent=2) + "\n")


def is_training(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder holds a full training, finished or not."""
    return any((Path(folder) / name).is_file() for name in (RESULT, CHECKPOINT))


def load_trained(folder: str | os.PathLike[str], *, space: SearchSpace | str | None = None) -> TrainedNetwork:
    """Read the network of a finished training, read from its folder.

    Args:
        folder: The training's.
        space: The search space, or its ``package.module:NAME``, made again with the settings of the training; needed
            where it is not one of robonas's, since what a folder names is never imported.

    Raises:
        ConfigError: The folder names a space that is not one of robonas's, and none is given.
        CheckpointError: There is no training, it is not finished, or its files are damaged or may not be read.
    """
    from robonas.spaces import SPACES, SearchSpace, make_space

    place = Path(folder)
    path = place / RESULT
    if not path.is_file():
        checkpoint = read_checkpoint(place)
        if checkpoint is None:
            raise CheckpointError(
                f"There is no training in '{place}': neither '{RESULT}' nor '{CHECKPOINT}' exists. "
                "Name the folder of a training."
            )
        recipe = checkpoint.settings.get("recipe")
        epochs = recipe.get("epochs") if isinstance(recipe, dict) else None
        raise CheckpointError(
            f"The training in '{place}' is not finished: {len(checkpoint.log)} of {epochs} epochs are done. "
            "Run it again to go on."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"Cannot read '{path}': {error.strerror or error}. Check its permissions.") from error
    try:
        value = parse_json(content)
        settings, text, epoch, test = (value[key] for key in ("settings", "architecture", "epoch", "test"))
        name = settings["space"]["name"]
        made = recorded_arguments(settings["space"])
        log = tuple(EpochFinished(**row) for row in value["log"])
        how = Preprocessing.from_json(value[NOTE])
        guess = value.get("guess")
        _check_kept(value, len(log))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' is damaged ({type(error).__name__}: {error}). Remove it, and run the training again: "
            "finished epochs are kept."
        ) from error
    if not isinstance(space, SearchSpace):
        if not space:
            space = recorded_name("search space", name, path, SPACES, "--space", "load_trained(..., space=...)")
        space = make_space(space, **made)
    return TrainedNetwork(space, text, settings, log, epoch, test, place, how, as_size(value), guess)


def _check_kept(value: Mapping[str, Any], epochs: int) -> None:
    """Raise unless a training says which network of one of its epochs it kept.

    Raises:
        KeyError: It lacks a part of it.
        TypeError: A part is of another type.
        ValueError: There is no such epoch.
    """
    kinds: dict[str, Any] = {"architecture": str, "epoch": int, "test": (dict, type(None)), "guess": (dict, type(None))}
    for key, kind in kinds.items():
        if not isinstance(value.get(key) if key == "guess" else value[key], kind):
            raise TypeError(f"{key} is {str(value[key])[:100]!r}")
    if type(value["settings"]["seed"]) is not int:
        raise TypeError(f"seed is {str(value['settings']['seed'])[:100]!r}")
    if not 1 <= value["epoch"] <= epochs:
        raise ValueError(f"epoch {value['epoch']} was kept, of {epochs}")


def read_parameters(path: Path, text: str) -> dict[str, Tensor]:
    """Read the parameters in a file, of the network of that architecture.

    Raises:
        CheckpointError: The file is gone, damaged, or of another network.
    """
    try:
        tensors, notes = read_tensors(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"Cannot read the parameters '{path}' ({error}). Restore the file from a copy, or train again."
        ) from error
    owner = notes.get("architecture")
    if owner != text:
        raise CheckpointError(f"'{path}' must hold the parameters of {text}; it holds those of {owner}.")
    return tensors
