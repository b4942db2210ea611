"""A Gaussian process over the architectures' own choices, by Optuna; no BoTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from robonas.strategies.suggestions import SamplerStrategy

if TYPE_CHECKING:
    import optuna


class Gp(SamplerStrategy):
    """Optuna's Gaussian process sampler on the architectures' choices, with expected improvement.

    The kernel is Matérn 5/2 on whether two candidates agree in each choice, with a length scale for each choice that is
    fitted afresh for each proposal. With pending queries the improvement is the expected one over their answers too.

    Source:
        Optuna's `GPSampler`; expected improvement is Jones, Schonlau, Welch, Journal of Global Optimization 13,
        1998, its logarithm Ament et al., NeurIPS 2023, arXiv 2310.20708.
    """

    name: ClassVar[str] = "gp"
    title: ClassVar[str] = "Optuna's Gaussian process"

    def sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        """Make a new sampler."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=startup)
