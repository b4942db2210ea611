"""Steadiness of gradients from batch to batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.datasets.targets import loss_of
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.modules import buffers_of, parameters_of
from robonas.metrics.passes.needs import CUT, INPUT_IGNORED
from robonas.metrics.passes.reading import numbers

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes


def zico(passes: Passes) -> float:
    """Return the sum over layers of the log of summed inverse variation coefficients of gradients, over two halves."""
    n = len(passes.batch)
    tensors = {
        name: tensor.detach().double() if tensor.is_floating_point() else tensor.detach().clone()
        for name, tensor in (parameters_of(passes.network) | buffers_of(passes.network)).items()
    }
    sources = {name: tensors[name].requires_grad_() for name, weight in passes.weights.items() if weight.requires_grad}
    if not sources:
        raise MetricError("every weight is frozen")
    halves = [_gradients(passes, part, tensors, sources) for part in (slice(0, n // 2), slice(n // 2, n))]
    ratios: list[Tensor] = []
    for first, second in zip(*halves, strict=True):
        if first is None or second is None:
            continue
        mean = 0.5 * (first.abs() + second.abs())
        deviation = 0.5 * (first - second).abs()
        ratios.append(torch.where(deviation > 0.0, mean / deviation, 0.0).sum())
    found = [math.log(ratio) for ratio in numbers(ratios) if ratio > 0.0]
    if not found:
        raise MetricError("no gradient differs between the two halves of the batch")
    return sum(found)


def _gradients(
    passes: Passes, part: slice, tensors: dict[str, Tensor], sources: dict[str, Tensor]
) -> tuple[Tensor | None, ...]:
    """Return the gradient of the mean loss of some samples, in float64."""
    inputs = passes.inputs()[part].double()
    result = passes.run(inputs, tensors=tensors, recorder=passes.recorder(), purpose="zico")
    logits = passes.pick(result)
    loss = loss_of(logits, passes.batch.targets[part].to(logits.device), passes.batch.task)
    if bool((logits == logits[:1]).all()):
        raise MetricError(INPUT_IGNORED)
    gradients: tuple[Tensor | None, ...] = ()
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, list(sources.values()), allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise MetricError(CUT)
    return gradients


ZICO = Metric(
    name="zico",
    compute=zico,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="size of gradients against their spread",
    meaning="How large gradients are compared with how much they differ between batches.",
    formula="Σ_l log Σ_w (mean_b |g_b| / std_b g_b) over weights whose deviation is not zero; b the two halves of the "
    "batch",
    source="Li, Yang, Bhardwaj, Marculescu, ZiCo, ICLR 2023, arXiv 2301.11300, eq. 9, as in the authors' code: the "
    "deviation of the signed gradient, gradients cleared between batches. In float64, since near-equal gradients "
    "cancel; the halves of one batch instead of two batches.",
    needs_labels=True,
    least_samples=4,
    weaknesses="A sum of heavy-tailed ratios: few weights decide each layer. Grows with the number of layers.",
    agreement="Spearman's .77, Kendall's .58",
    reported="ZiCo reports .80, Kendall's .61, with two batches of CIFAR-10 (recalled, not checked)",
)
