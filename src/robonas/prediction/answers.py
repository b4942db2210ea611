"""`Predictions`: the answers of a network to some inputs, with the names of classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robonas.common.files import replacing
from robonas.common.settings import count_of
from robonas.errors import ConfigError

if TYPE_CHECKING:
    import os

    import pandas as pd
    from numpy.typing import NDArray

    from robonas.datasets.targets import Task


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of a network to `n` inputs."""

    task: Task
    """Kind of the answers."""
    class_names: tuple[str, ...]
    """Names of the classes by index; without classes, of the numbers or channels."""
    names: tuple[str, ...]
    """A name for each input: the path of its image, or its number from 0."""
    outputs: NDArray[np.float32]
    """Values from the network, (n, …): logits of classes, numbers in the unit of the data, or images in [-1, 1]."""

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Predictions({len(self)} of {self.task}, outputs of shape {self.outputs.shape})"

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probability of each class, (n, classes), or of each class at each pixel, (n, classes, height, width).

        Those of a sample or pixel sum to 1, but for the task ``"multilabel"``, where each class has its own.

        Raises:
            ConfigError: The task has no classes.
        """
        self._check_classes()
        logits = self.outputs.astype(np.float64)
        if self.task == "multilabel":
            found = 1 / (1 + np.exp(-logits.clip(-500, 500)))
        else:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = powers / powers.sum(axis=1, keepdims=True)
        return np.asarray(found, dtype=np.float32)

    @property
    def labels(self) -> NDArray[Any]:
        """Index of the likeliest class, (n,), or of that of each pixel, (n, height, width), int64.

        For the task ``"multilabel"``, whether each class has a probability of at least a half: booleans, (n, classes).

        Raises:
            ConfigError: The task has no classes.
        """
        self._check_classes()
        if self.task == "multilabel":
            return np.asarray(self.outputs >= 0)
        return np.asarray(self.outputs.argmax(axis=1))

    @property
    def classes(self) -> list[str] | list[tuple[str, ...]]:
        """Name of the likeliest class of each input; for the task ``"multilabel"``, the names of all that are likely.

        Raises:
            ConfigError: The task has no classes, or one at each pixel; see `labels` for these.
        """
        self._check_classes()
        if self.task == "multilabel":
            return [tuple(np.array(self.class_names)[row].tolist()) for row in self.labels]
        if self.task != "classification":
            raise ConfigError(f"There is no one class of an input for {self.task}; see `labels` or `outputs`.")
        return [self.class_names[label] for label in self.labels.tolist()]

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """Return the `k` largest of each input, the largest first: (name, number).

        The number is the probability of a class, the share of the pixels that a class has in a segmentation, a
        predicted number, or the mean of a channel; the last two are in the order of their names, and all are given.

        Raises:
            ConfigError: `k` is below 1.
        """
        k = count_of("top_k", k, "class")
        numbers = self._numbers()
        if self.task in {"regression", "image"}:
            return [list(zip(self.class_names, row, strict=True)) for row in numbers.tolist()]
        order = np.argsort(-numbers, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[place], float(numbers[row, place])) for place in places]
            for row, places in enumerate(order.tolist())
        ]

    def _numbers(self) -> NDArray[Any]:
        """Return one number a name, (n, names); see `top`."""
        if self.task in {"classification", "multilabel"}:
            return self.probabilities
        if self.task == "segmentation":
            maps = self.labels.reshape(len(self), -1)
            return np.stack([(maps == label).mean(axis=1) for label in range(len(self.class_names))], axis=1)
        return np.asarray(self.outputs.reshape(*self.outputs.shape[:2], -1).mean(axis=2))

    @property
    def number(self) -> str:
        """Name of the numbers that `top` returns, such as ``"probability"``."""
        return {
            "classification": "probability",
            "multilabel": "probability",
            "regression": "value",
            "segmentation": "share of pixels",
            "image": "mean",
        }[self.task]

    def to_frame(self) -> pd.DataFrame:
        """Return one row an input, with its ``class`` where there is one, and the number of each name; see `top`."""
        import pandas as pd

        frame = pd.DataFrame(self._numbers(), columns=list(self.class_names), index=pd.Index(self.names, name="input"))
        if self.task == "classification":
            frame.insert(0, "class", self.classes, allow_duplicates=True)  # one of the classes may have this name
        return frame

    def to_json(self, top_k: int = 5) -> list[dict[str, Any]]:
        """Return one object an input as JSON values: its name, its class where there is one, and what `top` returns."""
        key = self.number.replace(" ", "_")
        found: list[dict[str, Any]] = []
        for row, (name, best) in enumerate(zip(self.names, self.top(top_k), strict=True)):
            value: dict[str, Any] = {"input": name}
            if self.task == "classification":
                value |= {"class": best[0][0], key: best[0][1]}
            elif self.task == "multilabel":
                value["classes"] = list(self.classes[row])
            found.append({**value, "top": [{"name": label, key: number} for label, number in best]})
        return found

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the whole answers to an ``.npz`` file of NumPy.

        Its arrays are ``outputs``, ``names``, ``class_names``, and ``probabilities`` and ``labels`` where there are
        classes.

        Raises:
            OutputError: The file cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {
            "outputs": self.outputs,
            "names": np.array(self.names),
            "class_names": np.array(self.class_names),
        }
        if self.task not in {"regression", "image"}:
            arrays |= {"probabilities": self.probabilities, "labels": self.labels}
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    def _check_classes(self) -> None:
        if self.task in {"regression", "image"}:
            raise ConfigError(f"There are no classes for {self.task}; see `outputs`.")
