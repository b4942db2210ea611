"""A record of a forward pass: layers and rectifiers as they are called, whoever calls them.

A `TorchFunctionMode` sees every call into PyTorch, so that functional activations, reused modules and layers that
compute their own weight are seen as well as modules, and no hook is left on the network. In-place operations are run on
a clone, which later calls see instead of the old tensor: nothing that a metric or a backward pass still needs is ever
overwritten.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from robonas.common.kernels import with_unit_stride
from robonas.metrics.passes.batchnorm import TrainingBatchNorm, Watch
from robonas.metrics.passes.convolution import convolve
from robonas.metrics.passes.modules import buffers_of, parameters_of
from robonas.metrics.passes.pooling_relu import average, rectify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from robonas.metrics.passes.repeats import Repeats

CONVOLUTIONS: frozenset[Callable[..., Any]] = frozenset({torch.conv1d, torch.conv2d, torch.conv3d})
TRANSPOSED: frozenset[Callable[..., Any]] = frozenset(
    {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
)
NORMS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(
            functional.batch_norm,
            torch.batch_norm,
            functional.layer_norm,
            torch.layer_norm,
            functional.group_norm,
            torch.group_norm,
        ),
        *(functional.instance_norm, torch.instance_norm, functional.rms_norm, torch.rms_norm),
    }
)
RELUS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        *(
            functional.relu6,
            functional.leaky_relu,
            functional.leaky_relu_,
            torch.rrelu,
            torch.rrelu_,
            functional.rrelu,
            functional.rrelu_,
            functional.prelu,
            torch.prelu,
            Tensor.prelu,
        ),
    }
)
SMOOTH_RECTIFIERS: frozenset[Callable[..., Any]] = frozenset(
    {
        functional.gelu,
        functional.silu,
        functional.mish,
        functional.hardswish,
        functional.elu,
        functional.elu_,
        functional.selu,
        functional.selu_,
        functional.celu,
        functional.celu_,
        functional.softplus,
    }
)
RECTIFIERS = RELUS | SMOOTH_RECTIFIERS
_NOT_IN_PLACE = {"requires_grad_", "detach_", "share_memory_", "resize_", "set_", "rename_", "apply_", "map_", "map2_"}


@dataclass(eq=False)
class LayerCall:
    """One call of a convolution or a linear map."""

    fan_in: int
    """Weights behind one output channel."""
    channel_axis: int
    """Axis of the output's channels, from the end."""
    batch_axis: int
    """Axis of the output's samples."""
    value: Tensor
    """The output's value, which no in-place operation overwrites."""
    weight: int
    """The id of its weight."""


class Recorder(TorchFunctionMode):
    """Notes what a forward pass calls while it is active.

    Args:
        protected: Tensors on which in-place operations really work, since they are the network's own: parameters and
            buffers.
        skip_norms: True to let every normalisation return its input unchanged.
        fast_norms: True to let batch norms in training mode leave running statistics alone, and be differentiated twice
            by a closed form; average pools, by one kernel for each part.
        fast_second: True to differentiate convolutions and ReLUs twice by one kernel for each part.
        watch: Tells the functions behind the two settings above which pass is under way.
        repeats: Shares the results of equal calls.
        transform: Gets each layer call's function, arguments and output, and returns the output that goes on.
        on_layer: Called with each layer call and its output, as autograd sees it, before the network gets it.
        on_rectifier: Called with the input of each rectifier call.
        on_pool: Called with the input of each pooling over all positions.
    """

    def __init__(
        self,
        *,
        protected: Iterable[Tensor] = (),
        skip_norms: bool = False,
        fast_norms: bool = False,
        fast_second: bool = False,
        watch: Watch | None = None,
        repeats: Repeats | None = None,
        transform: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any], Tensor], Tensor] | None = None,
        on_layer: Callable[[LayerCall, Tensor], None] | None = None,
        on_rectifier: Callable[[Tensor], None] | None = None,
        on_pool: Callable[[Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        self.layers: list[LayerCall] = []
        self.couples_samples = False  # whether a batch norm took the statistics of the batch
        self.called: set[int] = set()  # ids of the weights that layers were called with
        self._protected = {id(tensor) for tensor in protected}
        self._skip_norms = skip_norms
        self._fast_norms = fast_norms
        self._fast_second = fast_second
        self.watch = Watch() if watch is None else watch
        self.repeats = repeats
        self._transform = transform
        self._on_layer = on_layer
        self._on_pool = on_pool
        self._on_rectifier = on_rectifier
        self._newest: dict[
            int, tuple[Tensor, Tensor]
        ] = {}  # id -> (old tensor, kept alive; the one that stands for it now)
        self._viewed: set[int] = set()
        self._inner = 0  # depth of composite calls
        self._batch_axis = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._newest:
            args, kwargs = tuple(map(self._current, args)), {key: self._current(value) for key, value in kwargs.items()}
        if func in CONVOLUTIONS:
            args, kwargs = with_unit_stride(func, args, kwargs)
        if func in NORMS:
            return self._norm(func, args, kwargs)
        if self._on_rectifier is not None and (func in RECTIFIERS or _clamps_at_zero(func, args, kwargs)):
            self._on_rectifier(args[0] if args else kwargs["input"])
        name = getattr(func, "__name__", "")
        if kwargs.get("inplace") or (
            name.endswith("_") and name not in _NOT_IN_PLACE and (not name.startswith("__") or name == "__setitem__")
        ):
            result = self._in_place(func, name, args, kwargs)
        elif func is functional.multi_head_attention_forward:
            return self._attention(args, kwargs)
        else:
            result = self._plainly(func, args, kwargs)
        if isinstance(result, Tensor) and (base := _base(result)) is not None:
            self._viewed.add(id(base))
        if func in CONVOLUTIONS or func in TRANSPOSED or func is functional.linear:
            if self._transform is not None:
                result = self._transform(func, args, kwargs, result)
            self._layer(func, result, args, kwargs)
        if func in _POOLS and isinstance(result, Tensor):
            source = args[0] if args else kwargs["input"]
            if _is_global(source, result):
                if self._on_pool is not None:
                    self._on_pool(source)
                if self._fast_norms and source.requires_grad and source.ndim == 4:
                    source.register_hook(functools.partial(_laid_out, _layout(source)))
        return result

    def _current(self, value: Any) -> Any:
        """Return what stands now for a tensor that an in-place operation changed, or for those in a container."""
        if isinstance(value, Tensor):
            while id(value) in self._newest:
                value = self._newest[id(value)][1]
        elif isinstance(value, list | tuple | dict) and not isinstance(value, torch.Size):
            return tree_map(self._current, value)
        return value

    def count_in_place(self, buffers: Iterable[Tensor]) -> None:
        """Let in-place operations really work on whole numbers among these, which no gradient needs."""
        self._protected.update(id(buffer) for buffer in buffers if buffer.ndim == 0 and not buffer.is_floating_point())

    def _in_place(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target = args[0] if args else kwargs.get("input")
        if self.repeats is not None:
            self.repeats.written(target)
        if not isinstance(target, Tensor) or id(target) in self._protected:
            return func(*args, **kwargs)
        if _base(target) is not None or id(target) in self._viewed:
            # Other tensors share this memory and must see the change: save what we need, then let it happen.
            storage = target.untyped_storage().data_ptr()
            for layer in self.layers:
                if layer.value.untyped_storage().data_ptr() == storage:
                    layer.value = layer.value.clone()
            return func(*args, **kwargs)
        fresh = target.clone()
        result = func(fresh, *args[1:], **kwargs) if args else func(**{**kwargs, "input": fresh})
        self._newest[id(target)] = (target, fresh)
        return fresh if result is None or name == "__setitem__" else result

    def _norm(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._skip_norms:
            return args[0] if args else kwargs["input"]
        call = dict(zip(_BATCH_NORM, args, strict=False)) | kwargs
        samples = func is functional.batch_norm and call.get("training") and len(call["input"]) > 1
        if samples:  # and not a standardised weight, which comes as one sample
            self.couples_samples = True
        whole = (call.get("weight") is None) == (call.get("bias") is None)
        if samples and whole and self._fast_norms and call["input"].requires_grad:
            arguments = (call["input"], call.get("weight"), call.get("bias"), call.get("eps", 1e-5), self.watch)
            result = TrainingBatchNorm.apply(*arguments)
        else:
            result = func(*args, **kwargs)
        return result

    def _plainly(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of a call that writes to nothing, of an equal one before it if there was one."""
        repeats = self.repeats
        key = None if repeats is None else repeats.key(func, args, kwargs)
        if repeats is not None:
            if key is None:
                repeats.called(func, args)
            elif (known := repeats.find(key, args[0])) is not None:
                return known
        result = self._fast(func, args, kwargs)
        if result is None:
            result = func(*args, **kwargs)
        if repeats is not None and key is not None:
            repeats.keep(key, args[0], result)
        return result

    def _fast(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """Return the result by a function of ours with cheap derivatives, if there is one."""
        if func is functional.avg_pool2d and (self._fast_norms or not torch.is_grad_enabled()):
            return average(args, kwargs)
        if not self._fast_second:
            return None
        if func in CONVOLUTIONS:
            return convolve(func, args, kwargs, self.watch)
        if func is functional.relu or func is torch.relu or func is Tensor.relu:
            return rectify(args[0] if args else kwargs["input"])
        return None

    def _attention(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run attention with its inner calls recorded; its inputs are (tokens, samples, channels)."""
        outer, self._batch_axis = self._batch_axis, 1
        try:
            with self:
                return _transparent_attention(*args, **kwargs)
        finally:
            self._batch_axis = outer

    def _layer(self, func: Callable[..., Any], output: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        self.called.add(id(weight))
        if func is functional.linear:
            fan_in, axis = weight.shape[-1], output.ndim - 1
        elif func in TRANSPOSED:
            groups = output.shape[1] // weight.shape[1]
            fan_in, axis = weight[:, 0].numel() // groups, 1
        else:
            fan_in, axis = weight[0].numel(), 1
        if self._on_layer is not None:
            layer = LayerCall(fan_in, axis - output.ndim, self._batch_axis, output.detach(), id(weight))
            self.layers.append(layer)
            self._on_layer(layer, output)


_BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_POOLS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d, torch.mean, Tensor.mean),
        *(functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d),
        *(functional.adaptive_max_pool1d, functional.adaptive_max_pool2d, functional.adaptive_max_pool3d),
        *(torch.amax, Tensor.amax),
    }
)


def _without_override_check(function: Any) -> Callable[..., Any]:
    """Return a copy of a Python function of PyTorch that does not offer itself to the mode again.

    Only its inner calls are seen.
    """
    namespace = {**function.__globals__, "has_torch_function": lambda *_: False}
    copy = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_transparent_attention = _without_override_check(functional.multi_head_attention_forward)


_CLAMPS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.hardtanh, torch.clamp, torch.clamp_, torch.clamp_min, torch.clamp_min_, torch.clip),
        *(Tensor.clamp, Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_min_, Tensor.clip),
    }
)


def _clamps_at_zero(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a call is a ReLU by another name: ReLU6 is a hardtanh, and so is ``x.clamp(min=0)``."""
    if func not in _CLAMPS:
        return False
    low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    return isinstance(low, int | float) and low == 0


def _layout(tensor: Tensor) -> torch.memory_format:
    """Return the layout: channels last, or not."""
    return torch.channels_last if tensor.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def _laid_out(layout: torch.memory_format, gradient: Tensor) -> Tensor:
    """Return a gradient in the layout of its tensor; that of pooling has lost it, and every sum with it would again."""
    return gradient.contiguous(memory_format=layout)


def _is_global(source: Tensor, result: Tensor) -> bool:
    """Return whether a pooling left one value a sample and channel, of several."""
    if source.ndim < 3 or result.ndim < 2 or result.shape[0] != source.shape[0] or result.numel() >= source.numel():
        return False
    return result.numel() // max(source.shape[0], 1) in {source.shape[1], source.shape[-1]}


def _base(tensor: Tensor) -> Tensor | None:
    """Return the tensor whose memory a view looks at."""
    return tensor._base  # noqa: SLF001  (PyTorch documents it, under this name)


def own_tensors(network: nn.Module) -> list[Tensor]:
    """Return the network's parameters and buffers."""
    return [*parameters_of(network).values(), *buffers_of(network).values()]
