"""Which layers the loss does not see the scale of, because a batch norm follows.

For such a weight, L(s w) = L(w) up to the norm's ε, so that <w, g> = 0 and −w · (H g) = ‖g‖². `grasp_bn` takes that for
granted, and needs exact derivatives only in the scale of the other weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

CONVOLUTION = "ConvolutionBackward"
BATCH_NORM = "TrainingBatchNormBackward"


def mark(logits: Tensor, weights: Mapping[str, Tensor]) -> set[str]:
    """Prepare a graph for the derivative in the scale of only those weights that no batch norm follows.

    Args:
        logits: Made with convolutions and batch norms of ours.
        weights: Weights by name.

    Returns:
        The names of the weights whose every use is a convolution that goes into a batch norm and nowhere else.
    """
    order = _nodes(logits.grad_fn)
    consumers: dict[Any, list[Any]] = {}
    for node in order:
        for source, _ in node.next_functions:
            consumers.setdefault(source, []).append(node)
    uses: dict[int, list[Any]] = {}  # all nodes that read a leaf, by its id
    for leaf, readers in consumers.items():
        if leaf is not None and hasattr(leaf, "variable"):
            uses.setdefault(id(leaf.variable), []).extend(readers)
    invariant = {
        name
        for name, weight in weights.items()
        if id(weight) in uses and all(_is_normed(node, weight, consumers) for node in uses[id(weight)])
    }
    exempt = {id(weights[name]) for name in invariant}
    reaching: dict[Any, bool] = {None: False}
    for node in reversed(order):  # sources first
        below = any(reaching[source] for source, _ in node.next_functions)
        if node.name() in {CONVOLUTION, BATCH_NORM}:
            node.reaches = _reaches_input(node, reaching)
        if node.name() == CONVOLUTION:
            node.exact = id(node.weight) not in exempt
            below = below or node.exact
        elif hasattr(node, "variable"):
            below = any(node.variable is weight for name, weight in weights.items() if name not in invariant)
        reaching[node] = below
    return invariant


def _reaches_input(node: Any, reaching: Mapping[Any, bool]) -> bool:
    """Return whether what goes into a layer depends on a weight that is not exempt."""
    return reaching[node.next_functions[0][0]]


def _is_normed(node: Any, weight: Tensor, consumers: Mapping[Any, list[Any]]) -> bool:
    """Return whether a node is the convolution by a weight, read by one batch norm as its input."""
    if node.name() != CONVOLUTION or node.weight is not weight:
        return False
    readers = consumers.get(node, [])
    return len(readers) == 1 and readers[0].name() == BATCH_NORM and readers[0].next_functions[0][0] is node


def _nodes(root: Any) -> list[Any]:
    """Return all nodes of a graph, each before its sources."""
    finished: list[Any] = []
    seen: set[Any] = set()
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            finished.append(node)
        elif node is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((source, False) for source, _ in node.next_functions)
    return finished[::-1]
