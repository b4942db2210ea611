"""What a device can bear: bounds on size, work, time and memory, checked before anything expensive.

Notation: a network with P parameters that takes samples of `space.input_shape_of(architecture)`.

| measure | meaning | unit |
|---|---|---|
| params | P | 1 |
| macs | multiply–accumulate operations of convolutions, matrix products and attention, one sample, forward | 1 |
| memory | parameters, gradients, and what a training step of `batch_size` samples keeps for its backward pass | byte |
| latency_ms | median time of a forward pass of `latency_batch_size` samples on `device` | ms |

One multiply–accumulate is two floating-point operations; papers write "FLOPs" for either.

Source: Ours; operations are counted by PyTorch's `FlopCounterMode`, halved.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from robonas.errors import ArchitectureError, ConfigError
from robonas.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from torch import Tensor, nn

    from robonas.architecture import Architecture
    from robonas.spaces.base import SearchSpace

MEASURES = ("params", "macs", "memory", "latency_ms")
_WORDS = {
    "params": "{:,.0f} parameters",
    "macs": "{:,.0f} multiply–accumulates",
    "memory": "{:,.0f} bytes of memory",
    "latency_ms": "{:.4g} ms of latency",
}


@dataclass(frozen=True)
class Limits:
    """Bounds that an architecture must keep, each of them included; None for no bound.

    Raises:
        ConfigError: A bound or a setting that is not positive and finite.

    Example:
        >>> from robonas.spaces import NASBench201
        >>> space = NASBench201(channels=4, depth=1, input_shape=(3, 8, 8))
        >>> limits = Limits(max_params=10_000)
        >>> limits.violation(space, space.at(0)) is None, limits.violation(space, space.at(1))
        (True, 'It has 14,134 parameters; the limit is 10,000 parameters.')
    """

    max_params: int | None = None
    """Parameters."""
    max_macs: float | None = None
    """Multiply–accumulate operations of one sample."""
    max_latency_ms: float | None = None
    """Median time of a forward pass, measured on this machine, in milliseconds."""
    max_memory: float | None = None
    """Bytes that a training step keeps."""
    batch_size: int = 64
    """Samples of the training step whose memory is bounded."""
    latency_batch_size: int = 1
    """Samples of the forward pass that is timed."""
    device: str = "cpu"
    """Where the forward pass is timed."""
    warm_up: int = 3
    """Passes before the timed ones."""
    repeats: int = 15
    """Timed passes; their median counts."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "device" and value is not None and not (0 < value < float("inf")):
                raise ConfigError(f"`{entry.name}` must be positive; got {value!r}.")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by measure, the cheapest first."""
        bounds = {
            "params": self.max_params,
            "macs": self.max_macs,
            "memory": self.max_memory,
            "latency_ms": self.max_latency_ms,
        }
        return {measure: float(bound) for measure, bound in bounds.items() if bound is not None}

    def measure(self, space: SearchSpace, architecture: Architecture, measure: str) -> float:
        """One measure of one architecture.

        Raises:
            ArchitectureError: It makes no network that runs.
            ConfigError: There is no such measure.
        """
        if measure == "params":
            return float(space.count_parameters(architecture))
        if measure == "macs":
            return float(count_macs(space, architecture))
        if measure == "memory":
            return float(count_memory(space, architecture, self.batch_size))
        if measure == "latency_ms":
            return measure_latency(
                space,
                architecture,
                batch_size=self.latency_batch_size,
                device=self.device,
                warm_up=self.warm_up,
                repeats=self.repeats,
            )
        raise ConfigError(f"A measure must be one of {', '.join(MEASURES)}; got {measure!r}.")

    def violation(self, space: SearchSpace, architecture: Architecture) -> str | None:
        """Why the architecture is not allowed, as a sentence; None where it is. Stops at the first bound it breaks."""
        return self._judge(space, architecture)[1]

    def _judge(self, space: SearchSpace, architecture: Architecture) -> tuple[dict[str, float], str | None]:
        """What was measured, and the violation."""
        values: dict[str, float] = {}
        for measure, bound in self.bounds.items():
            try:
                values[measure] = self.measure(space, architecture, measure)
            except ArchitectureError as error:
                return values, str(error)
            if not values[measure] <= bound:
                words = _WORDS[measure]
                return values, f"It has {words.format(values[measure])}; the limit is {words.format(bound)}."
        return values, None

    def judge(self, space: SearchSpace, candidates: Iterable[Architecture]) -> dict[Architecture, str | None]:
        """The violation of every candidate, None for allowed ones, in their order.

        Isomorphic architectures are judged once.

        Raises:
            ConfigError: No candidate is allowed; the message says which bound is in the way, and the smallest value.
        """
        known: dict[Architecture, tuple[dict[str, float], str | None]] = {}
        verdicts: dict[Architecture, str | None] = {}
        for architecture in candidates:
            canonical = space.canonical(architecture)
            if canonical not in known:
                known[canonical] = self._judge(space, canonical)
            verdicts[architecture] = known[canonical][1]
        if verdicts and all(violation is not None for violation in verdicts.values()):
            raise ConfigError(self._nobody(len(verdicts), [values for values, _ in known.values()], verdicts))
        return verdicts

    def filter(self, space: SearchSpace, candidates: Iterable[Architecture]) -> list[Architecture]:
        """The candidates that keep all bounds, in their order.

        Raises:
            ConfigError: There is none; the message says which bound is the obstacle and what the smallest is.
        """
        return [architecture for architecture, violation in self.judge(space, candidates).items() if violation is None]

    def _nobody(
        self, n: int, measured: Sequence[Mapping[str, float]], verdicts: Mapping[Architecture, str | None]
    ) -> str:
        """The sentence for bounds that nothing meets; dearer measures are known only of what kept the cheaper ones."""
        obstacles = []
        for measure, bound in self.bounds.items():
            words = _WORDS[measure]
            values = [entry[measure] for entry in measured if measure in entry]
            n_over = sum(value > bound for value in values)
            if n_over and n_over == len(values) == len(measured):
                obstacles.append(f"the limit is {words.format(bound)}, the smallest is {words.format(min(values))}")
            elif n_over:
                least = min(value for value in values if value > bound)
                more = "more " if obstacles else ""
                obstacles.append(
                    f"{n_over:,} {more}break the limit of {words.format(bound)}, from {words.format(least)} up"
                )
        if not obstacles:
            obstacles.append(f"none makes a network that runs: {next(iter(verdicts.values()))}".rstrip("."))
        return f"0 of {n:,} satisfy the limits: {'; '.join(obstacles)}. Loosen them, or take smaller networks."


@dataclass(frozen=True)
class Profile:
    """Measures of a sample of a space; printed as a table of ranges."""

    space: SearchSpace
    """The space."""
    frame: pd.DataFrame = field(repr=False)
    """One row an architecture that makes a network, indexed by its text, one column a measure."""
    failures: Mapping[str, str]
    """Why the others make none, by their texts."""

    def range(self, measure: str) -> tuple[float, float]:
        """Smallest and largest value.

        Raises:
            ConfigError: It was not measured.
        """
        if measure not in self.frame:
            raise ConfigError(f"This profile has {', '.join(map(str, self.frame))}; got {measure!r}.")
        return float(self.frame[measure].min()), float(self.frame[measure].max())

    def share(self, limits: Limits) -> float:
        """Share of the sample that keeps the bounds, from 0 to 1; those without a network do not.

        Raises:
            ConfigError: A bounded measure was not measured.
        """
        kept = self.frame.index == self.frame.index
        for measure, bound in limits.bounds.items():
            self.range(measure)
            kept &= (self.frame[measure] <= bound).to_numpy()
        return float(kept.sum()) / (len(self.frame) + len(self.failures))

    def __str__(self) -> str:
        size = self.space.size()
        whole = "an unknown number of" if size is None else f"{size:,}"
        lines = [
            (f"{len(self.frame) + len(self.failures):,} of {whole} architectures of {self.space.name}"),
            f"{'':>10} {'least':>14} {'median':>14} {'most':>14}",
        ]
        for measure in self.frame:
            values = self.frame[measure]
            cells = " ".join(f"{value:>14,.6g}" for value in (values.min(), values.median(), values.max()))
            lines.append(f"{measure:>10} {cells}")
        lines += [f"no network: {reason}" for reason in list(self.failures.values())[:3]]
        return "\n".join(lines)


def profile(
    space: SearchSpace,
    n: int = 100,
    seed: int = 0,
    *,
    measures: Sequence[str] = ("params", "macs", "memory"),
    limits: Limits | None = None,
) -> Profile:
    """What a space has to offer: measures of `n` architectures, or of all where there are fewer.

    Args:
        space: The space.
        n: How many architectures to sample.
        seed: Of the sample.
        measures: Which measures; ``"latency_ms"`` runs every network.
        limits: Settings of the measures, such as the batch size; its bounds do not matter here.

    Raises:
        ConfigError: No architecture of the sample makes a network that runs, or there is no such measure.
    """
    import pandas as pd

    settings = limits if limits is not None else Limits()
    size = space.size()
    rows: dict[str, dict[str, float]] = {}
    failures: dict[str, str] = {}
    for architecture in space.sample(n if size is None else min(n, size), seed):
        text = space.format(architecture)
        try:
            rows[text] = {measure: settings.measure(space, architecture, measure) for measure in measures}
        except ArchitectureError as error:
            failures[text] = str(error)
    if not rows:
        reason = next(iter(failures.values()), "the sample is empty")
        raise ConfigError(
            f"None of {len(failures):,} architectures of {space.name} makes a network that runs: {reason}"
        )
    return Profile(space, pd.DataFrame.from_dict(rows, orient="index"), failures)


def count_macs(space: SearchSpace, architecture: Architecture) -> int:
    """Multiply–accumulate operations of one sample's forward pass: convolutions, matrix products and attention.

    Raises:
        ArchitectureError: It makes no network that runs.
    """
    from torch.utils.flop_counter import FlopCounterMode

    def count(network: nn.Module, inputs: Tensor) -> int:
        import torch

        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network.eval()(inputs)
        return int(counter.get_total_flops()) // 2

    result: int = _on_meta_or_cpu(space, architecture, 1, count)
    return result


def count_memory(space: SearchSpace, architecture: Architecture, batch_size: int = 64) -> int:
    """Bytes that one training step keeps: parameters, their gradients, and what autograd saves for the backward pass.

    What an allocator adds, temporary buffers and an optimiser's state are not in it.

    Raises:
        ArchitectureError: It makes no network that runs.
    """

    def count(network: nn.Module, inputs: Tensor) -> int:
        from torch.autograd.graph import saved_tensors_hooks

        own = {parameter.untyped_storage()._cdata: parameter for parameter in network.parameters()}  # noqa: SLF001
        saved: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            handle = tensor.untyped_storage()._cdata  # noqa: SLF001
            if handle not in own:
                saved[handle] = tensor  # held, so that no later tensor gets the same handle
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network.train()(inputs)
        parameters = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
        return 2 * parameters + sum(tensor.untyped_storage().nbytes() for tensor in saved.values())

    result: int = _on_meta_or_cpu(space, architecture, batch_size, count)
    return result


def measure_latency(
    space: SearchSpace,
    architecture: Architecture,
    *,
    batch_size: int = 1,
    device: str = "cpu",
    warm_up: int = 3,
    repeats: int = 15,
) -> float:
    """Median time of a forward pass in evaluation mode, in milliseconds.

    It is of this machine, now: other work on it makes it longer, and thread settings change it.

    Raises:
        ArchitectureError: It makes no network that runs.
    """
    import torch

    def wait() -> None:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)

    network = space.build_seeded(architecture).to(device).eval()
    inputs = torch.zeros(batch_size, *space.input_shape_of(architecture), device=device)
    times = []
    try:
        with torch.inference_mode():
            for number in range(warm_up + repeats):
                wait()
                start = time.perf_counter()
                network(inputs)
                wait()
                if number >= warm_up:
                    times.append(time.perf_counter() - start)
    except Exception as error:
        raise _does_not_run(space, architecture, error) from error
    return 1000 * statistics.median(times)


def _on_meta_or_cpu(space: SearchSpace, architecture: Architecture, n: int, count: Any) -> Any:
    """A count over a forward pass of `n` samples: without memory or work where the network allows it."""
    import torch

    shape = space.input_shape_of(architecture)
    with seeded("limits"):
        try:
            with torch.device("meta"):
                return count(space.build(architecture), torch.zeros(n, *shape))
        except Exception:  # noqa: BLE001  # reads values, or does not run at all: the CPU tells
            network = space.build(architecture)
        try:
            return count(network, torch.zeros(n, *shape))
        except Exception as error:
            raise _does_not_run(space, architecture, error) from error


def _does_not_run(space: SearchSpace, architecture: Architecture, error: Exception) -> ArchitectureError:
    """The error for a network that raises."""
    return ArchitectureError(
        f"The network of {space.format(architecture)} in {space.name} does not run on an input of shape "
        f"{space.input_shape_of(architecture)}: {type(error).__name__}: {error}"
    )
