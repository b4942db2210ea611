"""`function`: a query is answered by the user's own Python function."""

from __future__ import annotations

import inspect
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from robonas.common.randomness import seeded
from robonas.common.registry import told_with_place
from robonas.errors import ConfigError, NasError, ObjectiveError
from robonas.objectives.base import CurvePoint, Evaluation, Objective, Report
from robonas.objectives.values import finite_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from robonas.architecture import Architecture
    from robonas.spaces import SearchSpace


class FunctionObjective(Objective):
    """Calls a function with the network, or with the architecture, and takes what it returns as the value.

    The network is new, with parameters seeded by the canonical architecture and the seed; an architecture is canonical.
    While the function runs, the global generators of Python, NumPy and PyTorch are seeded likewise; afterwards they are
    as they were. Keyword arguments named ``seed`` and ``report`` are given to a function that has parameters of these
    names.

    What it may return: a finite number, of Python, NumPy or PyTorch, or an `Evaluation` with a learning curve and
    parameters. Anything else, and any exception, is one failed evaluation with its reason.

    Args:
        function: Called as ``function(network)`` or ``function(architecture)``.
        takes: Argument of the function: ``"network"`` or ``"architecture"``.
        direction: ``"maximize"`` where a larger value is better, else ``"minimize"``.
        name: Name of the value; by default the function's name.
        settings: All that changes a value and cannot be seen from the function's name, as JSON values: a version, data.
        isolated: True to let a search call the function in a process of its own, so that a crash costs one evaluation.
            What the function remembers is then remembered there, and what it prints goes to the standard error.

    Raises:
        ConfigError: The function cannot be called, or another setting is none of those above.

    Example:
        >>> from robonas.spaces import NASBench201
        >>> space = NASBench201()
        >>> size = lambda network: sum(parameter.numel() for parameter in network.parameters())
        >>> count = FunctionObjective(size, direction="minimize")
        >>> count.evaluate(space, space.at(0), seed=0).value == space.count_parameters(space.at(0))
        True
    """

    name = "function"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        takes: Literal["network", "architecture"] = "network",
        direction: Literal["maximize", "minimize"] = "maximize",
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        isolated: bool = False,
    ) -> None:
        if not callable(function):
            raise ConfigError(f"`function` must be callable; got a {type(function).__name__}.")
        if takes not in {"network", "architecture"}:
            raise ConfigError(f"`takes` must be 'network' or 'architecture'; got {takes!r}.")
        self.function = function
        self.takes = takes
        self.direction = check_direction(direction)
        self.reference = (
            f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', type(function).__name__)}"
        )
        self.value_name = name if name is not None else self.reference.rpartition(":")[2]
        self.extra = dict(settings or {})
        self.isolated = isolated

    @property
    def settings(self) -> dict[str, Any]:
        """The function's name, what it takes, and what the user added; the function's code is not looked at."""
        return {"function": self.reference, "takes": self.takes, "settings": self.extra}

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Call the function; see `Objective.evaluate`."""
        canonical = space.canonical(architecture)
        text = space.format(canonical)
        raised: list[BaseException] = []

        def forward(point: CurvePoint) -> None:
            """Report, and remember what that raised: it is the search's own, and no failure of the function."""
            try:
                if report is not None:
                    report(point)
            except BaseException as error:
                raised.append(error)
                raise

        given = {
            name: value for name, value in (("seed", seed), ("report", forward)) if name in _parameters(self.function)
        }
        started = time.perf_counter()
        try:
            subject = space.build_seeded(architecture, seed) if self.takes == "network" else canonical
            with seeded("function", seed, text):
                answer = self.function(subject, **given)
        except NasError:
            raise
        except Exception as error:
            if error in raised:
                raise
            traceback.clear_frames(error.__traceback__)
            raise ObjectiveError(f"Function {self.value_name!r} failed: {told_with_place(error)}") from error
        seconds = time.perf_counter() - started
        source = f"Function {self.value_name!r}"
        if isinstance(answer, Evaluation):
            return replace(answer, value=finite_number(answer.value, source))
        return Evaluation(finite_number(answer, source), seconds)


def check_direction(direction: Literal["maximize", "minimize"]) -> Literal["maximize", "minimize"]:
    """Return the direction itself.

    Raises:
        ConfigError: It is none.
    """
    if direction not in {"maximize", "minimize"}:
        raise ConfigError(f"`direction` must be 'maximize' or 'minimize'; got {direction!r}.")
    return direction


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return names of the parameters that can be given by keyword, after the first."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return frozenset()
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return frozenset(parameter.name for parameter in parameters[1:] if parameter.kind in kinds)
