"""What every search space can do."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robonas.architecture import Architecture, Option
from robonas.errors import ArchitectureError, ConfigError
from robonas.randomness import numpy_generator, seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


class SearchSpace(abc.ABC):
    """A set of architectures and the networks that they stand for.

    This class does all that follows from a list of independent choices: counting, sampling, neighbours, encoding. A space says what the choices are and
    builds the network; one with official texts, isomorphic architectures or choices that depend on each other also overrides `format` and `parse`,
    `canonical`, or `contains` (and what walks the product: `size`, `at`, `__iter__`).

    Args:
        input_shape: Shape of one sample, such as (3, 32, 32) for channels, height and width.
        n_classes: How many numbers the network returns for a sample.

    Raises:
        ConfigError: A shape or a number that no network can have.
    """

    name: ClassVar[str]
    """The name in the catalogue."""

    def __init__(self, *, input_shape: tuple[int, ...], n_classes: int) -> None:
        if len(input_shape) == 0 or min(input_shape) < 1:
            raise ConfigError(f"`input_shape` must hold positive sizes; got {input_shape}.")
        if n_classes < 1:
            raise ConfigError(f"`n_classes` must be at least 1; got {n_classes}.")
        self.input_shape = tuple(int(size) for size in input_shape)
        self.n_classes = int(n_classes)

    # ── what a space must say ──

    @property
    @abc.abstractmethod
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """The options of every choice, in a fixed order."""

    @abc.abstractmethod
    def build(self, architecture: Architecture) -> nn.Module:
        """A new network with fresh parameters, drawn from PyTorch's global generator; see `build_seeded`.

        Maps (n, *input_shape) to (n, n_classes).

        Raises:
            ArchitectureError: The architecture does not belong to this space.
        """

    # ── what most spaces refine ──

    @property
    def settings(self) -> dict[str, Any]:
        """What to pass to the constructor to get this space again; JSON values."""
        return {"input_shape": list(self.input_shape), "n_classes": self.n_classes}

    def format(self, architecture: Architecture) -> str:
        """The text that the field uses for this architecture; `parse` reads it."""
        return str(architecture)

    def parse(self, text: str) -> Architecture:
        """The architecture that a text stands for.

        Raises:
            ArchitectureError: The text is of another space, or damaged.
        """
        return self.check(Architecture.from_json(text))

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that build the same network: scored once, trained once. Idempotent."""
        return architecture

    def contains(self, architecture: Architecture) -> bool:
        """Whether the architecture is one of this space."""
        choices = self.choices
        return architecture.keys() == choices.keys() and all(
            any(option == known and type(option) is type(known) for known in choices[name])
            for name, option in architecture.items()
        )

    # ── what follows ──

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"

    def check(self, architecture: Architecture) -> Architecture:
        """The same architecture, in the order of the space's choices.

        Raises:
            ArchitectureError: It does not belong to this space; the message names the first choice that is wrong.
        """
        if self.contains(architecture):
            return Architecture({name: architecture[name] for name in self.choices if name in architecture})
        for name, options in self.choices.items():
            if name not in architecture:
                raise ArchitectureError(f"Architecture of {self.name} must set choice {name!r}; it sets {', '.join(architecture) or 'none'}.")
            if architecture[name] not in options:
                raise ArchitectureError(
                    f"Choice {name!r} of {self.name} must be one of {', '.join(map(repr, options))}; got {architecture[name]!r}."
                )
        extra = sorted(architecture.keys() - self.choices.keys())
        raise ArchitectureError(f"Architecture does not belong to {self.name}: {f'it has no choice {extra[0]!r}' if extra else architecture}.")

    def size(self) -> int | None:
        """How many architectures there are, isomorphic ones counted apart; None where nobody can count them."""
        return math.prod(len(options) for options in self.choices.values())

    def at(self, index: int) -> Architecture:
        """The architecture at a place of the space's fixed order.

        Raises:
            IndexError: The index is not in [0, size).
        """
        size = self.size()
        if size is None or not 0 <= index < size:
            raise IndexError(f"Index must be from 0 to {size} (exclusive) in {self.name}; got {index}.")
        options: dict[str, Option] = {}
        for name, known in reversed(self.choices.items()):
            index, place = divmod(index, len(known))
            options[name] = known[place]
        return Architecture({name: options[name] for name in self.choices})

    def __iter__(self) -> Iterator[Architecture]:
        """All architectures, lazily, in the space's fixed order."""
        for options in itertools.product(*self.choices.values()):
            yield Architecture(dict(zip(self.choices, options, strict=True)))

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        """`n` different architectures, uniformly and without replacement; all of them, shuffled, where `n` is the size.

        Raises:
            ConfigError: `n` is negative or more than the size.
        """
        size = self.size()
        if n < 0 or (size is not None and n > size):
            raise ConfigError(f"Cannot sample {n:,} different architectures from {self.name}, which has {size:,}.")
        generator = numpy_generator("sample", self.name, seed)
        if size is not None and size <= 10_000_000:
            return [self.at(int(index)) for index in generator.choice(size, n, replace=False)]
        found: dict[Architecture, None] = {}  # larger than memory: repeats are rare, so draw until there are n
        while len(found) < n:
            found.setdefault(self.draw(generator))
        return list(found)

    def draw(self, generator: np.random.Generator) -> Architecture:
        """One architecture, uniformly; repeats are possible."""
        return Architecture({name: options[int(generator.integers(len(options)))] for name, options in self.choices.items()})

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All architectures that differ in exactly one choice, in a fixed order. Symmetric, and never the architecture itself."""
        architecture = self.check(architecture)
        return [
            architecture.replace(**{name: option})
            for name, options in self.choices.items()
            for option in options
            if option != architecture[name]
        ]

    def encode(self, architecture: Architecture) -> NDArray[np.int64]:
        """The index of every choice's option, shape (n_choices,), for models that look at the architecture itself."""
        architecture = self.check(architecture)
        return np.array([options.index(architecture[name]) for name, options in self.choices.items()], dtype=np.int64)

    def decode(self, code: NDArray[np.int64]) -> Architecture:
        """The architecture of an encoding; the inverse of `encode`."""
        return Architecture(
            {name: options[int(place)] for (name, options), place in zip(self.choices.items(), code, strict=True)}
        )

    def build_seeded(self, architecture: Architecture, *parts: object) -> nn.Module:
        """`build`, with parameters that depend only on the canonical architecture and the parts of the seed.

        Isomorphic architectures get equal parameters, whatever ran before, and PyTorch's global generator is left as it was.
        """
        canonical = self.canonical(architecture)
        with seeded("parameters", self.format(canonical), *parts):
            return self.build(canonical)
