"""Operations of a forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.metrics.base import Metric, Need

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes


def flops(passes: Passes) -> float:
    """Return the operations for one sample in millions, by the convention of the published tables."""
    macs, others = passes.operations
    return (macs + others) / 1e6


FLOPS = Metric(
    name="flops",
    compute=flops,
    needs=frozenset({Need.OPERATIONS}),
    by_class=True,
    brief="operations, counted as in published tables",
    meaning="What a forward pass of one sample costs, in millions of operations.",
    formula="[multiply-adds, which `macs` defines + 2 an element of batch norm + 1 an element of ReLU or its kin "
    "(leaky, clipped) + k² an output of average pooling + Π(side + 1) a channel of global average pooling] / 10⁶",
    source="The convention of NAS-Bench-Suite-Zero, which is that of the package tensorwatch: a multiply-add counts "
    "as one operation.",
    bounds=(0.0, float("inf")),
    weaknesses="What the convention leaves out: other activations, normalisations and poolings. Not the time on any "
    "device.",
    agreement="Spearman's .77, Kendall's .58",
    reported="the values that NAS-Bench-Suite-Zero publishes have .78 over all cells",
)
