"""Evenness of the Fisher information over the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from robonas.common.lazy import functional, torch
from robonas.datasets.targets import NUMBERS
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import eigenvalues
from robonas.metrics.passes.needs import CUT
from robonas.metrics.passes.redraw import redrawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

SMOOTHING = 0.05
LAYERS = 128
"""Largest number of layers, each with its first weight."""


class _Nudges:
    """Adds to every layer's output what a change of its first weight would, one change a sample, all zero.

    The derivative in such a change is the derivative in that weight for that sample alone, which a batch's gradient
    cannot tell.
    """

    def __init__(self) -> None:
        self.changes: list[Tensor] = []

    def __call__(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor:
        from robonas.metrics.passes.recorder import TRANSPOSED

        if len(self.changes) >= LAYERS:
            return output
        call = dict(zip(("input", "weight", "bias", "stride", "padding"), args, strict=False)) | kwargs
        source, weight = call["input"], call["weight"]
        change = torch.zeros(
            len(source), *([1] * (output.ndim - 1)), dtype=output.dtype, device=output.device, requires_grad=True
        )
        self.changes.append(change)
        if func is functional.linear:
            axis, part = output.ndim - 1, source[..., :1]
        else:
            axis = 1
            tail = args[5:]  # transposed: output padding, groups, dilation; else: dilation, groups
            if func in TRANSPOSED:
                tail = (*args[5:6], 1, *args[7:]) if len(args) > 5 else ()
            elif len(args) > 6:
                tail = (args[5], 1)
            one = torch.zeros(1, 1, *weight.shape[2:], dtype=weight.dtype, device=weight.device)
            one.view(-1)[0] = 1.0
            options = {key: value for key, value in kwargs.items() if key not in {"input", "weight", "bias", "groups"}}
            part = func(source[:, :1], one, None, *args[3:5], *tail, **options)
        padding = [0, 0] * (output.ndim - 1 - axis) + [0, output.shape[axis] - 1]
        return output + functional.pad(change * part, padding)


def fisher_spectrum(passes: Passes) -> Tensor:
    """Return the eigenvalues of the empirical Fisher matrix of the first weight of every layer, ascending."""
    nudges = _Nudges()
    recorder = passes.recorder(transform=nudges)
    inputs = passes.noise("vkdnw")
    result = passes.run(
        inputs, tensors=redrawn(passes, "kaiming", "vkdnw"), recorder=recorder, training=False, purpose="vkdnw"
    )
    logits = passes.pick(result)
    n, n_classes = logits.shape
    changes = [change for change in nudges.changes if len(change) == n]
    if not changes:
        raise MetricError("the network calls no convolution or linear layer with the samples one by one")
    if not logits.requires_grad:
        raise MetricError(CUT)
    if not bool(torch.isfinite(logits).all()):
        raise MetricError("the logits are not finite")
    columns = []
    for c in range(n_classes):
        gradients = torch.autograd.grad(logits[:, c].sum(), changes, retain_graph=c + 1 < n_classes, allow_unused=True)
        columns.append(torch.stack([torch.zeros(n).to(logits) if g is None else g.flatten() for g in gradients], 1))
    jacobian = torch.stack(columns, 1).double()  # (n, classes, weights)
    # In evaluation mode a fresh network can be so sure of itself that odds underflow: smoothed as in the authors' code.
    odds = (1.0 - SMOOTHING) * torch.softmax(logits.detach().double(), 1) + SMOOTHING / n_classes
    centred = jacobian - torch.einsum("nc,ncp->np", odds, jacobian)[:, None]
    return eigenvalues(torch.einsum("nc,ncp,ncq->pq", odds, centred, centred) / n)


def vkdnw(passes: Passes) -> float:
    """Return the entropy of the deciles of the Fisher spectrum."""
    spectrum = fisher_spectrum(passes)
    deciles = torch.quantile(spectrum, torch.arange(1, 10, dtype=torch.float64, device=spectrum.device) / 10.0)
    total = float(deciles.sum())
    if total <= 0.0:
        raise MetricError("the Fisher information of most weights is zero")
    shares = deciles / total
    return -float((shares * torch.log(shares + 1e-10)).sum())


VKDNW = Metric(
    name="vkdnw",
    compute=vkdnw,
    needs=frozenset({Need.OWN_PASSES}),
    sample_by_sample=True,
    brief="evenness of the Fisher information",
    meaning="How evenly the data would inform the weights of different layers.",
    formula="−Σ_k t_k log t_k over the 9 deciles t of the eigenvalues of F = mean_n J_nᵀ (diag π_n − π_n π_nᵀ) J_n, "
    "normalised; J_n the gradients of the logits in the first weight of each of the first 128 layers, π_n = 0.95 · "
    "their softmax + 0.05 / classes",
    source="Tybl, Neumann, VKDNW, CVPR 2025, arXiv 2502.04975, eq. 4 to 6. Noise input, Kaiming weights, evaluation "
    "mode, as there. The matrix is the paper's; the authors' code multiplies a factor of it from the wrong side; the "
    "smoothing of π is theirs. Add `layers` for the paper's single score.",
    bounds=(0.0, math.log(9.0) + 1e-6),
    tasks=NUMBERS,
    weaknesses="Blind to size by design: alone it says next to nothing of NAS-Bench-201. With few layers the deciles "
    "mean little. One backward pass for each class.",
    agreement="Spearman's −.06, Kendall's −.03",
    reported="VKDNW reports .82 for its single score, which adds the number of layers, Kendall's .62, with batches "
    "of 64 (recalled, not checked); `vkdnw` + `layers` has .78 and .59 here",
)
