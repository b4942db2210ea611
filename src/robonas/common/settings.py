"""Settings as plain values: what must be equal to go on with what was begun, and the rules that many share."""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from robonas.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

C = TypeVar("C", bound=Callable[..., Any])
LARGEST_SEED = 2**63 - 1
"""Seeds are from 0 to this."""
LARGEST_JOBS = 100_000
"""Processes that may be asked for."""
LARGEST_TOML = 2**20
"""Bytes that a file of settings may have."""
_NAME = re.compile(r"\w[\w .+-]{0,98}\w|\w")


def whole(setting: str, value: object) -> int:
    """Return a setting that must be a whole number.

    Raises:
        ConfigError: It is something else, such as a text or 16.0.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ConfigError(f"`{setting}` must be a whole number; got {value!r}.")
    try:
        return operator.index(value)
    except TypeError as error:  # an array or a tensor that holds none
        raise ConfigError(f"`{setting}` must be a whole number; got {value!r}.") from error


def count_of(name: str, value: object, what: str, *, least: int = 1) -> int:
    """Return a number of things, from any kind of integer.

    Raises:
        ConfigError: It is none, or too small.
    """
    number = whole(name, value)
    if number < least:
        raise ConfigError(f"`{name}` must be at least {least} {what}; got {number}.")
    return number


def jobs_of(n_jobs: object) -> int:
    """Return a number of worker processes as joblib counts them: -1 is one a core, -2 one less; 0 is this process.

    Raises:
        ConfigError: It is something else.
    """
    jobs = whole("n_jobs", n_jobs)
    if not -LARGEST_JOBS <= jobs <= LARGEST_JOBS:
        raise ConfigError(f"`n_jobs` must be at most {LARGEST_JOBS:,} processes; got {jobs}. -1 is one a core.")
    return jobs


def real(setting: str, value: Any) -> float:
    """Return a setting that must be a number, as it is; NaN and infinity are for its own rule to refuse.

    Raises:
        ConfigError: It is something else, such as a text or True.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"`{setting}` must be a number; got {value!r}.")
    return value  # type: ignore[return-value]  # as it is: 1 stays 1 in a study's settings


def seconds_of(setting: str, value: object) -> float:
    """Return a limit of time in seconds; infinity for None.

    Raises:
        ConfigError: It is no positive number.
    """
    if value is None:
        return math.inf
    seconds = real(setting, value)
    if not 0 < seconds < math.inf:
        raise ConfigError(f"`{setting}` must be a positive number of seconds, or None; got {value!r}.")
    return seconds


def seed_of(value: object, setting: str = "seed") -> int:
    """Return a seed: a whole number from 0 to 2⁶³ - 1.

    Raises:
        ConfigError: It is something else.
    """
    seed = whole(setting, value)
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"`{setting}` must be from 0 to {LARGEST_SEED}, 2^63 - 1; got {seed}.")
    return seed


def name_of(value: object, setting: str = "name") -> str:
    """Return a name if files can carry it: up to 100 letters, digits and ``_``, between them also spaces and ``.+-``.

    Raises:
        ConfigError: It is something else, such as a path.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ConfigError(
            f"`{setting}` must be 1 to 100 letters, digits or '_', with spaces, '.', '+' and '-' only between them; "
            f"got {value!r}. Files in the folder are called by it."
        )
    return value


def callbacks_of(callbacks: Iterable[C]) -> tuple[C, ...]:
    """Return callbacks as they were given.

    Raises:
        ConfigError: They are not a list of functions.
    """
    chosen: tuple[Any, ...] = tuple(callbacks) if isinstance(callbacks, Iterable) else (None,)
    if callable(callbacks) or not all(map(callable, chosen)):
        raise ConfigError(f"`callbacks` must be a list of functions; got {callbacks!r}. Write callbacks=[function].")
    return chosen


def check_known(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise unless all settings that are given are known.

    Args:
        given: Their names.
        known: Names that there are.
        where: Function that takes the settings, for the message, such as ``"`train`"``.

    Raises:
        ConfigError: One is unknown; the message has the nearest name.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
            raise ConfigError(f"{where} has no setting {name!r}. {hint}")


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Read the content of a TOML file, with or without a byte-order mark.

    Args:
        path: The file.
        what: Kind of the file, for errors, such as ``"settings file"``.

    Raises:
        ConfigError: It cannot be read, or is not TOML.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LARGEST_TOML + 1)
        if len(content) > LARGEST_TOML:  # a device, or a file of something else
            raise ConfigError(f"{what.capitalize()} '{path}' must have at most {LARGEST_TOML:,} bytes; it has more.")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"Cannot read {what} '{path}': {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{what.capitalize()} '{path}' is not TOML: {error}.") from error


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as they come back from JSON: lists for tuples, texts for keys.

    Raises:
        ConfigError: A value that JSON cannot hold.
    """
    try:
        values: dict[str, Any] = json.loads(json.dumps(settings))
    except TypeError as error:
        raise ConfigError(f"Settings must be JSON values ({error}). Use plain numbers and texts.") from error
    return values


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Return what changed between two plain settings, a short text each."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(old) != json.dumps(new):  # texts, since NaN equals itself there
        yield f"{path} was {old!r}, is now {new!r}"


def called(name: str, settings: Mapping[str, Any]) -> str:
    """Return settings as the call of a constructor, for the `repr` of what they make.

    Settings that are None or empty are left out; long values are cut.

    Example:
        >>> called("Robot", {"kappa": 2.576, "seed": None})
        'Robot(kappa=2.576)'
    """
    told = (
        f"{key}={reprlib.repr(value)}" for key, value in settings.items() if value is not None and value not in ({}, [])
    )
    return f"{name}({', '.join(told)})"
