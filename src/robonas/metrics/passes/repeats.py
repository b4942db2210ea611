"""Shared results of equal computations in a network: the same ReLU or pooling of the same tensor.

Cells of search spaces are full of it: every edge that starts at a node has a ReLU of its own. Sharing the result is
exact as long as nobody writes to it, or hangs a hook on it; then the pass is made again without.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

_RELUS: frozenset[Callable[..., Any]] = frozenset({functional.relu, torch.relu, Tensor.relu})
_HOOKS: frozenset[Callable[..., Any]] = frozenset(
    {Tensor.register_hook, Tensor.register_post_accumulate_grad_hook, Tensor.retain_grad}
)


class Repeats:
    """Results by call; each lives no longer than the tensor that it was made of."""

    def __init__(self) -> None:
        self.spoilt = False
        """Whether somebody changed what others may share."""
        self._results: dict[Any, tuple[weakref.ref[Tensor], Tensor]] = {}
        self._storages: set[int] = set()

    def key(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what tells calls apart; None for calls that are not shared."""
        kind = "relu" if func in _RELUS else "pool" if func is functional.avg_pool2d else None
        if kind is None or not args or not isinstance(args[0], Tensor) or kwargs.get("inplace"):
            return None
        source = args[0]
        if source.is_inference():
            return None  # whether somebody writes to it is not counted
        return kind, id(source), source._version, args[1:], tuple(sorted(kwargs.items()))  # noqa: SLF001

    def find(self, key: Any, source: Tensor) -> Tensor | None:
        """Return the result of an equal call."""
        known = self._results.get(key)
        return known[1] if known is not None and known[0]() is source else None

    def keep(self, key: Any, source: Tensor, result: Tensor) -> None:
        """Remember a result."""
        results = self._results
        results[key] = weakref.ref(source, lambda _: results.pop(key, None)), result
        self._storages.add(result.untyped_storage().data_ptr())

    def written(self, target: Any) -> None:
        """Note that a tensor is about to be written to."""
        if isinstance(target, Tensor) and target.untyped_storage().data_ptr() in self._storages:
            self.spoilt = True

    def finish(self) -> bool:
        """Drop all results, and return whether sharing them was exact."""
        self._results.clear()
        return not self.spoilt

    def called(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Note a call of a function that is not shared."""
        if func in _HOOKS and args:
            self.written(args[0])
