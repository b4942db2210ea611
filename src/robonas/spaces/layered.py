"""Spaces of networks whose depth is chosen, and every layer anew."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from robonas.architecture import Architecture, Option, has_option, same_option, text_of
from robonas.common.reading import parse_json
from robonas.errors import ArchitectureError
from robonas.spaces.base import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np


@dataclass(frozen=True)
class Stage:
    """A part of a network whose depth is chosen."""

    name: str
    """Begins the names of its choices."""
    depths: tuple[int, ...]
    """Numbers of layers that it may have, ascending."""
    layer: Mapping[str, tuple[Option, ...]]
    """Choices of each layer."""

    @property
    def depth_name(self) -> str:
        """Name of the choice of the depth."""
        return f"{self.name}_depth"

    def names(self, number: int) -> tuple[str, ...]:
        """Return names of the choices of one layer, counted from 1."""
        return tuple(f"{self.name}_{choice}_{number}" for choice in self.layer)

    @property
    def size(self) -> int:
        """Number of settings of the stage."""
        each = math.prod(len(options) for options in self.layer.values())
        return sum(each**depth for depth in self.depths)

    def at(self, place: int) -> dict[str, Option]:
        """Return the setting with that number: shallow ones first, the last layer's last choice changing fastest."""
        each = math.prod(len(options) for options in self.layer.values())
        for depth in self.depths:
            if place < each**depth:
                break
            place -= each**depth
        chosen: list[tuple[str, Option]] = []
        for number in range(depth, 0, -1):
            for name, options in zip(reversed(self.names(number)), reversed(list(self.layer.values())), strict=True):
                place, option = divmod(place, len(options))
                chosen.append((name, options[option]))
        return {self.depth_name: depth, **dict(reversed(chosen))}


class LayeredSpace(SearchSpace):
    """Base of spaces with some choices for the whole network and stages of chosen depth.

    An architecture leaves out the choices of layers that it does not have. Its text is JSON: the choices of the whole
    network by name, then for every stage the list of its layers, each the list of its options:
    ``{"width":32,"body":[[3,"relu"],[5,"gelu"]]}``.
    """

    @property
    def whole(self) -> Mapping[str, tuple[Option, ...]]:
        """Choices of the whole network."""
        return MappingProxyType({})

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages from input to output."""
        raise NotImplementedError

    @functools.cached_property
    def _choices(self) -> Mapping[str, tuple[Option, ...]]:
        choices = dict(self.whole)
        for stage in self.stages:
            choices[stage.depth_name] = stage.depths
            for number in range(1, stage.depths[-1] + 1):
                choices.update(zip(stage.names(number), stage.layer.values(), strict=True))
        return MappingProxyType(choices)

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """Choices of the whole network, then of every stage its depth and those of as many layers as it can have."""
        return self._choices

    def _expected(self, architecture: Architecture) -> list[str] | None:
        """Return names of the choices that belong to these depths; None where a depth is missing or impossible."""
        names = list(self.whole)
        for stage in self.stages:
            depth = architecture.get(stage.depth_name)
            if not isinstance(depth, int) or not has_option(stage.depths, depth):
                return None
            names.append(stage.depth_name)
            names += [name for number in range(1, depth + 1) for name in stage.names(number)]
        return names

    def contains(self, architecture: Architecture) -> bool:
        """Return whether exactly the choices of its layers are set."""
        given: object = architecture
        if not isinstance(given, Mapping):
            return False
        expected = self._expected(architecture)
        return (
            expected is not None
            and architecture.keys() == set(expected)
            and all(has_option(self.choices[name], architecture[name]) for name in expected)
        )

    def why_not(self, architecture: Architecture) -> str:
        """Return which choice is missing, or belongs to a layer that is not there."""
        expected = self._expected(architecture)
        wanted = expected if expected is not None else [*self.whole, *(stage.depth_name for stage in self.stages)]
        missing = [name for name in wanted if name not in architecture]
        if missing:
            return f"Architecture of {self.name} must set choice {missing[0]!r}; it sets {', '.join(architecture)}."
        extra = next(name for name in architecture if name not in wanted)
        return f"Architecture of {self.name} must leave out choice {extra!r}, of a layer that its depth does not have."

    @property
    def size(self) -> int:
        """Return how many architectures there are."""
        return math.prod(len(options) for options in self.whole.values()) * math.prod(
            stage.size for stage in self.stages
        )

    def at(self, index: int) -> Architecture:
        """Return the architecture at a place of the fixed order: the last stage changes fastest."""
        index = self.check_index(index)
        parts: list[dict[str, Option]] = []
        for stage in reversed(self.stages):
            index, place = divmod(index, stage.size)
            parts.append(stage.at(place))
        for name, options in reversed(list(self.whole.items())):
            index, place = divmod(index, len(options))
            parts.append({name: options[place]})
        return Architecture({name: option for part in reversed(parts) for name, option in part.items()})

    def __iter__(self) -> Iterator[Architecture]:
        return map(self.at, range(self.size))

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture, uniformly: deep ones are drawn more often, as there are more."""
        options = {name: known[int(generator.integers(len(known)))] for name, known in self.whole.items()}
        for stage in self.stages:
            options |= stage.at(int(generator.integers(stage.size)))
        return Architecture(options)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return all that differ in one choice; in a depth only if the layers between are at their first options."""
        architecture = self.check(architecture)
        found: list[Architecture] = []
        stages = {stage.depth_name: stage for stage in self.stages}
        for name, current in architecture.items():
            for option in self.choices[name]:
                if same_option(option, current):
                    continue
                if name not in stages:
                    found.append(architecture.replace(**{name: option}))
                    continue
                stage = stages[name]
                low, high = sorted((int(str(current)), int(str(option))))
                between = {
                    choice: options[0]
                    for number in range(low + 1, high + 1)
                    for choice, options in zip(stage.names(number), stage.layer.values(), strict=True)
                }
                if option == high:
                    found.append(self.check(Architecture({**architecture, name: option, **between})))
                elif all(same_option(architecture[choice], first) for choice, first in between.items()):
                    kept = {choice: known for choice, known in architecture.items() if choice not in between}
                    found.append(self.check(Architecture({**kept, name: option})))
        return found

    def layers(self, architecture: Architecture, stage: Stage) -> list[dict[str, Any]]:
        """Return the options of every layer of a stage, by the names in `Stage.layer`."""
        depth = int(str(architecture[stage.depth_name]))
        return [
            {choice: architecture[name] for choice, name in zip(stage.layer, stage.names(number), strict=True)}
            for number in range(1, depth + 1)
        ]

    def format(self, architecture: Architecture) -> str:
        """Return JSON, as the class says."""
        architecture = self.check(architecture)
        parts: dict[str, Any] = {name: architecture[name] for name in self.whole}
        for stage in self.stages:
            parts[stage.name] = [list(layer.values()) for layer in self.layers(architecture, stage)]
        return json.dumps(parts, separators=(",", ":"))

    def parse(self, text: str) -> Architecture:
        """Return the architecture of such JSON.

        Raises:
            ArchitectureError: The text has another form, or an option that does not exist.
        """
        try:
            architecture = self._read(parse_json(text_of(text)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '{self.format(self.at(0))}'; got {text!r}."
            ) from error
        return self.check(architecture)

    def _read(self, parts: Mapping[str, Any]) -> Architecture:
        """Read the architecture of parsed JSON, whether it is of this space or not."""
        options: dict[str, Option] = {name: parts[name] for name in self.whole}
        known = {*options, *(stage.name for stage in self.stages)}
        if parts.keys() != known:
            raise KeyError(*(parts.keys() - known))
        for stage in self.stages:
            options |= _options_of(stage, parts[stage.name])
        return Architecture(options)


def _options_of(stage: Stage, layers: Sequence[Sequence[Option]]) -> dict[str, Option]:
    """Return the choices of a stage, from the lists of its layers."""
    options: dict[str, Option] = {stage.depth_name: len(layers)}
    for number, layer in enumerate(layers, start=1):
        names = stage.names(number)
        if len(names) != len(layer):
            raise ValueError(f"a layer has {len(names)} options")
        options.update(zip(names, layer, strict=True))
    return options
