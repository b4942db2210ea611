"""TransNAS-Bench-101, macro: 3,256 skeletons of residual blocks.

Source: Duan et al., CVPR 2021, arXiv 2105.11871; see `transnas`. Parameter counts agree with those that
NAS-Bench-Suite-Zero published.
"""

from __future__ import annotations

import functools
import itertools
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from robonas.architecture import Architecture, Option, text_of
from robonas.errors import ArchitectureError
from robonas.spaces.transnas import TransNASSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from torch import nn

MODULE_NAMES = tuple(f"module_{place}" for place in range(1, 7))
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {name: (1, 2, 3, 4) if place < 4 else (0, 1, 2, 3, 4) for place, name in enumerate(MODULE_NAMES)}
)
_OFFICIAL = re.compile(r"(?:\d+-)?([1-4]{4,6})(?:-basic)?")
_KEY = re.compile(r"\(?([0-4](?:, ?[0-4]){5})\)?")


def _fits(modules: Sequence[Option]) -> bool:
    """Return whether there are four to six modules, 1 to 4 that halve the size, 1 to 3 that double the channels."""
    used = [module for module in modules if module != 0]
    return (
        list(modules[: len(used)]) == used
        and 1 <= sum(module in {3, 4} for module in used) <= 4
        and 1 <= sum(module in {2, 4} for module in used) <= 3
    )


@functools.cache
def _all() -> tuple[Architecture, ...]:
    """Return the space, in lexicographic order."""
    return tuple(
        Architecture(dict(zip(MODULE_NAMES, modules, strict=True)))
        for modules in itertools.product(*_CHOICES.values())
        if _fits(modules)
    )


class TransNASMacro(TransNASSpace):
    """The 3,256 networks of TransNAS-Bench-101's macro space, on any of its seven tasks.

    A stem that quarters the size, then four to six modules of two residual blocks. A module is of kind 1, or 2 that
    doubles the channels, 3 that halves the size, or 4 that does both; one to four halve and one to three double.
    Modules 5 and 6 are 0 where there is none. No two of these networks are the same.

    Texts are the official ones, ``64-1242-basic``. `parse` also reads ``1242`` and the keys of NAS-Bench-Suite-Zero's
    tables, ``(1, 2, 4, 2, 0, 0)``.

    Arguments are those of `TransNASSpace`.

    Example:
        >>> space = TransNASMacro()
        >>> space.size, space.count_parameters(space.parse("64-1242-basic"))
        (3256, 11218783)
    """

    name = "transnas_macro"

    most_halvings = 6

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """The kind of each module; 0 for none."""
        return _CHOICES

    def contains(self, architecture: Architecture) -> bool:
        """Return whether the numbers of modules, halvings and doublings are allowed."""
        return super().contains(architecture) and _fits([architecture[name] for name in MODULE_NAMES])

    def why_not(self, architecture: Architecture) -> str:
        """Return which rule the modules break."""
        if architecture.keys() != self.choices.keys():
            return super().why_not(architecture)
        return (
            f"An architecture of {self.name} must have 4 to 6 modules, without gaps, of which 1 to 4 halve the size "
            f"(kinds 3 and 4) and 1 to 3 double the channels (kinds 2 and 4); got {tuple(architecture.values())}."
        )

    @property
    def size(self) -> int:
        """3,256."""
        return len(_all())

    def at(self, index: int) -> Architecture:
        """Return the architecture at a place of the lexicographic order."""
        return _all()[self.check_index(index)]

    def __iter__(self) -> Iterator[Architecture]:
        return iter(_all())

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture, uniformly."""
        return _all()[int(generator.integers(len(_all())))]

    def format(self, architecture: Architecture) -> str:
        """Return the official text."""
        kinds = "".join(str(kind) for kind in self.check(architecture).values() if kind != 0)
        return f"{self.channels}-{kinds}-basic"

    def parse(self, text: str) -> Architecture:
        """Return the architecture of an official text, or of a table's key.

        Raises:
            ArchitectureError: The text has another form, or breaks a rule of the space.
        """
        official, key = _OFFICIAL.fullmatch(text_of(text).strip()), _KEY.fullmatch(text_of(text).strip())
        if official is not None:
            kinds = [int(digit) for digit in official.group(1).ljust(6, "0")]
        elif key is not None:
            kinds = [int(digit) for digit in key.group(1).split(",")]
        else:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like '64-1242-basic' or '(1, 2, 4, 2, 0, 0)'; got {text!r}."
            )
        return self.check(Architecture(dict(zip(MODULE_NAMES, kinds, strict=True))))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with these modules; see the class."""
        from robonas.spaces.networks.blocks import BasicBlock
        from robonas.spaces.networks.transnas import Stem

        architecture = self.check(architecture)
        width, halvings = self.channels, 2
        modules: list[nn.Module] = [Stem(self.input_shape[-3], width)]
        for kind in architecture.values():
            if kind == 0:
                continue
            c_out = 2 * width if kind in {2, 4} else width
            stride = 2 if kind in {3, 4} else 1
            modules += [BasicBlock(width, c_out, stride), BasicBlock(c_out, c_out, 1)]
            width, halvings = c_out, halvings + (stride == 2)
        return self.network(modules, width, halvings)
