"""Metrics beyond NAS-Bench-Suite-Zero: by hand, or equal to independent implementations in float64."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from robonas.datasets.batch import Batch
from robonas.errors import ConfigError
from robonas.metrics import METRICS, Need, Passes, regularised_swap, score_network
from robonas.metrics.az_nas import blocks
from robonas.metrics.passes.redraw import redrawn
from robonas.spaces import NASBench201
from tests.metrics.networks import convnet, images, plain_metrics, seeded

SPACE = NASBench201(input_shape=(3, 16, 16), channels=4, depth=1)
CELL = SPACE.parse("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|")
BATCH = images(12, (3, 16, 16), 10)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return SPACE.build_seeded(CELL, 0)


@pytest.fixture(scope="module")
def scores(network):
    found = score_network(network, BATCH, list(METRICS))
    assert {name: score.reason for name, score in found.items() if score.reason} == {}
    return {name: score.value for name, score in found.items()}


@pytest.fixture
def double(network) -> nn.Module:
    return copy.deepcopy(network).double().train()


X, Y = BATCH.inputs.double(), BATCH.targets


def near(value: float, rel: float = 1e-5):
    return pytest.approx(value, rel=rel)


def drawn(network: nn.Module, law: str, purpose: str) -> tuple[nn.Module, Passes]:
    """A float64 copy with the metric's own draw of weights."""
    passes = Passes(network, BATCH, [Need.OWN_PASSES])
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for name, tensor in redrawn(passes, law, purpose).items():
            twin.get_submodule(name.rpartition(".")[0]).__getattr__(name.rpartition(".")[2]).copy_(tensor)
    return twin.double(), passes


def test_zen(network, scores) -> None:
    twin, passes = drawn(network, "normal", "zen")
    features: list[torch.Tensor] = []
    twin.head[2].register_forward_pre_hook(lambda _, arguments: features.append(arguments[0]))
    twin.train()
    first, second = passes.noise("zen").double(), passes.noise("zen step").double()
    with torch.no_grad():
        twin(first)
        twin(first + 0.01 * second)
    moved = (features[0] - features[1]).abs().sum((1, 2, 3)).mean().log().item()
    norms = [module for module in twin.modules() if isinstance(module, nn.BatchNorm2d)]
    scale = sum(0.5 * norm.running_var.mean().log().item() for norm in norms)
    assert scores["zen"] == near(moved + scale)


def test_zen_without_pooling_takes_the_last_linear_layer() -> None:
    mlp = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8, bias=False), nn.ReLU(), nn.Linear(8, 4)))
    batch = images()
    passes = Passes(mlp, batch, [Need.OWN_PASSES])
    weight = redrawn(passes, "normal", "zen")["1.weight"].double()
    first, step = passes.noise("zen").double().flatten(1), passes.noise("zen step").double().flatten(1)
    moved = (functional.relu(first @ weight.T) - functional.relu((first + 0.01 * step) @ weight.T)).abs()
    assert score_network(mlp, batch, ["zen"])["zen"].value == near(math.log(moved.sum(1).mean().item()))


def test_epe_nas_with_few_and_with_many_classes(network, scores, double) -> None:
    assert scores["epe_nas"] == near(plain_metrics().epe_nas(double, X, Y))
    wide = seeded(lambda: convnet(n_classes=101))
    batch = images(6, n_classes=101)
    labels = torch.tensor([0, 0, 7, 7, 7, 100])
    jacobian = plain_metrics()._jacobian(wide.double(), batch.inputs.double())
    sums = []
    for label in (0, 7, 100):
        matrix = np.atleast_2d(np.corrcoef(jacobian[(labels == label).numpy()]))
        sums.append(np.log(np.abs(matrix) + 1e-5).sum() / len(matrix))
    expected = sum(abs(a - b) for a in sums for b in sums) / 3
    batch = Batch(batch.inputs, labels, n_classes=101)
    assert score_network(wide, batch, ["epe_nas"])["epe_nas"].value == near(expected)


def test_jacob_cov(scores, double) -> None:
    inputs = X.clone().requires_grad_()
    double.eval()(inputs).sum().backward()
    spectrum = np.linalg.eigvalsh(np.corrcoef(inputs.grad.flatten(1).numpy()))
    assert scores["jacob_cov"] == near(-np.sum(np.log(spectrum + 1e-5) + 1 / (spectrum + 1e-5)))


def relu_inputs(double) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for module in double.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, arguments: found.append(arguments[0].flatten(1)))
    with torch.no_grad():
        double(X)
    return found


def test_kernels_of_activations(scores, double) -> None:
    values = torch.cat(relu_inputs(double), 1)
    assert scores["naswot_gram"] == near(torch.linalg.slogdet(values @ values.T)[1].item())
    outputs: list[torch.Tensor] = []
    for module in double.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda _m, _i, output: outputs.append((output > 0).double().flatten(1)))
    with torch.no_grad():
        double(X)
    code = torch.cat(outputs, 1)
    kernel = code @ code.T + (1 - code) @ (1 - code).T
    assert scores["naswot_layers"] == near(torch.linalg.slogdet(kernel)[1].item())


def test_patterns(scores, double) -> None:
    codes = (torch.cat(relu_inputs(double), 1) > 0).numpy()
    assert scores["linear_regions"] == len(np.unique(codes, axis=0))
    assert scores["swap"] == len(np.unique(codes, axis=1).T)
    thousands = sum(p.numel() for p in double.parameters()) / 1e3
    assert scores["swap_reg"] == near(scores["swap"] * math.exp(-((thousands - 1000) ** 2) / 1e6))
    small = regularised_swap(10.0, 400.0, "small")
    value = score_network(double.float(), BATCH, [small])["small"].value
    assert value == near(scores["swap"] * math.exp(-((thousands - 10) ** 2) / 400.0))
    with pytest.raises(ConfigError, match="must be positive; got 0"):
        regularised_swap(10.0, 0.0)


def test_patterns_by_hand() -> None:
    """Codes 10, 01, 10 and 00: three regions; units 1010 and 0100: two behaviours."""
    network = nn.Sequential(nn.ReLU(), nn.Linear(2, 1, bias=False))
    inputs = torch.tensor([[1.0, -1.0], [-1.0, 2.0], [3.0, -1.0], [-1.0, -1.0]])
    batch = Batch(inputs, torch.zeros(4, 1), n_classes=1, task="regression")
    scores = score_network(network, batch, ["linear_regions", "swap"])
    assert scores["linear_regions"].value == 3.0
    assert scores["swap"].value == 2.0


def test_meco(scores, double) -> None:
    outputs: list[np.ndarray] = []
    for module in double.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _m, _i, output: outputs.append(output[0].flatten(1).numpy()))
    with torch.no_grad():
        double(X)
    expected = sum(np.linalg.eigvalsh(np.corrcoef(rows))[0] for rows in outputs if rows.shape[1] > len(rows))
    assert scores["meco"] == near(expected)
    generator = METRICS["meco_opt"].compute.__globals__["torch_generator"]("meco", 0)
    total = 0.0
    for rows in outputs:
        chosen = torch.randperm(len(rows), generator=generator)[:8].numpy()
        total += len(rows) / len(chosen) * np.linalg.eigvalsh(np.corrcoef(rows[chosen]))[0]
    assert scores["meco_opt"] == near(total)


def single(double, target, names) -> list[np.ndarray]:
    """One row of gradients a sample, each sample alone in training mode."""
    rows = []
    for place in range(len(X)):
        double.zero_grad()
        target(double(X[place : place + 1]), Y[place : place + 1]).backward()
        rows.append(torch.cat([dict(double.named_parameters())[name].grad.flatten() for name in names]).numpy())
    return rows


def layer_weights(double, suffixes=("weight",)) -> list[str]:
    return [
        f"{name}.{suffix}"
        for name, module in double.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        for suffix in suffixes
        if getattr(module, suffix) is not None
    ]


def test_gradsign(scores, double) -> None:
    rows = single(double, functional.cross_entropy, layer_weights(double))
    expected = np.abs(np.sign(rows).sum(0)).sum()
    assert scores["gradsign"] == near(expected, 1e-4)  # signs of gradients that are zero up to rounding
    exact = score_network(double, BATCH, ["gradsign"])["gradsign"].value
    assert exact == near(expected, 1e-9)
    assert exact <= rows[0].size * len(rows)


def test_neural_tangent_kernel(scores, double) -> None:
    names = [name for name, _ in double.named_parameters() if name.endswith("weight")]
    rows = np.stack(single(double, lambda logits, _: logits.sum(), names))
    assert scores["ntk_cond"] == near(np.linalg.cond(rows @ rows.T), 1e-4)
    names = layer_weights(double, ("weight", "bias"))
    rows = np.stack(single(double, lambda logits, target: logits[0, target[0]], names))
    assert scores["ntk_trace"] == near(math.sqrt(np.trace(rows @ rows.T) / len(rows)))


def test_zico(scores, double) -> None:
    names = layer_weights(double)
    total = 0.0
    gradients = []
    for part in (slice(0, 6), slice(6, 12)):
        double.zero_grad()
        functional.cross_entropy(double(X[part]), Y[part]).backward()
        gradients.append([dict(double.named_parameters())[name].grad.numpy().copy() for name in names])
    for pair in zip(*gradients, strict=True):
        stacked = np.stack(pair)
        deviation = stacked.std(0)
        total += np.log((np.abs(stacked).mean(0)[deviation > 0] / deviation[deviation > 0]).sum())
    assert scores["zico"] == near(total)


def test_zico_ignores_the_scale_of_the_loss(network) -> None:
    """An output twice as large only scales a squared error's gradient if targets scale too."""
    inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    layer = seeded(lambda: nn.Linear(5, 2, bias=False))
    double_layer = copy.deepcopy(layer)
    double_layer.weight.data *= 2
    one = score_network(layer, Batch(inputs, targets, n_classes=2, task="regression"), ["zico"])
    two = score_network(double_layer, Batch(inputs, 2 * targets, n_classes=2, task="regression"), ["zico"])
    assert one["zico"].value == near(two["zico"].value)


def test_az_nas(network, scores) -> None:
    twin, passes = drawn(network, "kaiming", "az")
    assert len(blocks(twin)) == 1 + 3 + 2 + 2  # stem, cells, reductions; head and classifier return no maps
    maps = []
    for block in [twin.stem, *twin.blocks]:
        block.register_forward_hook(lambda _m, _i, output: maps.append(output))
    twin.train()(passes.noise("az").double().requires_grad_())
    entropies = []
    for values in maps:
        rows = values.detach().movedim(1, -1).flatten(0, -2).numpy()
        spectrum = np.linalg.eigvalsh(np.cov(rows.T, bias=True)).clip(0)
        shares = spectrum / spectrum.sum()
        entropies.append(-(shares * np.log(shares + 1e-8)).sum())
    assert scores["az_expressivity"] == near(sum(entropies))
    assert scores["az_progressivity"] == pytest.approx(min(np.diff(entropies)), rel=1e-4, abs=1e-5)
    generator = METRICS["az_trainability"].compute.__globals__["torch_generator"]("az signs", 0)
    terms = []
    for before, after in reversed(list(itertools.pairwise(maps))):
        signs = torch.randint(0, 2, after.shape, generator=generator).double() * 2 - 1
        (back,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        if back.shape[2] != after.shape[2]:
            back = functional.pixel_unshuffle(back, 2)
        matrix = torch.einsum("nchw,ndhw->cd", back, signs) / (after.numel() / after.shape[1])
        sigma = np.linalg.svd(matrix.numpy())[1][0]
        terms.append(-sigma - 1 / (sigma + 1e-6) + 2)
    assert scores["az_trainability"] == near(np.mean(terms))
    assert scores["az_complexity"] == near(2 * scores["macs"])


def test_vkdnw(network, scores) -> None:
    twin, passes = drawn(network, "kaiming", "vkdnw")
    twin.eval()
    order: list[str] = []
    for name, module in twin.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda _m, _i, _o, name=name: order.append(name))
    inputs = passes.noise("vkdnw").double()
    twin(inputs)
    first = {name: twin.get_submodule(name).weight for name in order}
    fisher = np.zeros((len(first), len(first)))
    for sample in inputs:
        logits = twin(sample[None])[0]
        jacobian = np.array(
            [
                [g.flatten()[0].item() for g in torch.autograd.grad(z, list(first.values()), retain_graph=True)]
                for z in logits
            ]
        )
        odds = 0.95 * torch.softmax(logits, 0).detach().numpy() + 0.05 / len(logits)
        fisher += jacobian.T @ (np.diag(odds) - np.outer(odds, odds)) @ jacobian / len(inputs)
    deciles = np.quantile(np.linalg.eigvalsh(fisher).clip(0), np.arange(1, 10) / 10)
    shares = deciles / deciles.sum()
    expected = -(shares * np.log(shares + 1e-10)).sum()
    assert score_network(network.double(), BATCH, ["vkdnw"])["vkdnw"].value == near(expected, 1e-6)
    network.float()
    assert scores["vkdnw"] == near(expected, 1e-3)  # the small eigenvalues are at float32's rounding


def test_vkdnw_sees_the_first_weight_of_every_kind_of_layer() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
            self.b = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
            self.c = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
            self.d = nn.Linear(4, 3)

        def forward(self, x):
            return self.d(torch.relu(self.c(torch.relu(self.b(torch.relu(self.a(x)))))).mean((2, 3)))

    network = seeded(Mixed).double()
    batch = images(5, (4, 8, 8), 3)
    found = {}

    def spy(passes) -> float:
        from robonas.metrics.vkdnw import fisher_spectrum

        found["spectrum"] = fisher_spectrum(passes)
        return 0.0

    spy.needs = [Need.OWN_PASSES]
    assert score_network(network, batch, [spy])["spy"].reason is None
    passes = Passes(network, batch, [Need.OWN_PASSES])
    with torch.no_grad():
        for name, tensor in redrawn(passes, "kaiming", "vkdnw").items():
            network.get_parameter(name).copy_(tensor)
    weights = [network.a.weight, network.b.weight, network.c.weight, network.d.weight]
    fisher = np.zeros((4, 4))
    for sample in passes.noise("vkdnw"):
        logits = network(sample[None])[0]
        jacobian = np.array(
            [[g.flatten()[0].item() for g in torch.autograd.grad(z, weights, retain_graph=True)] for z in logits]
        )
        odds = 0.95 * torch.softmax(logits, 0).detach().numpy() + 0.05 / 3
        fisher += jacobian.T @ (np.diag(odds) - np.outer(odds, odds)) @ jacobian / 5
    np.testing.assert_allclose(found["spectrum"], np.linalg.eigvalsh(fisher), rtol=1e-6, atol=1e-12)


def test_synflow_variants(scores, double) -> None:
    kept = copy.deepcopy(double)
    with torch.no_grad():
        for tensor in (*double.parameters(), *double.buffers(), *kept.parameters(), *kept.buffers()):
            tensor.abs_()
    for module in double.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x
    for twin in (double, kept):
        twin(torch.ones(1, 3, 16, 16, dtype=torch.float64)).sum().backward()
    pairs = [(m.weight, m.weight.grad) for m in double.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert scores["log_synflow"] == near(sum((w * torch.log(1 + g)).abs().sum().item() for w, g in pairs))
    pairs = [(m.weight, m.weight.grad) for m in kept.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert scores["synflow_bn"] == near(math.log(sum((w * g).abs().sum().item() for w, g in pairs)))


def test_depth_takes_the_longest_way() -> None:
    class Ways(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(5))
            self.head = nn.Linear(6, 4)

        def forward(self, x):
            first, second, third, short, idle = self.layers
            idle(x)
            return self.head(third(second(first(x))) + short(x) + x)

    batch = Batch(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.arange(4), n_classes=4)
    assert score_network(seeded(Ways), batch, ["depth"])["depth"].value == 4.0
    assert score_network(seeded(convnet), images(), ["depth"])["depth"].value == 3.0
    assert score_network(nn.Linear(6, 4), batch, ["depth"])["depth"].value == 1.0


def test_what_the_machine_says() -> None:
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1000), nn.ReLU(), nn.Linear(1000, 4)))
    batch = images(64)
    scores = score_network(network, batch, ["latency", "peak_memory", "macs"])
    assert scores["latency"].value > 0.0
    parameters = 4 * sum(p.numel() for p in network.parameters())
    # At most: the batch, its copy for the network, and the hidden layer before and after its ReLU.
    expected = parameters + 4 * 64 * (2 * 192 + 2 * 1000)
    assert scores["peak_memory"].value == pytest.approx(expected / 2**20, rel=0.01)
    assert scores["macs"].value == near((192 * 1000 + 1000 * 4) / 1e6)
