"""Tree-structured Parzen estimators over the architectures' own choices, by Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from robonas.strategies.suggestions import SamplerStrategy

if TYPE_CHECKING:
    import optuna


class Tpe(SamplerStrategy):
    """Optuna's TPE sampler on the architectures' choices: options that good candidates have and bad ones lack.

    The answers are split into good and bad ones, a density over all choices together is fitted to each, and of 24
    draws from the good ones' the one with the largest ratio of the two is suggested. Pending queries count as bad.
    Pruned trainings come after all finished ones, those that came further first: with the pruner ``"hyperband"``, this
    is the search of BOHB.

    Source:
        Bergstra, Bardenet, Bengio, Kégl, NIPS 2011; Watanabe, arXiv 2304.11127, has the sampler as Optuna has it.
        BOHB is Falkner, Klein, Hutter, ICML 2018, arXiv 1807.01774.
    """

    name: ClassVar[str] = "tpe"
    title: ClassVar[str] = "Optuna's TPE"
    learns_from_pruned: ClassVar[bool] = True

    def sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        """Make a new sampler."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
