"""A forward pass whose numbers would overflow: powers of two are taken out of activations and remembered beside them.

Notation: a tensor x stands for x · 2^s; s is its scale, 0 for tensors that have none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map

from robonas.errors import MetricError
from robonas.metrics.passes.recorder import CONVOLUTIONS, NORMS, TRANSPOSED, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 2.0**100
_SUMS = frozenset({"add", "add_", "sub", "sub_", "cat", "concat", "stack", "__add__", "__radd__", "sum"})
_HOMOGENEOUS = frozenset(
    {
        *(
            "relu",
            "relu_",
            "leaky_relu",
            "prelu",
            "dropout",
            "dropout1d",
            "dropout2d",
            "dropout3d",
            "clone",
            "contiguous",
        ),
        *("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "boolean_dispatch"),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d", "fn", "mean"),
        *(
            "flatten",
            "view",
            "reshape",
            "permute",
            "transpose",
            "movedim",
            "squeeze",
            "unsqueeze",
            "expand",
            "pad",
            "_pad",
        ),
        *("interpolate", "chunk", "split", "unbind", "__getitem__", "to", "unflatten", "roll", "flip", "narrow"),
        *("mul", "mul_", "div", "div_", "neg", "__mul__", "__rmul__", "__truediv__"),
    }
)
"""Operations f with f(c x) = c f(x) for c > 0, where everything else that they get has no scale."""


class ScaledRecorder(Recorder):
    """Runs a network of positively homogeneous parts without overflow, normalisations skipped.

    Raises:
        MetricError: A part of the pass that is not homogeneous received a number beyond float64.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(skip_norms=True, **settings)
        self._scales: dict[int, tuple[Tensor, int]] = {}  # id -> (the tensor, kept alive; its scale)

    def scale_of(self, tensor: Tensor) -> int:
        """Return the power of two that was taken out of a tensor."""
        return self._scales.get(id(tensor), (tensor, 0))[1]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        is_layer = func in CONVOLUTIONS or func in TRANSPOSED or func is functional.linear
        scales = [self.scale_of(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        scale = max(scales, default=0)
        if is_layer and scale:
            call = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
            bias = call.get("bias")
            if bias is not None:
                bias = bias * 2.0**-scale
            args = (call["input"], call["weight"], bias, *args[3:])
            kwargs = {key: value for key, value in kwargs.items() if key not in {"input", "weight", "bias"}}
        elif name in _SUMS and len(set(scales)) > 1:
            args, kwargs = tree_map(lambda leaf: self._aligned(leaf, scale), (args, kwargs))
        result = super().__torch_function__(func, types, args, kwargs)
        if scale and isinstance(result, Tensor | tuple | list) and not is_layer and func not in NORMS:
            scaled = [s for s in scales if s]
            product = name in {"mul", "mul_", "__mul__"} and len(scaled) > 1
            if product:
                scale = sum(scaled)
            elif name not in _SUMS and (name not in _HOMOGENEOUS or len(scaled) > 1) and _is_float(result):
                raise MetricError(f"the flow is beyond float64 and {name!r} is not homogeneous")
        if is_layer:
            return self._shrunk(result, scale)
        if scale:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor) and leaf.is_floating_point() and id(leaf) not in self._scales:
                    self._scales[id(leaf)] = (leaf, scale)
        return result

    def _aligned(self, leaf: Any, scale: int) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf * 2.0 ** max(self.scale_of(leaf) - scale, -1100)

    def _shrunk(self, result: Tensor, scale: int) -> Tensor:
        """Return a layer's output with its large powers of two taken out."""
        peak = float(result.detach().abs().max())
        if peak > LARGE:
            power = math.frexp(peak)[1]
            result = result * 2.0**-power
            scale += power
        if scale:
            self._scales[id(result)] = (result, scale)
        return result


def _is_float(result: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in tree_leaves(result))
