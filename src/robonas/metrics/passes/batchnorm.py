"""Batch norm in training mode whose second derivative is as cheap as its first.

PyTorch differentiates its batch norm's gradient by a chain of many small operations; for `grasp` that is much of the
time. Here the double backward is the closed form, exact up to rounding.

Notation, all for one channel of M values: x̂ = (x − μ) r with r = 1/√(variance + ε), w the scale, g = ∂L/∂y, ⟨·⟩ the
mean over the values. The gradient is dx = w r (g − ⟨g⟩ − x̂ ⟨g x̂⟩); for a cotangent v of dx,

    ∂⟨v, dx⟩/∂g = w r (v − ⟨v⟩ − x̂ ⟨v x̂⟩), which is the gradient's own formula with v for g, and
    ∂⟨v, dx⟩/∂x = −w r² [x̂ (⟨v g⟩ − ⟨v⟩⟨g⟩ − 3 ⟨v x̂⟩⟨g x̂⟩) + ⟨g x̂⟩ v + ⟨v x̂⟩ g − ⟨v⟩⟨g x̂⟩ − ⟨g⟩⟨v x̂⟩].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from robonas.metrics.passes.reading import any_true

if TYPE_CHECKING:
    from collections.abc import Iterable

CANCELLED = 1e-5
"""A gradient that this much smaller than what came is what rounding left of it."""


class Watch:
    """Tells functions of ours which backward pass is under way, since PyTorch does not.

    Awake during a backward pass for the input: then no gradient in weights is made, and it is noted whether some batch
    norm cancelled all of a gradient, so that from there on it is rounding.

    Args:
        weights: Parameters that convolutions multiply by one common scale of 1.
    """

    def __init__(self, weights: Iterable[Tensor] = ()) -> None:
        self.awake = False
        self._seen: list[tuple[Tensor, Tensor, Tensor | None, Tensor]] = []
        self.second = False
        """Whether the pass under way is the second one, for the derivative in the scale."""
        self.scaled = frozenset(map(id, weights))
        self.scale: Tensor | None = None
        """The scale, if there are such parameters."""
        if self.scaled:
            device = next(iter(weights)).device
            self.scale = torch.ones((), dtype=torch.float64, device=device, requires_grad=True)

    def look(self, dx: Tensor, g: Tensor, weight: Tensor | None, scale: Tensor) -> None:
        """Note the largest of what came and of what goes on, in a few samples."""
        step = max(len(g) // 4, 1)
        self._seen.append((g[::step].abs().amax(), dx[::step].abs().amax(), weight, scale))

    @property
    def cancelled(self) -> bool:
        """Whether some batch norm cancelled all of a gradient."""
        flags = []
        for came, left, weight, scale in self._seen:
            bound = came * (scale if weight is None else scale * weight.abs()).amax()
            flags.append((bound > 0.0) & (left <= CANCELLED * bound))
        return any_true(flags)


class TrainingBatchNorm(Function):
    """y = w x̂ + b with the statistics of the batch; leaves running statistics alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, watch: Watch) -> Tensor:
        """Return the kernel itself."""
        y: Tensor
        y, mean, scale = torch.ops.aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps, ctx.watch = eps, watch
        ctx.reaches = True  # see `robonas.metrics.passes.invariance`
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients, watched in a pass for the input."""
        x, weight, mean, scale = ctx.saved_tensors
        dx, dw, db = _Gradient.apply(g, x, weight, mean, scale, ctx)
        if ctx.watch.awake:
            ctx.watch.look(dx.detach(), g.detach(), weight, scale)
        if weight is None:
            return dx, None, None, None, None
        return dx, dw, db, None, None


class _Gradient(Function):
    """The gradient of batch norm, with its own."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, scale: Tensor, call: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        eps: float = call.eps
        dx, dw, db = _gradient(g, x, weight, mean, scale, eps)
        ctx.save_for_backward(g, x, weight, mean, scale, dw, db)
        ctx.eps, ctx.call = eps, call
        ctx.set_materialize_grads(False)
        return dx, dw, db

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, u: Tensor | None, s: Tensor | None) -> tuple[Tensor | None, ...]:
        g, x, weight, mean, scale, dw, db = ctx.saved_tensors
        if ctx.call.watch.second and not ctx.call.reaches and v is not None and u is None and s is None:
            return _gradient(v, x, weight, mean, scale, ctx.eps)[0], None, None, None, None, None
        count = x.numel() // x.shape[1]
        shape = (1, -1, *([1] * (x.ndim - 2)))
        w = torch.ones_like(scale) if weight is None else weight
        to_g: Tensor | None = None
        # ∂/∂x = α x + β v + γ g + δ with one coefficient a channel
        alpha, delta = torch.zeros_like(scale), torch.zeros_like(scale)
        beta, gamma = torch.zeros_like(scale), torch.zeros_like(scale)
        to_weight: Tensor | None = None
        mean_g, mean_gx = db / count, dw / count
        if v is not None:
            to_g, sum_vx, sum_v = _gradient(v, x, weight, mean, scale, ctx.eps)
            mean_v, mean_vx = sum_v / count, sum_vx / count
            mean_vg = _channel_sum(v, g) / count
            factor = -w * scale.square()
            alpha = factor * (mean_vg - mean_v * mean_g - 3.0 * mean_vx * mean_gx)
            beta, gamma = factor * mean_gx, factor * mean_vx
            delta = -factor * (mean_v * mean_gx + mean_g * mean_vx)
            to_weight = scale * count * (mean_vg - mean_v * mean_g - mean_vx * mean_gx)
        if u is not None:  # the cotangent of dw = Σ g x̂
            normalised = (x - mean.view(shape)) * scale.view(shape)
            to_g = normalised * u.view(shape) if to_g is None else to_g + normalised * u.view(shape)
            gamma = gamma + u * scale
            alpha, delta = alpha - u * scale * mean_gx, delta - u * scale * mean_g
        if s is not None:  # the cotangent of db = Σ g
            to_g = s.view(shape).expand_as(g) if to_g is None else to_g + s.view(shape)
        alpha = alpha * scale  # of x instead of x̂
        delta = delta - alpha * mean
        to_x = torch.addcmul(delta.view(shape), x, alpha.view(shape)).addcmul_(g, gamma.view(shape))
        if v is not None:
            to_x.addcmul_(v, beta.view(shape))
        return to_g, to_x, to_weight if weight is not None else None, None, None, None


def _gradient(
    g: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, scale: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, dw = Σ g x̂ and db = Σ g, by PyTorch's own kernel."""
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        g = g.contiguous(memory_format=torch.channels_last)  # the kernel is slow on two layouts
    if weight is None:
        weight = torch.ones_like(scale)  # without one the kernel gives no sums
    dx, dw, db = torch.ops.aten.native_batch_norm_backward(
        g, x, weight, None, None, mean, scale, True, eps, [True, True, True]
    )
    return dx, dw, db


def _channel_sum(one: Tensor, other: Tensor) -> Tensor:
    """Return Σ of the product over all axes but the channels'."""
    return (one * other).sum([axis for axis in range(one.ndim) if axis != 1])
