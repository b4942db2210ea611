"""Checks that all operations of a network can be seen; otherwise a metric would take a part for the whole.

Metrics watch the calls into PyTorch. `torch.compile` and activation checkpoints are switched off while they do, since
the code behind them is there to be called. What TorchScript, `torch.export` and quantisation made of a network runs
where nobody can watch: such a network gets the reason instead of a value.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robonas.common.dispatch import DispatchMode
from robonas.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.ao.nn.sparse.quantized")
_PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "linear", "matmul"})
_KINDS = (
    *("conv", "relu", "elu", "silu", "mish", "hardswish", "hardtanh", "softplus", "clamp", "pool"),
    *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "lstm", "gru", "attention"),
)
"""Parts of the names of operations that metrics tell apart."""
MADE_OF = "score the module that it was made of"


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside the wrappers that share it out over devices and processes."""
    while isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        network = network.module
    return network


def why_unseen(modules: Iterable[tuple[str, nn.Module]]) -> str | None:
    """Return why the operations of some modules cannot be seen, or None.

    Args:
        modules: All modules of a network, by name.
    """
    for name, module in modules:
        reason = _why_unseen(module)
        if reason is not None:
            return f"{f'its part {name!r}' if name else 'the network'} {reason}"
    return None


def _why_unseen(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return f"is compiled by TorchScript, whose operations cannot be seen; {MADE_OF}"
    if type(module).__module__.startswith(_QUANTISED):
        return f"is quantised ({type(module).__name__}), and metrics are for floating-point weights; {MADE_OF}"
    if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
        return f"computes on several devices at once, where it cannot be seen; {MADE_OF}"
    if type(module).__name__ == "FullyShardedDataParallel":
        return f"is sharded, so that its weights are not whole; {MADE_OF}"
    for name, tensor in module._parameters.items():  # noqa: SLF001  (in a loop over all modules)
        if tensor is not None and type(tensor.data) is not Tensor:
            kind = type(tensor.data).__name__
            return f"keeps its {name} as a {kind}, whose values metrics cannot read; {MADE_OF}"
    graph = module.__dict__.get("graph") or module.__dict__.get("_graph")
    return None if graph is None else _why_traced(graph)


def _why_traced(graph: Any) -> str | None:
    """Return why the module of a graph of `torch.fx` cannot be seen."""
    if not isinstance(graph, torch.fx.Graph):
        return None
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if isinstance(node.target, torch._ops.OperatorBase):  # noqa: SLF001  (there is no other name for it)
            return f"is a graph of bare operations, as torch.export makes it, without layers or modes; {MADE_OF}"
        if node.kwargs.get("training") is False:
            return f"was traced in evaluation mode, which its graph fixes; trace it in training mode, or {MADE_OF}"
    return None


# ── making seen ──

_CHECKPOINTS = ("_checkpoint_without_reentrant_generator", "_checkpoint_without_reentrant_generator_impl")
_lock = threading.Lock()
_open = 0
_kept: dict[str, Any] = {}


class _PlainCall:
    """Stands for the function that checkpoints a call; makes the call."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: Any, *args: Any) -> Any:
        return function(*args)


def _no_hooks(*_args: Any, **_kwargs: Any) -> Iterator[None]:
    """Do nothing, in the place of what surrounds a checkpointed call."""
    yield


@contextlib.contextmanager
def in_the_open() -> Iterator[None]:
    """Run compiled code as it was written, and let activation checkpoints keep everything, until the block ends."""
    global _open  # noqa: PLW0603  (how many threads are within)
    module: Any = sys.modules.get("torch.utils.checkpoint")
    with _lock:
        if _open == 0 and module is not None:
            stand_ins = {"CheckpointFunction": _PlainCall, **dict.fromkeys(_CHECKPOINTS, _no_hooks)}
            for name, stand_in in stand_ins.items():
                if hasattr(module, name):
                    _kept[name] = getattr(module, name)
                    setattr(module, name, stand_in)
        _open += 1
    try:
        # Whoever compiled something has this loaded; it takes seconds to load.
        compiled = "torch._dynamo" in sys.modules
        with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
            yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                for name, function in _kept.items():
                    setattr(module, name, function)
                _kept.clear()


# ── telling ──


def is_known(modules: Iterable[tuple[str, nn.Module]]) -> bool:
    """Return whether all modules are PyTorch's and ours, of which we know that their operations can be seen."""
    return all(
        type(module).__module__.startswith(("torch.nn.modules.", "robonas."))
        and "forward" not in module.__dict__
        and not module._forward_hooks  # noqa: SLF001
        and not module._forward_pre_hooks  # noqa: SLF001
        for _, module in modules
    )


class Sight(DispatchMode):
    """Finds operations that no call into PyTorch explains: code that was compiled, or operations called by number.

    To be entered last, and asked by `check` afterwards.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls = _Calls()
        self._unseen: str | None = None

    def __enter__(self) -> Self:
        self._calls.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._calls.__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._calls.depth == 0 and self._unseen is None and _matters(func):
            self._unseen = func.name()
        return func(*args, **(kwargs or {}))

    def check(self) -> None:
        """Raise if there were any.

        Raises:
            MetricError: With the name of the first.
        """
        if self._unseen is not None:
            raise MetricError(
                f"the network computes {self._unseen} out of sight, as code compiled by TorchScript and operations of "
                "torch.ops do; score the plain PyTorch code that it was made of"
            )


class _Calls(TorchFunctionMode):
    """Number of calls into PyTorch that are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        bare = isinstance(func, torch._ops.OpOverload | torch._ops.OpOverloadPacket)  # noqa: SLF001
        self.depth += not bare
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.depth -= not bare


@functools.cache
def _matters(func: Any) -> bool:
    """Return whether an operation is of a kind that metrics tell apart."""
    namespace, _, name = func._schema.name.partition("::")  # noqa: SLF001  (PyTorch's own tools read it)
    return namespace == "quantized" or name in _PRODUCTS or any(kind in name for kind in _KINDS)
