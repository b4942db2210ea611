"""First-order effect of the weights on the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.reading import total

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def plain(passes: Passes) -> float:
    """Return the sum of weight × gradient."""
    weights = passes.weights
    return total(
        (weights[name].detach() * gradient).sum(dtype=torch.float64) for name, gradient in passes.gradients.items()
    )


PLAIN = Metric(
    name="plain",
    compute=plain,
    needs=frozenset({Need.GRADIENTS}),
    by_class=True,
    brief="change of the loss if all weights grew",
    meaning="First-order change of the loss if all weights grew in proportion.",
    formula="Σ w · ∂L/∂w over the weights w of convolution and linear layers",
    source="Abdelfattah et al., arXiv 2101.08134 (code); NAS-Bench-Suite-Zero.",
    needs_labels=True,
    weaknesses="Zero up to rounding for every layer that a batch norm follows, so mostly noise on such networks (rank "
    "correlation of .21 with itself under another seed).",
    agreement="Spearman's −.22, Kendall's −.15",
    reported="the values that NAS-Bench-Suite-Zero publishes have −.27 over all cells",
)
