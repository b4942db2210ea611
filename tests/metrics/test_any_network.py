"""Metrics on networks as people have them: right values where autograd can say, a reason where there is none."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, Need, Passes, left_out, score_network, synflow as synflow_module
from robonas.metrics.passes.scaled import ScaledRecorder
from robonas.metrics.passes.weights import find_weights
from tests.metrics.networks import Residual, convnet, images, seeded
from tests.metrics.zoo import SHAPES, UNDEFINED, ZOO, Attention, Standardised, Statements, StatementsTwin, headed

ALL = [name for name, metric in METRICS.items() if not metric.measures_the_machine]
CANNOT_TRAIN = {"functional, in place"}
"""Networks whose own backward pass PyTorch refuses, since they overwrite what it needs."""


def batch_for(name: str) -> Batch:
    return images(8, SHAPES.get(name, (3, 8, 8)))


@pytest.mark.parametrize("name", ZOO)
def test_every_metric_has_a_value_or_the_reason_expected(name) -> None:
    network, batch = seeded(ZOO[name]), batch_for(name)
    inputs = batch.inputs.clone()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    scores = score_network(network, batch, ALL)
    undefined = {metric: score.reason for metric, score in scores.items() if score.reason}
    assert set(undefined) == UNDEFINED.get(name, set()), undefined
    assert not any("Error" in reason for reason in undefined.values()), undefined
    assert torch.equal(inputs, batch.inputs)
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", sorted(set(ZOO) - CANNOT_TRAIN))
def test_gradients_are_those_of_autograd(name) -> None:
    """Against a training step of a copy, from the same random state."""
    network, batch = seeded(ZOO[name]), batch_for(name)
    scores = score_network(network, batch, ["grad_norm", "snip", "jacov"])
    twin = seeded(ZOO[name]).train()  # some of these cannot be copied
    inputs = batch.inputs.clone().requires_grad_()
    if name == "dropout":  # the draw of the engine
        from robonas.common.randomness import seeded as draw

        with draw("forward", 0, 0):
            logits = twin(inputs.contiguous(memory_format=torch.channels_last))  # in which order it is drawn
    else:
        logits = twin(inputs + 0.0)
    (jacobian,) = torch.autograd.grad(logits.sum(), inputs, retain_graph=True)
    F.cross_entropy(logits, batch.targets).backward()
    weights = find_weights(twin).tensors.values()
    assert scores["grad_norm"].value == pytest.approx(sum(w.grad.norm().item() for w in weights), rel=1e-5)
    assert scores["snip"].value == pytest.approx(sum((w * w.grad).abs().sum().item() for w in weights), rel=1e-5)
    spectrum = np.linalg.eigvalsh(np.corrcoef(jacobian.flatten(1).double().numpy())).clip(0)
    expected = -np.sum(np.log(spectrum + 1e-5) + 1 / (spectrum + 1e-5))
    assert scores["jacov"].value == pytest.approx(expected, rel=1e-3)


TWINS = [
    (lambda: Residual(inplace=True), lambda: Residual(inplace=False)),
    (lambda: convnet(lambda: nn.ReLU(inplace=True)), convnet),
    (lambda: convnet(lambda: nn.SiLU(inplace=True)), lambda: convnet(nn.SiLU)),
    (Statements, StatementsTwin),
    (lambda: Attention("batch first"), lambda: Attention("sequence first")),
]


@pytest.mark.parametrize("place", range(len(TWINS)))
def test_the_same_function_written_otherwise_scores_the_same(place) -> None:
    """In-place or not, sequence first or not: to rounding, for every metric that both have."""
    one, other = (seeded(make).double() for make in TWINS[place])
    first, second = (score_network(network, images(), ALL) for network in (one, other))
    for name in ALL:
        if TWINS[place][0] is Statements and name in {"az_trainability", "flops"}:
            continue
        if first[name].reason is None:
            assert first[name].value == pytest.approx(second[name].value, rel=1e-7), name
        else:
            assert first[name].reason == second[name].reason


def test_standardised_weights_are_the_parameters() -> None:
    """A layer that standardises its weight has ⟨w, g⟩ = 0, since the scale of w does not matter."""
    network = seeded(lambda: headed(Standardised(3, 6, 3), nn.ReLU()).double())
    batch = images()
    scores = score_network(network, batch, ["snip", "plain"])
    F.cross_entropy(network(batch.inputs.double()), batch.targets).backward()
    first, last = network[0].weight, network[-1].weight
    assert scores["snip"].value == pytest.approx(sum((w * w.grad).abs().sum().item() for w in (first, last)))
    assert scores["plain"].value == pytest.approx((last * last.grad).sum().item(), rel=1e-3)


def test_the_weights_of_attention_count() -> None:
    network = seeded(lambda: Attention("batch first"))
    names = set(find_weights(network).tensors)
    assert names >= {"attend.in_proj_weight", "attend.out_proj.weight", "embed.weight"}
    missing = left_out(network, images())
    assert missing["positions"] == "parameter of Attention, which is no convolution or linear layer"
    assert missing["norm.weight"] == "normalisation"
    assert missing["attend.in_proj_bias"] == "bias"


def test_fisher_sums_tokens_and_windows_of_a_sample() -> None:
    """The same linear layer over positions, as tokens, as folded windows, and as a 1×1 convolution."""

    class Form(nn.Module):
        def __init__(self, form: str) -> None:
            super().__init__()
            self.form = form
            self.layer, self.head = nn.Linear(3, 6, bias=False), nn.Linear(6, 4)

        def forward(self, x):
            n = len(x)
            if self.form == "convolution":
                values = F.conv2d(x, self.layer.weight[:, :, None, None]).flatten(2).transpose(1, 2)
            elif self.form == "tokens":
                values = self.layer(x.flatten(2).transpose(1, 2))
            else:
                values = self.layer(x.flatten(2).transpose(1, 2).reshape(n * 4, 16, 3)).reshape(n, 64, 6)
            return self.head(torch.relu(values).mean(1))

    batch = images()
    values = [
        score_network(seeded(lambda f=form: Form(f)).double(), batch, ["fisher"])["fisher"].value
        for form in ("convolution", "tokens", "windows")
    ]
    assert values[1] == pytest.approx(values[0])
    assert values[2] == pytest.approx(values[0])


def test_calls_whose_samples_cannot_be_told_apart_are_listed() -> None:
    class Mixer(nn.Module):
        """Mixes samples away: its inner layer sees no axis of samples."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.gate = nn.Linear(5, 4), nn.Linear(5, 4)

        def forward(self, x):
            return self.body(x) * torch.relu(self.gate(x.mean(0, keepdim=True)[:, :5].expand(3, 5))).mean(0)

    batch = Batch(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4, n_classes=4)
    missing = left_out(seeded(Mixer), batch)
    assert missing["layer call 2"] == "the 8 samples cannot be told apart in its shape (3, 4)"
    assert missing["rectifier call 1"] == "the 8 samples cannot be told apart in its shape (3, 4)"


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_other_losses(task) -> None:
    base = images()
    targets = torch.rand(8, 4, generator=torch.Generator().manual_seed(1))
    batch = Batch(base.inputs, targets, n_classes=4, task=task)
    network = seeded(convnet)
    scores = score_network(network, batch, ALL)
    assert {name for name, score in scores.items() if score.reason} == {"epe_nas"}
    assert scores["epe_nas"].reason == f"epe_nas is defined for classification, and the batch's task is {task}"
    loss = F.binary_cross_entropy_with_logits if task == "multilabel" else F.mse_loss
    twin = copy.deepcopy(network)
    loss(twin(base.inputs), targets).backward()
    expected = sum((w * w.grad).abs().sum().item() for w in find_weights(twin).tensors.values())
    assert scores["snip"].value == pytest.approx(expected, rel=1e-5)


def test_shared_layers_count_each_call_for_nwot_and_once_for_snip() -> None:
    calls = {}

    def spy(passes) -> float:
        calls.update(codes=len(passes.codes), weights=list(passes.weights))
        return 0.0

    spy.needs = [Need.CODES]
    score_network(seeded(ZOO["shared"]), images(), [spy])
    assert calls == {"codes": 3, "weights": ["stem.weight", "body.weight", "head.weight"]}


@pytest.mark.parametrize("depth", [10, 50, 100, 250, 300])
def test_synflow_of_deep_networks_is_finite_and_grows(depth) -> None:
    """Without batch norm the flow leaves float64 at about 280 layers."""

    def deep(n: int) -> nn.Module:
        return nn.Sequential(
            *(part for i in range(n) for part in (nn.Conv2d(3 if i == 0 else 64, 64, 3, padding=1), nn.ReLU())),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 4)),
        )

    batch = images(2)
    values = [score_network(seeded(lambda n=n: deep(n)), batch, ["synflow", "log_synflow"]) for n in (depth - 5, depth)]
    for name in ("synflow", "log_synflow"):
        assert math.isfinite(values[1][name].value), values[1][name].reason
        assert values[1][name].value > values[0][name].value


def test_scaled_flow_equals_the_plain_one_where_both_exist() -> None:
    """Residual sums, pools, biases and concatenation, with activations beyond the threshold and below float64's end."""

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(3 if i == 0 else 6, 6, 3, padding=1) for i in range(6))
            self.side, self.head = nn.Conv2d(6, 6, 1), nn.Linear(12, 4)
            for layer in self.layers:
                layer.weight.data.mul_(2.0**40)

        def forward(self, x):
            x = torch.relu(self.layers[0](x))
            for layer in self.layers[1:]:
                x = torch.relu(layer(x)) + self.side(x)
            y = F.max_pool2d(x, 2)
            z = F.avg_pool2d(self.side(x), 2)
            return self.head(torch.cat([y, z], 1).mean((2, 3)))

    network = seeded(Large)
    passes = Passes(network, images(), [Need.OWN_PASSES])
    plain = synflow_module._flow(passes, passes.recorder(skip_norms=True))
    scaled = synflow_module._flow(passes, ScaledRecorder(protected=[*network.parameters()]))
    assert plain.scale == 0
    assert scaled.scale > 200
    for (_, one), (_, other) in zip(plain.pairs, scaled.pairs, strict=True):
        torch.testing.assert_close(torch.log2(other) + scaled.scale, torch.log2(one), rtol=1e-12, atol=1e-9)


def test_what_overflows_in_a_part_that_is_not_homogeneous_says_so() -> None:
    network = nn.Sequential(
        *(part for i in range(120) for part in (nn.Conv2d(3 if i == 0 else 32, 32, 3, padding=1), nn.GELU())),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)),
    )
    for parameter in network.parameters():
        parameter.data.mul_(2000.0)
    score = score_network(network, images(2), ["synflow"])["synflow"]
    assert score.reason == "synflow: the flow is beyond float64 and 'gelu' is not homogeneous"


def test_an_overwritten_view_is_a_reason() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(192, 4)

        def forward(self, x):
            y = torch.relu(self.layer(x.flatten(1)))
            y[:, :2].mul_(2.0)  # a view of what the ReLU's gradient needs
            return y

    network, batch = seeded(Overwrites), images()
    for name in ("snip", "gradsign"):
        reason = score_network(network, batch, [name])[name].reason
        assert "the network overwrites in place, through a view, a value that its gradient needs" in reason


def test_correlations_of_low_rank_are_real_and_repeatable() -> None:
    """64 samples that are 8 samples and a breath of noise."""
    base = images(8).inputs.repeat(8, 1, 1, 1)
    noisy = base + 1e-7 * torch.randn(base.shape, generator=torch.Generator().manual_seed(3))
    batch = Batch(noisy, torch.arange(64) % 4, n_classes=4)
    scores = [score_network(seeded(convnet), batch, ["jacov", "jacob_cov"]) for _ in range(2)]
    for name in ("jacov", "jacob_cov"):
        assert math.isfinite(scores[0][name].value)
        assert scores[0][name].value == scores[1][name].value
        assert scores[0][name].value <= -64.0


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_networks_of_timm(name) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    settings = {"img_size": 64} if "vit" in name else {}
    network = seeded(lambda: timm.create_model(name, num_classes=10, **settings))
    batch = images(4, (3, 64, 64), 10, seed=8)
    scores = score_network(network, batch, ALL)
    undefined = {metric: score.reason for metric, score in scores.items() if score.reason}
    assert set(undefined) == ({"log_synflow"} if "vit" in name else set()), undefined
    missing = left_out(network, batch)
    weights = Passes(network, batch, []).weights
    assert not missing.keys() & weights.keys()
    assert missing.keys() | weights.keys() == {key for key, _ in network.named_parameters()}


def test_a_sum_of_logits_that_batch_norm_cancels_has_no_jacobian() -> None:
    """Without an activation after it, a batch norm makes the sum over the batch a constant."""
    batch = images()
    cancelled = seeded(lambda: convnet(nn.Identity))
    for name in ("jacov", "epe_nas"):
        reason = score_network(cancelled, batch, [name])[name].reason
        assert reason == f"{name}: batch norm cancels the gradient of the summed logits: only rounding is left of it"
    beside = seeded(lambda: Beside(cancelled))
    assert score_network(beside, batch, ["jacov"])["jacov"].reason is None


class Beside(nn.Module):
    """A cancelled branch beside one that is not."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch, self.other = branch, nn.Sequential(nn.Flatten(), nn.Linear(192, 4))

    def forward(self, x):
        return self.branch(x) + torch.tanh(self.other(x))


def test_a_network_that_needs_its_maps_contiguous_gets_them_so() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 6, 3), nn.Linear(216, 4)

        def forward(self, x):
            return self.head(torch.relu(self.body(x)).view(len(x), -1))

    batch = images()
    scores = score_network(seeded(Views), batch, ALL)
    assert {name for name, score in scores.items() if score.reason} == {"az_progressivity", "az_trainability"}
    twin = seeded(Views)
    F.cross_entropy(twin(batch.inputs), batch.targets).backward()
    expected = sum(w.grad.norm().item() for w in (twin.body.weight, twin.head.weight))
    assert scores["grad_norm"].value == pytest.approx(expected, rel=1e-5)
