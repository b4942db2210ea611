"""The base class of all search spaces."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from robonas.architecture import Architecture, Option, has_option, same_option
from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator, seeded
from robonas.common.settings import seed_of, whole
from robonas.datasets.targets import NUMBERS
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces.building import try_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from robonas.datasets.targets import LikeData, Task

_DRAWS_WITHOUT_NEWS = 10_000
"""So many draws in a row that bring nothing new end a sample from a space of unknown size."""
_LISTABLE = 10_000_000
"""Up to this size, a sample is drawn from the numbers of the architectures."""


class SearchSpace(abc.ABC):
    """A set of architectures and the networks that they stand for.

    This class does all that follows from a list of independent choices: counting, sampling, neighbours, encoding. A
    space says what the choices are and builds the network; one with official texts or isomorphic architectures also
    overrides `format` and `parse`, or `canonical`. Where choices depend on each other, it overrides `contains`,
    `neighbours` and what walks the product: `size`, `at`, `__iter__`, `draw`. An architecture may leave out a choice
    that means nothing under its other options, such as the width of a layer that is not there.

    Args:
        input_shape: Shape of one sample, such as (3, 32, 32) for channels, height and width.
        n_classes: Number of values that the network returns for a sample.

    Raises:
        ConfigError: A shape or a number that no network can have.
    """

    name: str
    """The name in the catalogue."""

    def __init__(self, *, input_shape: Sequence[int], n_classes: int) -> None:
        if not isinstance(input_shape, Iterable):
            raise ConfigError(f"`input_shape` must be a list of sizes; got {input_shape!r}.")
        input_shape = tuple(whole("input_shape", size) for size in input_shape)
        n_classes = whole("n_classes", n_classes)
        if len(input_shape) == 0 or min(input_shape) < 1:
            raise ConfigError(f"`input_shape` must hold positive sizes; got {tuple(input_shape)}.")
        if n_classes < 1:
            raise ConfigError(f"`n_classes` must be at least 1; got {n_classes}.")
        self.input_shape = input_shape
        self.n_classes = n_classes
        self.reference = self.name
        """Reference from which `make_space` makes this space again: its name, or ``package.module:NAME``."""
        self.arguments: dict[str, Any] = {}
        """Arguments with which `make_space` called a function of the user's own, to make this space."""

    @property
    def record(self) -> dict[str, Any]:
        """Record of this space in a study: its name, its settings, and arguments that only a user's function knows."""
        settings = dict(self.settings)
        arguments = {name: value for name, value in self.arguments.items() if name not in settings}
        return {"name": self.reference, "settings": settings, **({"arguments": arguments} if arguments else {})}

    # ── what a space must say ──

    @property
    @abc.abstractmethod
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """The options of every choice, in a fixed order."""

    @abc.abstractmethod
    def build(self, architecture: Architecture) -> nn.Module:
        """Build a new network with fresh parameters, drawn from PyTorch's global generator; see `build_seeded`.

        Maps ``(n, *input_shape)`` to ``(n, *output_shape)``.

        Raises:
            ArchitectureError: The architecture does not belong to this space, or its choices make no valid network.
        """

    # ── what most spaces refine ──

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {"input_shape": list(self.input_shape), "n_classes": self.n_classes}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what the network returns for one sample: (n_classes,), unless the task wants maps."""
        return (self.n_classes,)

    @property
    def answers(self) -> tuple[Task, ...]:
        """Kinds of tasks that its networks can be trained for: those that are answered by numbers."""
        return NUMBERS

    @classmethod
    def fitting(cls, task: Task, input_shape: Sequence[int]) -> dict[str, Any]:  # noqa: ARG003
        """Return settings beside `input_shape` and `n_classes` that fit the space to data of that kind, as defaults."""
        return {}

    def check_data(self, data: LikeData) -> None:
        """Raise unless the networks take the inputs of these data and answer as their targets want.

        Raises:
            ConfigError: Another shape of inputs or answers, or another kind of task.
        """
        if data.task not in self.answers:
            raise ConfigError(
                f"Networks of {self.name} answer {', '.join(self.answers)}; the data's task is {data.task}. "
                "Take another space, or another task of this one."
            )
        if (self.input_shape, self.n_classes) != (data.input_shape, data.output_shape[0]):
            raise ConfigError(
                f"The space must be made for the data, input_shape={data.input_shape} and "
                f"n_classes={data.output_shape[0]}; got {self.input_shape} and {self.n_classes}."
            )
        if self.output_shape != data.output_shape:
            raise ConfigError(
                f"Targets must have the shape of what networks of {self.name} answer to these inputs, "
                f"{self.output_shape}; got {data.output_shape}. Resize them."
            )

    def input_shape_of(self, architecture: Architecture) -> tuple[int, ...]:  # noqa: ARG002
        """Return the shape of one sample for this architecture: `input_shape`, unless each candidate has its own."""
        return self.input_shape

    def format(self, architecture: Architecture) -> str:
        """Return the text that the field uses for this architecture; `parse` reads it."""
        return str(self.check(architecture))

    def parse(self, text: str) -> Architecture:
        """Return the architecture that a text stands for.

        Raises:
            ArchitectureError: The text is of another space, or damaged.
        """
        return self.check(Architecture.from_json(text))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures that build the same network, which is scored and trained once.

        Raises:
            ArchitectureError: The architecture does not belong to this space.
        """
        return self.check(architecture)

    def scoring_class(self, architecture: Architecture) -> Architecture:
        """Return the architecture that is scored for all whose networks are the same function of equal distribution.

        Two architectures are in one scoring class only if a mapping of the parameters of one network to those of the
        other makes both compute the same by the same operations. So they have equal sizes, and scores that differ by
        the draw of the parameters only. A class holds whole canonical forms: it is at least as large as theirs. This
        default is the canonical form itself, which is right for every space.

        Returns:
            A canonical form of the class, the same for all its members.

        Raises:
            ArchitectureError: The architecture does not belong to this space.
        """
        return self.canonical(architecture)

    def contains(self, architecture: Architecture) -> bool:
        """Return whether the architecture is one of this space."""
        choices = self.choices
        return (
            isinstance(architecture, Mapping)
            and architecture.keys() == choices.keys()
            and all(has_option(choices[name], option) for name, option in architecture.items())
        )

    # ── what follows ──

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"

    def check(self, architecture: Architecture) -> Architecture:
        """Return the same architecture, in the order of the space's choices.

        Raises:
            ArchitectureError: It does not belong to this space; the message names the first choice that is wrong.
        """
        given: object = architecture
        if not isinstance(given, Mapping):
            raise ArchitectureError(
                f"An architecture of {self.name} must be an Architecture; got {given!r}, "
                f"a {type(given).__name__}. Read a text by `parse`, or make one by Architecture(choices)."
            )
        architecture = given if isinstance(given, Architecture) else Architecture(given)
        if self.contains(architecture):
            names = [name for name in self.choices if name in architecture]
            in_order = names == list(architecture)
            return architecture if in_order else Architecture({name: architecture[name] for name in names})
        for name, option in architecture.items():
            if name in self.choices and not has_option(self.choices[name], option):
                known = ", ".join(map(repr, self.choices[name]))
                raise ArchitectureError(f"Choice {name!r} of {self.name} must be one of {known}; got {option!r}.")
        for name in architecture:
            if name not in self.choices:
                raise ArchitectureError(
                    f"Architecture does not belong to {self.name}: it has no choice {name!r}; "
                    f"its choices are {', '.join(self.choices)}."
                )
        raise ArchitectureError(self.why_not(architecture))

    def why_not(self, architecture: Architecture) -> str:
        """Return why an architecture with known choices and options is not one of this space, as a sentence."""
        missing = [name for name in self.choices if name not in architecture]
        if missing:
            given = ", ".join(architecture) or "none"
            return f"Architecture of {self.name} must set choice {missing[0]!r}; it sets {given}."
        return f"These options do not go together in {self.name}: {architecture}."

    @property
    def size(self) -> int | None:
        """Number of architectures, isomorphic ones counted apart; None where nobody can count them."""
        return math.prod(len(options) for options in self.choices.values())

    def at(self, index: int) -> Architecture:
        """Return the architecture at a place of the space's fixed order.

        Raises:
            IndexError: The index is not in [0, size), or the space cannot be numbered.
        """
        index = self.check_index(index)
        options: dict[str, Option] = {}
        for name, known in reversed(list(self.choices.items())):
            index, place = divmod(index, len(known))
            options[name] = known[place]
        return Architecture({name: options[name] for name in self.choices})

    def check_index(self, index: int) -> int:
        """Return the index as an int.

        Raises:
            IndexError: The index is not in [0, size), or the space cannot be numbered.
            ConfigError: It is no whole number.
        """
        index, size = whole("index", index), self.size
        if size is None:
            raise IndexError(f"The architectures of {self.name} cannot be numbered, so there is none at {index}.")
        if not 0 <= index < size:
            raise IndexError(f"Index must be from 0 to {size:,} (exclusive) in {self.name}; got {index}.")
        return index

    def __iter__(self) -> Iterator[Architecture]:
        """Return all architectures, lazily, in the space's fixed order."""
        for options in itertools.product(*self.choices.values()):
            yield Architecture(dict(zip(self.choices, options, strict=True)))

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        """Draw `n` different architectures uniformly without replacement; all of them, shuffled, if `n` is the size.

        Raises:
            ConfigError: `n` is negative or more than the size, or the seed is none.
        """
        n, seed, size = whole("n", n), seed_of(seed), self.size
        if n < 0 or (size is not None and n > size):
            count = "an unknown number" if size is None else f"{size:,}"
            raise ConfigError(f"Cannot sample {n:,} different architectures from {self.name}, which has {count}.")
        generator = numpy_generator("sample", self.name, seed)
        if size is not None and size <= _LISTABLE:
            return [self.at(int(index)) for index in generator.choice(size, n, replace=False)]
        found: dict[Architecture, None] = {}  # larger than memory: repeats are rare, so draw until there are n
        stale = 0
        while len(found) < n:
            before = len(found)
            found.setdefault(self.draw(generator))
            stale = 0 if len(found) > before else stale + 1
            if stale >= _DRAWS_WITHOUT_NEWS:
                raise ConfigError(
                    f"Cannot sample {n:,} different architectures from {self.name}: "
                    f"{stale:,} draws after {len(found):,} brought no new one. Ask for fewer."
                )
        return list(found)

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture, uniformly; repeats are possible."""
        return Architecture(
            {name: options[int(generator.integers(len(options)))] for name, options in self.choices.items()}
        )

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return all architectures that differ in exactly one choice, in a fixed order; symmetric, without itself.

        Where choices depend on each other, a choice that appears or vanishes with the changed one does not count.
        """
        architecture = self.check(architecture)
        changed = (
            architecture.replace(**{name: option})
            for name in architecture
            for option in self.choices[name]
            if not same_option(option, architecture[name])
        )
        return [neighbour for neighbour in changed if self.contains(neighbour)]

    def encode(self, architecture: Architecture) -> NDArray[np.int64]:
        """Return the index of every choice's option, (n_choices,), for models that look at the architecture itself.

        A choice that the architecture leaves out is -1.
        """
        architecture = self.check(architecture)
        code = [
            next(place for place, option in enumerate(options) if same_option(option, architecture[name]))
            if name in architecture
            else -1
            for name, options in self.choices.items()
        ]
        return np.array(code, dtype=np.int64)

    def decode(self, code: NDArray[np.int64] | Sequence[int]) -> Architecture:
        """Return the architecture of an encoding; the inverse of `encode`.

        Raises:
            ArchitectureError: The code has another length, an option that does not exist, or no architecture.
        """
        try:
            places = [whole("code", place) for place in code]
        except (TypeError, ConfigError) as error:
            raise ArchitectureError(f"A code of {self.name} must hold whole numbers; got {code!r}.") from error
        if len(places) != len(self.choices):
            raise ArchitectureError(
                f"A code of {self.name} must have one number a choice ({len(self.choices)}); got {len(places)}."
            )
        for (name, options), place in zip(self.choices.items(), places, strict=True):
            if not -1 <= place < len(options):
                raise ArchitectureError(
                    f"Code of choice {name!r} of {self.name} must be from 0 to {len(options) - 1}, "
                    f"or -1 where it is left out; got {place}."
                )
        return self.check(
            Architecture(
                {
                    name: options[place]
                    for (name, options), place in zip(self.choices.items(), places, strict=True)
                    if place >= 0
                }
            )
        )

    def count_parameters(self, architecture: Architecture) -> int:
        """Return how many parameters the built network has; built without memory or random draws where that works.

        Raises:
            ArchitectureError: The architecture does not belong to this space, or makes no network.
        """
        import torch

        architecture = self.check(architecture)
        with seeded("count"):
            try:
                with torch.device("meta"):
                    network = self.build(architecture)
            except Exception:  # noqa: BLE001  # a builder of the user's may read values, which only a CPU has
                network = self.build(architecture)
        return sum(parameter.numel() for parameter in network.parameters())

    def failure(self, architecture: Architecture) -> str | None:
        """Return why the architecture makes no network that runs, as a sentence; None where it does.

        Builds it and sends two samples through: on PyTorch's meta device, which computes shapes only, and where that
        does not work, on the CPU.
        """
        failure: str | None = None
        for device in ("meta", "cpu"):
            try:
                what = f"The network of {self.format(architecture)} in {self.name}"
                shape = self.input_shape_of(architecture)
                try_network(lambda: self.build(architecture), what, shape, self.output_shape, device)
            except ArchitectureError as error:
                failure = str(error)
            else:
                return None
        return failure

    def build_seeded(self, architecture: Architecture, *parts: object) -> nn.Module:
        """Call `build`, with parameters that depend only on the canonical architecture and the parts of the seed.

        Isomorphic architectures get equal parameters, whatever ran before, and PyTorch's global generator is left as
        it was.
        """
        canonical = self.canonical(architecture)
        with seeded("parameters", self.format(canonical), *parts):
            return self.build(canonical)
