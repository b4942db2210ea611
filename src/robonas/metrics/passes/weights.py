"""Which parameters of a network are the weights that metrics speak of, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase  # the only bases that batch norms share
from torch.nn.modules.conv import _ConvNd  # the only base that all convolutions share
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from robonas.errors import MetricError, NetworkError
from robonas.metrics.passes.modules import modules_of
from robonas.metrics.passes.networks import scoring_mode

NORMALISATIONS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Modules whose parameters scale and shift, and are weights of no metric."""
BATCH_NORMS: tuple[type[nn.Module], ...] = (_BatchNorm,)


@dataclass(frozen=True)
class Weights:
    """The weights of a network's convolution and linear layers, and the names of all that is none."""

    tensors: dict[str, nn.Parameter]
    """Weights by name, in the order of the modules; a tied weight is there once, by its first name."""
    left_out: dict[str, str]
    """Parameters that no score counts as weights, and why."""


def find_weights(network: nn.Module) -> Weights:
    """Return the weights of all convolution and linear layers.

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


def layer_weights(network: nn.Module) -> list[Tensor]:
    """Return the weights that layers multiply with, as they use them; tied ones once.

    Those of convolution, linear, bilinear and recurrent layers, and of the projections of attention. Of a layer whose
    weight is computed from others (weight norm, spectral norm, any `torch.nn.utils.parametrize`, a pruned one), the
    result.

    Raises:
        MetricError: There are none.
    """
    found: dict[tuple[int, ...], Tensor] = {}
    for path, module in modules_of(network):
        if "parametrizations" in path.split("."):
            continue
        with torch.no_grad(), scoring_mode(module, training=False):  # training would turn the vectors of spectral norm
            for name in _weight_names(module):
                sources, weight = _weight(module, name)
                if weight is not None:
                    found.setdefault(tuple(map(id, sources)), weight.detach())
    if not found:
        raise MetricError("the network has no convolution, linear or recurrent layer")
    return list(found.values())


def _weight_names(module: nn.Module) -> list[str]:
    if isinstance(module, _ConvNd | nn.Linear | nn.Bilinear):
        return ["weight"]
    if isinstance(module, nn.MultiheadAttention):
        return ["in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"]
    if isinstance(module, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    if isinstance(module, nn.RNNBase):
        own = {*module._parameters, *getattr(module, "parametrizations", ())}  # noqa: SLF001
        return sorted(
            {name.removesuffix("_orig").removesuffix("_g").removesuffix("_v") for name in own if "weight" in name}
        )
    return []


def _weight(module: nn.Module, name: str) -> tuple[list[Tensor], Tensor | None]:
    """Return a weight as its layer uses it, and the tensors that it is made of."""
    if is_parametrized(module, name):
        originals = module.get_submodule(f"parametrizations.{name}")
        return list(originals.parameters(recurse=False)), getattr(module, name)
    for hook in module._forward_pre_hooks.values():  # noqa: SLF001  (where the older ways leave their traces)
        if isinstance(hook, WeightNorm) and hook.name == name:
            return [getattr(module, f"{name}_g"), getattr(module, f"{name}_v")], hook.compute_weight(module)
        if isinstance(hook, SpectralNorm) and hook.name == name:
            original = getattr(module, f"{name}_orig")
            return [original], hook.compute_weight(module, do_power_iteration=False)
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:  # noqa: SLF001
            return [getattr(module, f"{name}_orig")], hook.apply_mask(module)  # type: ignore[no-untyped-call]
    weight = getattr(module, name, None)
    return [] if weight is None else [weight], weight


def _why_not(network: nn.Module, prefix: str, module: nn.Module, name: str) -> str | None:
    """Return why a parameter is no weight; None if it is one."""
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
