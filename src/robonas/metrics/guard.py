"""Protection against a user's metric that changes what other metrics read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.common.lazy import torch

if TYPE_CHECKING:
    from torch import nn

    from robonas.metrics.base import Metric
    from robonas.metrics.passes.passes import Passes


def is_foreign(metric: Metric) -> bool:
    """Return whether a metric's code is not ours."""
    return not getattr(metric.compute, "__module__", "").startswith("robonas.")


class Guard:
    """A copy of all values of a network, to tell whether a metric changed them and to put them back."""

    def __init__(self, network: nn.Module) -> None:
        self._tensors = [*network.parameters(), *network.buffers()]
        self._values = [tensor.detach().clone() for tensor in self._tensors]
        self._versions = self._count()
        self._requires = [(tensor, tensor.requires_grad) for tensor in network.parameters()]
        self._gradients = [(tensor, tensor.grad) for tensor in network.parameters()]
        self._modules = list(network.modules())

    def _count(self) -> list[int]:
        return [tensor._version for tensor in self._tensors]  # noqa: SLF001  (there is no other way to ask)

    def restore(self, passes: Passes) -> str | None:
        """Undo what a metric changed in the network or in the shared passes; says what that was, or None."""
        changed: list[str] = []
        if self._count() != self._versions:
            changed.append("the network's parameters or buffers")
            with torch.no_grad():
                for tensor, value in zip(self._tensors, self._values, strict=True):
                    tensor.copy_(value)
            self._versions = self._count()
        if any(tensor.requires_grad != flag for tensor, flag in self._requires):
            changed.append("which parameters need gradients")
            for tensor, flag in self._requires:
                tensor.requires_grad_(flag)
        if any(tensor.grad is not gradient for tensor, gradient in self._gradients):
            changed.append("the gradients of parameters")
            for tensor, gradient in self._gradients:
                tensor.grad = gradient
        if not all(module.training for module in self._modules):
            changed.append("the mode of modules")
            for module in self._modules:
                module.training = True
        if passes.was_changed():
            changed.append("tensors of the shared passes")
            passes.forget()
        return ", ".join(changed) or None
