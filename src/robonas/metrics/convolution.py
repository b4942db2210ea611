"""Convolution whose second derivative is four convolutions, each by the kernel made for it.

PyTorch's double backward turns the gradient in the weight into a convolution with a kernel as large as the image, and
loses the layout of its operands on the way; for `grasp` that is half of the time. Here every part is one call of the
forward or backward kernel, and exact.

With y = x ∗ w, dx = g ∗ᵀ w and dw = g ⋆ x, bilinear each, the cotangents v of dx and u of dw give
v ∗ w + x ∗ u for g, g ∗ᵀ u for x and g ⋆ v for w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.metrics.batchnorm import Watch

_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_DIMENSIONS: dict[Callable[..., Any], int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}

Options = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, transposed, output padding and groups, as PyTorch's kernels take them."""


def convolve(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], watch: Watch) -> Tensor | None:
    """What a call of `torch.conv1d`, `conv2d` or `conv3d` returns; None for forms that are left to PyTorch."""
    call = dict(zip(_NAMES, args, strict=False)) | dict(kwargs)
    dimensions = _DIMENSIONS[func]
    if call["input"].ndim != dimensions + 2 or isinstance(call.get("padding", 0), str):
        return None
    stride, padding, dilation = (
        [value] * dimensions if isinstance(value, int) else list(value) * (dimensions // len(value))
        for value in (call.get("stride", 1), call.get("padding", 0), call.get("dilation", 1))
    )
    options: Options = (stride, padding, dilation, False, [0] * dimensions, call.get("groups", 1))
    result: Tensor = Convolution.apply(call["input"], call["weight"], call.get("bias"), options, watch)
    return result


class Convolution(Function):
    """y = x ∗ w + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, options: Options, watch: Watch) -> Tensor:
        """The kernel itself."""
        ctx.save_for_backward(x, w)
        ctx.options, ctx.watch, ctx.first, ctx.has_bias = options, watch, x.is_leaf, b is not None
        y: Tensor = torch.ops.aten.convolution(x, w, b, *options)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """In a pass for the input no gradient in weights is made; in one for the weights none in the input."""
        x, w = ctx.saved_tensors
        for_input = ctx.watch.awake
        mask = [
            ctx.needs_input_grad[0] and (for_input or not ctx.first),
            ctx.needs_input_grad[1] and not for_input,
            ctx.has_bias and ctx.needs_input_grad[2] and not for_input,
        ]
        dx, dw, db = _Gradient.apply(g, x, w, ctx.options, mask)
        return dx, dw, db, None, None


class _Gradient(Function):
    """dx, dw and db."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, w: Tensor, options: Options, mask: list[bool]
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(g, x, w)
        ctx.options = options
        ctx.set_materialize_grads(False)
        dx, dw, db = torch.ops.aten.convolution_backward(g, x, w, [w.shape[0]] if mask[2] else None, *options, mask)
        return dx if mask[0] else None, dw if mask[1] else None, db if mask[2] else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, u: Tensor | None, s: Tensor | None) -> tuple[Tensor | None, ...]:
        g, x, w = ctx.saved_tensors
        kernel, back = torch.ops.aten.convolution, torch.ops.aten.convolution_backward
        to_g: Tensor | None = None
        to_x: Tensor | None = None
        to_w: Tensor | None = None
        if v is not None:
            to_g = kernel(v, w, None, *ctx.options)
            if ctx.needs_input_grad[2]:
                to_w = back(g, v, w, None, *ctx.options, [False, True, False])[1]
        if u is not None:
            part = kernel(x, u, None, *ctx.options)
            to_g = part if to_g is None else to_g.add_(part)
            if ctx.needs_input_grad[1]:
                to_x = back(g, x, u, None, *ctx.options, [True, False, False])[0]
        if s is not None:
            part = s.view(1, -1, *([1] * (g.ndim - 2))).expand_as(g)
            to_g = part if to_g is None else to_g + part
        return to_g, to_x, to_w, None, None
