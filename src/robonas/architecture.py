"""An architecture: one option for each choice of a search space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from robonas.common.reading import parse_json
from robonas.errors import ArchitectureError

Option: TypeAlias = str | int | float | bool | None
"""Value that a choice can be set to: a JSON scalar, so that every architecture can be stored, compared and sent."""


class Architecture(Mapping[str, Option]):
    """An immutable, hashable mapping from choice names to options.

    Two architectures are equal when they set the same choices to the same options of the same type, in any order.
    ``str(architecture)`` is a canonical text for any space; ``space.format(architecture)`` is the text that the field
    uses for that space.

    Args:
        choices: Choice names and their options.

    Raises:
        ArchitectureError: A name is not a string, or an option is not a JSON scalar (NaN and infinities are not).

    Example:
        >>> arch = Architecture({"depth": 3, "kernel": "5x5"})
        >>> arch["depth"], str(arch)
        (3, '{"depth":3,"kernel":"5x5"}')
        >>> Architecture.from_json(arch.to_json()) == arch
        True
    """

    __slots__ = ("_choices", "_text")
    _choices: dict[str, Option]
    _text: str

    def __init__(self, choices: Mapping[str, Option]) -> None:
        if not isinstance(choices, Mapping):
            raise ArchitectureError(
                f"An architecture must be made from a mapping of choices to options; got {choices!r}, "
                f"a {type(choices).__name__}."
            )
        for name, option in choices.items():
            if not isinstance(name, str):
                raise ArchitectureError(f"Choice names must be strings; got {name!r} that is a {type(name).__name__}.")
            if option is not None and type(option) not in {str, int, float, bool}:
                raise ArchitectureError(
                    f"Option of choice {name!r} must be a string, a number, a boolean or None; "
                    f"got {option!r} that is a {type(option).__name__}."
                )
        try:
            text = json.dumps(dict(choices), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        except ValueError as error:
            raise ArchitectureError(f"Options must be finite numbers; got {dict(choices)!r}.") from error
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ArchitectureError(f"Texts must be valid Unicode; got {dict(choices)!r}.") from error
        object.__setattr__(self, "_choices", dict(choices))
        object.__setattr__(self, "_text", text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"An architecture is immutable; cannot set {name!r}. Use `replace`.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"An architecture is immutable; cannot delete {name!r}.")

    def __getitem__(self, name: str) -> Option:
        return self._choices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        # The text tells 1 from 1.0 and True, which Python's == does not, and which build different networks.
        return self._text == other._text if isinstance(other, Architecture) else NotImplemented

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Architecture({self._choices!r})"

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Option]]]:
        return Architecture, (self._choices,)

    def replace(self, **options: Option) -> Architecture:
        """Return the same architecture with some choices set to other options.

        Raises:
            ArchitectureError: A choice that this architecture does not have.
        """
        for name in options:
            if name not in self:
                raise ArchitectureError(f"This architecture has no choice {name!r}; it has {', '.join(self)}.")
        return Architecture({**self, **options})

    def to_json(self) -> str:
        """Return the choices as a JSON object with sorted keys; the same text for equal architectures."""
        return self._text

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Return the architecture that `to_json` wrote.

        Raises:
            ArchitectureError: The text is not a JSON object of scalars.
        """
        text = text_of(text)
        try:
            choices = parse_json(text)
        except ValueError as error:
            raise ArchitectureError(
                f"An architecture's JSON must be an object; got {text[:500]!r} ({error})."
            ) from error
        if not isinstance(choices, dict):
            raise ArchitectureError(f"An architecture's JSON must be an object; got {text!r}.")
        return cls(choices)


def text_of(text: object) -> str:
    """Return the text of an architecture, if it is one.

    Raises:
        ArchitectureError: It is something else.
    """
    if not isinstance(text, str):
        raise ArchitectureError(f"The text of an architecture must be a str; got {text!r}, a {type(text).__name__}.")
    return text


def same_option(one: Option, other: Option) -> bool:
    """Return whether two options are the same value of the same type: 1, 1.0 and True build different networks."""
    return type(one) is type(other) and one == other


def has_option(options: Sequence[Option], option: Option) -> bool:
    """Return whether an option is one of these, type included."""
    return any(same_option(known, option) for known in options)
