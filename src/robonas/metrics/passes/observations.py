"""Observations of one forward and backward pass over some samples, in the form in which metrics read them."""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from robonas.metrics.passes.needs import Need

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.costs.counting import Counts
    from robonas.metrics.passes.recorder import LayerCall


@dataclass(frozen=True, eq=False)
class Saliency:
    """Influence of a layer's output on the loss, in one call of the layer."""

    fan_in: int
    """Weights behind one output channel."""
    products: Tensor
    """Sum over positions of a · ∂L/∂a, one number a sample and channel: (n, channels)."""


@dataclass(eq=False)
class Shared:
    """Results of the shared passes."""

    logits: Tensor | None = None
    loss: float = 0.0
    codes: list[Tensor] = field(default_factory=list)
    preactivations: list[Tensor] = field(default_factory=list)
    layer_codes: list[Tensor] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)
    gradients: dict[str, Tensor] | None = None
    products: dict[str, Tensor] | None = None
    curvature: float | None = None
    normed_curvature: float | None = None
    saliencies: list[Saliency] | None = None
    jacobian: Tensor | None = None
    counts: Counts | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    """Weights that the loss does not use, and calls whose samples cannot be told apart."""
    couples_samples: bool = False
    out_of_memory: bool = False
    seconds: dict[Need, float] = field(default_factory=dict)
    """CPU seconds of each pass."""
    errors: dict[Need, str] = field(default_factory=dict)
    """Reason why a pass has no result."""

    def versions(self) -> list[int]:
        """Return how often each tensor was written to."""
        lists = (self.codes, self.preactivations, self.layer_codes, self.maps)
        mappings = (self.gradients or {}, self.products or {})
        tensors = [
            *(tensor for tensor in (self.logits, self.jacobian) if tensor is not None),
            *(tensor for found in lists for tensor in found),
            *(tensor for found in mappings for tensor in found.values()),
            *(saliency.products for saliency in self.saliencies or ()),
        ]
        return [0 if tensor.is_inference() else tensor._version for tensor in tensors]  # noqa: SLF001  (no other way)


def by_sample(values: Tensor, n: int, *, batch_axis: int | None = None) -> Tensor | None:
    """Return the values as (n, …), channels where they were from the end; None if samples cannot be told apart.

    Samples may be folded with windows or tokens, first in the axis: (n · windows, …); attention has them second:
    (tokens, n, …) or, folded, (tokens · n, channels).

    Args:
        values: Values that a layer or a rectifier received.
        n: Number of samples.
        batch_axis: Axis of the samples; None to find out.
    """
    if batch_axis == 1:
        if values.ndim == 2:
            values = torch.unflatten(values, 0, (-1, n)) if len(values) % n == 0 else values
        return values.transpose(0, 1) if values.ndim > 2 and values.shape[1] == n else None
    if values.ndim < 2 or len(values) == 0:
        return None
    if len(values) == n:
        return values
    if batch_axis is None and values.shape[1] == n:
        return values.transpose(0, 1)
    return torch.unflatten(values, 0, (n, -1)) if len(values) % n == 0 else None


def _rows(values: Tensor) -> Tensor:
    """Return (n, units), the units in the order of the memory, which takes no copy."""
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return values.flatten(1)


class Record:
    """Keeps what a pass shows to the needs at hand, and no graph, so that none outlives its pass.

    Args:
        needs: Quantities to keep.
        n: Number of samples in the pass.
    """

    def __init__(self, needs: frozenset[Need], n: int) -> None:
        self.needs = needs
        self.n = n
        self.listening = False  # whether the backward pass under way is that of the loss
        self.fan_ins: list[int] = []
        self.products: list[Tensor | None] = []
        self.codes: list[Tensor] = []
        self.preactivations: list[Tensor] = []
        self.layer_codes: list[Tensor] = []
        self.maps: list[Tensor] = []
        self.left_out: dict[str, str] = {}
        self._n_layers = 0
        self._n_rectifiers = 0
        self._known: dict[int, tuple[weakref.ref[Tensor], Tensor | None, Tensor | None]] = {}
        self._with_gradient: set[int] = set()  # weights of layers by whether their output carries a gradient
        self._without: set[int] = set()
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def on_layer(self, layer: LayerCall, output: Tensor) -> None:
        """Keep what a convolution or linear layer returned."""
        self._n_layers += 1
        values = by_sample(layer.value, self.n, batch_axis=layer.batch_axis)
        if values is None:
            self._leave_out(f"layer call {self._n_layers}", layer.value)
            return
        if Need.LAYER_CODES in self.needs:
            self.layer_codes.append(_rows(values) > 0)
        if Need.MAPS in self.needs and layer.channel_axis == 1 - layer.value.ndim and layer.value.ndim > 2:
            self.maps.append(values[0].clone())
        if Need.SALIENCIES not in self.needs:
            return
        place = len(self.fan_ins)
        self.fan_ins.append(layer.fan_in)
        self.products.append(None)
        (self._with_gradient if output.requires_grad else self._without).add(layer.weight)
        if output.requires_grad:
            hook = functools.partial(self._meet, place, layer)
            self._handles.append(output.register_hook(hook))  # type: ignore[no-untyped-call]

    def hidden(self) -> set[int]:
        """Return the ids of the weights of layers of which no output carries a gradient."""
        return self._without - self._with_gradient

    def _meet(self, place: int, layer: LayerCall, gradient: Tensor) -> None:
        """Keep a layer's saliencies, from the gradient of the loss in its output."""
        if not self.listening:
            return
        products = by_sample(layer.value * gradient.detach(), self.n, batch_axis=layer.batch_axis)
        assert products is not None
        channels = products.ndim + layer.channel_axis
        others = [axis for axis in range(1, products.ndim) if axis != channels]
        self.products[place] = products.sum(others) if others else products

    def on_rectifier(self, source: Tensor) -> None:
        """Keep what a rectifier got; what two calls share is kept once."""
        self._n_rectifiers += 1
        known = self._known.get(id(source))
        if known is None or known[0]() is not source:
            values = by_sample(source.detach(), self.n)
            if values is None:
                self._leave_out(f"rectifier call {self._n_rectifiers}", source)
                return
            values = _rows(values)
            known = (
                weakref.ref(source),
                values > 0 if Need.CODES in self.needs else None,
                values if Need.PREACTIVATIONS in self.needs else None,
            )
            self._known[id(source)] = known
        _, code, values = known
        if code is not None:
            self.codes.append(code)
        if values is not None:
            self.preactivations.append(values)

    def _leave_out(self, what: str, values: Tensor) -> None:
        self.left_out[what] = f"the {self.n} samples cannot be told apart in its shape {tuple(values.shape)}"

    def close(self) -> None:
        """Let go of the graph."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._known.clear()


def join(parts: list[list[Tensor]]) -> list[Tensor]:
    """Return the calls' tensors over all micro-batches.

    Of a single one the very same, so that equal ones can be told by identity.
    """
    return parts[0] if len(parts) == 1 else [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
