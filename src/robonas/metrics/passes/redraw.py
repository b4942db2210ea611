"""Other initialisations of a network's parameters, for metrics that prescribe one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from robonas.common.lazy import torch
from robonas.common.randomness import torch_generator
from robonas.metrics.passes.modules import modules_of, parameters_of

if TYPE_CHECKING:
    from torch import Tensor

    from robonas.metrics.passes.passes import Passes


def redrawn(passes: Passes, law: Literal["normal", "kaiming"], purpose: str) -> dict[str, Tensor]:
    """Return stand-ins for all parameters and buffers of convolution, linear and normalisation layers.

    Weights are drawn from N(0, 1) or from N(0, 2 / fan-in) (Kaiming), biases are 0, normalisations scale by 1, shift by
    0 and have running means 0 and variances 1. Other parameters stay.

    Args:
        passes: Whose network.
        law: Distribution of the weights.
        purpose: With the seed, the seed of the draw.
    """
    from robonas.metrics.passes.weights import NORMALISATIONS

    generator = torch_generator("weights", purpose, passes.seed)
    tensors: dict[str, Tensor] = {}
    for name, weight in passes.weights.items():
        spread = 1.0 if law == "normal" else (2.0 / max(weight.numel() // weight.shape[0], 1)) ** 0.5
        draw = torch.randn(weight.shape, generator=generator).mul_(spread)
        tensors[name] = draw.to(weight.device, weight.dtype)
    for name, parameter in parameters_of(passes.network).items():
        if passes.left_out.get(name) == "bias":
            tensors[name] = torch.zeros_like(parameter)
    for prefix, module in modules_of(passes.network):
        if not isinstance(module, NORMALISATIONS):
            continue
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor.is_floating_point():
                fill = torch.ones_like if name in {"weight", "running_var"} else torch.zeros_like
                tensors[f"{prefix}.{name}" if prefix else name] = fill(tensor, requires_grad=False)
    return tensors
