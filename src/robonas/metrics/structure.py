"""Depth, multiply-adds, and what the network costs on this machine."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

from robonas.common.lazy import torch
from robonas.errors import MetricError
from robonas.metrics.base import Metric, Need
from robonas.metrics.passes.needs import INPUT_IGNORED
from robonas.metrics.passes.networks import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.metrics.passes.passes import Passes

REPEATS = 5


def depth(passes: Passes) -> float:
    """Return the most layers on a way from the input to the logits."""
    found = passes.counts.depth
    if found is None:
        raise MetricError(INPUT_IGNORED)
    return float(found)


def layers(passes: Passes) -> float:
    """Return the number of layers with weights."""
    from robonas.metrics.passes.weights import layer_weights

    passes.check_seen()
    return float(len(layer_weights(passes.network)))


def macs(passes: Passes) -> float:
    """Return the multiply-adds for one sample, in millions."""
    return passes.operations[0] / 1e6


def _do_nothing() -> None:
    """Do nothing: a CPU has finished when it returns."""


def latency(passes: Passes) -> float:
    """Measure the median time of a forward pass of the batch in evaluation mode, in milliseconds."""
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
    """Measure the peak memory of tensors in a forward pass in evaluation mode, in MiB, parameters included."""
    from robonas.costs.memory import MemoryTally

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
    needs=frozenset({Need.OPERATIONS}),
    by_class=True,
    brief="layers on the longest way through",
    meaning="How many layers the longest way from input to logits has.",
    formula="max over ways through the operations of the number of convolutions and matrix products of data with "
    "weights; an attention has two, a recurrent layer one, over any number of steps",
    source="Definition. In evaluation mode, gradients or none.",
    bounds=(0.0, math.inf),
    weaknesses="Blind to width and to how ways are joined. `layers` counts layers on all ways.",
    agreement="Spearman's .68, Kendall's .56",
    reported="no paper reports one",
)
LAYERS = Metric(
    name="layers",
    compute=layers,
    needs=frozenset({Need.PARAMETERS}),
    by_class=True,
    brief="layers with weights",
    meaning="How many layers with weights the network has.",
    formula="number of weight tensors of convolution, linear, bilinear, attention and recurrent layers, tied once; a "
    "recurrent layer has two a direction",
    source="The dimension term ℵ that Tybl, Neumann, VKDNW, CVPR 2025, arXiv 2502.04975, add to `vkdnw` for their "
    "single score.",
    bounds=(0.0, math.inf),
    weaknesses="Blind to width, and to how layers are connected. Layers that are never called count too.",
    agreement="Spearman's .75, Kendall's .61",
    reported="the paper has it in its single score only, see `vkdnw`",
)
MACS = Metric(
    name="macs",
    compute=macs,
    needs=frozenset({Need.OPERATIONS}),
    by_class=True,
    brief="multiply-adds of one sample, in millions",
    meaning="How many multiply-adds the network needs for one sample, in millions.",
    formula="products in convolutions and matrix products / 10⁶, recurrent layers and both products of attention "
    "included, biases not",
    source="Definition; half the floating-point operations that PyTorch's own counter gives. In evaluation mode; what "
    "is computed of parameters alone, such as a normed weight, is not counted.",
    bounds=(0.0, math.inf),
    weaknesses="Not the time on any device.",
    agreement="Spearman's .81, Kendall's .64",
    reported="no paper reports one",
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
