"""DARTS: a normal and a reduction cell, about 10¹⁸ pairs.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055 (Apache 2.0). The networks
of the authors' DARTS_V2 genotype have the published 3.35 million (CIFAR-10) and 4.7 million (ImageNet) parameters.
"""

from __future__ import annotations

import ast
import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from robonas.architecture import Architecture, Option, text_of
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces.base import SearchSpace
from robonas.spaces.darts_classes import rewritten
from robonas.spaces.isomorphism import is_made_by
from robonas.spaces.shapes import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from robonas.spaces.networks.darts import NodeInputs

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
CELLS = ("normal", "reduce")
NODES = (2, 3, 4, 5)
"""Nodes 0 and 1 are the results of the two cells before."""
_FIRST_EDGE = {2: 0, 3: 2, 4: 5, 5: 9}
"""Numbers of the edges from node 0, in NAS-Bench-301's count of all edges."""
_PREFIX = "NetworkSelectorDatasetInfo:darts:"
StemName = Literal["cifar", "imagenet"]
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {
        f"{cell}_{node}_{part}": options
        for cell in CELLS
        for node in NODES
        for part, options in (
            ("inputs", tuple(f"{one}+{other}" for one, other in itertools.combinations(range(node), 2))),
            ("first", OPERATIONS),
            ("second", OPERATIONS),
        )
    }
)


class DARTS(SearchSpace):
    """Pairs of cells of DARTS, in a network of any width, depth and input size.

    A cell has four nodes; each sums two operations on two of the nodes before it, and the cell returns all four side by
    side. The network stacks normal cells, with reduction cells at a third and at two thirds of the depth that halve the
    size and double the channels. There are (180 · 7⁸)² ≈ 1.08 · 10¹⁸ pairs of cells. Cells that differ in the numbers
    of their nodes only are one class, and `build` makes the network of the class. A cell has
    382,128,166 classes. In a normal cell skips only add one node to another, so that some of these are still the same
    sums of the same operations: 382,114,852 scoring classes.

    RoBoT draws its pools of 60,000 by random architecture weights: uniform numbers for every edge and operation, the
    two strongest edges of each node, the strongest operation of each edge. Since these numbers are exchangeable, that
    is the uniform distribution, which is what `sample` draws from, without repeats.

    Texts are the authors' genotypes, ``Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=…,
    reduce_concat=range(2, 6))``; `to_nasbench301` and `from_nasbench301` speak the language of that benchmark (Zela et
    al., ICLR 2022, arXiv 2008.09777).

    Args:
        input_shape: (channels, height, width).
        n_classes: Width of the last layer.
        channels: Width of a node before the first reduction; 16 in searches, 36 and 48 in the final networks.
        layers: Number of cells; 8 in searches (RoBoT's metrics: 5), 20 and 14 in the final networks.
        stem: ``"cifar"`` keeps the size, ``"imagenet"`` divides it by 8.
        drop_path: Probability of dropping an operation's result in training; the network's attribute `drop_path` can
            be raised from epoch to epoch.
        auxiliary: True to let networks in training also return the logits of a second head at two thirds of the depth:
            a tuple of both. The head averages its input to 2 × 2 whatever its size, as the authors' does from 8 × 8.

    Raises:
        ConfigError: A size that the network cannot have.

    Example:
        >>> f"{DARTS().size:.3g}"
        '1.08e+18'
    """

    name = "darts"

    def __init__(
        self,
        *,
        input_shape: Sequence[int] = (3, 32, 32),
        n_classes: int = 10,
        channels: int = 16,
        layers: int = 8,
        stem: StemName = "cifar",
        drop_path: float = 0.0,
        auxiliary: bool = False,
    ) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape)
        if channels < 2 or channels % 2 or layers < 3:
            raise ConfigError(
                f"`channels` of {self.name} must be even, and `layers` at least 3; got {channels} and {layers}."
            )
        if stem not in get_args(StemName):
            raise ConfigError(f"`stem` of {self.name} must be one of {', '.join(get_args(StemName))}; got {stem!r}.")
        if not 0 <= drop_path < 1:
            raise ConfigError(f"`drop_path` of {self.name} must be in [0, 1); got {drop_path}.")
        self.channels, self.layers, self.stem = channels, layers, stem
        self.drop_path, self.auxiliary = drop_path, auxiliary

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {
            **super().settings,
            "channels": self.channels,
            "layers": self.layers,
            "stem": self.stem,
            "drop_path": self.drop_path,
            "auxiliary": self.auxiliary,
        }

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """For both cells and each of four nodes: its two inputs, and an operation on either."""
        return _CHOICES

    def format(self, architecture: Architecture) -> str:
        """Return the genotype, the lower input of every node first."""
        architecture = self.check(architecture)
        parts = []
        for cell in CELLS:
            edges = [edge for node in _nodes(architecture, cell) for edge in node]
            parts += [f"{cell}={edges}", f"{cell}_concat=range(2, 6)"]
        return f"Genotype({', '.join(parts)})"

    def parse(self, text: str) -> Architecture:
        """Return the architecture of a genotype; the two inputs of a node may come in either order.

        Raises:
            ArchitectureError: The text is no genotype, or has an edge or an operation that does not exist.
        """
        try:
            given = _keywords(text_of(text))
            cells = {cell: [(str(op), int(source)) for op, source in ast.literal_eval(given[cell])] for cell in CELLS}
            concats = [_concat(given[f"{cell}_concat"]) for cell in CELLS]
        except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, OverflowError, RecursionError) as error:
            raise ArchitectureError(
                f"An architecture of {self.name} must read like \"Genotype(normal=[('skip_connect', 0), …], "
                f'normal_concat=range(2, 6), reduce=[…], reduce_concat=range(2, 6))"; got {text!r}.'
            ) from error
        if any(concat != list(NODES) for concat in concats):
            raise ArchitectureError(f"Cells of {self.name} must return nodes 2 to 5; got {concats}.")
        for cell, edges in cells.items():
            if len(edges) != 2 * len(NODES):
                raise ArchitectureError(f"The {cell} cell of {self.name} must have 8 edges; got {len(edges)}.")
        return self.check(_joined({cell: _pairs(edges) for cell, edges in cells.items()}))

    def to_nasbench301(self, architecture: Architecture) -> dict[str, str]:
        """Return the configuration for NAS-Bench-301's surrogates: operations by edge, inputs of the later nodes."""
        architecture = self.check(architecture)
        configuration: dict[str, str] = {}
        for cell in CELLS:
            for node, edges in zip(NODES, _nodes(architecture, cell), strict=True):
                for operation, source in edges:
                    configuration[f"{_PREFIX}edge_{cell}_{_FIRST_EDGE[node] + source}"] = operation
                if node > 2:  # the first node has no other inputs to choose
                    configuration[f"{_PREFIX}inputs_node_{cell}_{node}"] = f"{edges[0][1]}_{edges[1][1]}"
        return configuration

    def from_nasbench301(self, configuration: Mapping[str, str]) -> Architecture:
        """Return the architecture of such a configuration.

        Raises:
            ArchitectureError: An edge or an input is missing, too many, or does not exist.
        """
        options: dict[str, Option] = {}
        try:
            for cell in CELLS:
                for node in NODES:
                    inputs = "0_1" if node == 2 else configuration[f"{_PREFIX}inputs_node_{cell}_{node}"]
                    options[f"{cell}_{node}_inputs"] = inputs.replace("_", "+")
                    for part, source in zip(("first", "second"), inputs.split("_"), strict=True):
                        name = f"{_PREFIX}edge_{cell}_{_FIRST_EDGE[node] + int(source)}"
                        options[f"{cell}_{node}_{part}"] = configuration[name]
        except (KeyError, ValueError) as error:
            raise ArchitectureError(
                f"A configuration of NAS-Bench-301 must have {error}; got {configuration}."
            ) from error
        architecture = self.check(Architecture(options))
        extra = configuration.keys() - self.to_nasbench301(architecture).keys()
        if extra:
            raise ArchitectureError(
                f"A configuration of NAS-Bench-301 must not have {min(extra)!r} beside these inputs."
            )
        return architecture

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the cell in that numbering of its nodes which comes first in the order of the options."""
        architecture = self.check(architecture)
        return _joined({cell: _in_order(_nodes(architecture, cell)) for cell in CELLS})

    def scoring_class(self, architecture: Architecture) -> Architecture:
        """Return the cells that stand for all that are the same sums of the same operations; see the class."""
        architecture = self.canonical(architecture)
        if not is_made_by(self, DARTS):
            return architecture
        normal = rewritten(_nodes(architecture, "normal"))
        return _joined({"normal": _in_order(normal), "reduce": _nodes(architecture, "reduce")})

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of the architecture's class; see the class."""
        from robonas.spaces.networks.darts import Network

        architecture = self.canonical(architecture)
        cells = {cell: _nodes(architecture, cell) for cell in CELLS}
        return Network(
            cells["normal"],
            cells["reduce"],
            stem=self.stem,
            channels=self.channels,
            layers=self.layers,
            in_channels=self.input_shape[0],
            n_classes=self.n_classes,
            auxiliary=self.auxiliary,
            drop_path=self.drop_path,
        )


def _keywords(text: str) -> dict[str | None, ast.expr]:
    """Return the arguments of a text like ``Genotype(normal=…)``; nothing is evaluated."""
    call = ast.parse(text.strip(), mode="eval").body
    if not isinstance(call, ast.Call) or ast.unparse(call.func).rpartition(".")[2] != "Genotype":
        raise ValueError("not a genotype")
    return {word.arg: word.value for word in call.keywords}


def _pairs(edges: Sequence[tuple[str, int]]) -> list[NodeInputs]:
    """Return two edges a node, that from the lower input first."""
    ordered = [sorted(pair, key=lambda edge: edge[1]) for pair in zip(edges[::2], edges[1::2], strict=True)]
    return [(one, other) for one, other in ordered]


def _concat(node: ast.expr) -> list[int]:
    """Return numbers of the nodes that a genotype's ``range(2, 6)`` or list names."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        told = range(*(int(ast.literal_eval(argument)) for argument in node.args))
        return list(told[: len(NODES) + 1])  # more is wrong anyway, and may not fit into memory
    return [int(place) for place in ast.literal_eval(node)]


def _joined(cells: Mapping[str, Sequence[NodeInputs]]) -> Architecture:
    """Return the architecture of the nodes of both cells."""
    options: dict[str, Option] = {}
    for cell, nodes in cells.items():
        for node, ((first, one), (second, other)) in zip(NODES, nodes, strict=True):
            options |= {
                f"{cell}_{node}_inputs": f"{one}+{other}",
                f"{cell}_{node}_first": first,
                f"{cell}_{node}_second": second,
            }
    return Architecture(options)


def _nodes(architecture: Architecture, cell: str) -> tuple[NodeInputs, ...]:
    """Return the edges of the four nodes of a cell."""
    nodes: list[NodeInputs] = []
    for node in NODES:
        one, other = str(architecture[f"{cell}_{node}_inputs"]).split("+")
        first, second = (str(architecture[f"{cell}_{node}_{part}"]) for part in ("first", "second"))
        nodes.append(((first, int(one)), (second, int(other))))
    return tuple(nodes)


def _in_order(nodes: Sequence[NodeInputs]) -> tuple[NodeInputs, ...]:
    """Return the cell in that numbering of its nodes which comes first."""
    return tuple(min(filter(None, (_renumber(nodes, order) for order in itertools.permutations(range(4))))))


def _renumber(nodes: Sequence[NodeInputs], order: Sequence[int]) -> list[NodeInputs] | None:
    """Return the cell with its nodes in another order; None where a node would come before one of its inputs."""
    place = {0: 0, 1: 1, **{node + 2: number + 2 for number, node in enumerate(order)}}
    moved: list[NodeInputs] = []
    for number, node in enumerate(order):
        edges = sorted(((name, place[source]) for name, source in nodes[node]), key=lambda edge: edge[1])
        if edges[1][1] >= number + 2:
            return None
        moved.append((edges[0], edges[1]))
    return moved
