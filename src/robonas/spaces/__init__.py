"""Search spaces: which architectures exist, and the networks that they stand for.

Adding one: a file beside this one with a subclass of `SearchSpace`, and a line in `SPACES`. The laws in `tests/laws`
find it there.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from robonas.common.registry import import_object, lasting_reference, lookup, matching
from robonas.common.settings import whole
from robonas.errors import ConfigError
from robonas.spaces.autoformer import AutoFormer
from robonas.spaces.base import SearchSpace
from robonas.spaces.choices import ChoiceSpace, from_choices
from robonas.spaces.conv1d import Conv1d
from robonas.spaces.darts import DARTS
from robonas.spaces.mlp import MLP
from robonas.spaces.mobilenetv3 import MobileNetV3
from robonas.spaces.models import Model, ModelSpace, from_models
from robonas.spaces.nasbench101 import NASBench101
from robonas.spaces.nasbench201 import NASBench201
from robonas.spaces.nasbenchmacro import NASBenchMacro
from robonas.spaces.nats_size import NATSSize
from robonas.spaces.transnas_macro import TransNASMacro
from robonas.spaces.transnas_micro import TransNASMicro

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPACES: Mapping[str, type[SearchSpace]] = {
    "autoformer": AutoFormer,
    "conv1d": Conv1d,
    "darts": DARTS,
    "mlp": MLP,
    "mobilenetv3": MobileNetV3,
    "nasbench101": NASBench101,
    "nasbench201": NASBench201,
    "nasbenchmacro": NASBenchMacro,
    "nats_size": NATSSize,
    "transnas_macro": TransNASMacro,
    "transnas_micro": TransNASMicro,
}
"""Every space by name."""


def list_spaces(pattern: str = "*") -> list[str]:
    """Return the names of all search spaces that match a pattern.

    Args:
        pattern: A name with ``*`` and ``?`` as in a shell.

    Example:
        >>> list_spaces("nasbench*")
        ['nasbench101', 'nasbench201', 'nasbenchmacro']
    """
    return matching(pattern, SPACES)


def make_space(name: str, **settings: Any) -> SearchSpace:
    """Make the space of that name, or the user's own as ``package.module:NAME``.

    Args:
        name: A name in `SPACES`, or a reference to a `SearchSpace` or to a class or function that makes one.
        settings: Arguments of its constructor.

    Raises:
        UnknownNameError: There is no such space.
        ConfigError: It does not take these settings, or is not a space.
    """
    if isinstance(settings.get("input_shape"), Sequence) and not isinstance(settings["input_shape"], str):
        settings["input_shape"] = tuple(settings["input_shape"])
    made_already: dict[str, Any] = {}
    if ":" in name:
        found = import_object("search space", name)
        if isinstance(found, SearchSpace):
            _check_settings(found, name, settings)
            found.reference = lasting_reference(name)
            return found
        if not callable(found):
            raise ConfigError(f"Search space {name!r} must be a SearchSpace or make one; got a {type(found).__name__}.")
        make: Callable[..., object] = found
        settings, made_already = _split(make, settings)
    else:
        make = lookup("search space", name, SPACES)
        _check_types(make, name, settings)
    try:
        space = make(**settings)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ConfigError(f"Search space {name!r} does not take these settings: {error}.") from error
    if not isinstance(space, SearchSpace):
        raise ConfigError(f"Search space {name!r} must make a SearchSpace; it made a {type(space).__name__}.")
    _check_settings(space, name, made_already)
    space.reference = lasting_reference(name)
    if ":" in name:
        space.arguments = dict(settings)
    return space


def _check_types(make: Callable[..., object], name: str, settings: Mapping[str, Any]) -> None:
    """Raise where a setting of a space of ours is of another type than its default."""
    parameters = inspect.signature(make).parameters
    for setting, value in settings.items():
        default = parameters[setting].default if setting in parameters else None
        if isinstance(default, str) and not isinstance(value, str):
            raise ConfigError(f"`{setting}` of {name} must be a text; got {value!r}.")
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ConfigError(f"`{setting}` of {name} must be true or false; got {value!r}.")
        elif isinstance(default, int):
            whole(f"{setting}` of `{name}", value)
        elif isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, Real)):
            raise ConfigError(f"`{setting}` of {name} must be a number; got {value!r}.")


def _split(make: Callable[..., object], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that a user's function takes, and those that what it makes must have of its own."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:  # some builtins have none
        return dict(settings), {}
    names = {parameter.name for parameter in parameters}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        names |= settings.keys()
    return (
        {name: value for name, value in settings.items() if name in names},
        {name: value for name, value in settings.items() if name not in names},
    )


def _check_settings(space: SearchSpace, name: str, settings: Mapping[str, Any]) -> None:
    """Raise where settings are asked of a space that has others and cannot be given them."""
    known = {**space.settings, "input_shape": list(space.input_shape), "n_classes": space.n_classes}
    for setting, value in settings.items():
        asked = list(value) if isinstance(value, tuple) else value
        if setting not in known:
            raise ConfigError(f"Search space {name!r} has no setting {setting!r}; it has {', '.join(known)}.")
        if known[setting] != asked:
            raise ConfigError(
                f"Search space {name!r} has {setting}={known[setting]!r}, and {asked!r} was asked for. "
                f"Let {name.rpartition(':')[2]!r} be a function that takes {setting!r}."
            )


__all__ = [
    "DARTS",
    "MLP",
    "SPACES",
    "AutoFormer",
    "ChoiceSpace",
    "Conv1d",
    "MobileNetV3",
    "Model",
    "ModelSpace",
    "NASBench101",
    "NASBench201",
    "NASBenchMacro",
    "NATSSize",
    "SearchSpace",
    "TransNASMacro",
    "TransNASMicro",
    "from_choices",
    "from_models",
    "list_spaces",
    "make_space",
]
