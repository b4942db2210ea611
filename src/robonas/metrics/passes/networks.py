"""Runs of a network that do not change it: modes, buffers, random draws, outputs, and the ways in which it can fail."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.common.lazy import torch
from robonas.common.randomness import seeded
from robonas.common.registry import told_with_place
from robonas.errors import NetworkError
from robonas.metrics.passes.modules import modules_of, named_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robonas.datasets.batch import Batch
    from robonas.metrics.passes.recorder import Recorder

LogitsHook: TypeAlias = Callable[[Any], "Tensor"]
"""Picks the logits out of what a network returns."""


@contextmanager
def scoring_mode(network: nn.Module, *, training: bool = True) -> Iterator[None]:
    """Set every module to training mode (or none), gradients on, full precision and exact attention.

    Everything is as before when the block ends.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    modules = [module for _, module in modules_of(network)]
    modes = [module.training for module in modules]
    device = next((p.device.type for p in network.parameters()), "cpu")
    try:
        for module in modules:
            if module.training is not training:
                module.training = training
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the one whose gradient has a gradient
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            if module.training is not mode:
                module.training = mode


def place_of(network: nn.Module, inputs: Tensor) -> tuple[torch.device, torch.dtype]:
    """Return device and type of the network: those of its first floating-point parameter, else of the inputs."""
    for tensor in itertools.chain(network.parameters(), network.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return inputs.device, inputs.dtype


def call(
    network: nn.Module,
    inputs: Tensor,
    *,
    recorder: Recorder | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    seed: tuple[object, ...] = (),
) -> Any:
    """Return what the network returns, with its buffers left alone and its random draws seeded.

    Args:
        network: Any network; called once.
        inputs: One batch.
        recorder: Active during the call.
        tensors: Stand for parameters and buffers of these names; buffers that are not named are cloned, so that running
            statistics stay.
        seed: Parts of the seed of dropout and the like.

    Raises:
        MetricError: The recorder cannot see all that the network computes.
    """
    modules = modules_of(network)
    stand_ins = dict(tensors or {})
    for name, buffer in named_tensors(modules, "_buffers").items():
        if name not in stand_ins:
            stand_ins[name] = buffer.clone()
    if recorder is not None:
        recorder.count_in_place(stand_ins.values())
    from robonas.common.kernels import SafeKernels
    from robonas.metrics.passes.sight import Sight, in_the_open, is_known

    watched = recorder is not None or torch.is_grad_enabled()
    sight = Sight() if recorder is not None and not is_known(modules) else None
    with ExitStack() as stack:
        stack.enter_context(seeded(*seed))
        stack.enter_context(_swapped(modules, stand_ins))
        if watched:
            stack.enter_context(in_the_open())
            stack.enter_context(recorder or SafeKernels())
        if sight is not None:
            stack.enter_context(sight)
        result = network(inputs)
    if sight is not None:
        sight.check()
    return result


@contextmanager
def _swapped(modules: list[tuple[str, nn.Module]], stand_ins: Mapping[str, Tensor]) -> Iterator[None]:
    """Put other tensors in the place of parameters and buffers until the block ends, wherever those are used."""
    places: list[tuple[dict[str, Any], str, Tensor]] = []
    for kind in ("_parameters", "_buffers"):
        swaps = {
            id(tensor): stand_ins[name] for name, tensor in named_tensors(modules, kind).items() if name in stand_ins
        }
        for _, module in modules if swaps else ():
            own = getattr(module, kind)
            places += [(own, name, swaps[id(tensor)]) for name, tensor in own.items() if id(tensor) in swaps]
    before = [own[name] for own, name, _ in places]
    try:
        for own, name, stand_in in places:
            own[name] = stand_in
        yield
    finally:
        for (own, name, _), tensor in zip(places, before, strict=True):
            own[name] = tensor


def put_back(copy: nn.Module, network: nn.Module) -> nn.Module:
    """Give a copy of a network that network's values again, and return it in training mode, without gradients."""
    ours, theirs = (dict((*one.named_parameters(), *one.named_buffers())) for one in (network, copy))
    with torch.no_grad():
        for name, tensor in theirs.items():
            tensor.copy_(ours[name])
    for name, parameter in copy.named_parameters():
        parameter.requires_grad_(ours[name].requires_grad)
        parameter.grad = None
    return copy.train()


def logits_of(result: Any, batch: Batch, n: int, logits: LogitsHook | None) -> Tensor:
    """Return the logits in what a network returned, (n, *output_shape of the batch).

    Raises:
        NetworkError: There are none; the message says how to point at them.
    """
    if logits is not None:
        try:
            result = logits(result)
        except Exception as error:
            raise NetworkError(
                f"`logits` could not pick the logits from what the network returned, a {_describe(result)}: "
                f"{type(error).__name__}: {error}."
            ) from error
    shape = (n, *batch.output_shape)
    who = "The network must return" if logits is None else "`logits` must return"
    if not isinstance(result, torch.Tensor):
        hint = f" Say where they are with `logits=lambda result: {_suggest(result)}`." if logits is None else ""
        raise NetworkError(f"{who} logits of shape {shape}; got a {_describe(result)}.{hint}")
    if tuple(result.shape) != shape:
        raise NetworkError(
            f"{who} logits of shape {shape}, one row a sample and one {'column' if len(shape) == 2 else 'map'} for "
            f"each of {batch.n_classes} classes; got shape {tuple(result.shape)}."
        )
    if not result.is_floating_point():
        raise NetworkError(f"{who} floating-point logits; got {result.dtype}.")
    return result


def explain(error: BaseException) -> str:
    """Return an exception of PyTorch or of a user's code in one line, in plain words where we know them."""
    if "modified by an inplace operation" in str(error):
        return "the network overwrites in place, through a view, a value that its gradient needs"
    return told_with_place(error)


def _describe(result: Any) -> str:
    if isinstance(result, Mapping):
        return f"{type(result).__name__} with keys {', '.join(map(repr, result))}"
    if isinstance(result, tuple | list):
        return f"{type(result).__name__} of {len(result)} items"
    if dataclasses.is_dataclass(result):
        return f"{type(result).__name__} with fields {', '.join(field.name for field in dataclasses.fields(result))}"
    return type(result).__name__


def _suggest(result: Any) -> str:
    if isinstance(result, Mapping):
        names = [name for name in result if "logit" in str(name)] or list(result) or ["logits"]
        return f"result[{names[0]!r}]"
    if isinstance(result, tuple | list):
        return "result[0]"
    if dataclasses.is_dataclass(result):
        names = [field.name for field in dataclasses.fields(result)]
        return f"result.{next((name for name in names if 'logit' in name), names[0])}"
    return "…"
