"""Search spaces: which architectures exist, and the networks that they stand for.

Adding one: a file beside this one with a subclass of `SearchSpace`, and a line in `SPACES`. The laws in `tests/laws`
find it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.catalogue import import_object, lookup
from robonas.errors import ConfigError
from robonas.spaces.base import SearchSpace
from robonas.spaces.nasbench201 import NASBench201

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPACES: Mapping[str, type[SearchSpace]] = {
    "nasbench201": NASBench201,
}
"""Every space by name."""


def make_space(name: str, **settings: Any) -> SearchSpace:
    """The space of that name, or the user's own as ``package.module:NAME``.

    Args:
        name: A name in `SPACES`, or a reference to a `SearchSpace` or to a class or function that makes one.
        settings: Arguments of its constructor.

    Raises:
        UnknownNameError: There is no such space.
        ConfigError: It does not take these settings, or is not a space.
    """
    if ":" in name:
        found = import_object("search space", name)
        if isinstance(found, SearchSpace):
            found.reference = name
            return found
        if not callable(found):
            raise ConfigError(f"Search space {name!r} must be a SearchSpace or make one; got a {type(found).__name__}.")
        make: Callable[..., object] = found
    else:
        make = lookup("search space", name, SPACES)
    if "input_shape" in settings:
        settings["input_shape"] = tuple(settings["input_shape"])
    try:
        space = make(**settings)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ConfigError(f"Search space {name!r} does not take these settings: {error}.") from error
    if not isinstance(space, SearchSpace):
        raise ConfigError(f"Search space {name!r} must make a SearchSpace; it made a {type(space).__name__}.")
    space.reference = name
    return space


__all__ = ["SPACES", "NASBench201", "SearchSpace", "make_space"]
