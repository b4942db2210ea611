"""NAS-Bench-101: cells of up to seven vertices and nine edges.

Source: Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019, arXiv 1902.09635
(Apache 2.0). Our count of classes is the published 423,624, and the fewest and most parameters are the published
227,274 and 49,979,274. No table of this space was at hand to check the parameters of every cell.
"""

from __future__ import annotations

import functools
import itertools
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from robonas.architecture import Architecture, Option, text_of
from robonas.common.lazy import nn, np
from robonas.common.reading import parse_json
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces.base import SearchSpace
from robonas.spaces.shapes import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

VERTICES = 7
MOST_EDGES = 9
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
EDGES = tuple(itertools.combinations(range(VERTICES), 2))
"""(source, target); vertex 0 is the input, vertex 6 the output."""
EDGE_NAMES = tuple(f"edge_{source}_{target}" for source, target in EDGES)
OPERATION_NAMES = tuple(f"operation_{vertex}" for vertex in range(1, VERTICES - 1))
_CHOICES: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {
        **dict.fromkeys(EDGE_NAMES, (False, True)),
        **dict.fromkeys(OPERATION_NAMES, OPERATIONS),
    }
)
_LABELINGS: int = len(OPERATIONS) ** len(OPERATION_NAMES)


@functools.cache
def _graphs() -> NDArray[np.int32]:
    """Return all graphs with at most nine edges and a path from input to output, as bits in the order of `EDGES`."""
    codes = np.arange(2 ** len(EDGES), dtype=np.int32)
    codes = codes[np.sum([codes >> place & 1 for place in range(len(EDGES))], axis=0) <= MOST_EDGES]
    reached = [np.ones(len(codes), dtype=bool)]
    for target in range(1, VERTICES):
        here = np.zeros(len(codes), dtype=bool)
        for source in range(target):
            here |= reached[source] & (codes >> EDGES.index((source, target)) & 1).astype(bool)
        reached.append(here)
    connected: NDArray[np.int32] = codes[reached[-1]]
    return connected


class NASBench101(SearchSpace):
    """The cells of NAS-Bench-101, in a network of any width, depth and input size.

    A cell is a directed graph from an input to an output vertex through at most five vertices that each apply a 3×3 or
    1×1 convolution (with batch norm and ReLU) or a 3×3 maximum to the sum of what arrives. The input is projected by a
    1×1 convolution to every vertex that it feeds. The output is what its vertices bring side by side, plus the
    projected input where there is such an edge. Three stacks of `depth` cells, with a maximum that halves the size and
    a doubling of the channels between them.

    An architecture is a graph of seven vertices with at most nine edges and a path from input to output, and five
    operations. Vertices on no such path are dropped, and graphs that differ in the numbers of their vertices only are
    one class: 423,624 remain. `build` makes the network of the class. (The authors split channels that cannot be
    divided evenly by the order of the vertices, so that their networks of one class may differ by single channels.)

    Texts are JSON with the arguments of the authors' `ModelSpec`, ``{"matrix": [[0, 1], [0, 0]], "ops": ["input",
    "output"]}``; `parse` also reads them with fewer vertices.

    Args:
        input_shape: (channels, height, width), with sides of at least 4.
        n_classes: Width of the last layer.
        channels: Width of the first stack; 128 in the benchmark.
        depth: Cells a stack; 3 in the benchmark.

    Raises:
        ConfigError: A size that the network cannot have.
    """

    name = "nasbench101"

    def __init__(
        self, *, input_shape: Sequence[int] = (3, 32, 32), n_classes: int = 10, channels: int = 128, depth: int = 3
    ) -> None:
        super().__init__(input_shape=input_shape, n_classes=n_classes)
        check_image_shape(self.name, self.input_shape, least=4)
        if channels < VERTICES or depth < 1:
            raise ConfigError(
                f"`channels` and `depth` of {self.name} must be at least {VERTICES} and 1; got {channels} and {depth}."
            )
        self.channels = channels
        self.depth = depth

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor that make this space again; JSON values."""
        return {**super().settings, "channels": self.channels, "depth": self.depth}

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """Whether each of 21 edges is there, and five operations."""
        return _CHOICES

    def contains(self, architecture: Architecture) -> bool:
        """Return whether there are at most nine edges, and a path from input to output."""
        return (
            super().contains(architecture)
            and sum(architecture[name] is True for name in EDGE_NAMES) <= MOST_EDGES
            and bool(_used(_matrix(architecture)))
        )

    def why_not(self, architecture: Architecture) -> str:
        """Return which rule the graph breaks."""
        if architecture.keys() != self.choices.keys():
            return super().why_not(architecture)
        count = sum(architecture[name] is True for name in EDGE_NAMES)
        if count > MOST_EDGES:
            return f"A cell of {self.name} must have at most {MOST_EDGES} edges; got {count}."
        return f"A cell of {self.name} must have a path from input to output; this one has none."

    @property
    def size(self) -> int:
        """Graphs times labellings, isomorphic ones counted apart."""
        return int(_graphs().size) * _LABELINGS

    def at(self, index: int) -> Architecture:
        """Return the architecture at a place of our order: graphs as binary numbers, then operations."""
        graph, labeling = divmod(self.check_index(index), _LABELINGS)
        code = int(_graphs()[graph])
        operations = np.unravel_index(labeling, (len(OPERATIONS),) * len(OPERATION_NAMES))
        return Architecture(
            {
                **{name: bool(code >> place & 1) for place, name in enumerate(EDGE_NAMES)},
                **{name: OPERATIONS[int(place)] for name, place in zip(OPERATION_NAMES, operations, strict=True)},
            }
        )

    def __iter__(self) -> Iterator[Architecture]:
        return map(self.at, range(self.size))

    def draw(self, generator: np.random.Generator) -> Architecture:
        """Draw one architecture, uniformly over graphs and labellings; repeats are possible."""
        return self.at(int(generator.integers(self.size)))

    def format(self, architecture: Architecture) -> str:
        """Return JSON of the matrix and the operations."""
        architecture = self.check(architecture)
        operations = ["input", *(architecture[name] for name in OPERATION_NAMES), "output"]
        return json.dumps({"matrix": _matrix(architecture).tolist(), "ops": operations}, separators=(",", ":"))

    def parse(self, text: str) -> Architecture:
        """Return the architecture of such JSON, of two to seven vertices.

        Raises:
            ArchitectureError: The text has another form, or the cell breaks a rule of the space.
        """
        try:
            given = parse_json(text_of(text))
            operations = list(given["ops"])
            matrix = np.array(given["matrix"], dtype=np.int64)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ArchitectureError(
                f'An architecture of {self.name} must be JSON like {{"matrix": [[0, 1], [0, 0]], "ops": ["input", '
                f'"output"]}}; got {text!r}.'
            ) from error
        n = len(operations)
        if not 2 <= n <= VERTICES or matrix.shape != (n, n) or operations[0] != "input" or operations[-1] != "output":
            raise ArchitectureError(
                f"A cell of {self.name} must have a square matrix and as many ops, from 'input' to 'output', of 2 to "
                f"{VERTICES} vertices; got a matrix of shape {matrix.shape} and ops {operations}."
            )
        if not np.isin(matrix, (0, 1)).all() or np.tril(matrix).any():
            raise ArchitectureError(
                f"The matrix of a cell of {self.name} must be 0 or 1, and 0 on and below its diagonal; got {text!r}."
            )
        places = [*range(n - 1), VERTICES - 1]  # vertices that are not there have no edges
        edges = {(places[int(i)], places[int(j)]) for i, j in np.argwhere(matrix)}
        inner = [*operations[1:-1], *[OPERATIONS[0]] * (VERTICES - n)]
        if not all(isinstance(operation, str) for operation in inner):
            raise ArchitectureError(f"The ops of a cell of {self.name} must be texts; got {operations}.")
        return self.check(_architecture(edges, inner))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the smallest of the isomorphic cells, without vertices that lie on no path."""
        architecture = self.check(architecture)
        matrix = _matrix(architecture)
        used = _used(matrix)
        inner = [vertex for vertex in used if 0 < vertex < VERTICES - 1]
        best: tuple[list[int], list[str], list[tuple[int, int]]] | None = None
        for order in itertools.permutations(inner):
            place = {0: 0, VERTICES - 1: VERTICES - 1, **{vertex: 1 + number for number, vertex in enumerate(order)}}
            edges = [(place[i], place[j]) for i, j in EDGES if matrix[i, j] and i in place and j in place]
            if any(i >= j for i, j in edges):
                continue
            bits = [int(edge in edges) for edge in EDGES]
            operations = [str(architecture[f"operation_{vertex}"]) for vertex in order]
            if best is None or (bits, operations) < best[:2]:
                best = (bits, operations, edges)
        assert best is not None, "the given order is one"
        operations = best[1] + [OPERATIONS[0]] * (VERTICES - 2 - len(inner))
        return _architecture(set(best[2]), operations)

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network of the architecture's class; see the class."""
        from robonas.spaces.networks.blocks import Classifier, ConvBNAct
        from robonas.spaces.networks.nasbench101 import CellOfVertices

        architecture = self.canonical(architecture)
        matrix = _matrix(architecture)
        used = _used(matrix)
        matrix = matrix[np.ix_(used, used)]
        operations = [str(architecture[f"operation_{vertex}"]) for vertex in used[1:-1]]
        width = self.channels
        layers: list[nn.Module] = [ConvBNAct(self.input_shape[0], width, 3, activation=nn.ReLU)]
        for stack in range(3):
            if stack > 0:
                layers.append(nn.MaxPool2d(2))
            for number in range(self.depth):
                c_in = width if stack == 0 or number > 0 else width // 2
                layers.append(CellOfVertices(matrix, operations, c_in, width))
            width *= 2
        return nn.Sequential(*layers, *Classifier(width // 2, self.n_classes))


def _matrix(architecture: Mapping[str, Option]) -> NDArray[np.int64]:
    """Return the adjacency matrix, (7, 7)."""
    matrix = np.zeros((VERTICES, VERTICES), dtype=np.int64)
    for (source, target), name in zip(EDGES, EDGE_NAMES, strict=True):
        matrix[source, target] = int(architecture[name] is True)
    return matrix


def _architecture(edges: set[tuple[int, int]], operations: Sequence[str]) -> Architecture:
    """Return the architecture with these edges and operations."""
    return Architecture(
        {
            **{name: edge in edges for name, edge in zip(EDGE_NAMES, EDGES, strict=True)},
            **dict(zip(OPERATION_NAMES, operations, strict=True)),
        }
    )


def _used(matrix: NDArray[np.int64]) -> list[int]:
    """Return the vertices on a path from input to output, in order; empty where there is no path."""
    n = len(matrix)
    ahead, behind = {0}, {n - 1}
    for target in range(1, n):
        if any(matrix[source, target] for source in ahead):
            ahead.add(target)
    for source in range(n - 2, -1, -1):
        if any(matrix[source, target] for target in behind):
            behind.add(source)
    return sorted(ahead & behind) if n - 1 in ahead else []
