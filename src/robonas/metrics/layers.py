"""Which parameters of a network are the weights that metrics speak of, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase  # the only bases that batch norms share
from torch.nn.modules.conv import _ConvNd  # the only base that all convolutions share
from torch.nn.parameter import is_lazy

from robonas.errors import NetworkError
from robonas.metrics.networks import modules_of

NORMALISATIONS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Modules whose parameters scale and shift, and are weights of no metric."""
BATCH_NORMS: tuple[type[nn.Module], ...] = (_BatchNorm,)


@dataclass(frozen=True)
class Weights:
    """The weights of a network's convolution and linear layers, and the names of all that is none."""

    tensors: dict[str, nn.Parameter]
    """By name, in the order of the modules; a tied weight is there once, by its first name."""
    left_out: dict[str, str]
    """Parameters that no score counts as weights, and why."""


def find_weights(network: nn.Module) -> Weights:
    """The weights of all convolution and linear layers.

    That is convolutions of all dimensions, transposed and depthwise ones too, and the projections of attention. Biases,
    normalisation, embeddings, recurrent layers and free parameters are no weights. Of a layer whose weight is computed
    from others (weight norm, spectral norm, any `torch.nn.utils.parametrize`), the weights are the parameters behind
    it, since those are trained.

    Raises:
        NetworkError: A lazy module has no parameters yet.
    """
    tensors: dict[str, nn.Parameter] = {}
    left_out: dict[str, str] = {}
    seen: set[int] = set()
    for prefix, module in modules_of(network):
        for name, parameter in module._parameters.items():  # noqa: SLF001  (in a loop over all modules)
            if parameter is None:
                continue
            path = f"{prefix}.{name}" if prefix else name
            if is_lazy(parameter):
                raise NetworkError(
                    f"Parameters must exist before scoring; {path!r} is lazy. Run the network once on a batch first."
                )
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            reason = _why_not(network, prefix, module, name)
            if reason is None:
                tensors[path] = parameter
            else:
                left_out[path] = reason
    return Weights(tensors, left_out)


def _why_not(network: nn.Module, prefix: str, module: nn.Module, name: str) -> str | None:
    """Why a parameter is no weight; None if it is one."""
    parts = prefix.split(".")
    if "parametrizations" in parts:  # <layer>.parametrizations.<name>.original…
        place = len(parts) - 1 - parts[::-1].index("parametrizations")
        module, name = network.get_submodule(".".join(parts[:place])), parts[place + 1]
    if isinstance(module, NORMALISATIONS):
        return "normalisation"
    if isinstance(module, nn.MultiheadAttention):
        return None if name.endswith("proj_weight") else "bias"
    if isinstance(module, _ConvNd | nn.Linear | nn.Bilinear):
        if name in {"weight", "weight_g", "weight_v", "weight_orig"}:
            return None
        return "bias" if name == "bias" else f"extra parameter of {type(module).__name__}"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return "recurrent layer"
    return f"parameter of {type(module).__name__}, which is no convolution or linear layer"
