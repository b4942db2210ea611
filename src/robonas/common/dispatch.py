"""The ground on which modes that watch PyTorch's dispatcher stand."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that does not load PyTorch's compiler.

    PyTorch wraps `__torch_dispatch__` so that its compiler leaves it alone, and loads `torch._dynamo` for that: more
    than a CPU second in every process that scores a network or counts its operations. A network that is compiled runs
    uncompiled in such a mode anyway.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
