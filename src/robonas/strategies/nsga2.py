"""NSGA-II over the architectures' own choices, by Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from robonas.strategies.suggestions import SamplerStrategy

if TYPE_CHECKING:
    import optuna


class Nsga2(SamplerStrategy):
    """Optuna's NSGA-II sampler on the architectures' choices: children of parents that no other one dominates.

    Generations have `startup` queries each; the first is drawn at random. Parents are chosen by their front and, within
    one front, by their distance from each other. With an objective alone this is a genetic algorithm with elites.

    Source:
        Deb, Pratap, Agarwal, Meyarivan, IEEE Transactions on Evolutionary Computation 6, 2002.
    """

    name: ClassVar[str] = "nsga2"
    title: ClassVar[str] = "Optuna's NSGA-II"

    def sampler(self, seed: int, startup: int) -> optuna.samplers.BaseSampler:
        """Make a new sampler."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=max(2, startup), seed=seed)

    def attributes(self, n_before: int, startup: int) -> dict[str, Any]:
        """Return the generation of a trial, which the sampler notes in it: the next once this one is complete."""
        from optuna.samplers import NSGAIISampler

        return {NSGAIISampler._get_generation_key(): n_before // max(2, startup)}  # noqa: SLF001  # no public name
