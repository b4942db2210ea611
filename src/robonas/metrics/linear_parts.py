"""Average pooling and ReLU with a second derivative in their input of zero, which PyTorch makes, fills and adds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def rectify(x: Tensor) -> Tensor:
    """max(x, 0)."""
    result: Tensor = _Relu.apply(x)
    return result


def average(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What a call of `torch.nn.functional.avg_pool2d` returns."""
    call = dict(zip(_POOL, args, strict=False)) | kwargs
    stride = call.get("stride")
    options = (
        _pair(call["kernel_size"]),
        [] if stride is None else _pair(stride),
        _pair(call.get("padding", 0)),
        call.get("ceil_mode", False),
        call.get("count_include_pad", True),
        call.get("divisor_override"),
    )
    result: Tensor = _AveragePool.apply(call["input"], options)
    return result


def _pair(value: int | list[int] | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _Relu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.relu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        result: Tensor = _ReluGradient.apply(g, y)
        return result


class _ReluGradient(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        result: Tensor = torch.ops.aten.threshold_backward(g, y, 0)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(v, y, 0), None


class _AveragePool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, options: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.options = options
        result: Tensor = torch.ops.aten.avg_pool2d(x, *options)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _AveragePoolGradient.apply(g, x.detach(), ctx.options), None


class _AveragePoolGradient(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, options: Any) -> Tensor:
        ctx.options = options
        result: Tensor = torch.ops.aten.avg_pool2d_backward(g, x, *options)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None]:
        return torch.ops.aten.avg_pool2d(v, *ctx.options), None, None
