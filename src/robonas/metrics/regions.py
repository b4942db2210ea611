"""Counting activation patterns: linear regions and SWAP."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.errors import ConfigError
from robonas.metrics.base import Metric, Need
from robonas.metrics.params import params

if TYPE_CHECKING:
    from robonas.metrics.passes.passes import Passes

SWAP_SAMPLES = 16


def linear_regions(passes: Passes) -> float:
    """Return how many different patterns of all rectifiers the samples of the batch meet."""
    codes = passes.codes
    distinct = torch.zeros(len(codes[0]), dtype=torch.int64)
    for code in codes:  # refine the classes of equal samples, call by call, without ever joining the codes
        _, group = torch.unique(code, dim=0, return_inverse=True)
        _, distinct = torch.unique(distinct * (len(code) + 1) + group.cpu(), return_inverse=True)
    return float(distinct.max()) + 1.0


def swap(passes: Passes) -> float:
    """Return how many different patterns over the first 16 samples the units of all rectifiers show."""
    seen = torch.zeros(1, dtype=torch.bool)
    for code in passes.codes:
        bits = code[:SWAP_SAMPLES]
        if len(seen) == 1:
            seen = torch.zeros(1 << len(bits), dtype=torch.bool, device=code.device)
        words = torch.zeros(bits.shape[1], dtype=torch.int32, device=code.device)
        for place, row in enumerate(bits):
            words |= row.to(torch.int32) << place
        seen[words.long()] = True
    return float(seen.sum())


def regularised_swap(target: float, width: float, name: str = "swap_reg") -> Metric:
    """Return SWAP, changed to prefer networks of a size.

    Args:
        target: Preferred number of parameters, in thousands.
        width: Variance of the preference, in thousands squared: at a distance of √width the score is divided by e.
        name: Name of the metric.

    Raises:
        ConfigError: The width is not positive.
    """
    if not width > 0.0:
        raise ConfigError(f"`width` of regularised SWAP must be positive; got {width}.")

    def swap_reg(passes: Passes) -> float:
        """Return SWAP × exp(−(T − target)² / width), T the thousands of parameters."""
        return swap(passes) * math.exp(-((1e3 * params(passes) - target) ** 2) / width)

    return Metric(
        name=name,
        compute=swap_reg,
        needs=frozenset({Need.CODES}),
        by_class=True,
        brief=f"`swap`, preferring {target:g} thousand weights",
        meaning=f"SWAP, favouring networks of about {target:g} thousand parameters.",
        formula=f"SWAP · exp(−(T − {target:g})² / {width:g}), T the number of parameters in thousands",
        source="Peng, Song, Fayek, Ciesielski, Chang, SWAP-NAS, ICLR 2024, arXiv 2403.04161, as in the authors' code: "
        "the width is not squared. Their values of target and width for each space are unknown to us; make your own "
        "with `regularised_swap`.",
        bounds=(0.0, math.inf),
        weaknesses="Far from the target all scores underflow towards 0; the target decides more than the network.",
    )


LINEAR_REGIONS = Metric(
    name="linear_regions",
    compute=linear_regions,
    needs=frozenset({Need.CODES}),
    by_class=True,
    brief="linear regions in which the samples lie",
    meaning="In how many different linear regions of the network the samples of the batch lie.",
    formula="number of distinct rows among the samples' codes 1[input > 0] over all rectifiers",
    source="Chen, Gong, Wang, TE-NAS, ICLR 2021, arXiv 2102.11535, section 3.1.2. There on a network thinned to one "
    "channel and 3,000 crops of 3×3 pixels; here on the network and the batch as they are.",
    bounds=(1.0, math.inf),
    weaknesses="Equals the number of samples for networks of usual size, whatever the network, and then tells nothing: "
    "use thin networks and thousands of small inputs.",
    agreement="none, since it is constant,",
    reported="TE-NAS reports Kendall's .50 on CIFAR-100, with networks thinned to one channel and 3,000 crops of "
    "3×3 (recalled, not checked). On networks of one channel and one cell a stage, with 3,000 crops of 4×4, ours "
    "has Spearman's .47 and Kendall's .32",
)

SWAP = Metric(
    name="swap",
    compute=swap,
    needs=frozenset({Need.CODES}),
    by_class=True,
    brief="different behaviours of rectifying units",
    meaning="How many different behaviours the units of all rectifiers show over a few samples.",
    formula="number of distinct columns of the codes 1[input > 0], (16 samples × units over all rectifiers)",
    source="Peng, Song, Fayek, Ciesielski, Chang, SWAP-NAS, ICLR 2024, arXiv 2403.04161, definition 3.2. One draw of "
    "the weights as they are, where the authors average 32 standard normal ones; the first 16 samples, as there.",
    bounds=(1.0, float(1 << SWAP_SAMPLES)),
    weaknesses="Counts units where samples are many, saturates where they are few.",
    agreement="Spearman's .76, Kendall's .57",
    reported="SWAP-NAS reports .90 on CIFAR-100 for its regularised form alone, see `swap_reg`",
)

SWAP_REG = dataclasses.replace(
    regularised_swap(1000.0, 1e6),
    agreement="Spearman's .84, Kendall's .66",
    reported="SWAP-NAS reports .90 on CIFAR-100 (recalled, not checked), with a target and a width for the space",
)
