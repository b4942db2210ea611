"""Change of the gradient's flow by pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.metrics.base import Metric, Need

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def grasp(passes: Passes) -> float:
    """Return minus the sum of weight × Hessian-gradient product."""
    return -passes.curvature


def grasp_bn(passes: Passes) -> float:
    """Return the same, with the squared norm of the gradient for convolutions that a batch norm follows."""
    return -passes.normed_curvature


PAPER = (
    "Wang, Zhang, Grosse, GraSP, ICLR 2020, arXiv 2002.07376, eq. 8; sign as in Abdelfattah et al., arXiv 2101.08134, "
    "so that higher is better. Temperature 1, one batch, "
)

GRASP = Metric(
    name="grasp",
    compute=grasp,
    needs=frozenset({Need.CURVATURE}),
    by_class=True,
    brief="what pruning would take from the gradient",
    meaning="How much removing weights would weaken the flow of gradients.",
    formula="−Σ w · (H g), g = ∂L/∂w held fixed, H the Hessian of L in the weights of convolution and linear layers",
    source=PAPER + "exact double backward. The sum is taken as the derivative of <∂L/∂w, g> in a common scale of the "
    "weights, which is the same number and takes two thirds of the kernels.",
    needs_labels=True,
    weaknesses="Noisy: another batch and draw of weights leave a rank correlation of about .73. In float32 off by 7 "
    "to 38 % where gradients explode.",
    agreement="Spearman's .33, Kendall's .23",
    reported="Abdelfattah et al. report .48 over all cells (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .56 over all cells. Small images cost it most",
)
GRASP_BN = Metric(
    name="grasp_bn",
    compute=grasp_bn,
    needs=frozenset({Need.NORMED_CURVATURE}),
    by_class=True,
    brief="`grasp`, cheaper where batch norms follow",
    meaning="The metric `grasp`, approximated by a closed form where batch norms follow: cheaper.",
    formula="Σ ‖g_l‖² over convolutions l that only feed a batch norm − Σ w · (H g) over all other weights",
    source=PAPER + "and −w · (H g) = ‖g‖² for a weight whose scale a batch norm takes away. That is so up to the "
    "norm's ε: it leaves out what ε / (variance + ε) lets through. Without batch norm it is `grasp`.",
    needs_labels=True,
    weaknesses="As `grasp`, and not exact: the smaller a layer's outputs against √ε, the further off.",
    agreement="Spearman's .33, Kendall's .23",
    reported="see `grasp`",
)
