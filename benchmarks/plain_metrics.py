"""The metrics of NAS-Bench-Suite-Zero, one plain implementation each, straight from the formulas.

Each function copies the network (`copy.deepcopy`), makes its own forward and backward passes in PyTorch's default
layout (contiguous, channels first) and shares nothing, as public implementations do; `loss.backward()` fills the
gradients of all parameters, and `grasp` makes two forward passes, as there. What public code does beside that and is
of no use is left out: collecting garbage after each metric, mask parameters, and edges of a cell that lead nowhere,
since the networks are the engine's own. So the baseline is cheaper than public code.

They are the baseline of `benchmarks/metric_engine.py`, and in float64 the independent oracle of the golden tests. They
serve networks of convolution, linear, batch norm, `nn.ReLU` and pooling modules only.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def _prepare(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    network.train()
    network.zero_grad()
    return network


def _layers(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def grad_norm(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    network = _prepare(network)
    functional.cross_entropy(network(inputs), targets).backward()
    return sum(layer.weight.grad.norm().item() for layer in _layers(network))


def snip(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    network = _prepare(network)
    functional.cross_entropy(network(inputs), targets).backward()
    return sum((layer.weight * layer.weight.grad).abs().sum().item() for layer in _layers(network))


def plain(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    network = _prepare(network)
    functional.cross_entropy(network(inputs), targets).backward()
    return sum((layer.weight * layer.weight.grad).sum().item() for layer in _layers(network))


def grasp(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    network = _prepare(network)
    weights = [layer.weight for layer in _layers(network)]
    fixed = torch.autograd.grad(functional.cross_entropy(network(inputs), targets), weights)
    gradients = torch.autograd.grad(functional.cross_entropy(network(inputs), targets), weights, create_graph=True)
    sum((gradient * g).sum() for gradient, g in zip(gradients, fixed, strict=True)).backward()
    return -sum((weight * weight.grad).sum().item() for weight in weights)


def fisher(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    network = _prepare(network)
    outputs: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, _: object, output: Tensor) -> None:
        output.retain_grad()
        outputs.append((module, output))

    for layer in _layers(network):
        layer.register_forward_hook(keep)
    functional.cross_entropy(network(inputs), targets).backward()
    total = 0.0
    for layer, output in outputs:
        product = (output * output.grad).reshape(*output.shape[:2], -1).sum(2)
        total += layer.weight[0].numel() * (0.5 * product.square().mean(0)).sum().item()
    return total


def synflow(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del targets
    network = _prepare(network).double()
    for tensor in network.state_dict().values():
        tensor.abs_()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x
    network(torch.ones(1, *inputs.shape[1:], dtype=torch.float64)).sum().backward()
    return math.log(sum((layer.weight * layer.weight.grad).abs().sum().item() for layer in _layers(network)))


def _jacobian(network: nn.Module, inputs: Tensor) -> np.ndarray:
    inputs = inputs.clone().requires_grad_()
    _prepare(network)(inputs).sum().backward()
    return inputs.grad.flatten(1).double().numpy()


def jacov(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del targets
    spectrum = np.linalg.eigvalsh(np.corrcoef(_jacobian(network, inputs)))
    return -float(np.sum(np.log(spectrum + 1e-5) + 1.0 / (spectrum + 1e-5)))


def epe_nas(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    jacobian = _jacobian(network, inputs)
    total = 0.0
    for label in targets.unique().tolist():
        correlation = np.atleast_2d(np.corrcoef(jacobian[(targets == label).numpy()]))
        total += abs(float(np.log(np.abs(correlation) + 1e-5).sum()))
    return total


def nwot(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del targets
    network = _prepare(network)
    kernel = np.zeros((len(inputs), len(inputs)))

    def count(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        code = (arguments[0].flatten(1) > 0).double()
        kernel.__iadd__((code @ code.T + (1 - code) @ (1 - code).T).numpy())

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        network(inputs)
    return float(np.linalg.slogdet(kernel)[1])


def l2_norm(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del inputs, targets
    return sum(layer.weight.norm().item() for layer in _layers(network))


def params(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del inputs, targets
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def flops(network: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    del targets
    network = _prepare(network)
    counts: list[float] = []

    def count(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            counts.append(output[0, 0].numel() * module.weight.numel())
        elif isinstance(module, nn.Linear):
            counts.append(module.weight.numel())
        elif isinstance(module, nn.BatchNorm2d):
            counts.append(2 * output[0].numel())
        elif isinstance(module, nn.ReLU):
            counts.append(output[0].numel())
        elif isinstance(module, nn.AvgPool2d):
            counts.append(output[0].numel() * module.kernel_size**2)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            height, width = arguments[0].shape[2:]
            counts.append(output.shape[1] * (height + 1) * (width + 1))

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network(inputs[:2])
    return sum(counts) / 1e6


def zen(network: nn.Module, inputs: Tensor, targets: Tensor, *, noise: tuple[Tensor, Tensor] | None = None) -> float:
    """Unlike the others it draws: pass the noise to make it repeatable, and seed PyTorch for the weights."""
    del targets
    network = _prepare(network)
    norms: list[nn.BatchNorm2d] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            norms.append(module)
    features: list[Tensor] = []
    pool = next(module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d))
    pool.register_forward_pre_hook(lambda _, arguments: features.append(arguments[0]))
    first, second = noise or (torch.randn_like(inputs), torch.randn_like(inputs))
    with torch.no_grad():
        network(first)
        network(first + 0.01 * second)
    difference = (features[0] - features[1]).abs().sum((1, 2, 3)).mean().log().item()
    return difference + sum(norm.running_var.mean().sqrt().log().item() for norm in norms)


PLAIN = {
    "epe_nas": epe_nas,
    "fisher": fisher,
    "flops": flops,
    "grad_norm": grad_norm,
    "grasp": grasp,
    "jacov": jacov,
    "l2_norm": l2_norm,
    "nwot": nwot,
    "params": params,
    "plain": plain,
    "snip": snip,
    "synflow": synflow,
    "zen": zen,
}
"""Every metric of NAS-Bench-Suite-Zero by name."""
