"""Settings files: a TOML file that sets the defaults of a command's options."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robonas.common.settings import read_toml
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


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


Config = Annotated[
    Path | None,
    typer.Argument(metavar="SETTINGS.toml", help="File with any of these settings.", is_eager=True, callback=from_toml),
]
