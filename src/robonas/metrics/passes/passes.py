"""The passes over one network that all metrics share.

Notation: n samples, w a weight, L the mean loss of the batch, g = ∂L/∂w, H the Hessian of L in the weights, a the
output of a layer, z the logits.
"""

from __future__ import annotations

import copy
import functools
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from robonas.common.randomness import torch_generator
from robonas.costs.counting import count
from robonas.errors import ConfigError, MetricError
from robonas.metrics.passes.modules import modules_of
from robonas.metrics.passes.needs import Need
from robonas.metrics.passes.networks import LogitsHook, call, explain, place_of, put_back, scoring_mode
from robonas.metrics.passes.recorder import Recorder, own_tensors
from robonas.metrics.passes.sight import in_the_open, why_unseen
from robonas.metrics.passes.sweep import BACKWARD, SHARED, sweep
from robonas.metrics.passes.weights import Weights, find_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from robonas.costs.counting import Counts
    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.observations import Saliency, Shared

T = TypeVar("T")
WORTHWHILE = 8
"""Samples from which on the layout matters more than finding out which one the network takes."""
NO_RECTIFIER = "the network calls no rectifier (ReLU, GELU, SiLU, …)"


class Passes:
    """One network on one batch: every pass that some metric declared, made once, when the first metric reads it.

    Made by `score_network`, which puts the network in training mode. A metric reads what it declared in its `needs` and
    changes nothing. Where there is no value, the property raises `MetricError` with the reason, which becomes the
    reason of the metric's NaN. The network is in training mode; weights that are frozen have zero gradients.

    Args:
        network: Any network that maps the batch's inputs to (n, n_classes).
        batch: The samples.
        needs: The passes that will be read.
        seed: Seed of all random draws: dropout, and what metrics draw themselves.
        logits: Picks the logits from what the network returns.
        micro_batch: Run at most so many samples at a time, with exact sums over them; None runs all at once.
    """

    def __init__(
        self,
        network: nn.Module,
        batch: Batch,
        needs: Iterable[Need],
        *,
        seed: int = 0,
        logits: LogitsHook | None = None,
        micro_batch: int | None = None,
    ) -> None:
        if micro_batch is not None and micro_batch < 1:
            raise ConfigError(f"`micro_batch` must be at least 1; got {micro_batch}.")
        self.network = network
        self.batch = batch
        self.seed = seed
        self.needs = frozenset(needs)
        self._found: Weights = find_weights(network)
        self._logits_hook = logits
        self._micro_batch = len(batch) if micro_batch is None else min(micro_batch, len(batch))
        self._copy: nn.Module | None = None
        self._versions: list[int] = []
        self._memo: dict[str, Any] = {}
        self.spent = 0.0
        """CPU seconds of the shared passes so far."""
        self._reads: dict[Need, float] = {}  # what was read since `take_reads`, and what it cost

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """Weights of all convolution and linear layers by name, tied ones once; see `robonas.metrics.passes.weights`.

        Raises:
            MetricError: There are none, or the network's layers cannot be seen.
        """
        self.check_seen()
        weights = self._found.tensors
        if not weights:
            raise MetricError("the network has no convolution or linear layer")
        return weights

    @property
    def left_out(self) -> dict[str, str]:
        """Parts of the network that scores leave out, with the reasons.

        Biases, norms, embeddings, frozen and, once gradients are there, unused weights.
        """
        frozen = {name: "frozen" for name, weight in self._found.tensors.items() if not weight.requires_grad}
        seen = self.__dict__["_shared"].left_out if "_shared" in self.__dict__ else {}
        return {**self._found.left_out, **seen, **frozen}

    # ── shared passes ──

    @property
    def logits(self) -> Tensor:
        """Logits of the network, (n, n_classes)."""
        return self._read(Need.ACTIVATIONS, lambda shared: shared.logits)

    @property
    def loss(self) -> float:
        """The mean loss of the batch."""
        return self._read(Need.ACTIVATIONS, lambda shared: shared.loss)

    @property
    def codes(self) -> list[Tensor]:
        """For every call of a rectifier, whether its input is positive: booleans, (n, units).

        The same tensor is there twice where two calls share their input.

        Raises:
            MetricError: No rectifier was called.
        """
        codes = self._read(Need.CODES, lambda shared: shared.codes)
        if not codes:
            raise MetricError(NO_RECTIFIER)
        return codes

    @property
    def preactivations(self) -> list[Tensor]:
        """For every call of a rectifier, its input, (n, units).

        Raises:
            MetricError: No rectifier was called.
        """
        values = self._read(Need.PREACTIVATIONS, lambda shared: shared.preactivations)
        if not values:
            raise MetricError(NO_RECTIFIER)
        return values

    @property
    def layer_codes(self) -> list[Tensor]:
        """For every call of a convolution or linear layer, whether its output is positive: booleans, (n, values).

        Raises:
            MetricError: No layer was called.
        """
        codes = self._read(Need.LAYER_CODES, lambda shared: shared.layer_codes)
        if not codes:
            raise MetricError("the network calls no convolution or linear layer")
        return codes

    @property
    def maps(self) -> list[Tensor]:
        """For every call of a convolution, what it returns for the first sample, (channels, …).

        Raises:
            MetricError: No convolution was called.
        """
        maps = self._read(Need.MAPS, lambda shared: shared.maps)
        if not maps:
            raise MetricError("the network calls no convolution")
        return maps

    @property
    def gradients(self) -> dict[str, Tensor]:
        """Gradient g of the loss by the weight's name; zeros where the loss does not use it."""
        return self._read(Need.GRADIENTS, lambda shared: shared.gradients)

    @property
    def hessian_gradient_products(self) -> dict[str, Tensor]:
        """Hessian-gradient product H g by the weight's name, with g held fixed; exact."""
        return self._read(Need.HESSIAN, lambda shared: shared.products)

    @property
    def curvature(self) -> float:
        """Sum over weights of w · (H g), exact; cheaper than the products one by one."""
        return self._read(Need.CURVATURE, lambda shared: shared.curvature)

    @property
    def normed_curvature(self) -> float:
        """The same, but −‖g‖² for weights of convolutions that a batch norm follows, which is so up to its ε."""
        return self._read(Need.NORMED_CURVATURE, lambda shared: shared.normed_curvature)

    @property
    def saliencies(self) -> list[Saliency]:
        """For every call of a convolution or linear layer, how its output meets the gradient."""
        return self._read(Need.SALIENCIES, lambda shared: shared.saliencies)

    @property
    def jacobian(self) -> Tensor:
        """Gradient of the sum of all logits with respect to every sample, (n, values of a sample)."""
        return self._read(Need.JACOBIAN, lambda shared: shared.jacobian)

    @property
    def counts(self) -> Counts:
        """Counts of a forward pass of one sample: multiply-adds, other operations, and depth."""
        return self._read(Need.OPERATIONS, lambda shared: shared.counts)

    @property
    def operations(self) -> tuple[int, int]:
        """Multiply-adds of one sample, and other operations as `flops` counts them."""
        return self.counts.macs, self.counts.others

    def take_reads(self) -> dict[Need, float]:
        """Return the passes read since the last call, and the CPU seconds of each."""
        reads, self._reads = self._reads, {}
        return reads

    # ── own passes ──

    def run(
        self,
        inputs: Tensor,
        *,
        tensors: Mapping[str, Tensor] | None = None,
        recorder: Recorder | None = None,
        training: bool = True,
        as_given: bool = False,
        purpose: str,
    ) -> Any:
        """Return what the network returns for other inputs, or with other tensors for its own; it stays as it is.

        Args:
            inputs: Any batch.
            tensors: Stand for the parameters and buffers of these names.
            recorder: Watches the pass.
            training: The mode of all modules.
            as_given: True to keep the memory layout of the inputs; else images are in channels last, which is faster.
            purpose: Names the pass; with `seed`, the seed of dropout.
        """
        if Need.OWN_PASSES not in self.needs:
            raise MetricError("reads its own pass, which it does not declare: add Need.OWN_PASSES to its `needs`")
        # A network may write to its input, so it gets its own.
        layout = torch.preserve_format if as_given or len(inputs) < WORTHWHILE or inputs.ndim != 4 else self._layout
        if not inputs.requires_grad:
            inputs = inputs.clone(memory_format=layout)
        elif layout is not torch.preserve_format:
            inputs = inputs.contiguous(memory_format=layout)
        with nullcontext() if training else scoring_mode(self.network, training=False):
            return call(self.network, inputs, recorder=recorder, tensors=tensors, seed=("own pass", purpose, self.seed))

    @functools.cached_property
    def _layout(self) -> torch.memory_format:
        """The fastest layout of images that the network takes: some `view` their maps, which channels last forbids."""
        inputs = self._placed()[:2]
        if inputs.ndim != 4 or inputs.device.type != "cpu":
            return torch.preserve_format
        try:
            with torch.no_grad():
                probe = inputs.contiguous(memory_format=torch.channels_last)
                call(self.network, probe, recorder=self.recorder(), seed=("layout", self.seed))
        except Exception:  # noqa: BLE001  (whatever it is, the pass itself will tell)
            return torch.preserve_format
        return torch.channels_last

    def copy(self) -> nn.Module:
        """Return a private copy of the network, in training mode and as it was at the start, to do with as one likes.

        There is one for all metrics of a network, made when first asked for and put back at every call.

        Raises:
            MetricError: The network cannot be copied.
        """
        if self._copy is None:
            try:
                self._copy = copy.deepcopy(self.network)
            except Exception as error:
                raise MetricError(f"the network cannot be copied: {explain(error)}") from error
        return put_back(self._copy, self.network)

    def was_changed(self) -> bool:
        """Return whether a metric wrote to a tensor that it shares with others."""
        shared = self.__dict__.get("_shared")
        return shared is not None and shared.versions() != self._versions

    def forget(self) -> None:
        """Make the shared passes again for the next metric that reads them."""
        self.__dict__.pop("_shared", None)
        self._memo.clear()

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """Return the first result of `make` for a key, for metrics that share a pass of their own.

        Raises:
            MetricError: `make` raised it, now or before.
        """
        if key not in self._memo:
            try:
                self._memo[key] = make()
            except MetricError as error:
                self._memo[key] = error
        found = self._memo[key]
        if isinstance(found, MetricError):
            raise MetricError(str(found))
        return cast("T", found)

    def noise(self, purpose: str, *, n: int | None = None) -> Tensor:
        """Return standard normal inputs of the batch's shape, where the network computes, by `purpose` and the seed."""
        self.check_seen()
        self._find_layout()
        device, dtype = place_of(self.network, self.batch.inputs)
        generator = torch_generator("noise", purpose, self.seed)
        shape = (len(self.batch) if n is None else n, *self.batch.input_shape)
        return torch.randn(shape, generator=generator).to(device, dtype)

    def inputs(self) -> Tensor:
        """Return the batch's inputs, where the network computes."""
        self._find_layout()
        return self._placed()

    def _find_layout(self) -> None:
        """Find the memory layout before the metric hangs hooks on modules, since hooks must not see the probe."""
        if Need.OWN_PASSES in self.needs and len(self.batch) >= WORTHWHILE:
            _ = self._layout

    def _placed(self) -> Tensor:
        device, dtype = place_of(self.network, self.batch.inputs)
        return self.batch.inputs.detach().to(device, dtype)

    def recorder(self, **settings: Any) -> Recorder:
        """Return a recorder for `run` that knows which tensors are the network's own."""
        self.check_seen()
        return Recorder(protected=own_tensors(self.network), **settings)

    def pick(self, result: Any) -> Tensor:
        """Return the tensor that stands for the logits in a result of `run`."""
        picked = result if self._logits_hook is None else self._logits_hook(result)
        if not isinstance(picked, Tensor):
            raise MetricError(f"the network returned a {type(picked).__name__} for the metric's own input")
        return picked

    def _read(self, need: Need, pick: Callable[[Shared], T | None]) -> T:
        if need not in self.needs:
            raise MetricError(f"reads {need.value}, which it does not declare: add Need.{need.name} to its `needs`")
        self.check_seen()
        shared = self._shared
        self._reads[need] = shared.seconds.get(need, 0.0)
        if need in SHARED:
            self._reads[Need.ACTIVATIONS] = shared.seconds.get(Need.ACTIVATIONS, 0.0)
        if need in BACKWARD - {Need.GRADIENTS}:
            self._reads[Need.GRADIENTS] = shared.seconds.get(Need.GRADIENTS, 0.0)
        if need in shared.errors:
            raise MetricError(shared.errors[need])
        value = pick(shared)
        if value is None:
            raise MetricError(f"{need.value} was not made")
        return value

    def check_seen(self) -> None:
        """Raise `MetricError` where parts of the network are compiled, so that nobody sees what they compute."""
        reason = self.memo("unseen", lambda: why_unseen(modules_of(self.network)))
        if reason is not None:
            raise MetricError(reason)

    @functools.cached_property
    def _shared(self) -> Shared:
        clock = time.process_time()
        try:
            shared = self._sweep()
            if Need.OPERATIONS in self.needs and Need.OPERATIONS not in shared.errors:
                self._count(shared)
            self._versions = shared.versions()
            return shared
        finally:
            self.spent += time.process_time() - clock

    def _count(self, shared: Shared) -> None:
        """Count operations in a pass of its own: in evaluation mode, without what networks have for training only."""
        clock = time.process_time()
        try:
            with scoring_mode(self.network, training=False), in_the_open():
                run = lambda inputs: self.pick(call(self.network, inputs, seed=("count", self.seed)))  # noqa: E731
                shared.counts = count(run, self._placed())
        except MetricError as error:
            shared.errors[Need.OPERATIONS] = str(error)
        except Exception as error:  # noqa: BLE001  (a user's network may raise anything)
            shared.errors[Need.OPERATIONS] = f"the network fails on two samples in evaluation mode: {explain(error)}"
        shared.seconds[Need.OPERATIONS] = time.process_time() - clock

    def _sweep(self) -> Shared:
        """Return all shared passes; out of memory, again with half as many samples at a time, down to one."""
        while True:
            shared = sweep(
                self.network,
                self.batch,
                self.needs,
                self._found,
                seed=self.seed,
                logits=self._logits_hook,
                size=self._micro_batch,
            )
            if not shared.out_of_memory or self._micro_batch == 1:
                return shared
            self._micro_batch = (self._micro_batch + 1) // 2
