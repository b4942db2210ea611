"""Memory of the tensors alive, where the device does not count it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from robonas.common.dispatch import DispatchMode

if TYPE_CHECKING:
    from torch import Tensor


class MemoryTally(DispatchMode):
    """Adds up the memory of all tensors alive."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.peak = 0
        self.known: set[int] = set()
        for tensor in tensors:
            self.add(tensor)

    def add(self, tensor: Tensor) -> None:
        """Count the tensor's memory, unless another tensor alive shares it."""
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001  (what tells storages apart)
        if key in self.known:
            return
        size = storage.nbytes()
        self.known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self.drop, key, size)

    def drop(self, key: int, size: int) -> None:
        """Count the memory of that key no longer."""
        self.known.discard(key)
        self.alive -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf)
        return result
