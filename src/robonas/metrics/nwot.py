"""Ability of rectifiers to tell samples apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.linear_algebra import log_determinant

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes

_COLUMNS = 1 << 20  # units at a time; float32 counts exactly up to 2^24
SINGULAR = "two samples switch the rectifiers alike, so that the kernel is singular"


def agreement(codes: list[Tensor]) -> Tensor:
    """Count for every two samples the units that have the same code in both.

    K = X Xᵀ + (1 − X)(1 − X)ᵀ, (n, n), exact in float64.
    """
    n = len(codes[0])
    kernel = torch.zeros(n, n, dtype=torch.float64, device=codes[0].device)
    calls: dict[int, int] = {}
    for code in codes:
        calls[id(code)] = calls.get(id(code), 0) + 1
    for code in {id(code): code for code in codes}.values():
        for part in torch.split(code, _COLUMNS, dim=1):
            active = part.float()
            both = (active @ active.T).double()
            each = both.diagonal()  # how many units are active in a sample
            kernel += calls[id(code)] * (2.0 * both - each - each[:, None] + part.shape[1])
    return kernel


def nwot(passes: Passes) -> float:
    """Return log |det K|, K the agreement of the rectifiers' codes."""
    return log_determinant(agreement(passes.codes), SINGULAR)


NWOT = Metric(
    name="nwot",
    compute=nwot,
    needs=frozenset({Need.CODES}),
    by_class=True,
    brief="unlikeness of which rectifiers are active",
    meaning="How well the pattern of active rectifiers tells the samples of a batch apart.",
    formula="log |det K|, K = Σ over rectifier calls of X Xᵀ + (1 − X)(1 − X)ᵀ, X = 1[input > 0]",
    source="Mellor, Turner, Storkey, Crowley, Neural Architecture Search without Training, ICML 2021, arXiv "
    "2006.04647, eq. 2 and 3. As NASLib, every call counts, reached by gradients or not. Functional calls count as "
    "modules do, and smooth rectifiers (GELU, SiLU, Mish, ELU, Hardswish, Softplus) by the sign of their input.",
    weaknesses="Grows with the number of units; undefined when two samples share all codes.",
    agreement="Spearman's .75, Kendall's .56",
    reported="SWAP-NAS reports .80 for it on CIFAR-100 (recalled, not checked); the values that "
    "NAS-Bench-Suite-Zero publishes have .79 over 15,284 cells",
)
