"""A detour around one kernel of PyTorch's CPU library that writes beyond its memory.

The gradient in the weight of a pointwise convolution (kernel of one value) with a stride, on images in channels last
with 2 to 7 input channels, writes beyond its buffer where the CPU has AVX2 and not AVX-512: oneDNN 3.12, as in
PyTorch 2.14. The process then ends in a segmentation fault, at once or much later. A convolution of one value reads
only every stride-th position, so it is exactly the one of stride 1 on those positions, which has another kernel.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
"""Names of a convolution's arguments, in their order."""
DIMENSIONS: dict[Callable[..., Any], int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
"""Number of dimensions of the kernel of each convolution."""


def with_unit_stride(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of an equal call, of stride 1 where a convolution of one value has a larger one.

    Args:
        func: Any function of PyTorch; only `torch.conv1d`, `conv2d` and `conv3d` on a CPU are changed.
        args: Arguments of the call.
        kwargs: Arguments of the call by name.
    """
    dimensions = DIMENSIONS.get(func)
    if dimensions is None or (len(args) < 4 and "stride" not in kwargs):
        return args, kwargs
    call = dict(zip(ARGUMENTS, args, strict=False)) | kwargs
    source, weight = call.get("input"), call.get("weight")
    if not isinstance(source, Tensor) or not isinstance(weight, Tensor):
        return args, kwargs  # PyTorch refuses that itself
    if source.device.type != "cpu" or weight.shape[2:].numel() != 1:
        return args, kwargs
    stride = per_dimension(call["stride"], dimensions)
    if max(stride) == 1:
        return args, kwargs
    padding = call.get("padding", 0)
    borders = [0] * dimensions if padding == "valid" else padding
    if isinstance(borders, str):
        return args, kwargs  # PyTorch refuses it together with a stride, in words of its own
    borders = per_dimension(borders, dimensions)
    layout = torch.contiguous_format
    if source.ndim == 4 and source.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    if any(borders):
        source = functional.pad(source, [border for border in reversed(borders) for _ in range(2)])
    places: tuple[Any, ...] = (..., *(slice(None, None, step) for step in stride))
    source = source[places].contiguous(memory_format=layout)
    return (source, weight, call.get("bias")), {
        "stride": 1,
        "padding": 0,
        "dilation": call.get("dilation", 1),
        "groups": call.get("groups", 1),
    }


def per_dimension(value: int | Sequence[int], dimensions: int) -> list[int]:
    """Return a number for each dimension, from a layer's setting: one number for all, or one for each."""
    return [value] * dimensions if isinstance(value, int) else list(value) * (dimensions // len(value))


def safe_kernels(network: nn.Module, device: torch.device) -> AbstractContextManager[Any]:
    """Return what to call a network within, so that its backward pass does not meet that kernel.

    On other devices than a CPU that is nothing; and for compiled networks, whose code cannot be seen.

    Args:
        network: The one to call.
        device: Device of the computation.
    """
    compiled = any(
        isinstance(module, torch.jit.ScriptModule)
        or module._compiled_call_impl is not None  # noqa: SLF001
        or hasattr(module, "_orig_mod")
        for module in network.modules()
    )
    return contextlib.nullcontext() if compiled or device.type != "cpu" else SafeKernels()


class SafeKernels(TorchFunctionMode):
    """A mode in which no convolution of PyTorch's functions runs into that kernel in its backward pass.

    Example:
        >>> layer = torch.nn.Conv2d(4, 4, 1, stride=2)
        >>> with SafeKernels():
        ...     tuple(layer(torch.ones(1, 4, 8, 8)).shape)
        (1, 4, 4, 4)
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Tensor | Any:
        args, kwargs = with_unit_stride(func, args, kwargs or {})
        return func(*args, **kwargs)
