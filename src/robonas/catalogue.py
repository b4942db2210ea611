"""Finding things by name: in a catalogue, or as `package.module:NAME` in the user's own code."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from robonas.errors import UnknownNameError

T = TypeVar("T")


def lookup(kind: str, name: str, entries: Mapping[str, T]) -> T:
    """The catalogue's entry of that name.

    Args:
        kind: What is looked for, in the singular, such as ``"metric"``; used in the error.
        name: The entry's name.
        entries: The catalogue.

    Raises:
        UnknownNameError: There is none; the message has the nearest name and all known ones.
    """
    if name in entries:
        return entries[name]
    known = tuple(sorted(entries))
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownNameError(
        f"Unknown {kind} {name!r}.{hint} Known: {', '.join(known)}; your own: 'package.module:NAME'.",
        kind=kind,
        name=name,
        known=known,
    )


def import_object(kind: str, reference: str) -> object:
    """The object that ``package.module:NAME`` (or ``path/to/file.py:NAME``) names.

    Modules of the current folder are found, as they are by ``python -m``.

    Raises:
        UnknownNameError: The module cannot be found, or has no such name. An error inside the module is raised as it is.
    """
    module_name, _, attribute = reference.partition(":")
    if module_name.endswith(".py"):
        path = Path(module_name).resolve()
        folder, module_name = str(path.parent), path.stem
    else:
        folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise  # the module exists, and something that it imports does not
        raise UnknownNameError(
            f"Cannot import {kind} {reference!r}: there is no module {module_name!r} here or in the environment.",
            kind=kind,
            name=reference,
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UnknownNameError(
            f"Cannot import {kind} {reference!r}: module {module_name!r} has no {attribute!r}.", kind=kind, name=reference
        ) from error
