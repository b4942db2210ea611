"""Readers that turn the texts of options into objects."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.errors import ArchitectureError, ConfigError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.datasets import LabelledData
    from robonas.metrics import MetricLike
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.training.device import Mixed

LARGEST_LIST = 2**28
"""Bytes that a file of architectures may have."""


def split(option: str, names: list[str]) -> list[str]:
    """Return names that were given apart or with commas.

    Raises:
        ConfigError: The option is given, and names nothing.
    """
    found = [name.strip() for entry in names for name in entry.split(",") if name.strip()]
    if names and not found:
        raise ConfigError(f"`{option}` must name something; got {names[0]!r}. Leave it out for its default.")
    return found


def read_settings(what: str, settings: list[str]) -> dict[str, Any]:
    """Return settings that were given as KEY=VALUE; a value is JSON where it reads like JSON, else a text.

    Raises:
        ConfigError: One does not read KEY=VALUE.
    """
    values: dict[str, Any] = {}
    for entry in settings:
        key, equals, text = entry.partition("=")
        if not equals:
            raise ConfigError(f"A setting of the {what} must read KEY=VALUE; got {entry!r}.")
        try:
            values[key.strip().replace("-", "_")] = json.loads(text)
        except (ValueError, RecursionError):
            values[key.strip().replace("-", "_")] = text
    return values


def read_data(
    text: str,
    root: Path | None,
    size: int | None,
    mode: str | None,
    settings: list[str],
    *,
    part: str | None = None,
) -> LabelledData:
    """Read the data of that text.

    Args:
        text: The text.
        root: Folder of torchvision's data, or of data of one's own.
        size: Side of the images.
        mode: Kind of the images.
        settings: More settings, as KEY=VALUE.
        part: Part of the data set, for torchvision's and those of Hugging Face.

    Raises:
        ConfigError: A setting is given twice.
    """
    from robonas.datasets import DATASETS, load_dataset

    kind = text.partition(":")[0]
    rooted = kind == "torchvision" or (kind not in DATASETS and not Path(text).expanduser().exists())
    given = {"root": root if rooted else None, "size": size, "mode": mode}
    more = read_settings("data", settings)
    for name, value in given.items():
        if value is not None and name in more:
            raise ConfigError(f"`--data-set` gives {name!r} again, which an option of its own gives.")
    parts = {} if part is None or kind not in {"torchvision", "hf"} else {"part": part}
    return load_dataset(text, **{**given, **more, **parts})


class DefaultData(str):
    """The name of the data that a command takes where none are given."""

    __slots__ = ()


@contextlib.contextmanager
def told_of_default(data: str) -> Iterator[None]:
    """Say that the data are the default where networks do not fit their shape and none were given.

    Args:
        data: The text that names them.
    """
    try:
        yield
    except (ConfigError, NetworkError, ArchitectureError) as error:
        told = str(error)
        if not isinstance(data, DefaultData) or not re.search(r"shape|n_classes", told):
            raise
        raise type(error)(
            f"{told}{'' if told.endswith(('.', '?')) else '.'} The data are the default, '{data}', since `--data` was "
            "not given; give the data that the networks are made for."
        ) from error


def read_space(name: str, settings: list[str], data: LabelledData, *, smaller: bool = False) -> SearchSpace:
    """Make the space of a name for some data; its networks may be smaller than the images where the recipe crops."""
    from robonas.spaces import SPACES, make_space

    fitting = SPACES[name].fitting(data.task, data.input_shape) if name in SPACES else {}
    shape = {"input_shape": data.input_shape, "n_classes": data.n_classes}
    space = make_space(name, **{**shape, **fitting, **read_settings("space", settings)})
    if not smaller:
        space.check_data(data)
    return space


def read_strategy(name: str, settings: list[str]) -> Strategy:
    """Read the strategy of that name."""
    from robonas.strategies import make_strategy

    return make_strategy(name, **read_settings("strategy", settings))


def read_precision(text: str) -> Mixed:
    """Return what `mixed_precision` takes; ``yes`` and ``no`` are True and False."""
    words: dict[str, Any] = {"yes": True, "true": True, "no": False, "false": False}
    meant: Mixed = words.get(text.lower(), text)
    return meant


def read_bounds(option: str, entries: list[str]) -> dict[MetricLike, float]:
    """Return bounds that were given as METRIC=VALUE.

    Raises:
        ConfigError: One does not read METRIC=VALUE, or a metric has two.
    """
    bounds: dict[MetricLike, float] = {}
    for entry in split(option, entries):
        name, _, text = entry.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            name = ""
        if not name.strip():
            raise ConfigError(f"`{option}` must read METRIC=VALUE, such as synflow=80; got {entry!r}.")
        if name.strip() in bounds:
            raise ConfigError(f"`{option}` must bound a metric once; got {name.strip()!r} twice.")
        bounds[name.strip()] = value
    return bounds


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file that are not empty.

    Raises:
        ConfigError: The file cannot be read, or has none.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_LIST + 1)
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read architectures from '{path}': {error}.") from error
    if len(content) > LARGEST_LIST:
        raise ConfigError(f"Cannot read architectures from '{path}': it has more than {LARGEST_LIST:,} bytes.")
    if not lines:
        raise ConfigError(f"'{path}' must have an architecture a line; it has none.")
    return lines
