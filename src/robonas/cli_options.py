"""Options that several commands share, and what turns their texts into objects."""

from __future__ import annotations

import difflib
import json
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robonas.datasets import LabelledData
    from robonas.limits import Limits
    from robonas.metrics import MetricLike
    from robonas.objectives.device import Mixed
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy


def from_toml(ctx: typer.Context, path: Path | None) -> Path | None:
    """Let a TOML file set the defaults of a command's options; the command line wins.

    A table with a command's name is for that command alone, and wins over what stands outside of tables, which is for
    every command that has the setting. Tables of other commands are checked, so that a slip is told before a search.
    """
    if path is None:
        return None
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read settings file '{path}': {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"Settings file '{path}' is not TOML: {error}.") from error
    group = ctx.parent.command if ctx.parent else None
    commands = {
        name: command
        for name, command in getattr(group, "commands", {ctx.info_name: ctx.command}).items()
        if any(parameter.name == "config" for parameter in command.params)
    }
    tables = {key: settings.pop(key) for key in commands if isinstance(settings.get(key), dict)}
    for name, table in tables.items():
        _check_keys(path, table, _options_of(commands[name]), f" in [{name}]")
    own = _options_of(ctx.command)
    anywhere = {name: option for command in commands.values() for name, option in _options_of(command).items()}
    _check_keys(path, settings, anywhere | own, "")
    defaults: dict[str, Any] = {}
    for key, value in (*settings.items(), *tables.get(str(ctx.info_name), {}).items()):
        parameter = own.get(key.replace("-", "_"))
        if parameter is not None:
            defaults[str(parameter.name)] = _from_toml_value(path, key, value, several=bool(parameter.multiple))
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


def _options_of(command: Any) -> dict[str, Any]:
    """What a settings file may set of a command, by every name that an option has."""
    return {
        spelling.lstrip("-").replace("-", "_"): parameter
        for parameter in command.params
        if parameter.name not in {"config", "help"}
        for spelling in (str(parameter.name), *(text for text in parameter.opts if text.startswith("--")))
    }


def _check_keys(path: Path, settings: dict[str, Any], known: dict[str, Any], place: str) -> None:
    for key in settings:
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known))}."
            raise ConfigError(f"Settings file '{path}' has an unknown setting {key!r}{place}.{hint}")


def _from_toml_value(path: Path, key: str, value: Any, *, several: bool) -> Any:
    """A value of a settings file as the command line would give it: a table is KEY=VALUE texts, one text a list."""
    if isinstance(value, dict):
        return [f"{name}={_as_json(path, f'{key}.{name}', entry)}" for name, entry in value.items()]
    return [value] if several and not isinstance(value, list) else value


def _as_json(path: Path, key: str, value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:
        raise ConfigError(
            f"Setting {key!r} of '{path}' must be a text, a number, true, false or a list of them; "
            f"got {value}. Write it in quotes if it is a text."
        ) from error


Config = Annotated[
    Path | None,
    typer.Argument(metavar="SETTINGS.toml", help="File with any of these settings.", is_eager=True, callback=from_toml),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and no progress.")]
Folder = Annotated[Path, typer.Argument(help="Folder of a search.")]
AnyFolder = Annotated[Path, typer.Argument(help="Folder of a search, or of a full training.")]
Name = Annotated[str, typer.Option(help="Name of the study in the folder.")]
Storage = Annotated[str | None, typer.Option(help="Optuna storage URL of the study.  [default: a file in the folder]")]
Data = Annotated[
    str,
    typer.Option(
        help="digits, sklearn:NAME, folder:PATH, npz:FILE, torchvision:NAME, or package.module:NAME; "
        "see 'robonas list datasets'."
    ),
]
DataRoot = Annotated[Path | None, typer.Option(help="Where torchvision keeps its data sets.")]
ImageSize = Annotated[
    int | None, typer.Option(help="Side to which images of a folder, or digits of other tasks, are resized.")
]
ImageMode = Annotated[
    str | None, typer.Option(metavar="[RGB|L]", help="Convert images of a folder to colour (RGB) or to grey (L).")
]
Space = Annotated[str, typer.Option(help="Name, or package.module:NAME; see 'robonas list spaces'.")]
OwnSpace = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="package.module:NAME",
        help="The search's space, where it is your own: what a folder names is never imported.",
    ),
]
OwnStrategy = Annotated[
    str | None,
    typer.Option("--strategy", metavar="package.module:NAME", help="The search's strategy, where it is your own."),
]
SpaceSetting = Annotated[
    list[str],
    typer.Option(
        "--space-set", metavar="KEY=VALUE", help="Setting of the space, such as channels=16. May be repeated."
    ),
]
Metrics = Annotated[
    list[str],
    typer.Option("--metric", "-m", help="Metric, or several with commas; see 'robonas list metrics'. May be repeated."),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]
Pool = Annotated[int, typer.Option(help="How many architectures to sample from the space.")]
Grow = Annotated[
    int, typer.Option(help="How many children of the best join the pool before each query; 0 keeps it as it is.")
]
Prune = Annotated[
    str | None,
    typer.Option(
        help="End hopeless trainings early: hyperband, median or successive_halving. They count towards the budget."
    ),
]
BatchSize = Annotated[int, typer.Option(help="Samples in the batch that the metrics see.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes for scoring; -1 is one a core.")]

Measure = Annotated[
    str | None,
    typer.Option(
        help="What networks are judged by on held-out data: loss; accuracy (default) or balanced_accuracy of "
        "classes, r2 of numbers, mean_iou or pixel_accuracy of segments, ssim of images."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(help="PyTorch's threads in a training; None leaves them as they are.")]
Workers = Annotated[int, typer.Option("--workers", help="Processes that read data ahead, where they stay on disk.")]
Precision = Annotated[
    str,
    typer.Option(
        "--mixed-precision",
        metavar="[auto|yes|no|bf16|fp16]",
        help="Half precision where it is safe; auto is on CUDA, not elsewhere.",
    ),
]

MaxParams = Annotated[int | None, typer.Option(help="Most parameters a candidate may have.")]
MaxMacs = Annotated[float | None, typer.Option(help="Most multiply-accumulates for one sample.")]
MaxLatency = Annotated[float | None, typer.Option(help="Most milliseconds a forward pass may take on this device.")]
MaxMemory = Annotated[float | None, typer.Option(help="Most bytes a training step may keep.")]
AtLeast = Annotated[
    list[str],
    typer.Option(
        metavar="METRIC=VALUE",
        help="Least value of a cheap metric in its unit, such as synflow=80, params=0.1 (millions). May be repeated.",
    ),
]
AtMost = Annotated[
    list[str],
    typer.Option(
        metavar="METRIC=VALUE", help="Most value of a cheap metric in its own unit, such as depth=12. May be repeated."
    ),
]

PAPER = ["grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"]


# ── from texts to objects ──


def split(names: list[str]) -> list[str]:
    """Names that were given apart or with commas."""
    return [name.strip() for entry in names for name in entry.split(",") if name.strip()]


def read_settings(what: str, settings: list[str]) -> dict[str, Any]:
    """Settings that were given as KEY=VALUE; a value is JSON where it reads like it, else a text.

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
    text: str, root: Path | None, size: int | None, mode: str | None, *, part: str | None = None
) -> LabelledData:
    """The data of that text; the root and the part are for torchvision's, and the root for data of one's own."""
    from robonas.datasets import DATASETS, load_dataset

    kind = text.partition(":")[0]
    rooted = kind == "torchvision" or (kind not in DATASETS and not Path(text).expanduser().exists())
    return load_dataset(
        text, root=root if rooted else None, size=size, mode=mode, part=part if kind == "torchvision" else None
    )


def read_space(name: str, settings: list[str], data: LabelledData, *, smaller: bool = False) -> SearchSpace:
    """The space of that name, for these data; its networks may be smaller where the recipe crops, which it checks."""
    from robonas.spaces import SPACES, make_space

    fitting = SPACES[name].fitting(data.task, data.input_shape) if name in SPACES else {}
    shape = {"input_shape": data.input_shape, "n_classes": data.n_classes}
    space = make_space(name, **{**shape, **fitting, **read_settings("space", settings)})
    if not smaller:
        space.check_data(data)
    return space


def read_strategy(name: str, settings: list[str]) -> Strategy:
    """The strategy of that name."""
    from robonas.strategies import make_strategy

    return make_strategy(name, **read_settings("strategy", settings))


def read_precision(text: str) -> Mixed:
    """What `mixed_precision` takes; ``yes`` and ``no`` are True and False."""
    words: dict[str, Any] = {"yes": True, "true": True, "no": False, "false": False}
    meant: Mixed = words.get(text.lower(), text)
    return meant


def read_limits(
    max_params: int | None,
    max_macs: float | None,
    max_latency_ms: float | None,
    max_memory: float | None,
    at_least: list[str],
    at_most: list[str],
) -> Limits | None:
    """The bounds that were given; None where there is none."""
    from robonas.limits import Limits

    limits = Limits(
        max_params=max_params,
        max_macs=max_macs,
        max_latency_ms=max_latency_ms,
        max_memory=max_memory,
        at_least=_read_bounds("--at-least", at_least),
        at_most=_read_bounds("--at-most", at_most),
    )
    return limits if limits.bounds else None


def _read_bounds(option: str, entries: list[str]) -> dict[MetricLike, float]:
    """Bounds that were given as METRIC=VALUE.

    Raises:
        ConfigError: One does not read METRIC=VALUE, or a metric has two.
    """
    bounds: dict[MetricLike, float] = {}
    for entry in split(entries):
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a file that cannot be written in one sentence.

    Raises:
        ConfigError: The disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"Cannot write '{path}': {error.strerror or error}. Finished work is kept: free some space or "
            "name a place that can be written, then run the same command again."
        ) from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read architectures from '{path}': {error}.") from error
