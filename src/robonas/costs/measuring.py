"""Costs of a network on a device: parameters, operations, memory and time.

Notation: a network with P parameters that takes samples of `space.input_shape_of(architecture)`.

| cost | meaning | unit |
|---|---|---|
| params | P | 1 |
| macs | multiply–accumulate operations of one sample's forward pass, as `robonas.costs.counting` defines them | 1 |
| memory | parameters, gradients, and what a training step of `batch_size` samples keeps for its backward pass | byte |
| latency_ms | median time of a forward pass of `latency_batch_size` samples on `device` | ms |

One multiply–accumulate is two floating-point operations; papers write "FLOPs" for either.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from robonas.common.randomness import seeded
from robonas.common.registry import told_with_place
from robonas.errors import ArchitectureError, MetricError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robonas.architecture import Architecture
    from robonas.spaces.base import SearchSpace

COSTS = {
    "params": "{:,.0f} parameters",
    "macs": "{:,.0f} multiply–accumulates",
    "memory": "{:,.0f} bytes of memory",
    "latency_ms": "{:.4g} ms of latency",
}
"""Words for a value of each cost; the cheapest to compute first."""


def count_macs(space: SearchSpace, architecture: Architecture) -> int:
    """Count the multiply–accumulate operations of one sample's forward pass; see `robonas.costs.counting`.

    Raises:
        ArchitectureError: It makes no network that runs.
        MetricError: They cannot be counted; the message says why.
    """
    from robonas.costs.counting import count

    def macs(network: nn.Module, inputs: Tensor) -> int:
        return count(network.eval(), inputs).macs

    result: int = _on_meta_or_cpu(space, architecture, 2, macs)
    return result


def count_memory(space: SearchSpace, architecture: Architecture, batch_size: int = 64) -> int:
    """Count the bytes that one training step keeps: parameters, gradients, and what autograd saves for backward.

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
    """Measure the median time of a forward pass in evaluation mode, in milliseconds.

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
    """Return a count over a forward pass of `n` samples: without memory or work where the network allows it."""
    import torch

    shape = space.input_shape_of(architecture)
    with seeded("limits"):
        try:
            with torch.device("meta"):
                return count(space.build(architecture), torch.zeros(n, *shape))
        except Exception:  # noqa: BLE001  # reads values, or does not run at all: the CPU tells
            network = space.build(architecture)
        try:
            return count(network, torch.rand(n, *shape))  # from 0 up to 1, which whole numbers would all be 0
        except MetricError as error:
            text = space.format(architecture)
            raise MetricError(f"The network of {text} in {space.name} cannot be counted: {error}.") from error
        except Exception as error:
            raise _does_not_run(space, architecture, error) from error


def _does_not_run(space: SearchSpace, architecture: Architecture, error: Exception) -> ArchitectureError:
    """Return the error for a network that raises."""
    return ArchitectureError(
        f"The network of {space.format(architecture)} in {space.name} does not run on an input of shape "
        f"{space.input_shape_of(architecture)}: {told_with_place(error)}"
    )
