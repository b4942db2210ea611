"""The batch norm with a closed double backward is PyTorch's, to every derivative that metrics take."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from robonas.metrics.passes.batchnorm import TrainingBatchNorm, Watch


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 6), (3, 2, 4, 5), (2, 2, 3, 2, 3)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_all_derivatives_equal_those_of_pytorch(shape, channels_last) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if channels_last and len(shape) == 4:
        x = x.to(memory_format=torch.channels_last)
    weight = torch.rand(shape[1], generator=generator, dtype=torch.float64) + 0.5
    bias = torch.randn(shape[1], generator=generator, dtype=torch.float64)
    seeds = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    seeds += [torch.randn(shape[1], generator=generator, dtype=torch.float64) for _ in range(2)]

    def derivatives(norm):
        leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
        y = norm(*leaves)
        g = seeds[0].clone().requires_grad_()
        first = torch.autograd.grad(y, leaves, g, create_graph=True)
        second = torch.autograd.grad(
            (first[0] * seeds[1]).sum() + (first[1] * seeds[2]).sum() + (first[2] * seeds[3]).sum(), [*leaves[:2], g]
        )
        only_x = torch.autograd.grad(norm(*leaves), leaves[0], g, create_graph=True)
        return y, *first, *second, *torch.autograd.grad(only_x[0], [*leaves[:2], g], seeds[1])

    ours = derivatives(lambda *leaves: TrainingBatchNorm.apply(*leaves, 1e-5, Watch()))
    theirs = derivatives(lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True, eps=1e-5))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_gradients_that_cancel_are_noticed() -> None:
    """The sum of a channel's outputs does not depend on its inputs."""
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight, bias = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    for power, cancelled in ((1, True), (2, False), (3, False)):
        watch = Watch()
        y = TrainingBatchNorm.apply(x, weight, bias, 1e-12, watch)
        watch.awake = True
        torch.autograd.grad(y.sum() if power == 1 else (y.exp() ** power).sum(), x)
        assert watch.cancelled == cancelled
