"""Norm of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.reading import total

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def grad_norm(passes: Passes) -> float:
    """Return the sum over layers of the 2-norm of the loss's gradient in the layer's weights."""
    return total(torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in passes.gradients.values())


GRAD_NORM = Metric(
    name="grad_norm",
    compute=grad_norm,
    needs=frozenset({Need.GRADIENTS}),
    by_class=True,
    brief="size of the gradient in the weights",
    meaning="How strongly the loss pulls at the weights before training.",
    formula="Σ_l ‖∂L/∂w_l‖₂ over convolution and linear layers l, L the mean loss of the batch",
    source="Abdelfattah, Mehrotra, Dudziak, Lane, Zero-Cost Proxies for Lightweight NAS, ICLR 2021, arXiv 2101.08134, "
    "section 3. As NASLib computes it: norms are summed over layers, not taken of all weights at once.",
    needs_labels=True,
    bounds=(0.0, float("inf")),
    weaknesses="Grows with depth and with exploding gradients; one batch and one draw of weights move it by about 2 % "
    "in rank.",
    agreement="Spearman's .65, Kendall's .46",
    reported="Abdelfattah et al. report .58 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .63 over all cells",
)
