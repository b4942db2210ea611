"""Options that several commands share, and what turns their texts into objects."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.common.defaults import PAPER_METRICS
from robonas.common.files import check_file, check_folder
from robonas.common.settings import read_toml
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.datasets import LabelledData
    from robonas.metrics import MetricLike
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.study.limits import Limits
    from robonas.training.device import Mixed


def from_toml(ctx: typer.Context, path: Path | None) -> Path | None:
    """Let a TOML file set the defaults of a command's options; the command line wins.

    A table with a command's name is for that command alone, and wins over what stands outside of tables, which is for
    every command that has the setting. Tables of other commands are checked, so that a slip is told before a search.
    """
    if path is None:
        return None
    settings = read_toml(path, "settings file")
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
            defaults[str(parameter.name)] = _from_toml_value(path, key, value, parameter)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


def _options_of(command: Any) -> dict[str, Any]:
    """Return what a settings file may set of a command, by every name that an option has."""
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


def _from_toml_value(path: Path, key: str, value: Any, parameter: Any) -> Any:
    """Return a value of a settings file as the command line would give it: a table is KEY=VALUE texts, one text a list.

    Raises:
        ConfigError: It is of another kind than the setting.
    """
    several = bool(parameter.multiple)
    if isinstance(value, dict) and several:
        return [f"{name}={_as_json(path, f'{key}.{name}', entry)}" for name, entry in value.items()]
    entries = value if several and isinstance(value, list) else [value]
    wanted, fits = _kind_of(parameter)
    for entry in entries:
        if not fits(entry):
            raise ConfigError(f"Setting {key!r} of '{path}' must be {wanted}; got {entry!r}.")
    return entries if several else value


def _kind_of(parameter: Any) -> tuple[str, Callable[[Any], bool]]:
    """Return what a setting must be in a settings file, in words, and the test for it."""
    known = getattr(parameter, "type_descriptor", None)  # of newer versions of Typer; the others have Click's
    kind = getattr(known, "annotation", None) if known is not None else parameter.type.name
    if kind in {bool, "boolean"}:
        return "true or false", lambda entry: isinstance(entry, bool)
    if kind in {int, "integer"}:
        return "a whole number, without quotes", lambda entry: isinstance(entry, int) and not isinstance(entry, bool)
    if kind in {float, "float"}:
        return "a number, without quotes", lambda entry: isinstance(entry, int | float) and not isinstance(entry, bool)
    return "a text, in quotes", lambda entry: isinstance(entry, str)


def _as_json(path: Path, key: str, value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:
        raise ConfigError(
            f"Setting {key!r} of '{path}' must be a text, a number, true, false or a list of them; "
            f"got {value}. Write it in quotes if it is a text."
        ) from error


def not_empty(text: str | None) -> str | None:
    """Return a text that says something."""
    if text is not None and not text.strip():
        raise typer.BadParameter("It must not be empty. Leave it out for its default.")
    return text


def _file_to_write(text: str | Path) -> Path:
    """Return a file that a command writes, looked at before the command begins."""
    if not str(text):
        raise typer.BadParameter("It must name a file; got an empty text.")
    return check_file(text)


def _folder_to_write(text: str | Path) -> Path:
    """Return a folder that a command writes to, looked at before the command begins."""
    if not str(text):
        raise typer.BadParameter("It must name a folder; got an empty text.")
    return check_folder(text)


def _a_storage(text: str | None) -> str | None:
    """Return a storage's URL, or the path of a journal, which must not be a folder or a device."""
    if text is not None and not text:
        raise typer.BadParameter("It must be a storage's URL, or the path of a journal; got an empty text.")
    if text is not None and "://" not in text and Path(text).exists() and not Path(text).is_file():
        raise typer.BadParameter(f"It must be a storage's URL, or the path of a journal; '{text}' is no file.")
    return text


def output_file(help: str) -> Any:  # noqa: A002
    """Return the option of a file that a command writes."""
    return typer.Option("--output", "-o", help=help, parser=_file_to_write, metavar="FILE")


def output_folder(help: str) -> Any:  # noqa: A002
    """Return the option of a folder that a command writes to."""
    return typer.Option("--folder", "-o", help=help, parser=_folder_to_write, metavar="FOLDER")


Config = Annotated[
    Path | None,
    typer.Argument(metavar="SETTINGS.toml", help="File with any of these settings.", is_eager=True, callback=from_toml),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and no progress.")]
Folder = Annotated[Path, typer.Argument(help="Folder of a search.")]
AnyFolder = Annotated[Path, typer.Argument(help="Folder of a search, or of a full training.")]
Name = Annotated[str, typer.Option(help="Name of the study in the folder.")]
Storage = Annotated[
    str | None,
    typer.Option(help="Optuna storage URL of the study.  [default: a file in the folder]", callback=_a_storage),
]
Data = Annotated[
    str,
    typer.Option(
        help="digits, sklearn:NAME, folder:PATH, npz:FILE, torchvision:NAME, or package.module:NAME; "
        "see 'robonas list datasets'.",
        callback=not_empty,
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
        callback=not_empty,
    ),
]
OwnStrategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="package.module:NAME",
        help="The search's strategy, where it is your own.",
        callback=not_empty,
    ),
]
SpaceSetting = Annotated[
    list[str],
    typer.Option(
        "--space-set", metavar="KEY=VALUE", help="Setting of the space, such as channels=16. May be repeated."
    ),
]
Metrics = Annotated[
    list[str],
    typer.Option(
        "--metrics", "-m", help="Metric, or several with commas; see 'robonas list metrics'. May be repeated."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws, from 0.")]
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

LARGEST_LIST = 2**28
"""Bytes that a file of architectures may have."""
PAPER = list(PAPER_METRICS)


USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for a command line that does not fit the options."""


def usage_in_words(error: Any) -> str:
    """Return the sentence for a command line that does not fit, and where to read what does."""
    if type(error).__name__ == "NoArgsIsHelpError":  # no mistake: whoever gives nothing is shown the help
        raise error
    told = " ".join(str(error.format_message()).split()).removesuffix(".")
    place = "robonas" if error.ctx is None else error.ctx.command_path
    return f"{told}{'' if told.endswith('?') else '.'} See '{place} --help'."


# ── from texts to objects ──


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
    """Read the data of that text; the root and the part are for torchvision's, and the root for data of one's own."""
    from robonas.datasets import DATASETS, load_dataset

    kind = text.partition(":")[0]
    rooted = kind == "torchvision" or (kind not in DATASETS and not Path(text).expanduser().exists())
    return load_dataset(
        text, root=root if rooted else None, size=size, mode=mode, part=part if kind == "torchvision" else None
    )


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


def read_limits(
    max_params: int | None,
    max_macs: float | None,
    max_latency_ms: float | None,
    max_memory: float | None,
    at_least: list[str],
    at_most: list[str],
) -> Limits | None:
    """Read the bounds that were given; None where there is none."""
    from robonas.study.limits import Limits

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
