"""Look-up of objects by name: in a catalogue, or as `package.module:NAME` in the user's own code."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import importlib
import importlib.util
import shlex
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robonas.errors import ConfigError, NasError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

T = TypeVar("T")
_MOST_SHOWN = 200
"""Names in an error; where there are more, the nearest few."""
_LONGEST_OFFERED = 500
"""Length up to which a recorded name is offered to be pasted."""
_SENT = "<dynamic-code>"
"""File of code that cloudpickle has sent to another process, which still knows the name of its module's file."""
_OWN_MODULES: set[str] = set()
"""Packages and files that the user has named, by what they are called in Python; none of robonas or Python itself."""


def lookup(kind: str, name: str, entries: Mapping[str, T]) -> T:
    """Return the catalogue's entry of that name.

    Args:
        kind: Kind of the entry, in the singular, such as ``"metric"``; used in the error.
        name: The entry's name.
        entries: The catalogue.

    Raises:
        UnknownNameError: There is none; the message has the nearest name and all known ones.
    """
    if name in entries:
        return entries[name]
    raise unknown_name(kind, name, sorted(entries), own=True)


def unknown_name(
    kind: str, name: str, known: Iterable[str], sentence: str | None = None, *, own: bool = False
) -> UnknownNameError:
    """Return the error for a name that does not exist, with the nearest one and all that do.

    Of very many names, the nearest few are shown.

    Args:
        kind: Kind of what bears the name, in the singular, such as ``"metric"``.
        name: The name that was given.
        known: Names that exist, in the order in which they are shown.
        sentence: Sentence that says what was given and where, without its full stop; None for one of kind and name.
        own: True where objects of the user's own code can be named too.

    Example:
        >>> print(unknown_name("part", "trian", ["train", "test"]))
        Unknown part 'trian'. Did you mean 'train'? Known: train, test.
    """
    known = tuple(known)
    lower = {text.lower(): text for text in reversed(known)}
    many = len(known) > _MOST_SHOWN
    near = [lower[text] for text in difflib.get_close_matches(name.lower(), lower, n=3 if many else 1, cutoff=0.5)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    names = f"{len(known):,} names" if many else ", ".join(known) or "none"
    mine = "; your own: 'package.module:NAME'" if own else ""
    if sentence is None:
        return UnknownNameError(
            f"Unknown {kind} {name!r}.{hint} Known: {names}{mine}.", kind=kind, name=name, known=known
        )
    return UnknownNameError(f"{sentence}.{hint} Known: {names}{mine}.", kind=kind, name=name, known=known)


def matching(pattern: str, entries: Mapping[str, object]) -> list[str]:
    """Return the names in a catalogue that match a pattern, in alphabetical order.

    Args:
        pattern: A name with ``*`` for any characters and ``?`` for any one, as in a shell; capitals do not matter.
        entries: The catalogue.

    Example:
        >>> matching("*grad*", {"snip": 1, "grad_norm": 2, "gradsign": 3})
        ['grad_norm', 'gradsign']
    """
    return sorted(name for name in entries if fnmatch.fnmatchcase(name.lower(), pattern.lower()))


def import_object(kind: str, reference: str) -> object:
    """Return the object that ``package.module:NAME`` (or ``path/to/file.py:NAME``) names.

    Modules of the current folder are found, as they are by ``python -m``. A file is imported under its own name, so
    that other processes can unpickle what it defines if they import it too.

    Raises:
        UnknownNameError: The module cannot be found, has no such name, or the reference is not of this form. An error
            inside the module is raised as it is.
    """
    module_name, _, attribute = reference.rpartition(":")
    is_file = module_name.endswith(".py") and Path(module_name).name != ".py"
    if not attribute or not (is_file or module_name.strip(".")) or (module_name.startswith(".") and not is_file):
        raise UnknownNameError(
            f"The {kind} of your own must read 'package.module:NAME' or 'path/to/file.py:NAME'; got {reference!r}.",
            kind=kind,
            name=reference,
        )
    package = Path(module_name).stem if is_file else module_name.partition(".")[0]
    if package != "robonas" and package not in sys.stdlib_module_names:
        _OWN_MODULES.add(package)
    if is_file:
        module = _import_file(kind, reference, Path(module_name).expanduser().resolve())
    else:
        module = _import_module(kind, reference, module_name)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UnknownNameError(
            f"Cannot import {kind} {reference!r}: module {module_name!r} has no {attribute!r}.",
            kind=kind,
            name=reference,
        ) from error


def fault_of_own_code(error: BaseException) -> str | None:
    """Say in a few words where the user's own code raised an error, and which; None where it was not raised there.

    The user's own is what is neither of this package nor installed, and every module that `import_object` has imported
    but those of this package and of Python.
    """
    place = _place_in_own_code(error)
    if place is None:
        return None
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    told = f"{type(error).__name__}: {' '.join(text.split())}" if text else type(error).__name__
    return f"{place[0]}, line {place[1]}: {told.rstrip('.')}"


def told_with_place(error: BaseException) -> str:
    """Return an error's kind and its first line, with file and line of the user's own code where it was raised there.

    The same fault has the same words in every process and folder, so that they can be counted. A first line that ends
    with a colon is followed by the second.
    """
    lines = [" ".join(line.split()) for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    told = f"{type(error).__name__}: {first}"
    place = None if isinstance(error, NasError) else _place_in_own_code(error)  # ours say the place themselves
    if place is None:
        return told
    file = Path(place[0])
    name = f"{file.parent.name}/{file.name}" if file.name == "__init__.py" else file.name
    return f"{told} ({name}, line {place[1]})"


def _place_in_own_code(error: BaseException) -> tuple[str, int] | None:
    """Return the file and the line of the user's own code where an error was raised; None where it was not there."""
    place: tuple[str, int] | None = None
    if isinstance(error, SyntaxError) and error.filename and not _is_foreign(error.filename):
        place = error.filename, error.lineno or 0
    else:
        for frame, line in traceback.walk_tb(error.__traceback__):
            own = str(frame.f_globals.get("__name__")).partition(".")[0] in _OWN_MODULES
            file = frame.f_code.co_filename
            if file == _SENT:
                file = str(frame.f_globals.get("__file__", file))
            if own or not _is_foreign(file):
                place = file, line
    return place


def _is_foreign(file: str) -> bool:
    """Return whether a file of code is of this package, of Python or installed, so not the user's own."""
    path = Path(file)
    if file.startswith("<") or {"site-packages", "dist-packages"} & set(path.parts):
        return True
    roots = (Path(__file__).parents[1], *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib")))
    return any(path.is_relative_to(root) for root in roots)


def recorded_name(kind: str, name: object, where: object, known: Iterable[str], option: str, call: str) -> str:
    """Return the name that a file has recorded, where it is one of our own catalogue's.

    A file does not decide what is imported: code of others is run only where the user names it.

    Args:
        kind: Kind of the object, such as ``"search space"``.
        name: Name in the file.
        where: The file or folder, for the error.
        known: Names in our own catalogue.
        option: Option by which users name their own code here, such as ``"--space"``, for the error.
        call: Call in Python that takes it too, such as ``"load_result(..., space=...)"``, for the error.

    Raises:
        ConfigError: It is not in the catalogue, or no text at all.
    """
    if not isinstance(name, str):
        raise ConfigError(f"'{where}' must name its {kind} by a text; got {str(name)[:100]!r}.")
    if name not in known:
        raise ConfigError(
            f"'{where}' names a {kind} that is not one of robonas's, {name[:200]!r}; what a file names is never "
            f"imported. If you know and trust that code, name it yourself: {to_paste(name, option, call)}."
        )
    return name


def to_paste(name: str, option: str, call: str) -> str:
    """Return how users name code of their own here, with the recorded name where that is a reference.

    Args:
        name: Name in a file. One that looks otherwise than it is, or is no reference, is not offered.
        option: Option on the command line.
        call: Call in Python, with ``=...`` for the name.

    Example:
        >>> to_paste("my.module:Mine", "--strategy", "load_result(..., strategy=...)")
        "--strategy my.module:Mine on the command line, load_result(..., strategy='my.module:Mine') in Python"
    """
    typed = "package.module:NAME"
    if ":" in name and name.isprintable() and len(name) <= _LONGEST_OFFERED:
        typed, call = shlex.quote(name), call.replace("=...", f"={name!r}")
    return f"{option} {typed} on the command line, {call} in Python"


def recorded_arguments(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make again what a record names: its settings, and those only the user's code knows.

    Raises:
        KeyError: The record has no settings.
        TypeError: They are no mapping.
    """
    return {**record["settings"], **record.get("arguments", {})}


def lasting_reference(reference: str) -> str:
    """Return the reference with the whole path of its file, valid in every folder; any other text as it is."""
    place, colon, attribute = reference.rpartition(":")
    if not colon or not place.endswith(".py"):
        return reference
    return f"{Path(place).expanduser().resolve()}:{attribute}"


def _import_module(kind: str, reference: str, name: str) -> ModuleType:
    """Return a module of the current folder or the environment."""
    _add_to_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise  # the module exists, and something that it imports does not
        raise UnknownNameError(
            f"Cannot import {kind} {reference!r}: there is no module {name!r} here or in the environment.",
            kind=kind,
            name=reference,
        ) from error


def _import_file(kind: str, reference: str, path: Path) -> ModuleType:
    """Return the module of exactly this file, even where another one of the same name has been imported before."""
    if not path.is_file():
        raise UnknownNameError(
            f"Cannot import {kind} {reference!r}: there is no file {str(path)!r}.", kind=kind, name=reference
        )
    _add_to_path(path.parent)  # for what it imports beside it
    loaded = sys.modules.get(path.stem)
    if loaded is not None and _is_from(loaded, path):
        return loaded
    # A name that is taken gets a second one, so that `json.py` of the user does not replace the standard library's.
    taken = loaded is not None or path.stem in sys.builtin_module_names or path.stem in sys.stdlib_module_names
    name = f"{path.stem}_at_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}" if taken else path.stem
    if name in sys.modules and _is_from(sys.modules[name], path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownNameError(f"Cannot import {kind} {reference!r}: it is not Python.", kind=kind, name=reference)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    if taken:  # no other process finds a module by a name that was made here
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)
    return module


def _is_from(module: ModuleType, path: Path) -> bool:
    """Return whether a module was read from this file."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


def _add_to_path(folder: Path) -> None:
    """Let modules of this folder be found."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
