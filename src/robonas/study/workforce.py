"""Evaluations of a search at once: their number, their places, and their limit of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robonas.common.settings import count_of
from robonas.errors import ConfigError
from robonas.objectives.evaluators import Place, places_of
from robonas.objectives.far import FarEvaluators
from robonas.objectives.local import LocalEvaluators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robonas.objectives.evaluators import Evaluators
    from robonas.processes.executors import Engine
    from robonas.study.plan import Plan


@dataclass(frozen=True)
class Workforce:
    """The settings of a search that change no result of an evaluation, checked."""

    places: tuple[Place, ...]
    """Places where evaluations run; as many at once."""
    engine: Engine | None
    """Engine that runs them; None for processes of this machine."""
    limit_s: float | None
    """Seconds that an evaluation may take; None for no limit."""

    @classmethod
    def made(
        cls,
        plan: Plan,
        engine: Engine | None,
        n_parallel: int | None,
        devices: Sequence[str] | None,
        limit_s: float | None,
    ) -> Workforce:
        """Check the settings.

        Args:
            plan: The search.
            engine: Engine that runs its evaluations; None for processes of this machine.
            n_parallel: Number of evaluations at once; None for one on each device, or all that the engine has room for.
            devices: Devices to divide them among; None for those that the objective can use.
            limit_s: Seconds that an evaluation may take.

        Raises:
            ConfigError: They contradict each other or the plan, or there is no such device.
        """
        n = None if n_parallel is None else count_of("n_parallel", n_parallel, "evaluation")
        if engine is None:
            places = places_of(plan.objective, n, devices)
        elif devices is not None:
            raise ConfigError(
                "An executor chooses the devices of its workers; leave out `devices`, or the executor. With Ray, say "
                "how many GPUs a training takes: executor=RayEngine(n_gpus=1)."
            )
        else:
            if plan.pruning is not None and not engine.carries_letters:
                raise ConfigError(
                    "This executor tells nothing of a training before its end, which a pruner needs. Search without "
                    "`pruner`, or with Ray, Dask, or processes of this machine."
                )
            places = [Place(slot, None, "executor") for slot in range(n or min(engine.n or 1, plan.budget))]
        if len(places) > plan.budget:
            raise ConfigError(
                f"No more evaluations can run at once than the budget has; got {len(places)} at once and a budget of "
                f"{plan.budget}. Lower `n_parallel`, give fewer devices, or enlarge the budget."
            )
        return cls(tuple(places), engine, limit_s)

    def evaluators(self, plan: Plan) -> Evaluators:
        """Return what evaluates the candidates of the search."""
        if self.engine is None:
            return LocalEvaluators(plan.space, plan.objective, self.places, limit_s=self.limit_s)
        return FarEvaluators(plan.space, plan.objective, self.engine, self.places, limit_s=self.limit_s)
