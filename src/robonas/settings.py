"""Settings as plain values: what must be equal to go on with what was begun."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


def whole(setting: str, value: object) -> int:
    """A setting that must be a whole number.

    Raises:
        ConfigError: It is something else, such as a text or 16.0.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ConfigError(f"`{setting}` must be a whole number; got {value!r}.")
    return operator.index(value)


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they come back from JSON: lists for tuples, texts for keys.

    Raises:
        ConfigError: A value that JSON cannot hold.
    """
    try:
        values: dict[str, Any] = json.loads(json.dumps(settings))
    except TypeError as error:
        raise ConfigError(f"Settings must be JSON values ({error}). Use plain numbers and texts.") from error
    return values


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """What changed between two plain settings, a short text each."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(old) != json.dumps(new):  # texts, since NaN equals itself there
        yield f"{path} was {old!r}, is now {new!r}"
