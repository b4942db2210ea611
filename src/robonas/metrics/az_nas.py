"""The four terms of AZ-NAS. Rank them over the candidates and add the logarithms of the ranks, as the paper does.

Notation: F_l the features after block l of L, as M positions × c_l channels; H_l the entropy of their spectrum.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from robonas.common.lazy import nn, torch
from robonas.common.randomness import torch_generator
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import eigenvalues
from robonas.metrics.passes.redraw import redrawn

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

PAPER = "Lee, Ham, AZ-NAS, CVPR 2024, arXiv 2403.19232, "
BLOCKS = (
    " Noise input and Kaiming weights as there. The blocks of an arbitrary network are the modules with parts that "
    "its lists and sequences hold, with layers beside them; for NAS-Bench-201 the stem and the 17 blocks of the paper."
)


def blocks(network: nn.Module) -> list[nn.Module]:
    """Return the primary blocks: the children of the network, its lists and sequences; plain layers are one block."""
    found: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        for child in module.children():
            nested = any(True for part in child.children() for _ in part.children())
            if isinstance(child, nn.Sequential | nn.ModuleList) and (nested or isinstance(child, nn.ModuleList)):
                visit(child)
            elif child not in found:
                found.append(child)

    visit(network)
    while len(found) == 1 and any(True for _ in found[0].children()):  # a wrapper around the network
        visit(found.pop())
    return found


def features(passes: Passes) -> list[Tensor]:
    """Return the outputs of all blocks, in the order of the calls, with the graph between them.

    Logits and other vectors are none if there are maps.
    """

    def make() -> list[Tensor]:
        outputs: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim >= 2 and len(output) == len(inputs):
                outputs.append(output)

        inputs = passes.noise("az").requires_grad_()
        handles = [block.register_forward_hook(keep) for block in blocks(passes.network)]
        try:
            result = passes.run(
                inputs, tensors=redrawn(passes, "kaiming", "az"), recorder=passes.recorder(), purpose="az"
            )
        finally:
            for handle in handles:
                handle.remove()
        logits = passes.pick(result)
        maps = [output for output in outputs if output.ndim > 2] or [
            output for output in outputs if output is not logits
        ]
        if not maps:
            raise MetricError("the network has no blocks whose features could be compared")
        return maps

    return passes.memo("az features", make)


def as_rows(values: Tensor, network: nn.Module) -> Tensor:
    """Return positions × channels.

    Three axes are (n, channels, positions) for 1-D convolutions, else (n, tokens, channels).
    """
    tokens = values.ndim == 3 and not any(isinstance(module, nn.Conv1d) for module in network.modules())
    return values.flatten(0, -2) if tokens or values.ndim == 2 else values.movedim(1, -1).flatten(0, -2)


def entropies(passes: Passes) -> list[float]:
    """Return H_l for every block."""
    return passes.memo(
        "az entropies", lambda: [_entropy(as_rows(f.detach(), passes.network)) for f in features(passes)]
    )


def _entropy(rows: Tensor) -> float:
    if not bool(torch.isfinite(rows).all()):
        raise MetricError("the features of a block are not finite")
    centred = rows - rows.mean(0)
    spectrum = eigenvalues((centred.T @ centred).double() / len(rows))
    total = float(spectrum.sum())
    if total <= 0.0:
        raise MetricError("the features of a block are constant")
    shares = spectrum / total
    return -float((shares * torch.log(shares + 1e-8)).sum())


def az_expressivity(passes: Passes) -> float:
    """Return the sum over blocks of the entropy of the features' spectrum."""
    return sum(entropies(passes))


def az_progressivity(passes: Passes) -> float:
    """Return the smallest gain of that entropy from one block to the next."""
    found = entropies(passes)
    if len(found) < 2:
        raise MetricError("needs at least two blocks, and the network has one")
    return min(later - earlier for earlier, later in pairwise(found))


def az_trainability(passes: Passes) -> float:
    """Return how close to 1 blocks keep the largest singular value between the gradients at their two ends."""
    maps = features(passes)
    generator = torch_generator("az signs", passes.seed)
    terms: list[float] = []
    cut = False
    for earlier, later in reversed(list(pairwise(maps))):
        signs = torch.randint(0, 2, later.shape, generator=generator).to(later).mul_(2.0).sub_(1.0)
        if earlier is later:
            continue
        if not earlier.requires_grad or not later.requires_grad:
            cut = True
            continue
        (back,) = torch.autograd.grad(later, earlier, signs, retain_graph=True, allow_unused=True)
        if back is None or torch.equal(back, signs):
            continue  # parallel blocks, or one that does nothing
        inner, outer = as_rows(_match(back, later), passes.network), as_rows(signs, passes.network)
        if len(inner) != len(outer):
            continue  # a change of layout, as from maps to tokens
        matrix = (inner.T @ outer).double() / len(outer)
        if not bool(torch.isfinite(matrix).all()):
            raise MetricError("the gradient between two blocks is not finite")
        if not bool(back.any()):
            raise MetricError("no gradient passes through a block")
        sigma = float(torch.linalg.matrix_norm(matrix, 2))
        terms.append(2.0 - sigma - 1.0 / (sigma + 1e-6))
    if not terms and cut:
        raise MetricError("no gradient leads from a block to the one before it, as torch.no_grad() and detach() do")
    if not terms:
        raise MetricError("needs two blocks in a row that change their features")
    return sum(terms) / len(terms)


def _match(back: Tensor, later: Tensor) -> Tensor:
    """Return the gradient at a block's input, with positions folded into channels to as many as at its output."""
    if back.ndim != later.ndim or back.ndim < 4 or back.shape[2:] == later.shape[2:]:
        return back
    strides = [size // out for size, out in zip(back.shape[2:], later.shape[2:], strict=True)]
    if (
        back.ndim != 4
        or len(set(strides)) != 1
        or any(size != out * strides[0] for size, out in zip(back.shape[2:], later.shape[2:], strict=True))
    ):
        return back
    return nn.functional.pixel_unshuffle(back, strides[0])


def az_complexity(passes: Passes) -> float:
    """Return the floating-point operations for one sample, in millions, two for a multiply-add."""
    macs, _ = passes.operations
    return 2.0 * macs / 1e6


AZ_EXPRESSIVITY = Metric(
    name="az_expressivity",
    compute=az_expressivity,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="directions that the features of blocks use",
    meaning="How many directions the features of all blocks use.",
    formula="Σ_l H_l, H_l = −Σ p log(p + 1e-8), p the normalised eigenvalues of the covariance between the channels "
    "of F_l",
    source=PAPER + "section 3.2." + BLOCKS,
    bounds=(-1e-3, math.inf),
    weaknesses="Grows with the number and the width of blocks.",
    agreement="Spearman's .75, Kendall's .55",
    reported="see `az_complexity` for the four terms together",
)
AZ_PROGRESSIVITY = Metric(
    name="az_progressivity",
    compute=az_progressivity,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="least gain in richness from block to block",
    meaning="How surely features grow richer from block to block.",
    formula="min_l (H_l − H_{l−1})",
    source=PAPER + "section 3.2." + BLOCKS,
    weaknesses="One block decides; negative wherever widths shrink.",
    agreement="Spearman's .64, Kendall's .48",
    reported="see `az_complexity` for the four terms together",
)
AZ_TRAINABILITY = Metric(
    name="az_trainability",
    compute=az_trainability,
    needs=frozenset({Need.OWN_PASSES}),
    by_class=True,
    brief="how well blocks pass gradients on",
    meaning="How well blocks pass gradients on: neither dying nor exploding.",
    formula="mean_l (2 − σ_l − 1/(σ_l + 1e-6)), σ_l the largest singular value of the mean product of the gradients "
    "before and after block l, random signs after it",
    source=PAPER + "section 3.3." + BLOCKS + " A block that does nothing is left out; the authors' code gives −∞.",
    bounds=(-math.inf, 1e-3),
    weaknesses="Random signs; defined for one gradient at a time between neighbouring blocks.",
    agreement="Spearman's .58, Kendall's .39",
    reported="see `az_complexity` for the four terms together",
)
AZ_COMPLEXITY = Metric(
    name="az_complexity",
    compute=az_complexity,
    needs=frozenset({Need.OPERATIONS}),
    by_class=True,
    brief="operations of a forward pass, in millions",
    meaning="What a forward pass of one sample costs, in millions of floating-point operations.",
    formula="2 · multiply-adds / 10⁶, which `macs` defines",
    source=PAPER + "section 3.4, where larger is taken as better.",
    bounds=(0.0, math.inf),
    weaknesses="Size alone.",
    agreement="Spearman's .81, Kendall's .64",
    reported="AZ-NAS reports .91 for its four terms together, Kendall's .74, with batches of 64 (recalled, not "
    "checked); ours together have .90 and .73",
)
