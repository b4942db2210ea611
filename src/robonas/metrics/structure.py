"""Depth, multiply-adds, and what the network costs on this machine."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING, Any

from robonas.lazy import torch
from robonas.metrics.base import Metric, Need
from robonas.metrics.networks import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from robonas.metrics.passes import Passes
    from robonas.metrics.recording import LayerCall

REPEATS = 5


def depth(passes: Passes) -> float:
    """Most convolution and linear layers on a way from the input to the logits."""
    layers: set[Any] = set()

    def note(_layer: LayerCall, output: Tensor) -> None:
        layers.add(output.grad_fn)

    inputs = passes.inputs()[:2].clone().requires_grad_()
    result = passes.run(inputs, recorder=passes.recorder(on_layer=note), purpose="depth")
    return float(_longest(passes.pick(result).grad_fn, layers))


def _longest(root: Any, counted: set[Any]) -> int:
    """Most counted nodes on a way through the graph from a node to its ends."""
    if root is None:
        return 0
    best: dict[Any, int] = {}
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if node in best:
            continue
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        if expanded:
            best[node] = max((best[parent] for parent in parents), default=0) + (node in counted)
        else:
            stack.append((node, True))
            stack.extend((parent, False) for parent in parents if parent not in best)
    return best[root]


def macs(passes: Passes) -> float:
    """Multiply-adds of convolution and linear layers for one sample, in millions."""
    return passes.operations[0] / 1e6


def _do_nothing() -> None:
    """What a CPU needs to have finished."""


def latency(passes: Passes) -> float:
    """Median time of a forward pass of the batch in evaluation mode, in milliseconds."""
    inputs = passes.inputs()
    wait: Callable[[], None] = torch.cuda.synchronize if inputs.is_cuda else _do_nothing
    times: list[float] = []
    with torch.no_grad():
        for _ in range(REPEATS + 1):
            wait()
            clock = time.perf_counter()
            passes.run(inputs, training=False, as_given=True, purpose="latency")
            wait()
            times.append(1e3 * (time.perf_counter() - clock))
    return statistics.median(times[1:])  # the first one warms up


def peak_memory(passes: Passes) -> float:
    """Most memory that tensors take during a forward pass in evaluation mode, in MiB, parameters included."""
    from robonas.metrics.memory_tally import MemoryTally

    inputs = passes.inputs()
    device, _ = place_of(passes.network, inputs)
    own = [*passes.network.parameters(), *passes.network.buffers(), inputs]
    with torch.no_grad():
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            passes.run(inputs, training=False, as_given=True, purpose="memory")
            torch.cuda.synchronize(device)
            held = sum(tensor.untyped_storage().nbytes() for tensor in own)
            return (torch.cuda.max_memory_allocated(device) - before + held) / 2**20
        tally = MemoryTally(own)
        with tally:
            passes.run(inputs, training=False, as_given=True, purpose="memory")
        return tally.peak / 2**20


DEPTH = Metric(
    name="depth",
    compute=depth,
    needs=frozenset({Need.OWN_PASSES}),
    brief="layers on the longest way through",
    meaning="How many convolution and linear layers the longest way from input to logits has.",
    formula="max over ways through the graph of the number of convolution and linear calls",
    source="Definition. The dimension term of VKDNW counts layers on all ways instead.",
    bounds=(0.0, math.inf),
    weaknesses="Blind to width and to how ways are joined.",
)
MACS = Metric(
    name="macs",
    compute=macs,
    needs=frozenset({Need.OPERATIONS}),
    brief="multiply-adds of one sample, in millions",
    meaning="How many multiply-adds the layers need for one sample, in millions.",
    formula="Σ over convolution and linear calls of output values × fan-in / 10⁶, biases not counted",
    source="Definition; half the floating-point operations that PyTorch's own counter gives for such layers.",
    bounds=(0.0, math.inf),
    weaknesses="Not the time on any device; attention's own products are not counted.",
)
LATENCY = Metric(
    name="latency",
    compute=latency,
    needs=frozenset({Need.OWN_PASSES}),
    brief="time of a pass here, in ms",
    meaning="How long a forward pass of the batch takes on this device, in milliseconds.",
    formula="median of 5 passes in evaluation mode, after one that warms up",
    source="Measured with a monotonic clock, the device waited for.",
    higher_is_better=False,
    bounds=(0.0, math.inf),
    weaknesses="Other programs on the machine, its temperature and its number of threads move it.",
    measures_the_machine=True,
)
PEAK_MEMORY = Metric(
    name="peak_memory",
    compute=peak_memory,
    needs=frozenset({Need.OWN_PASSES}),
    brief="memory of a pass here, in MiB",
    meaning="How much memory a forward pass of the batch takes on this device, in MiB.",
    formula="most bytes of all tensors alive in a pass in evaluation mode, parameters and the batch included / 2²⁰",
    source="On a GPU what PyTorch's allocator says; on a CPU the sum over tensors alive, without the scratch space of "
    "single operations.",
    higher_is_better=False,
    bounds=(0.0, math.inf),
    weaknesses="What the framework itself takes is not in it.",
    measures_the_machine=True,
)
