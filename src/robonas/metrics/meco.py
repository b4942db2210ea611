"""Independence of the channels of feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.common.randomness import torch_generator
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

CHANNELS = 8


def least_eigenvalue(rows: Tensor) -> float:
    """Return the smallest eigenvalue of the Pearson correlation between rows.

    Constant rows correlate with nothing, not even themselves.
    """
    rows = rows.double()
    if not bool(torch.isfinite(rows).all()):
        raise MetricError("a feature map is not finite")
    centred = rows - rows.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    constant = norms <= 1e-14 * torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    unit = torch.where(constant, 0.0, centred / torch.where(constant, 1.0, norms))
    return float(torch.linalg.eigvalsh(unit @ unit.T)[0].clamp_min(0.0))


def _maps(passes: Passes) -> list[Tensor]:
    return [values.flatten(1) for values in passes.maps]


def meco(passes: Passes) -> float:
    """Return the sum over convolutions of the least eigenvalue of the correlation of channels, for one sample."""
    # With fewer positions than channels plus one the rank is short, and the smallest eigenvalue is exactly 0.
    return sum(least_eigenvalue(rows) for rows in _maps(passes) if rows.shape[1] > len(rows))


def meco_opt(passes: Passes) -> float:
    """Compute `meco` on eight channels drawn from each map, weighted by the number of channels."""
    generator = torch_generator("meco", passes.seed)
    total = 0.0
    for rows in _maps(passes):
        chosen = torch.randperm(len(rows), generator=generator)[:CHANNELS].to(rows.device)
        if rows.shape[1] > len(chosen):
            total += len(rows) / len(chosen) * least_eigenvalue(rows[chosen])
    return total


MECO = Metric(
    name="meco",
    compute=meco,
    needs=frozenset({Need.MAPS}),
    by_class=True,
    brief="independence of the channels of maps",
    meaning="How far from redundant the channels of the network's feature maps are.",
    formula="Σ_l λ_min(P_l), P_l the Pearson correlation between the channels of convolution l's output, for the "
    "first sample",
    source="Jiang, Wang, Bie, MeCo, NeurIPS 2023, definition 2. Outputs of convolutions only: the authors' code adds "
    "the map of every module, so that the same map counts several times. The first sample of the batch instead of "
    "noise of a fixed size.",
    bounds=(0.0, float("inf")),
    weaknesses="Zero for maps with no more positions than channels: small inputs leave few maps. One sample decides.",
    agreement="Spearman's .88, Kendall's .68",
    reported="MeCo reports about .89 (recalled, not checked), with one image of 64×64",
)

MECO_OPT = Metric(
    name="meco_opt",
    compute=meco_opt,
    needs=frozenset({Need.MAPS}),
    by_class=True,
    brief="`meco` on a few channels of each map",
    meaning="MeCo on a few channels of each map, so that small maps count too.",
    formula="Σ_l (c_l / 8) λ_min(P'_l), P'_l the correlation between 8 channels drawn from the c_l of convolution l's "
    "output",
    source="Jiang, Wang, Bie, MeCo, NeurIPS 2023, section 4.3; draws are seeded, and maps of fewer than 8 channels "
    "count whole.",
    bounds=(0.0, float("inf")),
    weaknesses="The draw of channels adds noise.",
    agreement="Spearman's .92, Kendall's .76",
    reported="MeCo reports about .90 (recalled, not checked), with one image of 64×64",
)
