"""Average pooling and ReLU with a second derivative in their input of zero, which PyTorch makes, fills and adds.

Average pooling that keeps the size of its maps is a depthwise convolution by a constant, and its gradient is another
one; in channels last those take a third of the time of PyTorch's own kernels.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from robonas.common.kernels import per_dimension

_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def rectify(x: Tensor) -> Tensor:
    """Return max(x, 0)."""
    result: Tensor = _Relu.apply(x)
    return result


def average(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return what a call of `torch.nn.functional.avg_pool2d` returns."""
    call = dict(zip(_POOL, args, strict=False)) | kwargs
    stride = call.get("stride")
    kernel = per_dimension(call["kernel_size"], 2)
    options = _Pool(
        kernel,
        per_dimension(stride, 2) if isinstance(stride, int) or stride else kernel,
        per_dimension(call.get("padding", 0), 2),
        call.get("ceil_mode", False),
        call.get("count_include_pad", True),
        call.get("divisor_override"),
    )
    result: Tensor = _AveragePool.apply(call["input"], options)
    return result


class _Pool(NamedTuple):
    """The arguments of a pooling, as PyTorch's kernels take them."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    ceil_mode: bool
    count_include_pad: bool
    divisor: int | None

    def convolves(self, x: Tensor) -> bool:
        """Return whether this is a convolution that keeps the size, and quick."""
        return (
            x.ndim == 4
            and x.dtype is torch.float32
            and x.device.type == "cpu"
            and x.is_contiguous(memory_format=torch.channels_last)
            and self.stride == [1, 1]
            and self.divisor is None
            and all(size == 2 * padding + 1 for size, padding in zip(self.kernel, self.padding, strict=True))
        )

    def pooled(self, x: Tensor) -> Tensor:
        """Return the averages."""
        if not self.convolves(x):
            y: Tensor = torch.ops.aten.avg_pool2d(x, *self)
            return y
        y = self._convolved(x)
        return y if self.count_include_pad else y.mul_(self._correction(x))

    def spread(self, g: Tensor, x: Tensor) -> Tensor:
        """Return the gradient in x, by that in the averages."""
        if not self.convolves(x):
            dx: Tensor = torch.ops.aten.avg_pool2d_backward(g, x, *self)
            return dx
        g = g.contiguous(memory_format=torch.channels_last)
        return self._convolved(g if self.count_include_pad else g * self._correction(x))

    def _convolved(self, x: Tensor) -> Tensor:
        high, wide = self.kernel
        weight = x.new_full((x.shape[1], 1, high, wide), 1.0 / (high * wide))
        y: Tensor = torch.ops.aten.convolution(x, weight, None, [1, 1], self.padding, [1, 1], False, [0, 0], x.shape[1])
        return y

    def _correction(self, x: Tensor) -> Tensor:
        return _correction(*self.kernel, *self.padding, *x.shape[1:])


@functools.lru_cache(maxsize=32)
def _correction(high: int, wide: int, up: int, left: int, channels: int, height: int, width: int) -> Tensor:
    """Return the kernel's size over the number of values it covers at each place, (1, channels, height, width)."""
    ones = torch.ones(1, channels, height, width)
    averages = torch.ops.aten.avg_pool2d(ones, [high, wide], [1, 1], [up, left], False, True, None)
    correction: Tensor = averages.reciprocal().contiguous(memory_format=torch.channels_last)
    return correction


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
    def forward(ctx: Any, x: Tensor, pool: _Pool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.pool = pool
        return pool.pooled(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _AveragePoolGradient.apply(g, x.detach(), ctx.pool), None


class _AveragePoolGradient(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, pool: _Pool) -> Tensor:
        ctx.pool = pool
        return pool.spread(g, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None]:
        return ctx.pool.pooled(v), None, None
