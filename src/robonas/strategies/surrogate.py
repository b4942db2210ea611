"""The Gaussian process over weights of RoBoT's exploration, by BoTorch.

| symbol | meaning | shape |
|---|---|---|
| W | weights tried so far, in [-1, 1]^M | (n, M) |
| y | what their candidates achieved, standardised | (n,) |
| l | the one length scale that all weights share, in [1e-5, 1e5] | scalar |
| mu, sigma | posterior mean and standard deviation at new weights | (k,) |

Matern 5/2 of unit amplitude, zero mean, noise variance 1e-6; the next weights maximise mu + 2.576 sigma. These are
the settings of the reference code's Bayesian optimisation (bayes_opt 1.2.0). Differences: that library searches l by
six runs of L-BFGS-B, while its likelihood, a function of one number, is maximised here on a grid that is refined
around the best value, which finds the global maximum and is the same every time; and the ten ascents of the
acquisition run as one batch.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from robonas.common.lazy import np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

KAPPA = 2.576
"""Width of the upper confidence bound, in standard deviations."""
NOISE = 1e-6
"""Noise variance on the standardised values."""
LOG10_LENGTH_SCALE = (-5.0, 5.0)
"""Bounds of the length scale, as powers of ten."""
N_SAMPLES = 10_000
"""Uniform points at which the acquisition is tried."""
N_STARTS = 10
"""Uniform points from which it is climbed."""
GRID, REFINEMENTS = 41, 3
"""Length scales in a grid, and how many grids, each spanning two steps of the one before."""
CHUNK = 2_000_000
"""Entries of one kernel matrix that are held at once: 16 MB."""


def next_weights(
    weights: NDArray[np.float64], values: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return the weights that maximise the upper confidence bound, (M,), each in [-1, 1].

    Args:
        weights: W, (n, M), n ≥ 1 and M ≥ 1.
        values: f of the candidates that they chose, (n,), finite; standardised here.
        generator: Draws the 10,000 points and the 10 starts.
    """
    import torch

    with warnings.catch_warnings():
        # Of the libraries underneath: deprecations of each other, and starts of an ascent that stop early,
        # of which the best is taken.
        warnings.simplefilter("ignore")
        from botorch.generation.gen import gen_candidates_scipy

        draws = torch.from_numpy(generator.uniform(-1.0, 1.0, size=(N_SAMPLES + N_STARTS, weights.shape[1])))
        samples, starts = draws[:N_SAMPLES], draws[N_SAMPLES:]
        bound = upper_confidence_bound(
            torch.from_numpy(np.array(weights, dtype=np.float64)), torch.from_numpy(standardised(values))
        )
        with torch.no_grad():
            at_samples = torch.cat(
                [bound(part.unsqueeze(1)) for part in torch.split(samples, max(1, CHUNK // len(weights)))]
            )
        climbed, at_climbed = gen_candidates_scipy(starts.unsqueeze(1), bound, lower_bounds=-1.0, upper_bounds=1.0)
    points = torch.cat([samples, climbed.squeeze(1).clamp(-1.0, 1.0)])
    best = int(torch.argmax(torch.cat([at_samples, at_climbed.detach()]).nan_to_num(nan=-torch.inf)))
    chosen: NDArray[np.float64] = points[best].numpy().copy()
    return chosen


def upper_confidence_bound(weights: torch.Tensor, values: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the fitted process' bound mu + 2.576 sigma as a differentiable function.

    It maps (k, 1, M), BoTorch's shape for k single points, to (k,).

    Args:
        weights: W, (n, M), float64.
        values: y, (n,), float64, standardised.
    """
    import torch
    from gpytorch.kernels import MaternKernel

    kernel = MaternKernel(nu=2.5).double()
    kernel.lengthscale = length_scale(weights, values)
    kernel.requires_grad_(False)
    covariance = kernel(weights).to_dense() + NOISE * torch.eye(len(weights), dtype=torch.float64)
    lower = torch.linalg.cholesky(covariance)
    solved = torch.cholesky_solve(values.unsqueeze(1), lower).squeeze(1)

    def bound(points: torch.Tensor) -> torch.Tensor:
        cross = kernel(points.squeeze(1), weights).to_dense()
        explained = torch.linalg.solve_triangular(lower, cross.T, upper=False).square().sum(dim=0)
        # The root has no slope at 0, where a point has been seen; the noise is far above this floor.
        deviation = (1.0 - explained).clamp_min(1e-12).sqrt()
        upper: torch.Tensor = cross @ solved + KAPPA * deviation
        return upper

    return bound


def length_scale(weights: torch.Tensor, values: torch.Tensor) -> float:
    """Return the length scale of the largest marginal likelihood, to three digits.

    Of equals the smallest, where weights tell nothing of each other: so it is with one observation, which every
    length scale fits.

    Args:
        weights: W, (n, M), float64.
        values: y, (n,), float64, standardised.
    """
    import torch

    low, high = LOG10_LENGTH_SCALE
    best = low
    for _ in range(REFINEMENTS):
        exponents = torch.linspace(low, high, GRID, dtype=torch.float64)
        best = float(exponents[int(torch.argmax(log_likelihoods(weights, values, 10**exponents)))])
        step = (high - low) / (GRID - 1)
        low, high = max(LOG10_LENGTH_SCALE[0], best - step), min(LOG10_LENGTH_SCALE[1], best + step)
    return float(10**best)


def log_likelihoods(weights: torch.Tensor, values: torch.Tensor, length_scales: torch.Tensor) -> torch.Tensor:
    """Return the log marginal likelihood per observation under each length scale, as one batch of processes, (k,).

    Args:
        weights: W, (n, M), float64.
        values: y, (n,), float64.
        length_scales: l, (k,).
    """
    import torch
    from botorch.models import SingleTaskGP
    from gpytorch.kernels import MaternKernel
    from gpytorch.means import ZeroMean
    from gpytorch.mlls import ExactMarginalLogLikelihood

    n, k = len(weights), len(length_scales)
    results = []
    for part in torch.split(length_scales, max(1, CHUNK // n**2)):
        size = torch.Size([len(part)])
        model = SingleTaskGP(
            weights.expand(*size, *weights.shape),
            values.reshape(n, 1).expand(*size, n, 1),
            train_Yvar=torch.full((*size, n, 1), NOISE, dtype=torch.float64),
            covar_module=MaternKernel(nu=2.5, batch_shape=size).double(),
            mean_module=ZeroMean(batch_shape=size),
            outcome_transform=None,
        )
        model.covar_module.lengthscale = part.reshape(-1, 1, 1)
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        with torch.no_grad():
            results.append(likelihood(model(*model.train_inputs), model.train_targets))
    return torch.cat(results).reshape(k).nan_to_num(nan=-torch.inf)


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (y − mean) / population deviation; zeros where all are equal. (n,)."""
    values = np.asarray(values, dtype=np.float64)
    # Scaled first, so that the squares of huge values do not overflow.
    size = float(np.abs(values).max())
    scaled = values / size if size > 0 else values
    centred = scaled - scaled.mean()
    deviation = centred.std()
    # Below this, the differences are rounding of the mean, not differences of the objective.
    if deviation <= 1e-13:
        return np.zeros_like(centred)
    result: NDArray[np.float64] = centred / deviation
    return result
