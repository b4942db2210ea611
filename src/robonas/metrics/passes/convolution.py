"""Convolution whose second derivative is four convolutions, each by the kernel made for it.

PyTorch's double backward turns the gradient in the weight into a convolution with a kernel as large as the image, and
loses the layout of its operands on the way; for `grasp` that is half of the time. Here every part is one call of the
forward or backward kernel, and exact.

The sum over the weights of w · (H g) needs no cotangent of w at all: it is the derivative in a scale s of the weights,
y = x ∗ (s w), whose parts <w, g ⋆ v> = <g, v ∗ w> and <w, g ⋆ x> = <g, y> are products of what is there already.

With y = x ∗ w, dx = g ∗ᵀ w and dw = g ⋆ x, bilinear each, the cotangents v of dx and u of dw give
v ∗ w + x ∗ u for g, g ∗ᵀ u for x and g ⋆ v for w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from robonas.common.kernels import ARGUMENTS, DIMENSIONS, per_dimension

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.metrics.passes.batchnorm import Watch

_CHUNK = 1 << 16

Options = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, transposed, output padding and groups, as PyTorch's kernels take them."""


def convolve(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], watch: Watch) -> Tensor | None:
    """Return what a call of `torch.conv1d`, `conv2d` or `conv3d` returns; None for forms that are left to PyTorch."""
    call = dict(zip(ARGUMENTS, args, strict=False)) | dict(kwargs)
    dimensions = DIMENSIONS[func]
    if call["input"].ndim != dimensions + 2 or isinstance(call.get("padding", 0), str):
        return None
    stride, padding, dilation = (
        per_dimension(value, dimensions)
        for value in (call.get("stride", 1), call.get("padding", 0), call.get("dilation", 1))
    )
    options: Options = (stride, padding, dilation, False, [0] * dimensions, call.get("groups", 1))
    scale = watch.scale if id(call["weight"]) in watch.scaled else None
    result: Tensor = Convolution.apply(call["input"], call["weight"], call.get("bias"), scale, options, watch)
    return result


class Convolution(Function):
    """y = x ∗ (s w) + b at s = 1; without a scale, y = x ∗ w + b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, scale: Tensor | None, options: Options, watch: Watch
    ) -> Tensor:
        """Return the kernel itself."""
        y: Tensor = torch.ops.aten.convolution(x, w, b, *options)
        ctx.save_for_backward(x, w, b, scale, y if scale is not None else None)
        ctx.options, ctx.watch, ctx.first, ctx.has_bias = options, watch, x.is_leaf, b is not None
        ctx.weight = w if w.is_leaf else None  # tells layers apart for `grasp_bn`
        ctx.exact, ctx.reaches = True, True  # see `robonas.metrics.passes.invariance`
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients that are needed: none of weights in a pass for the input, and the other way round.

        In one for the scale the weights' part is <w, ∂/∂w> = <g, x ∗ w>, which takes no kernel.
        """
        x, w, b, scale, y = ctx.saved_tensors
        for_input, for_scale = ctx.watch.awake, ctx.watch.second and scale is not None
        mask = [
            ctx.needs_input_grad[0] and (for_input or not ctx.first),
            ctx.needs_input_grad[1] and not for_input and not for_scale,
            ctx.has_bias and ctx.needs_input_grad[2] and not for_input and not for_scale,
        ]
        to_scale: Tensor | None = None
        if for_scale and ctx.exact:
            to_scale = inner(g, y)
            if b is not None:
                to_scale = to_scale - (g.movedim(1, -1).flatten(0, -2).sum(0, dtype=torch.float64) * b).sum()
        if for_scale and not (mask[0] and ctx.reaches):
            return None, None, None, to_scale, None, None
        dx, dw, db = _Gradient.apply(g, x, w, scale, ctx, mask)
        return dx, dw, db, to_scale, None, None


class _Gradient(Function):
    """dx, dw and db."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, w: Tensor, scale: Tensor | None, call: Any, mask: list[bool]
    ) -> tuple[Tensor | None, ...]:
        options: Options = call.options
        ctx.save_for_backward(g, x, w, scale)
        ctx.options, ctx.call = options, call
        ctx.set_materialize_grads(False)
        dx, dw, db = torch.ops.aten.convolution_backward(g, x, w, [w.shape[0]] if mask[2] else None, *options, mask)
        return dx if mask[0] else None, dw if mask[1] else None, db if mask[2] else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, u: Tensor | None, s: Tensor | None) -> tuple[Tensor | None, ...]:
        g, x, w, scale = ctx.saved_tensors
        call = ctx.call
        for_scale = call.watch.second and scale is not None
        kernel, back = torch.ops.aten.convolution, torch.ops.aten.convolution_backward
        to_g: Tensor | None = None
        to_x: Tensor | None = None
        to_w: Tensor | None = None
        to_scale: Tensor | None = None
        if v is not None:
            to_g = kernel(v, w, None, *ctx.options)
            if for_scale:
                to_scale = inner(g, to_g) if call.exact else None
            elif ctx.needs_input_grad[2]:
                to_w = back(g, v, w, None, *ctx.options, [False, True, False])[1]
        if u is not None:
            part = kernel(x, u, None, *ctx.options)
            to_g = part if to_g is None else to_g.add_(part)
            if ctx.needs_input_grad[1] and not (for_scale and (call.first or not call.reaches)):
                to_x = back(g, x, u, None, *ctx.options, [True, False, False])[0]
        if s is not None:
            part = s.view(1, -1, *([1] * (g.ndim - 2))).expand_as(g)
            to_g = part if to_g is None else to_g + part
        return to_g, to_x, to_w, to_scale, None, None


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Return <one, other>: the network's precision within chunks, float64 for their sum."""
    if one.ndim == 4 and one.is_contiguous(memory_format=torch.channels_last):
        one, other = one.permute(0, 2, 3, 1), other.permute(0, 2, 3, 1)
    pairs = zip(torch.split(one.reshape(-1), _CHUNK), torch.split(other.reshape(-1), _CHUNK), strict=True)
    return torch.stack([torch.dot(part, match) for part, match in pairs]).sum(dtype=torch.float64)
