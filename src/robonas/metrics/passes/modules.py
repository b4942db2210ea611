"""The modules, parameters and buffers of a network by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


def modules_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the same as `network.named_modules()`, in the same order, several times faster."""
    found: dict[int, tuple[str, nn.Module]] = {}

    def visit(path: str, module: nn.Module) -> None:
        if id(module) in found:
            return
        found[id(module)] = path, module
        for name, child in module._modules.items():  # noqa: SLF001  (what PyTorch's own walk reads)
            if child is not None:
                visit(f"{path}.{name}" if path else name, child)

    visit("", network)
    return list(found.values())


def parameters_of(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return all parameters by name, tied ones once."""
    return named_tensors(modules_of(network), "_parameters")


def buffers_of(network: nn.Module) -> dict[str, Tensor]:
    """Return all buffers by name, tied ones once."""
    return named_tensors(modules_of(network), "_buffers")


def named_tensors(modules: Iterable[tuple[str, nn.Module]], kind: str) -> dict[str, Any]:
    """Return the tensors of some modules by name, tied ones once.

    Args:
        modules: Paths and modules, as `modules_of` returns them.
        kind: Attribute that holds the tensors: ``"_parameters"`` or ``"_buffers"``.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    for path, module in modules:
        for name, tensor in getattr(module, kind).items():
            if tensor is not None and id(tensor) not in found:
                found[id(tensor)] = f"{path}.{name}" if path else name, tensor
    return dict(found.values())
