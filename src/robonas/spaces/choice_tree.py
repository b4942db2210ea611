"""Choices that may depend on each other, from lists, a ConfigSpace or a function of an Optuna trial.

A `ChoiceTree` is a procedure that asks for one option after another, where questions may depend on earlier answers:
answered from an architecture it says whether that belongs, in all ways it lists the space, at random it draws from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.architecture import Architecture, Option
from robonas.common.lazy import np
from robonas.common.randomness import numpy_generator
from robonas.errors import ArchitectureError, ConfigError, MissingExtraError
from robonas.spaces.base import has_option, same_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

Choose: TypeAlias = Callable[[str, tuple[Option, ...]], Option]
"""Answers a question: a choice's name and options in, one option out."""
Procedure: TypeAlias = Callable[[Choose], Mapping[str, Any] | None]
"""Asks its questions; may return what to build from, where that is more than the answers."""

MOST_LISTED = 10_000  # architectures up to which spaces whose choices depend on each other are listed
_RANDOM_RUNS = 500  # random walks that look for choices in a space too large to list
_MOST_OPTIONS = 10_000


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


def clean_options(name: str, options: object) -> tuple[Option, ...]:
    """Return the options of a choice, checked.

    Raises:
        ConfigError: They are not a list, are empty, repeat, or are not JSON scalars.
    """
    if isinstance(options, str | bytes | Mapping) or not isinstance(options, Iterable):
        raise ConfigError(f"Options of choice {name!r} must be a list; got {options!r}.")
    plain = tuple(option.item() if isinstance(option, np.generic) else option for option in options)
    if not plain:
        raise ConfigError(f"Choice {name!r} must have at least one option; got none.")
    try:
        distinct = {Architecture({name: option}) for option in plain}
    except ArchitectureError as error:
        raise ConfigError(f"{error} Give it a name, and look the name up when building.") from error
    if len(distinct) < len(plain):
        raise ConfigError(f"Options of choice {name!r} must differ; got {list(plain)}.")
    return plain


def tree_of_lists(choices: Mapping[str, Sequence[Option]]) -> ChoiceTree:
    """Return the tree of independent choices."""
    asked = _AskAll({name: clean_options(name, known) for name, known in choices.items()})
    return ChoiceTree(asked, independent=True, options=asked.options)


@dataclass(frozen=True)
class _AskAll:
    """Asks every question; a class, since local functions cannot be pickled."""

    options: dict[str, tuple[Option, ...]]

    def __call__(self, choose: Choose) -> None:
        for name, known in self.options.items():
            choose(name, known)


def tree_of_configspace(space: Any) -> ChoiceTree:
    """Make the tree of a `ConfigSpace.ConfigurationSpace`, with its conditions and forbidden clauses.

    Raises:
        MissingExtraError: ConfigSpace is not installed.
        ConfigError: A hyperparameter has no finite list of values.
    """
    try:
        import ConfigSpace.hyperparameters as hp
    except ImportError as error:
        raise MissingExtraError("A ConfigSpace as choices", "configspace") from error
    options: dict[str, tuple[Option, ...]] = {}
    for parameter in space.values():
        if isinstance(parameter, hp.CategoricalHyperparameter):
            values: Iterable[Any] = parameter.choices
        elif isinstance(parameter, hp.OrdinalHyperparameter):
            values = parameter.sequence
        elif isinstance(parameter, hp.Constant):
            values = (parameter.value,)
        elif isinstance(parameter, hp.IntegerHyperparameter):
            values = _range(parameter.name, int(parameter.lower), int(parameter.upper), 1)
        else:
            raise ConfigError(
                _continuous(parameter.name, "list its values with `Categorical` or `OrdinalHyperparameter`")
            )
        options[parameter.name] = clean_options(parameter.name, values)
    conditions: dict[str, list[Any]] = {name: [] for name in options}
    for condition in space.conditions:
        conditions[condition.child.name].append(condition)
    forbidden = list(space.forbidden_clauses)

    return ChoiceTree(
        _AskWhereItMatters(options, conditions, forbidden),
        independent=not forbidden and not space.conditions,
        options=options,
    )


@dataclass(frozen=True)
class _AskWhereItMatters:
    """Asks the questions whose conditions hold, as ConfigSpace has them."""

    options: Mapping[str, tuple[Option, ...]]
    conditions: Mapping[str, Sequence[Any]]
    forbidden: Sequence[Any]

    def __call__(self, choose: Choose) -> None:
        from ConfigSpace.types import NotSet

        answers: dict[str, Option] = {}
        values: dict[str, Any] = dict.fromkeys(self.options, NotSet)  # marks what is not asked
        for name, known in self.options.items():  # parents come before their children
            if all(condition.satisfied_by_value(values) for condition in self.conditions[name]):
                answers[name] = values[name] = choose(name, known)
        if any(clause.is_forbidden_value(answers) for clause in self.forbidden):
            raise RejectedError


def tree_of_trial_function(function: Callable[[optuna.Trial], Mapping[str, Any] | None]) -> ChoiceTree:
    """Make the tree of a function of an Optuna trial; `optuna.TrialPruned` says that answers do not go together.

    Raises:
        ConfigError: It asks for real numbers without a step, or returns something other than a mapping or None.
    """
    return ChoiceTree(_AskAsTrial(function))


@dataclass(frozen=True)
class _AskAsTrial:
    """Asks what a function asks an Optuna trial."""

    function: Callable[[optuna.Trial], Mapping[str, Any] | None]

    def __call__(self, choose: Choose) -> Mapping[str, Any] | None:
        import optuna

        try:
            returned = self.function(_stand_in_class()(choose))
        except optuna.TrialPruned as error:
            raise RejectedError from error
        if returned is not None and not isinstance(returned, Mapping):
            raise ConfigError(
                "A function of choices must return a mapping of what to build from, or None for the choices; "
                f"got {returned!r}."
            )
        return returned


@functools.cache
def _stand_in_class() -> Callable[[Choose], Any]:
    """Return a class of Optuna trials that are answered by us; made late, since Optuna loads slowly."""
    import optuna

    known: dict[tuple[object, ...], tuple[Option, ...]] = {}

    def options_of(name: str, choices: Sequence[Any]) -> tuple[Option, ...]:
        try:
            key = (name, *choices, *map(type, choices))
            if key not in known:
                known[key] = clean_options(name, choices)
        except TypeError:  # an option that cannot be hashed is none, and gets its sentence
            return clean_options(name, choices)
        return known[key]

    class StandIn(optuna.trial.FixedTrial):
        """Answers as `choose` does."""

        def __init__(self, choose: Choose) -> None:
            super().__init__({})
            self._choose = choose

        def _answer(self, name: str, options: tuple[Option, ...]) -> Any:
            self.params[name] = self._choose(name, options)
            return self.params[name]

        def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
            return self._answer(name, options_of(name, choices))

        def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:  # noqa: ARG002
            return int(self._answer(name, _range(name, low, high, step)))

        def suggest_float(
            self,
            name: str,
            low: float,
            high: float,
            *,
            step: float | None = None,
            log: bool = False,  # noqa: ARG002
        ) -> float:
            if step is None:
                raise ConfigError(_continuous(name, "give `step`, or use `suggest_categorical`"))
            count = int(np.floor((high - low) / step + 1e-9)) + 1
            return float(self._answer(name, tuple(float(np.round(low + step * i, 12)) for i in range(count))))

    return StandIn


def _range(name: str, low: int, high: int, step: int) -> tuple[int, ...]:
    """Return the integers from low to high, both included."""
    values = range(low, high + 1, step)
    if not values:
        raise ConfigError(f"Choice {name!r} must have at least one option; got the range from {low} to {high}.")
    if len(values) > _MOST_OPTIONS:
        raise ConfigError(f"Choice {name!r} has {len(values):,} values; list at most {_MOST_OPTIONS:,} of them.")
    return tuple(values)


def _continuous(name: str, remedy: str) -> str:
    return f"Choice {name!r} must have a finite list of values, since architectures are compared: {remedy}."
