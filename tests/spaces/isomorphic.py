"""Two networks of one scoring class made equal: a mapping of the parameters, found by trying, not by the form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from robonas.spaces.networks.blocks import Cell, FactorizedReduction
from robonas.spaces.networks.darts import _Cell

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSE = 1e-10
"""Outputs of float64 that differ by less, relative to the largest, differ by the order of their sums."""


def _bijections(ones: dict[str, nn.Module], others: dict[str, nn.Module]) -> Iterator[dict[str, str]]:
    """Yield the ways to name an equal module of the first for each of the others that has parameters."""
    kinds: dict[str, tuple[list[str], list[str]]] = {}
    for place, modules in enumerate((ones, others)):
        for name, module in modules.items():
            if any(True for _ in module.parameters()):
                kinds.setdefault(repr(module), ([], []))[place].append(name)
    assert all(len(left) == len(right) for left, right in kinds.values()), "members have the same operations"
    for orders in itertools.product(*(itertools.permutations(left) for left, _ in kinds.values())):
        yield {
            other: one
            for order, (_, right) in zip(orders, kinds.values(), strict=True)
            for one, other in zip(order, right, strict=True)
        }


def _take(mine: nn.Module, theirs: nn.Module) -> None:
    mine.load_state_dict(theirs.state_dict())


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= CLOSE * one.abs().max().clamp_min(1e-3))


def _map_cell(one: Cell, other: Cell, channels: int) -> dict[str, str]:
    """Return the edge of the first cell for each edge of the other that makes both compute the same."""
    x = torch.randn(3, channels, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = one(x)
        for names in _bijections(dict(one.edges.items()), dict(other.edges.items())):
            for mine, theirs in names.items():
                _take(other.edges[mine], one.edges[theirs])
            if _same(wanted, other(x)):
                return names
    raise AssertionError("no mapping of the parameters makes the cells equal")


def _states(cell: _Cell, before: torch.Tensor, last: torch.Tensor) -> list[torch.Tensor]:
    return list(cell(before, last, 0.0).chunk(4, dim=1))


def _map_darts_cell(one: _Cell, other: _Cell) -> tuple[dict[str, str], list[int]]:
    """Return the operations of the first for those of the other, and its node for each node of the other."""
    generator = torch.Generator().manual_seed(0)
    before, last = (
        torch.randn(3, next(module.parameters()).shape[1], side, side, dtype=torch.float64, generator=generator)
        for module, side in ((one.before, 16 if isinstance(one.before, FactorizedReduction) else 8), (one.last, 8))
    )
    _take(other.before, one.before)
    _take(other.last, one.last)
    with torch.no_grad():
        wanted = _states(one, before, last)
        for names in _bijections(dict(one.operations.named_children()), dict(other.operations.named_children())):
            for mine, theirs in names.items():
                _take(other.operations[int(mine)], one.operations[int(theirs)])
            found = _states(other, before, last)
            for order in itertools.permutations(range(4)):
                if all(_same(wanted[theirs], found[mine]) for mine, theirs in enumerate(order)):
                    return names, list(order)
    raise AssertionError("no mapping of the parameters makes the cells equal")


@dataclass
class Mapping:
    """For each parameter of a network the parameter of another that it is equal to."""

    names: dict[str, str]
    """Name of the other's parameter."""
    orders: dict[str, list[int]] = field(default_factory=dict)
    """Order of the four parts of the input channels, where it is another."""

    def carried(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what the other's tensors are for this network; those of other names stay."""
        found = {**tensors, **{mine: tensors[theirs] for mine, theirs in self.names.items() if theirs in tensors}}
        for name, order in self.orders.items():
            parts = found[name].chunk(4, dim=1)
            found[name] = torch.cat([parts[place] for place in order], dim=1)
        return found


def mapping_of_networks(one: nn.Module, other: nn.Module) -> Mapping:
    """Give the second network the parameters of the first, so that both are one function.

    Both are of float64, and left in evaluation mode.

    Cells are mapped by trying all ways to name equal operations. Where the cells of DARTS have other numbers of nodes,
    whoever reads the nodes side by side has its input channels put in that order.
    """
    one.eval()
    other.eval()  # so that trying leaves the running statistics as they are
    names = {name: name for name, _ in other.named_parameters()}
    own = dict(other.named_modules())
    channels = {name: one_cell for name, one_cell in one.named_modules() if isinstance(one_cell, Cell | _Cell)}
    for path, module in one.named_modules():
        inside = any(path.startswith(f"{cell}.") for cell in channels)
        if not inside and not list(module.children()):
            _take(own[path], module)
    nodes: dict[str, list[int]] = {}
    for path, cell in channels.items():
        partner = own[path]
        if isinstance(cell, Cell):
            first = [module for name, module in cell.edges.items() if name.startswith("0_")]
            width = next((p.shape[1] for module in first for p in module.parameters() if p.ndim == 4), cell.c_out)
            found, part = _map_cell(cell, partner, width), "edges"
        else:
            (found, nodes[path]), part = _map_darts_cell(cell, partner), "operations"
        for mine, theirs in found.items():
            for name, _ in getattr(partner, part).get_submodule(mine).named_parameters():
                names[f"{path}.{part}.{mine}.{name}"] = f"{path}.{part}.{theirs}.{name}"
    mapping = Mapping(names, _orders_of_readers(other, nodes) if nodes else {})
    mine, theirs = dict(other.named_parameters()), dict(one.named_parameters())
    for name, tensor in mapping.carried({name: tensor.data for name, tensor in theirs.items()}).items():
        if name in mine:
            mine[name].data = tensor
    return mapping


def _orders_of_readers(network: nn.Module, nodes: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the order of the input channels of whatever reads the nodes of a cell side by side."""
    orders: dict[str, list[int]] = {}
    for path, order in nodes.items():
        number = int(path.rpartition(".")[2])
        for place, part in ((number + 1, "last"), (number + 2, "before")):
            if place < len(network.cells):
                reader = getattr(network.cells[place], part)
                orders |= {f"cells.{place}.{part}.{n}": order for n, w in reader.named_parameters() if w.ndim == 4}
        if number + 1 == len(network.cells):
            orders["head.2.weight"] = order
    return orders
