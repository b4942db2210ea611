"""Average pools and ReLUs of our own: values and all derivatives are those of PyTorch, in any layout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from robonas.metrics.passes.pooling_relu import average, rectify

POOLS = [
    {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (5, 3), "stride": (1, 1), "padding": (2, 1), "count_include_pad": False},
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 1, "padding": 1, "divisor_override": 5},
    {"kernel_size": 1, "stride": 1},
    {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1,), "count_include_pad": False},
    {"kernel_size": [3], "stride": [], "padding": 1},
]


def derivatives(pool, x: torch.Tensor) -> list[torch.Tensor]:
    """The result, its gradient for a cotangent that depends on the input, and the gradient of that gradient."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = pool(x)
    (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first * first.detach()).sum(), x)
    return [y.detach(), first.detach(), second]


@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["last", "first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_average_is_that_of_pytorch(options, layout, dtype) -> None:
    x = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(0), dtype=dtype).to(memory_format=layout)
    expected = derivatives(lambda x: functional.avg_pool2d(x, **options), x)
    for ours, theirs in zip(derivatives(lambda x: average((x,), options), x), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_layout_stays() -> None:
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    y = average((x, 3), {"stride": 1, "padding": 1, "count_include_pad": False})
    assert y.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(y.sum(), x)  # whose cotangent has no layout
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_rectify_is_that_of_pytorch() -> None:
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(derivatives(rectify, x), derivatives(torch.relu, x), strict=True):
        torch.testing.assert_close(ours, theirs)
