"""Choices that may depend on each other.

A `ChoiceTree` is a procedure that asks for one option after another, where questions may depend on earlier answers:
answered from an architecture it says whether that belongs, in all ways it lists the space, at random it draws from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.architecture import Architecture, Option, has_option, same_option
from robonas.common.randomness import numpy_generator
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

Choose: TypeAlias = Callable[[str, tuple[Option, ...]], Option]
"""Answers a question: a choice's name and options in, one option out."""
Procedure: TypeAlias = Callable[[Choose], Mapping[str, Any] | None]
"""Asks its questions; may return what to build from, where that is more than the answers."""

MOST_LISTED = 10_000  # architectures up to which spaces whose choices depend on each other are listed
_RANDOM_RUNS = 500  # random walks that look for choices in a space too large to list


class RejectedError(Exception):
    """The answers so far do not go together."""


@dataclass
class ChoiceTree:
    """A procedure of questions, and the options that each of them ever had.

    Raises:
        ConfigError: There is no question, a question changes its options, or no answers go together.
    """

    procedure: Procedure
    """Asks for one option after another."""
    independent: bool = False
    """Whether every question is always asked and all answers go together."""
    options: dict[str, tuple[Option, ...]] = field(default_factory=dict)
    """Options of every question, in the order in which they were first asked; found out where not given."""
    leaves: tuple[Architecture, ...] | None = None
    """All architectures, where they depend on each other and are few enough to list."""

    def __post_init__(self) -> None:
        if not self.independent:
            known = bool(self.options)
            self.leaves = self._list()
            if self.leaves == ():
                raise ConfigError("No options go together: conditions or forbidden combinations leave the space empty.")
            if self.leaves is None and not known:
                self._discover()
        if not self.options:
            raise ConfigError("A space must have at least one choice; got none.")

    def run(self, choose: Choose) -> tuple[dict[str, Option], Mapping[str, Any]]:
        """Return the answers to all questions, and what to build from.

        Raises:
            RejectedError: The answers do not go together.
            ConfigError: A question has other options than before.
        """
        answers: dict[str, Option] = {}

        def ask(name: str, options: tuple[Option, ...]) -> Option:
            known = self.options.setdefault(name, options)
            if known is not options and not _same_options(known, options):
                raise ConfigError(
                    f"Choice {name!r} must always have the same options; got {list(options)} after {list(known)}. "
                    "Give the two a name each."
                )
            if name not in answers:
                answers[name] = choose(name, known)
            return answers[name]

        returned = self.procedure(ask)
        return answers, answers if returned is None else returned

    def answers(self, architecture: Mapping[str, Option]) -> Mapping[str, Any] | None:
        """Return what to build from for an architecture; None where it is not one of this tree."""

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            if name not in architecture or not has_option(options, architecture[name]):
                raise RejectedError
            return architecture[name]

        try:
            asked, arguments = self.run(choose)
        except RejectedError:
            return None
        return arguments if asked.keys() == architecture.keys() else None

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture: from a list uniformly, else by answering every question uniformly.

        Raises:
            ConfigError: A thousand walks in a row met answers that do not go together.
        """
        if self.leaves is not None:
            return self.leaves[int(generator.integers(len(self.leaves)))]
        for _ in range(1000):
            try:
                return Architecture(self.run(lambda _, options: options[int(generator.integers(len(options)))])[0])
            except RejectedError:
                continue
        raise ConfigError("A thousand random draws in a row gave options that do not go together. Loosen the rules.")

    def vary(self, architecture: Architecture, name: str, option: Option) -> Architecture | None:
        """Return the architecture with one choice changed and what follows from it; None where that is no neighbour.

        Questions that vanish must have been at their first option, and questions that appear are set to it: so that the
        relation is symmetric, and the neighbours of an architecture stay few.
        """
        first = {name: option}

        def choose(asked: str, options: tuple[Option, ...]) -> Option:
            return first.get(asked, architecture.get(asked, options[0])) if asked != name else option

        try:
            answers, _ = self.run(choose)
        except RejectedError:
            return None
        vanished = [old for old in architecture if old not in answers]
        if name not in answers or not all(same_option(architecture[old], self.options[old][0]) for old in vanished):
            return None
        return Architecture(answers)

    def walk(self) -> Iterator[Architecture]:
        """Return all architectures, lazily: the last question changes fastest."""
        return (architecture for architecture in self._walk() if architecture is not None)

    def _walk(self) -> Iterator[Architecture | None]:
        """Return the same, with None for each beginning that is rejected."""
        prefix: list[int] = []
        while True:
            found, path, counts = self._follow(prefix)
            yield found
            while path and path[-1] + 1 == counts[-1]:
                path.pop()
                counts.pop()
            if not path:
                return
            path[-1] += 1
            prefix = path

    def _follow(self, prefix: list[int]) -> tuple[Architecture | None, list[int], list[int]]:
        """Answer the first questions by the options at these places, all later ones by their first option.

        Returns:
            The architecture, or None where the answers are rejected, and so is all that begins with them; the place of
            each answer; and the number of options of each question.
        """
        path: list[int] = []
        counts: list[int] = []

        def choose(_: str, options: tuple[Option, ...]) -> Option:
            place = prefix[len(path)] if len(path) < len(prefix) else 0
            path.append(place)
            counts.append(len(options))
            return options[place]

        try:
            return Architecture(self.run(choose)[0]), path, counts
        except RejectedError:
            return None, path, counts

    def _list(self) -> tuple[Architecture, ...] | None:
        """Return all architectures, or None where they are too many."""
        found: list[Architecture] = []
        for number, architecture in enumerate(self._walk()):
            if len(found) == MOST_LISTED or number == 2 * MOST_LISTED:
                return None
            if architecture is not None:
                found.append(architecture)
        return tuple(found)

    def _discover(self) -> None:
        """Find the questions of a large space: by random walks, and by giving every option at least once."""
        generator = numpy_generator("discover choices")

        def walk(forced: Mapping[str, Option]) -> None:
            def choose(name: str, options: tuple[Option, ...]) -> Option:
                return forced[name] if name in forced else options[int(generator.integers(len(options)))]

            try:
                self.run(choose)
            except RejectedError:
                return

        for _ in range(_RANDOM_RUNS):
            walk({})
        tried: set[str] = set()
        while len(tried) < len(self.options):
            for name in [name for name in self.options if name not in tried]:
                tried.add(name)
                for option in self.options[name]:
                    walk({name: option})


def _same_options(one: Sequence[Option], other: Sequence[Option]) -> bool:
    """Return whether two lists of options agree, types included."""
    return len(one) == len(other) and all(map(same_option, one, other))
