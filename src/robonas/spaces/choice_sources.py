"""Trees of choices from what users write: lists, a ConfigSpace, or a function of an Optuna trial."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robonas.architecture import Architecture, Option
from robonas.common.lazy import np
from robonas.errors import ArchitectureError, ConfigError, MissingExtraError
from robonas.spaces.choice_tree import ChoiceTree, Choose, RejectedError

if TYPE_CHECKING:
    import optuna

_MOST_OPTIONS = 10_000


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
