"""Determinants and spectra of the small symmetric matrices that metrics make, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.errors import MetricError

if TYPE_CHECKING:
    from torch import Tensor


def log_determinant(kernel: Tensor, why: str) -> float:
    """Return log |det K| of a symmetric positive semi-definite matrix.

    Args:
        kernel: K, (n, n).
        why: The reason to give if K is singular.

    Raises:
        MetricError: K is singular.
    """
    _, value = torch.linalg.slogdet(kernel.double())
    if not bool(torch.isfinite(value)):
        raise MetricError(why)
    return float(value)


def correlation(rows: Tensor, what: str) -> Tensor:
    """Return the Pearson correlation between rows, (n, n), in float64.

    Args:
        rows: (n, d).
        what: Name of a row, for the reason if one is constant.

    Raises:
        MetricError: A row is constant or not finite, so that its correlation is 0/0.
    """
    rows = rows.double()
    if not bool(torch.isfinite(rows).all()):
        raise MetricError(f"{what} is not finite")
    centred = rows - rows.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    # Deviations as small as the rounding of the mean are none.
    if bool((norms <= 1e-14 * torch.linalg.vector_norm(rows, dim=1, keepdim=True)).any()):
        raise MetricError(f"{what} is constant, so that its correlation is undefined")
    unit = centred / norms
    product: Tensor = unit @ unit.T
    return product.clamp(-1.0, 1.0)


def eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a symmetric positive semi-definite matrix, ascending, in float64; none is below zero.

    Raises:
        MetricError: An entry is not finite.
    """
    matrix = matrix.double()
    if not bool(torch.isfinite(matrix).all()):
        raise MetricError("a matrix of the metric is not finite")
    spectrum: Tensor = torch.linalg.eigvalsh(matrix)
    return spectrum.clamp_min(0.0)
