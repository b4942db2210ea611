"""The convolution with a direct double backward is PyTorch's, to every derivative that metrics take."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from robonas.metrics.passes.batchnorm import Watch
from robonas.metrics.passes.convolution import convolve
from robonas.metrics.passes.pooling_relu import average, rectify

CASES = [
    (torch.conv1d, (2, 4, 9), (6, 4, 3), {"stride": 2, "padding": 1}),
    (torch.conv2d, (3, 4, 7, 6), (6, 2, 3, 3), {"padding": (1, 1), "groups": 2}),
    (torch.conv2d, (3, 4, 8, 8), (4, 1, 3, 3), {"stride": (2, 2), "padding": 1, "groups": 4}),
    (torch.conv2d, (2, 3, 9, 9), (5, 3, 3, 3), {"dilation": 2}),
    (torch.conv2d, (2, 3, 4, 4), (5, 3, 1, 1), {}),
    (torch.conv3d, (2, 2, 4, 5, 4), (3, 2, 3, 3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("biased", [False, True])
def test_all_derivatives_equal_those_of_pytorch(case, biased) -> None:
    func, shape, kernel, options = case
    generator = torch.Generator().manual_seed(0)

    def draw(size):
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x, w = draw(shape), draw(kernel)
    leaves = [x, w, draw(kernel[0])] if biased else [x, w]
    seed = draw(func(x, w, None, **options).shape)
    cotangents = [draw(leaf.shape) for leaf in leaves]

    def derivatives(convolution):
        inner = [leaf.clone().requires_grad_() for leaf in leaves]
        # the input of a network is a leaf whose gradient only a pass for the input makes; this one is none
        y = convolution(inner[0] * 1.0, *inner[1:])
        g = seed.clone().requires_grad_()
        first = torch.autograd.grad(y, inner, g, create_graph=True)
        total = sum((one * other).sum() for one, other in zip(first, cotangents, strict=True))
        return y, *first, *torch.autograd.grad(total, [inner[0], inner[1], g])

    ours = derivatives(lambda *arguments: convolve(func, arguments, options, Watch()))
    theirs = derivatives(lambda *arguments: func(*arguments, **options))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_forms_that_it_does_not_know_are_left_to_pytorch() -> None:
    x, w = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    assert convolve(torch.conv2d, (x, w), {"padding": "same"}, Watch()) is None
    assert convolve(torch.conv2d, (x[0], w), {}, Watch()) is None


def test_a_pass_makes_only_the_gradients_that_it_is_for() -> None:
    x, w = torch.randn(2, 3, 5, 5).requires_grad_(), torch.randn(4, 3, 3, 3).requires_grad_()
    watch = Watch()
    y = convolve(torch.conv2d, (x, w), {}, watch)
    watch.awake = True
    assert torch.autograd.grad(y.sum(), w, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(y.sum(), x, retain_graph=True)[0].shape == x.shape
    watch.awake = False
    assert torch.autograd.grad(y.sum(), x, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(y.sum(), w)[0].shape == w.shape


@pytest.mark.parametrize(
    "options", [{"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False}, {"kernel_size": (2, 3)}]
)
def test_pools_and_rectifiers_equal_those_of_pytorch(options) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 7, 7, generator=generator, dtype=torch.float64)

    def derivatives(pool, rectifier):
        leaf = x.clone().requires_grad_()
        y = (pool(leaf * leaf).exp() + rectifier(leaf).square().sum()).sum()
        (first,) = torch.autograd.grad(y, leaf, create_graph=True)
        return y, first, *torch.autograd.grad((first * x).sum(), leaf)

    ours = derivatives(lambda z: average((z,), options), rectify)
    theirs = derivatives(lambda z: functional.avg_pool2d(z, **options), torch.relu)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
