"""Counting what a network computes for one sample: the one definition of a multiply-add, and of depth.

A multiply-add (MAC) is one product of two numbers in a convolution, a matrix product (linear and bilinear layers,
recurrent layers step by step, the two products of attention, `@` and `einsum`) or a convolution's transpose, added to
others. Biases, activations, normalisations, poolings, interpolation, embeddings and whatever else works on numbers one
by one, are none. What does not depend on the number of samples, such as the weight of a parametrised layer, is not
counted: it can be computed once and for all.

PyTorch's dispatcher shows every operation, whoever calls it: modules, functions, TorchScript, and networks compiled by
`torch.compile`, which run uncompiled while they are counted. What it cannot show, or has no known number of
multiply-adds, is an error with its name, never a smaller number.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from robonas.common.dispatch import DispatchMode
from robonas.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable

aten = torch.ops.aten
UNSEEN = "the way from the input to the logits leaves PyTorch, where operations cannot be seen"


@dataclass(frozen=True)
class Counts:
    """Counts of a forward pass of one sample."""

    macs: int
    """Multiply-adds."""
    others: int
    """Operations beside them by the convention of the published tables: 2 an element of batch norm, 1 an element of
    ReLU and its kin, the window an output of average pooling, Π(side + 1) a channel of global average pooling."""
    depth: int | None
    """Most products of data and weights on a way from the input to the result, a recurrent layer over any number of
    steps as one; None where there is no way."""


@dataclass
class _Sums:
    """Sums over the samples of a pass."""

    macs: int = 0
    others: int = 0


def count(run: Callable[[Tensor], Any], inputs: Tensor) -> Counts:
    """Count the operations of one sample's forward pass.

    Args:
        run: Passes a batch through the network, which should be in evaluation mode, to a tensor or several.
        inputs: At least one sample, which differs from its mirror image or from the second.

    Raises:
        MetricError: An operation cannot be seen, or its multiply-adds are not known.
    """
    tally = _run(run, inputs, 2)
    sums, constant = tally.sums, tally.constant
    if constant.macs or constant.others or sums.macs % 2 or sums.others % 2:
        # Something did not come from the samples. What is computed once takes as much for three samples as for two.
        more = _run(run, inputs, 3).sums
        macs, others = more.macs - sums.macs, more.others - sums.others
    else:
        macs, others = sums.macs // 2, sums.others // 2
    return Counts(macs, others, tally.result)


def _run(run: Callable[[Tensor], Any], inputs: Tensor, n: int) -> _Tally:
    samples = _samples(inputs, n)
    tally = _Tally(samples)
    fast = torch.backends.mha.get_fastpath_enabled()
    with contextlib.ExitStack() as stack:
        # Attention as products of its own, instead of kernels that do all of it.
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if samples.is_cuda:
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))  # recurrent layers step by step
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Watch(tally))
        stack.enter_context(tally)
        results = [leaf for leaf in tree_leaves(run(samples)) if isinstance(leaf, Tensor)]
    if tally.fault:
        raise MetricError(tally.fault)
    tally.result = max((depth for depth in map(tally.depth_of, results) if depth is not None), default=None)
    if tally.result is None and not all(_is_constant(result) for result in results):
        raise MetricError(UNSEEN)
    return tally


def _samples(inputs: Tensor, n: int) -> Tensor:
    """Return n samples, of which two are different."""
    if inputs.is_meta:  # without values; to join them there would load `torch._dynamo`, which takes a second and more
        return inputs.new_empty((n, *inputs.shape[1:]))
    inputs = torch.cat([inputs, inputs.flip(-1)]).detach()
    return inputs[torch.arange(n, device=inputs.device) % len(inputs)]


def _is_constant(result: Tensor) -> bool:
    """Return whether a result is the same for all samples."""
    return not result.is_meta and (result.ndim == 0 or bool((result == result[:1]).all()))


class _Tally(DispatchMode):
    """Adds up operations, and follows the samples through them."""

    def __init__(self, samples: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sums = _Sums()
        self.constant = _Sums()  # what is computed of parameters alone
        self.fault = ""
        self.result: int | None = None
        self.averages = True  # whether a mean over positions is a pooling
        self._depths: dict[int, int] = {}  # of what comes from the samples, by memory
        self._kept: list[Tensor] = []  # so that no other tensor gets the same memory
        self._note(samples, 0)

    def depth_of(self, tensor: Tensor) -> int | None:
        """Return the most layers on a way from the samples to a tensor; None if it does not depend on them."""
        return self._depths.get(_memory(tensor))

    def _note(self, tensor: Tensor, depth: int) -> None:
        key = _memory(tensor)
        self._depths[key] = max(depth, self._depths.get(key, 0))
        self._kept.append(tensor)

    def settle(self, result: Any, depth: int) -> None:
        """Say how deep what comes from the samples in a result is."""
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and self.depth_of(leaf) is not None:
                self._depths[_memory(leaf)] = depth

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket  # noqa: SLF001  (there is no other way to ask)
        depths = [self.depth_of(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        comes = any(depth is not None for depth in depths)
        formula = _PRODUCTS.get(packet)
        if formula is None and comes and _hides_products(func):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            self.fault = self.fault or f"the network calls {packet}, whose multiply-adds are not known"
        result = func(*args, **kwargs)
        depth = max((depth for depth in depths if depth is not None), default=0)
        if formula is not None:
            n = formula(args, kwargs, result)
            operands = [self.depth_of(factor) for factor in _factors(packet, args)]
            known = [operand for operand in operands if operand is not None]
            if known and len(known) < len(operands):  # data meet weights
                depth = max(depth, max(known) + 1)
            self.sums.macs += n
            if not comes:
                self.constant.macs += n
        others = _others(packet, args, kwargs, result, averages=self.averages)
        self.sums.others += others
        if not comes:
            self.constant.others += others
        if comes and packet not in _EMPTY:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._note(leaf, depth)
            if func._schema.is_mutable:  # noqa: SLF001  (there is no other way to ask)
                self._write(func, args, kwargs, depth)
        return result

    def _write(self, func: Any, args: Any, kwargs: Any, depth: int) -> None:
        """Note that what an operation writes to comes from what it reads."""
        for place, argument in enumerate(func._schema.arguments):  # noqa: SLF001
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            if argument.alias_info is not None and argument.alias_info.is_write:
                for leaf in tree_leaves(given):
                    if isinstance(leaf, Tensor):
                        self._note(leaf, depth)


class _Watch(TorchFunctionMode):
    """Sees what the dispatcher cannot: values that leave PyTorch, recurrent layers, and means that are no pooling."""

    def __init__(self, tally: _Tally) -> None:
        super().__init__()
        self._tally = tally

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tally = self._tally
        if func in _LEAVING and args and isinstance(args[0], Tensor) and tally.depth_of(args[0]) is not None:
            tally.fault = tally.fault or UNSEEN
        if func in _RECURRENT:
            given = [tally.depth_of(leaf) for leaf in tree_leaves(args[:2]) if isinstance(leaf, Tensor)]
            result = func(*args, **(kwargs or {}))
            layers = next(value for value in args if isinstance(value, int) and not isinstance(value, bool))
            tally.settle(result, max((depth for depth in given if depth is not None), default=0) + layers)
            return result
        tally.averages = func not in _RMS_NORMS
        try:
            return func(*args, **(kwargs or {}))
        finally:
            tally.averages = True


_LEAVING = frozenset({Tensor.numpy, Tensor.__array__, Tensor.tolist, Tensor.__dlpack__})
_RECURRENT = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})
_RMS_NORMS = frozenset({functional.rms_norm, torch.rms_norm})


def _memory(tensor: Tensor) -> int:
    """Return what tells memory apart; views have that of their base."""
    try:
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  (what tells storages apart)
    except (NotImplementedError, RuntimeError):  # sparse tensors and the like
        return id(tensor)


# ── products ──


def _registered(packet: Any) -> Callable[[Any, Any, Any], int]:
    """Return PyTorch's own formula, which counts two operations a multiply-add."""
    formula = flop_registry[packet]
    return lambda args, kwargs, result: int(formula(*args, **kwargs, out_val=result)) // 2


def _matrix_times_vector(matrix: int) -> Callable[[Any, Any, Any], int]:
    return lambda args, _kwargs, _result: int(args[matrix].numel())


def _batches(args: Any, _kwargs: Any, _result: Any) -> int:
    return int(args[1].numel() * args[2].shape[-1])


def _trilinear(args: Any, _kwargs: Any, _result: Any) -> int:
    """Count the products of a bilinear layer: every weight once a sample."""
    return int(args[0].shape[0] * args[1].numel())


def _recurrent(args: Any, _kwargs: Any, _result: Any) -> int:
    """Count the products of oneDNN's recurrent layer on (steps, samples, channels): every matrix once a step."""
    return int(math.prod(args[0].shape[:-1]) * (args[1].numel() + args[2].numel()))


_PRODUCTS: dict[Any, Callable[[Any, Any, Any], int]] = {
    **{packet: _registered(packet) for packet in flop_registry if isinstance(packet, torch._ops.OpOverloadPacket)},  # noqa: SLF001
    aten.mv: _matrix_times_vector(0),
    aten.addmv: _matrix_times_vector(1),
    aten.addmv_: _matrix_times_vector(1),
    aten.dot: _matrix_times_vector(0),
    aten.vdot: _matrix_times_vector(0),
    aten.addbmm: _batches,
    aten.addbmm_: _batches,
    aten.addmm_: lambda args, _kwargs, _result: int(args[1].numel() * args[2].shape[-1]),
    aten._addmm_activation: lambda args, _kwargs, _result: int(args[1].numel() * args[2].shape[-1]),  # noqa: SLF001
    aten.baddbmm_: _batches,
    aten._trilinear: _trilinear,  # noqa: SLF001
    aten.mkldnn_rnn_layer: _recurrent,
}
_ADDING = frozenset(
    {
        *(aten.addmm, aten.addmm_, aten._addmm_activation, aten.baddbmm, aten.baddbmm_, aten.addbmm, aten.addbmm_),  # noqa: SLF001
        *(aten.addmv, aten.addmv_),
    }
)
"""Products whose first argument is added to them."""


def _factors(packet: Any, args: Any) -> list[Tensor]:
    """Return what a product multiplies."""
    if packet is aten._trilinear:  # noqa: SLF001
        return list(args[:3])
    return list(args[1:3] if packet in _ADDING else args[:2])


_SUSPICIOUS = re.compile(
    r"(?<!ga)mm(?!ax|in|y)|matmul|(?<!bi)(?<!tri)linear(?!1d)|conv(?!ert)|(?:^|_|v)dot|^mv_?$|^addmv|^addr_?$|^linalg_"
    r"|^_linalg_|lstm|gru|rnn|attention|transformer_|^_trilinear|euclidean|^_fft_|stft|(?<!re)solve|cholesky|geqrf"
    r"|ormqr|svd|(?<!slice_)inverse|kron|^quantized"
)
_HARMLESS = frozenset({"linalg_vector_norm", "linalg_cross", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"})


@functools.cache
def _hides_products(func: Any) -> bool:
    """Return whether an operation without a formula may multiply matrices, or is none of PyTorch's own."""
    if func.namespace not in {"aten", "prim", "prims"}:
        return True
    name = func._schema.name.split("::")[1]  # noqa: SLF001
    return name not in _HARMLESS and _SUSPICIOUS.search(name) is not None


_EMPTY = frozenset(
    {
        *(aten.new_zeros, aten.new_ones, aten.new_full, aten.new_empty, aten.new_empty_strided),
        *(aten.zeros_like, aten.ones_like, aten.full_like, aten.empty_like),
        *(aten.rand_like, aten.randn_like, aten.randint_like),
    }
)
"""Operations that take nothing but the shape of a tensor."""


# ── others ──

_BATCH_NORMS = frozenset(
    {
        *(aten.native_batch_norm, aten._native_batch_norm_legit, aten._native_batch_norm_legit_no_training),  # noqa: SLF001
        *(aten.cudnn_batch_norm, aten.miopen_batch_norm, aten._batch_norm_with_update, aten._batch_norm_no_update),  # noqa: SLF001
    }
)
_RELUS = frozenset(
    {
        *(aten.relu, aten.relu_, aten.leaky_relu, aten.leaky_relu_, aten.rrelu_with_noise, aten.rrelu_with_noise_),
        *(aten._prelu_kernel,),  # noqa: SLF001
    }
)
_CLAMPS = frozenset(
    {
        *(aten.hardtanh, aten.hardtanh_, aten.clamp, aten.clamp_, aten.clamp_min, aten.clamp_min_),
        *(aten.threshold, aten.threshold_),
    }
)
_WINDOWS = {aten.avg_pool2d: 2, aten.avg_pool3d: 3}
_ADAPTIVE = {aten._adaptive_avg_pool2d: 2, aten._adaptive_avg_pool3d: 3}  # noqa: SLF001


def _others(packet: Any, args: Any, kwargs: Any, result: Any, *, averages: bool) -> int:
    """Return the operations that are no multiply-adds; see `Counts.others`."""
    if packet in _BATCH_NORMS:
        return 2 * int(result[0].numel())
    if packet in _RELUS:
        return int(result.numel())
    if packet in _CLAMPS:
        low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
        return int(result.numel()) if isinstance(low, int | float) and low == 0 else 0
    if packet in _WINDOWS:
        size = list(args[1] if len(args) > 1 else kwargs["kernel_size"])
        return int(result.numel() * math.prod(size * _WINDOWS[packet] if len(size) == 1 else size))
    if packet in _ADAPTIVE:
        places = range(-_ADAPTIVE[packet], 0)
        sides = [args[0].shape[place] // result.shape[place] for place in places if args[0].shape[place] > 1]
        return int(result.numel() * math.prod(side + 1 for side in sides))
    if packet is aten.mean and averages and args[0].ndim > 3 and len(args) > 1 and args[1]:
        axes = [axis % args[0].ndim for axis in args[1]]
        if len(axes) == args[0].ndim - 2 and 0 not in axes:  # one value a sample and channel
            sides = [args[0].shape[axis] for axis in axes if args[0].shape[axis] > 1]
            return int(result.numel() * math.prod(side + 1 for side in sides))
    return 0
