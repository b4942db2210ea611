"""The shared passes of one network: micro-batch by micro-batch, with exact sums; only what metrics read is kept.

Notation: see `robonas.metrics.passes.passes`. Graphs and activations die with the micro-batch that made them, so that
memory is bounded by its size.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robonas.common.registry import told_with_place
from robonas.datasets.targets import loss_of
from robonas.errors import MetricError, NetworkError
from robonas.metrics.passes.batchnorm import Watch
from robonas.metrics.passes.invariance import mark
from robonas.metrics.passes.needs import CUT, CUT_INPUT, FLAT, HIDDEN, INPUT_IGNORED, Need
from robonas.metrics.passes.networks import LogitsHook, call, explain, logits_of, place_of
from robonas.metrics.passes.observations import Record, Saliency, Shared, join
from robonas.metrics.passes.reading import any_true, numbers, total
from robonas.metrics.passes.recorder import Recorder, own_tensors
from robonas.metrics.passes.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.weights import Weights

SECOND = frozenset({Need.HESSIAN, Need.CURVATURE, Need.NORMED_CURVATURE})
BACKWARD = SECOND | {Need.GRADIENTS, Need.SALIENCIES}
WATCHED = frozenset({Need.CODES, Need.PREACTIVATIONS, Need.LAYER_CODES, Need.MAPS})
SHARED = BACKWARD | WATCHED | {Need.ACTIVATIONS, Need.JACOBIAN}
SCALE = 1.1
ROUNDING = 0.01
"""A gradient that differs by more when all is scaled by `SCALE` is rounding."""
COUPLED = (
    "batch norm ties the samples of a batch together, so that micro-batches would change the value; leave "
    "`micro_batch` out or set it to the batch size"
)


def sweep(
    network: nn.Module,
    batch: Batch,
    needs: frozenset[Need],
    weights: Weights,
    *,
    seed: int,
    logits: LogitsHook | None,
    size: int,
) -> Shared:
    """Return every pass in `needs`, with at most `size` samples at a time.

    Raises:
        NetworkError: The network fails on the batch, or returns no logits.
    """
    work = _Sweep(network, batch, needs, weights, seed, logits, size)
    try:
        work.run()
    except MetricError as error:
        work.shared.errors.update(dict.fromkeys(Need, str(error)))
    return work.shared


class _Sweep:
    """The state of one sweep."""

    def __init__(
        self,
        network: nn.Module,
        batch: Batch,
        needs: frozenset[Need],
        weights: Weights,
        seed: int,
        logits: LogitsHook | None,
        size: int,
    ) -> None:
        device, dtype = place_of(network, batch.inputs)
        self.network, self.batch, self.needs, self.seed, self.hook = network, batch, needs, seed, logits
        self.inputs = batch.inputs.detach().to(device, dtype)
        self.targets = batch.targets.detach().to(device)
        self.weights = weights.tensors
        self.trainable = {name: weight for name, weight in self.weights.items() if weight.requires_grad}
        n = len(batch) if needs & SHARED else 2  # to find out whether the network runs at all
        self.n = n
        self.parts = [slice(start, min(start + size, n)) for start in range(0, n, size)]
        images = self.inputs.ndim == 4 and device.type == "cpu"
        self.layout = torch.channels_last if images else torch.contiguous_format  # what a CPU is fastest with
        self.sharing = True  # until somebody writes to what is shared
        self.shared = Shared()
        self.logits: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.records: list[Record] = []
        self.jacobian: list[Tensor] = []
        self.used: set[str] = set()
        self.called: set[int] = set()  # ids of what layers were called with

    def run(self) -> None:
        shared = self.shared
        for part in self.parts:
            try:
                self._first(part)
            except NetworkError:
                if self.layout is torch.contiguous_format:
                    raise
                self.layout = torch.contiguous_format  # `view` needs it, and some networks use that on maps
                self._first(part)
        if len(self.parts) > 1 and self.needs & SECOND and not shared.errors:
            for part in self.parts:
                self._second(part)
        shared.logits = torch.cat(self.logits)
        shared.loss = total(self.losses)
        if self.jacobian:
            shared.jacobian = torch.cat(self.jacobian)
        shared.codes = join([record.codes for record in self.records])
        shared.preactivations = join([record.preactivations for record in self.records])
        shared.layer_codes = join([record.layer_codes for record in self.records])
        shared.maps = self.records[0].maps
        if Need.SALIENCIES in self.needs and Need.SALIENCIES not in shared.errors:
            shared.saliencies = self._saliencies()
        if self.needs & BACKWARD:
            shared.left_out.update(
                {
                    name: "cut off from the loss" if id(weight) in self.called else "unused"
                    for name, weight in self.trainable.items()
                    if name not in self.used
                }
            )
        for record in self.records:
            shared.left_out.update(record.left_out)
        self._judge()

    def _judge(self) -> None:
        """Say which passes mean nothing for this network; the reason that explains the others wins."""
        shared, logits = self.shared, self.shared.logits
        assert logits is not None
        reasons: dict[Need, str] = {}
        if shared.gradients is not None and Need.GRADIENTS not in shared.errors:
            if not self.used:
                reasons.update(dict.fromkeys(BACKWARD, CUT))
            elif not any_true(gradient.any() for gradient in shared.gradients.values()):
                reasons.update(dict.fromkeys(BACKWARD, FLAT))
            hidden = {weight for record in self.records for weight in record.hidden()}
            if any(id(self.trainable[name]) in hidden for name in self.used):
                reasons[Need.SALIENCIES] = HIDDEN
        if not self.trainable:
            empty = "every weight is frozen" if self.weights else "the network has no convolution or linear layer"
            reasons.update(dict.fromkeys(BACKWARD, empty))
        if not bool(torch.isfinite(logits).all()):
            reasons.update(dict.fromkeys(SHARED - WATCHED - {Need.ACTIVATIONS}, "the logits are not finite"))
        if bool((logits == logits[:1]).all()):
            reasons.update(dict.fromkeys(SHARED, INPUT_IGNORED))
        if len(self.parts) > 1 and shared.couples_samples and not shared.out_of_memory:
            reasons.update(dict.fromkeys(SHARED, COUPLED))
        shared.errors.update(reasons)

    def _first(self, part: slice) -> None:
        """Return all passes over some of the samples; the second backward too where they are all samples."""
        needs, shared = self.needs, self.shared
        record = Record(needs, part.stop - part.start)
        watches_layers = needs & {Need.SALIENCIES, Need.LAYER_CODES, Need.MAPS}
        recorder = Recorder(
            protected=own_tensors(self.network),
            fast_norms=True,
            fast_second=len(self.parts) == 1 and bool(needs & SECOND),
            watch=self._watch(),
            repeats=Repeats() if self.sharing else None,
            on_layer=record.on_layer if watches_layers else None,
            on_rectifier=record.on_rectifier if needs & {Need.CODES, Need.PREACTIVATIONS} else None,
        )
        try:
            clock = time.process_time()
            inputs, logits = self._forward(part, recorder)
            if recorder.repeats is not None and not recorder.repeats.finish():
                self.sharing = False
                self._first(part)
                return
            self._spend(Need.ACTIVATIONS, clock)
            shared.couples_samples |= recorder.couples_samples
            self.called |= recorder.called
            self.logits.append(logits.detach())
            if Need.ACTIVATIONS in needs:
                self.losses.append(self._loss(part, logits.detach()))
            self.records.append(record)
            if Need.JACOBIAN in needs:
                self._attempt([Need.JACOBIAN], lambda: self._add_jacobian(inputs, logits, recorder.watch))
            if needs & BACKWARD and self.trainable:
                self._backward(part, logits, record, recorder.watch)
        finally:
            record.close()

    def _backward(self, part: slice, logits: Tensor, record: Record, watch: Watch) -> None:
        second = len(self.parts) == 1 and bool(self.needs & SECOND)
        loss = self._loss(part, logits)
        gradients: dict[str, Tensor] = {}
        record.listening = True

        def differentiate() -> None:
            gradients.update(self._differentiate(loss, create_graph=second))

        self._attempt([Need.GRADIENTS, Need.SALIENCIES, *SECOND], differentiate)
        record.listening = False
        self._add_gradients(gradients)
        if second:
            self._second_backward(logits, gradients, watch)

    def _second_backward(self, logits: Tensor, gradients: Mapping[str, Tensor], watch: Watch) -> None:
        """Return whatever is wanted of H g, the dearest last, which may let go of the graph."""
        makers: dict[Need, Callable[[bool], None]] = {
            Need.HESSIAN: lambda keep: self._add_products(gradients, keep=keep),
            Need.CURVATURE: lambda keep: self._add_curvature(gradients, watch, keep=keep),
            Need.NORMED_CURVATURE: lambda keep: self._add_normed_curvature(logits, gradients, watch, keep=keep),
        }
        wanted = [need for need in makers if need in self.needs]
        for need in wanted:
            self._attempt([need], functools.partial(makers[need], need is not wanted[-1]))

    def _watch(self) -> Watch:
        """Scale the weights where only their sum of products is wanted."""
        return Watch(self.trainable.values() if self.needs & {Need.CURVATURE, Need.NORMED_CURVATURE} else ())

    def _second(self, part: slice) -> None:
        """Return the second backward over some of the samples, once the gradient over all is known."""
        watch = self._watch()
        recorder = Recorder(protected=own_tensors(self.network), fast_norms=True, fast_second=True, watch=watch)

        def make() -> None:
            _, logits = self._forward(part, recorder)
            gradients = self._differentiate(self._loss(part, logits), create_graph=True)
            self._second_backward(logits, gradients, watch)

        self._attempt(list(SECOND), make)

    def _forward(self, part: slice, recorder: Recorder) -> tuple[Tensor, Tensor]:
        inputs = self.inputs[part].clone(memory_format=self.layout).requires_grad_(Need.JACOBIAN in self.needs)
        n = len(inputs)
        try:
            with torch.set_grad_enabled(bool(self.needs & (BACKWARD | {Need.JACOBIAN}))):
                result = call(self.network, inputs, recorder=recorder, seed=("forward", self.seed, part.start))
        except torch.OutOfMemoryError as error:
            self.shared.out_of_memory = True
            raise MetricError(
                f"a forward pass of {n} samples does not fit in memory; set a smaller `micro_batch` ({error})"
            ) from error
        except MetricError:
            raise
        except Exception as error:
            shape = tuple(self.inputs[part].shape)
            raise NetworkError(
                f"The network must take inputs of shape {shape}; it raised {told_with_place(error)}"
            ) from error
        return inputs, logits_of(result, self.batch, n, self.hook)

    def _loss(self, part: slice, logits: Tensor) -> Tensor:
        """Compute this part's share of the mean loss."""
        return loss_of(logits, self.targets[part], self.batch.task) * (len(logits) / self.n)

    def _attempt(self, needs: list[Need], make: Callable[[], None]) -> None:
        """Make a pass and time it; if it fails, note why for all that follow from it."""
        clock = time.process_time()
        try:
            make()
        except torch.OutOfMemoryError as error:
            self.shared.out_of_memory = True
            reason = f"{needs[0].value} does not fit in memory; set a smaller `micro_batch` ({error})"
            self.shared.errors.update(dict.fromkeys(needs, reason))
        except Exception as error:  # noqa: BLE001  (a user's layer may raise anything in its backward)
            reason = str(error) if isinstance(error, MetricError) else f"{needs[0].value} failed: {explain(error)}"
            self.shared.errors.update(dict.fromkeys(needs, reason))
        self._spend(needs[0], clock)

    def _spend(self, need: Need, since: float) -> None:
        self.shared.seconds[need] = self.shared.seconds.get(need, 0.0) + time.process_time() - since

    def _add_jacobian(self, inputs: Tensor, logits: Tensor, watch: Watch) -> None:
        watch.awake = True
        try:
            rows = _gradient(logits.sum(), inputs)
            # If a batch norm cancelled a gradient, perhaps all of it is rounding. Rounding changes with the scale.
            if watch.cancelled and bool(
                (rows - _gradient(SCALE * logits.sum(), inputs) / SCALE).norm() >= ROUNDING * rows.norm()
            ):
                raise MetricError("batch norm cancels the gradient of the summed logits: only rounding is left of it")
        finally:
            watch.awake = False
        self.jacobian.append(rows.flatten(1))

    def _differentiate(self, loss: Tensor, *, create_graph: bool) -> dict[str, Tensor]:
        if not loss.requires_grad:
            return {}
        gradients = torch.autograd.grad(
            loss, list(self.trainable.values()), create_graph=create_graph, allow_unused=True
        )
        return {
            name: gradient for name, gradient in zip(self.trainable, gradients, strict=True) if gradient is not None
        }

    def _add_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        shared = self.shared
        if shared.gradients is None:
            shared.gradients = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        for name, gradient in gradients.items():
            shared.gradients[name] += gradient.detach()
        self.used.update(gradients)

    def _add_products(self, gradients: Mapping[str, Tensor], *, keep: bool) -> None:
        """Add H g: the gradient of <∂L/∂w, g> with g held fixed."""
        shared = self.shared
        if shared.products is None:
            shared.products = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        products = self._differentiate_again(gradients, list(self.trainable.values()), keep=keep)
        for name, product in zip(self.trainable, products, strict=True):
            if product is not None:
                shared.products[name] += product

    def _add_curvature(self, gradients: Mapping[str, Tensor], watch: Watch, *, keep: bool) -> None:
        self.shared.curvature = (self.shared.curvature or 0.0) + self._curvature(gradients, watch, keep=keep)

    def _add_normed_curvature(
        self, logits: Tensor, gradients: Mapping[str, Tensor], watch: Watch, *, keep: bool
    ) -> None:
        """Add the sum of products, with −‖g‖² for weights that a batch norm follows."""
        shared = self.shared
        assert shared.gradients is not None
        normed = mark(logits, self.trainable)
        norms = sum(
            norm**2
            for norm in numbers(
                torch.linalg.vector_norm(shared.gradients[name], dtype=torch.float64) for name in normed
            )
        )
        rest = self._curvature(gradients, watch, keep=keep)
        shared.normed_curvature = (shared.normed_curvature or 0.0) + rest - norms * (len(logits) / self.n)

    def _curvature(self, gradients: Mapping[str, Tensor], watch: Watch, *, keep: bool) -> float:
        """Return Σ w · (H g), convolutions by the derivative in their scale."""
        sources = [*self.trainable.values(), *([] if watch.scale is None else [watch.scale])]
        watch.second = True
        try:
            *products, slope = self._differentiate_again(gradients, sources, keep=keep)
        finally:
            watch.second = False
        return total(
            [
                *(
                    (weight.detach() * product).sum(dtype=torch.float64)
                    for weight, product in zip(self.trainable.values(), products, strict=True)
                    if product is not None
                ),
                *([] if slope is None else [slope]),
            ]
        )

    def _differentiate_again(
        self, gradients: Mapping[str, Tensor], sources: list[Tensor], *, keep: bool
    ) -> Sequence[Tensor | None]:
        """Return the derivatives of <∂L/∂w, g>, g held fixed."""
        fixed = self.shared.gradients
        assert fixed is not None
        outer = {name: gradient for name, gradient in gradients.items() if gradient.requires_grad}
        if not outer:
            return [None] * len(sources)
        seeds = [fixed[name] for name in outer]
        return torch.autograd.grad(list(outer.values()), sources, seeds, allow_unused=True, retain_graph=keep)

    def _saliencies(self) -> list[Saliency]:
        """Join the micro-batches; a call that no gradient reached is left out."""
        calls = zip(*(zip(record.fan_ins, record.products, strict=True) for record in self.records), strict=True)
        return [
            Saliency(parts[0][0], torch.cat([products for _, products in parts if products is not None]))
            for parts in calls
            if all(products is not None for _, products in parts)
        ]


def _gradient(scalar: Tensor, inputs: Tensor) -> Tensor:
    """Return the gradient in the inputs; the graph stays."""
    rows = None
    if scalar.requires_grad:
        (rows,) = torch.autograd.grad(scalar, inputs, retain_graph=True, allow_unused=True)
    if rows is None:
        raise MetricError(CUT_INPUT)
    return rows
