from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from robonas.strategies.surrogate import (
    KAPPA,
    length_scale,
    log_likelihoods,
    next_weights,
    standardised,
    upper_confidence_bound,
)


def example(n: int = 12, m: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (n, m))
    return weights, np.sin(2 * weights[:, 0]) + 0.1 * rng.normal(size=n)


def test_the_likelihood_is_that_of_the_normal_distribution() -> None:
    weights, values = example()
    for scale in (0.3, 2.0):
        covariance = Matern(length_scale=scale, nu=2.5)(weights) + 1e-6 * np.eye(len(weights))
        expected = multivariate_normal(cov=covariance).logpdf(values) / len(values)
        got = log_likelihoods(
            torch.from_numpy(weights), torch.from_numpy(values), torch.tensor([scale], dtype=torch.float64)
        )
        assert float(got) == pytest.approx(expected, rel=1e-6)


def test_length_scale_and_bound_agree_with_scikit_learn() -> None:
    """The reference code's process: scikit-learn's, with the same kernel, noise and standardised values."""
    weights, values = example()
    process = GaussianProcessRegressor(
        Matern(nu=2.5), alpha=1e-6, normalize_y=True, n_restarts_optimizer=5, random_state=0
    )
    process.fit(weights, values)
    w, y = torch.from_numpy(weights), torch.from_numpy(standardised(values))
    assert length_scale(w, y) == pytest.approx(process.kernel_.length_scale, rel=2e-3)
    points = np.random.default_rng(1).uniform(-1, 1, (20, 3))
    mean, deviation = process.predict(points, return_std=True)
    expected = (mean + KAPPA * deviation - values.mean()) / values.std()
    got = upper_confidence_bound(w, y)(torch.from_numpy(points).unsqueeze(1)).numpy()
    np.testing.assert_allclose(got, expected, atol=5e-3)


def test_the_next_weights_are_at_least_as_good_as_a_dense_search() -> None:
    weights, values = example()
    bound = upper_confidence_bound(torch.from_numpy(weights), torch.from_numpy(standardised(values)))
    chosen = next_weights(weights, values, np.random.default_rng(3))
    assert chosen.shape == (3,)
    assert (np.abs(chosen) <= 1).all()
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 21)] * 3), -1).reshape(-1, 1, 3)
    best = float(bound(torch.from_numpy(grid)).max())
    assert float(bound(torch.from_numpy(chosen).reshape(1, 1, 3))) >= best - 1e-3


@pytest.mark.parametrize(
    "values", [[0.5, 0.5, 0.5], [0.0, 0.0, 1e-300], [1e300, -1e300, 1e300], [0.1, 0.1, 0.1 + 2e-17]]
)
def test_constant_and_extreme_values_are_survived(values: list[float]) -> None:
    weights = np.random.default_rng(0).uniform(-1, 1, (3, 2))
    assert np.isfinite(next_weights(weights, np.array(values), np.random.default_rng(0))).all()
    assert np.isfinite(standardised(np.array(values))).all()


def test_equal_weights_with_unequal_values_are_survived() -> None:
    weights = np.tile([[0.5, -0.5]], (4, 1))
    assert np.isfinite(next_weights(weights, np.array([1.0, 2.0, 1.0, 3.0]), np.random.default_rng(0))).all()
