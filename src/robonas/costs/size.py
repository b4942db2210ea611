"""The size of a network: its parameters and multiply-accumulates, counted or read from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robonas.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn


def network_size(build: Callable[[], nn.Module], input_shape: tuple[int, ...]) -> dict[str, int | None]:
    """Count the parameters and the multiply-accumulates of a network.

    Returns:
        ``parameters``, and ``macs``: multiply-accumulates for one sample as `robonas.costs.counting` defines them, None
        where they cannot be counted.
    """
    import torch

    from robonas.common.randomness import torch_generator
    from robonas.costs.counting import count

    network = build().eval()
    try:
        macs = count(network, torch.rand(2, *input_shape, generator=torch_generator("size"))).macs
    except MetricError:
        macs = None
    return {"parameters": sum(p.numel() for p in network.parameters()), "macs": macs}


def as_size(found: object) -> dict[str, int | None] | None:
    """Return the ``parameters`` and ``macs`` of a network that a file records; None where it records none."""
    if not isinstance(found, dict) or "macs" not in found:
        return None
    parameters, macs = found.get("parameters"), found["macs"]
    right = type(parameters) is int and parameters >= 0 and (macs is None or (type(macs) is int and macs >= 0))
    return {"parameters": parameters, "macs": macs} if right else None


def size_in_words(size: Mapping[str, float | None]) -> str:
    """Return ``parameters`` and ``macs`` in words."""
    macs = "multiply-adds unknown" if size["macs"] is None else f"{size['macs'] / 1e6:,.2f} million multiply-adds"
    return f"{size['parameters']:,.0f} parameters, {macs}"
