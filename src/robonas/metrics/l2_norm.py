"""Size of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.reading import total

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def l2_norm(passes: Passes) -> float:
    """Return the sum over layers of the 2-norm of the layer's weights."""
    from robonas.metrics.passes.weights import layer_weights

    passes.check_seen()
    return total(torch.linalg.vector_norm(w, dtype=torch.float64) for w in layer_weights(passes.network))


L2_NORM = Metric(
    name="l2_norm",
    compute=l2_norm,
    needs=frozenset({Need.PARAMETERS}),
    by_class=True,
    brief="size of the initial weights",
    meaning="How large the initial weights are, which under usual initialisations says how many layers and channels "
    "there are.",
    formula="Σ_l ‖w_l‖₂ over the weights of all `layers`, frozen ones too, as the layer uses them: normed, orthogonal, "
    "pruned",
    source="Abdelfattah et al., arXiv 2101.08134 (code); NAS-Bench-Suite-Zero.",
    bounds=(0.0, float("inf")),
    weaknesses="A count of channels in disguise; changes with the initialisation.",
    agreement="Spearman's .73, Kendall's .54",
    reported="the values that NAS-Bench-Suite-Zero publishes have .74 over all cells",
)
