"""Variants of `nwot`: other kernels between samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.nwot import SINGULAR, agreement
from robonas.metrics.passes.linear_algebra import log_determinant

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def naswot_gram(passes: Passes) -> float:
    """Return log |det Σ X Xᵀ| with the rectifiers' inputs themselves, not their signs."""
    n = len(passes.batch)
    kernel = torch.zeros(n, n, dtype=torch.float64, device=passes.preactivations[0].device)
    for values in passes.preactivations:
        kernel += values.double() @ values.double().T
    return log_determinant(kernel, "two samples excite the rectifiers alike, so that the kernel is singular")


def naswot_layers(passes: Passes) -> float:
    """Compute `nwot` on the outputs of convolution and linear layers; needs no rectifier."""
    return log_determinant(agreement(passes.layer_codes), SINGULAR.replace("rectifiers", "signs of layers"))


NASWOT_GRAM = Metric(
    name="naswot_gram",
    compute=naswot_gram,
    needs=frozenset({Need.PREACTIVATIONS}),
    by_class=True,
    brief="independence of samples at the rectifiers",
    meaning="How independent the inputs of all rectifiers are between the samples of a batch.",
    formula="log |det Σ over rectifier calls of X Xᵀ|, X the inputs of the call, one row a sample",
    source="The `naswot` of He, Shu, Dai, Low, RoBoT, ICLR 2024, arXiv 2403.07591, and HNAS, NeurIPS 2022 (code): not "
    "the binary kernel of the paper that it is named after, which is `nwot` here.",
    weaknesses="Follows the scale of the activations, and says nothing of the accuracies of NAS-Bench-201: use `nwot`.",
    agreement="Spearman's .02, Kendall's .05",
    reported="no paper reports one",
)

NASWOT_LAYERS = Metric(
    name="naswot_layers",
    compute=naswot_layers,
    needs=frozenset({Need.LAYER_CODES}),
    by_class=True,
    brief="unlikeness of the signs of layers' outputs",
    meaning="How well the signs of all layers' outputs tell the samples of a batch apart, rectified or not.",
    formula="log |det K|, K = Σ over convolution and linear calls of X Xᵀ + (1 − X)(1 − X)ᵀ, X = 1[output > 0]",
    source="A variant that circulates in public collections of metrics, from the kernel of Mellor et al., ICML 2021, "
    "arXiv 2006.04647. In training mode here.",
    weaknesses="Grows with the number of units; before a batch norm the sign says little.",
    agreement="Spearman's .75, Kendall's .56",
    reported="no paper reports one",
)
