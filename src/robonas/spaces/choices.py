"""A search space of the user's own, from choices and a function that builds the network.

Source: Ours. Define-by-run choices follow Optuna's trials (Akiba et al., KDD 2019, arXiv 1907.10902); conditions and
forbidden combinations are those of ConfigSpace (Lindauer et al., 2019, arXiv 1908.06756).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.architecture import Architecture, Option, same_option
from robonas.datasets.targets import NUMBERS
from robonas.errors import ConfigError
from robonas.spaces.base import SearchSpace
from robonas.spaces.building import call_builder
from robonas.spaces.choice_sources import tree_of_configspace, tree_of_lists, tree_of_trial_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import optuna
    from torch import nn

    from robonas.datasets.targets import Task
    from robonas.spaces.choice_tree import ChoiceTree

Choices: TypeAlias = "Mapping[str, Sequence[Option]] | Callable[[optuna.Trial], Mapping[str, Any] | None] | Any"
"""Lists of options by name, a `ConfigSpace.ConfigurationSpace`, or a function of an Optuna trial."""


class ChoiceSpace(SearchSpace):
    """A space of the user's own; made by `from_choices`.

    Args:
        tree: The choices and how they depend on each other.
        build: Makes the network from the choices as keyword arguments.
        input_shape: Shape of one sample.
        n_classes: Number of values that the network returns for a sample.
        name: Name of this space in errors and files.
        canonical: The representative of all architectures that build the same network; None where all differ.
        output_shape: Shape of one answer; None for (n_classes,).
    """

    def __init__(
        self,
        tree: ChoiceTree,
        build: Callable[..., nn.Module],
        *,
        input_shape: Sequence[int],
        n_classes: int,
        name: str,
        canonical: Callable[[Architecture], Mapping[str, Option]] | None = None,
        output_shape: Sequence[int] | None = None,
    ) -> None:
        self.name = name
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        self._output_shape = (self.n_classes,) if output_shape is None else tuple(output_shape)
        if len(self._output_shape) not in {1, 3} or self._output_shape[0] != self.n_classes:
            raise ConfigError(
                f"`output_shape` must be (n_classes,) or (n_classes, height, width), with n_classes={self.n_classes}; "
                f"got {self._output_shape}."
            )
        self._tree = tree
        self._build = build
        self._canonical = canonical

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """All choices that some architecture sets, with all options that they ever have."""
        return self._tree.options

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that tell this space from others; they do not hold the functions that it was made from."""
        choices = {name: list(options) for name, options in self.choices.items()}
        maps = {} if len(self._output_shape) == 1 else {"output_shape": list(self._output_shape)}
        return {**super().settings, **maps, "choices": choices}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one answer."""
        return self._output_shape

    @property
    def answers(self) -> tuple[Task, ...]:
        """Numbers of any kind, or maps of any kind."""
        return NUMBERS if len(self._output_shape) == 1 else ("segmentation", "image")

    def contains(self, architecture: Architecture) -> bool:
        """Return whether exactly the choices are set that its other options ask for, and all go together."""
        if self._tree.independent or not isinstance(architecture, Mapping):
            return super().contains(architecture)
        return architecture.keys() <= self.choices.keys() and self._tree.answers(architecture) is not None

    def why_not(self, architecture: Architecture) -> str:
        """Return why known choices and options are not an architecture, as a sentence."""
        if self._tree.independent:
            return super().why_not(architecture)
        return (
            f"These options do not go together in {self.name}: {architecture}. "
            "A choice is missing, has no meaning beside the others, or the combination is forbidden."
        )

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the user's representative, or the architecture itself.

        Raises:
            ConfigError: The user's function is not idempotent.
        """
        architecture = self.check(architecture)
        if self._canonical is None:
            return architecture
        once = self.check(Architecture(self._canonical(architecture)))
        twice = self.check(Architecture(self._canonical(once)))
        if once != twice:
            raise ConfigError(
                f"`canonical` of {self.name} must return a representative of itself; "
                f"from {architecture} it made {once}, and from that {twice}."
            )
        return once

    @property
    def size(self) -> int | None:
        """Number of architectures; None where choices depend on each other and are too many to list."""
        if self._tree.independent:
            return super().size
        return None if self._tree.leaves is None else len(self._tree.leaves)

    def at(self, index: int) -> Architecture:
        """Return the architecture at a place of the fixed order, in which the last choice changes fastest."""
        if self._tree.leaves is None:
            return super().at(index)
        return self._tree.leaves[self.check_index(index)]

    def __iter__(self) -> Iterator[Architecture]:
        if self._tree.independent:
            return super().__iter__()
        return self._tree.walk() if self._tree.leaves is None else iter(self._tree.leaves)

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture: uniformly where they can be counted, else each choice uniformly in its turn."""
        return super().draw(generator) if self._tree.independent else self._tree.draw(generator)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return all architectures that differ in one choice, and in what appears or vanishes with it.

        What appears is at its first option, and what vanishes must have been: so that the relation is symmetric.
        """
        if self._tree.independent:
            return super().neighbours(architecture)
        architecture = self.check(architecture)
        varied = (
            self._tree.vary(architecture, name, option)
            for name in architecture
            for option in self.choices[name]
            if not same_option(option, architecture[name])
        )
        return list(dict.fromkeys(self.check(found) for found in varied if found is not None))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the user's network.

        Raises:
            ArchitectureError: The builder raised, or returned no network; the message has the choices and the reason.
        """
        architecture = self.check(architecture)
        arguments = dict(architecture) if self._tree.independent else dict(self._tree.answers(architecture) or {})
        return call_builder(self._build, arguments, f"{architecture} of {self.name}", self.input_shape)


def from_choices(
    choices: Choices,
    build: Callable[..., nn.Module],
    *,
    input_shape: Sequence[int],
    n_classes: int,
    name: str = "own",
    canonical: Callable[[Architecture], Mapping[str, Option]] | None = None,
    output_shape: Sequence[int] | None = None,
) -> ChoiceSpace:
    """Return a search space of your own.

    Args:
        choices: One of three. A mapping from names to lists of options, all of which go together. A
            `ConfigSpace.ConfigurationSpace` without real-valued hyperparameters; its conditions decide which choices an
            architecture has, and its forbidden clauses which it must not combine. A function of an Optuna trial that
            calls `suggest_categorical`, `suggest_int` and `suggest_float` with a step, in any order and under any
            condition, and raises `optuna.TrialPruned` where options do not go together; what to build from is what it
            returns, or the choices where it returns None. It is run many times, so it must be quick and deterministic.
        build: Makes a new network from the choices as keyword arguments.
        input_shape: Shape of one sample, such as (3, 32, 32).
        n_classes: Number of values that the network returns for a sample.
        name: Name of this space in errors and files.
        canonical: Function from an architecture to the representative of all that build the same network; None
            where all differ.
        output_shape: Shape of one answer, (n_classes, height, width), for networks that answer with maps, as data for
            segmentation want them; None for (n_classes,).

    Returns:
        The space. Where choices depend on each other and make more than 10,000 architectures, its size is unknown, and
        samples answer each choice uniformly in its turn.

    Raises:
        ConfigError: The choices are empty, endless or contradictory.
        MissingExtraError: The choices are a ConfigSpace, and ConfigSpace is not installed.

    Example:
        >>> from torch import nn
        >>> def build(width, activation):
        ...     layers = nn.Linear(64, width), getattr(nn, activation)(), nn.Linear(width, 10)
        ...     return nn.Sequential(nn.Flatten(), *layers)
        >>> choices = {"width": [16, 32, 64], "activation": ["ReLU", "GELU"]}
        >>> space = from_choices(choices, build, input_shape=(1, 8, 8), n_classes=10)
        >>> space.size, space.count_parameters(space.at(0))
        (6, 1210)
    """
    if not name or name != name.strip():
        raise ConfigError(f"`name` of a space must be a word without surrounding spaces; got {name!r}.")
    if isinstance(choices, Mapping) and not hasattr(choices, "forbidden_clauses"):
        tree = tree_of_lists(choices)
    elif hasattr(choices, "forbidden_clauses") and hasattr(choices, "conditions"):
        tree = tree_of_configspace(choices)
    elif callable(choices):
        tree = tree_of_trial_function(choices)
    else:
        raise ConfigError(
            "`choices` must be a mapping from names to lists, a ConfigSpace, or a function of an Optuna trial; "
            f"got a {type(choices).__name__}."
        )
    return ChoiceSpace(
        tree,
        build,
        input_shape=input_shape,
        n_classes=n_classes,
        name=name,
        canonical=canonical,
        output_shape=output_shape,
    )
