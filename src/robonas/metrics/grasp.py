"""How pruning would change the gradient's flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robonas.metrics.base import Metric, Need

if TYPE_CHECKING:
    from robonas.metrics.passes import Passes


def grasp(passes: Passes) -> float:
    """Minus the sum of weight × Hessian-gradient product."""
    weights = passes.weights
    return -sum(
        float((weights[name].detach() * product).sum(dtype=torch.float64))
        for name, product in passes.hessian_gradient_products.items()
    )


GRASP = Metric(
    name="grasp",
    compute=grasp,
    needs=frozenset({Need.HESSIAN}),
    meaning="How much removing weights would weaken the flow of gradients.",
    formula="−Σ w · (H g), g = ∂L/∂w held fixed, H the Hessian of L in the weights of convolution and linear layers",
    source="Wang, Zhang, Grosse, GraSP, ICLR 2020, arXiv 2002.07376, eq. 8; sign as in Abdelfattah et al., arXiv "
    "2101.08134, so that higher is better. Temperature 1, one batch, exact double backward.",
    needs_labels=True,
    weaknesses="Noisy: another batch and draw of weights leave a rank correlation of about .73. In float32 off by 7 "
    "to 38 % where gradients explode.",
)
