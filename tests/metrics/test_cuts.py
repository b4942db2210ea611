"""Networks whose gradient is cut off, in whole or in part: no zero that counts as a value, and true reasons."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from robonas.datasets.batch import Batch
from robonas.metrics import METRICS, left_out, score_network
from robonas.spaces import NASBench201
from tests.metrics.networks import images, seeded

OF_WEIGHTS = ["fisher", "grad_norm", "grasp", "grasp_bn", "plain", "snip"]
ALONE = ["gradsign", "log_synflow", "ntk_cond", "ntk_trace", "synflow", "synflow_bn", "vkdnw", "zico"]
OF_INPUT = ["epe_nas", "jacob_cov", "jacov"]


class Body(nn.Module):
    """Two layers and a head, cut where a subclass says."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(torch.relu(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class NoGrad(Body):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Inference(Body):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Detached(Body):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class Data(Body):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).data


class ThroughNumPy(Body):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(super().forward(x).detach().numpy() + 0.0)


class Scaled(Body):
    """Cut, but for a parameter that is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach() * self.scale


WHOLE = {"no_grad": NoGrad, "inference_mode": Inference, "detach": Detached, "data": Data, "NumPy": ThroughNumPy}


@pytest.mark.parametrize("how", WHOLE)
def test_a_network_without_gradients_has_no_score_of_them(how) -> None:
    scores = score_network(seeded(WHOLE[how]), images(), [*OF_WEIGHTS, *ALONE, *OF_INPUT, "nwot", "params"])
    for name in (*OF_WEIGHTS, *ALONE, *OF_INPUT):
        assert math.isnan(scores[name].value), name
        if how != "NumPy" or name not in ALONE:
            what = "input" if name in OF_INPUT else "a weight"
            assert f"no gradient leads back to {'the ' if what == 'input' else ''}{what}" in scores[name].reason, name
    assert scores["nwot"].reason is None
    assert scores["params"].reason is None


def test_a_gradient_that_reaches_other_parameters_alone_is_none_of_weights() -> None:
    scores = score_network(seeded(Scaled), images(), [*OF_WEIGHTS, *OF_INPUT])
    for name, score in scores.items():
        assert math.isnan(score.value), name
        assert "no gradient leads back to" in score.reason
    assert left_out(seeded(Scaled), images())["stem.weight"] == "cut off from the loss"


class Stem(Body):
    """The stem is cut off, as where a part is pretrained."""

    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = torch.relu(self.stem(x))
        return torch.relu(self.body(x))


class StemFrozen(Body):
    def __init__(self) -> None:
        super().__init__()
        self.stem.requires_grad_(requires_grad=False)


def test_a_part_that_is_cut_off_leaves_the_rest_its_value() -> None:
    """The gradients of the rest are those of the same network whose stem is frozen."""
    names = [*OF_WEIGHTS, "gradsign", "zico"]
    one, other = (score_network(seeded(make), images(), [*names, "jacov"]) for make in (Stem, StemFrozen))
    for name in names:
        assert one[name].reason is None, name
        assert one[name].value == pytest.approx(other[name].value, rel=1e-5), name
    assert one["jacov"].reason.startswith("jacov: no gradient leads back to the input")
    assert other["jacov"].reason is None
    missing = left_out(seeded(Stem), images())
    assert missing["stem.weight"] == "cut off from the loss"
    assert "body.weight" not in missing


class Steps(Body):
    """The derivative of its outputs is zero wherever there is one."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.round(1000.0 * super().forward(x))


def test_gradients_that_are_zero_are_no_value() -> None:
    scores = score_network(seeded(Steps), images(), OF_WEIGHTS)
    for name, score in scores.items():
        assert score.reason == f"{name}: the gradient of the loss is zero in every weight"


class Hidden(torch.autograd.Function):
    """A convolution with a backward of its own."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return F.conv2d(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return nn.grad.conv2d_input(x.shape, w, g), nn.grad.conv2d_weight(x, w.shape, g)


class Custom(Body):
    def features(self, x: Tensor) -> Tensor:
        return torch.relu(Hidden.apply(torch.relu(self.stem(x)), self.body.weight))


def test_a_layer_inside_a_function_of_ones_own() -> None:
    scores = score_network(seeded(Custom), images(), ["fisher", "grad_norm", "snip"])
    assert scores["grad_norm"].reason is None
    assert scores["snip"].reason is None
    assert "a layer computes inside a torch.autograd.Function" in scores["fisher"].reason


def test_frozen_is_said_of_weights_that_are_there() -> None:
    batch = images()
    nothing = score_network(
        nn.Sequential(nn.AdaptiveAvgPool2d((4, 1)), nn.Flatten(), nn.Unflatten(1, (3, 4)), Mean()), batch, list(METRICS)
    )
    for name, score in nothing.items():
        assert "frozen" not in (score.reason or ""), (name, score.reason)
    network = seeded(Body).requires_grad_(requires_grad=False)
    frozen = score_network(network, batch, [*OF_WEIGHTS, "synflow", "zico", "gradsign", "ntk_cond", *OF_INPUT])
    for name, score in frozen.items():
        if name in OF_INPUT:
            assert score.reason is None, name
        else:
            assert score.reason == f"{name}: every weight is frozen", name


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def test_one_sample_a_class_has_no_correlation_within_classes() -> None:
    inputs = images(16).inputs
    for n_classes in (16, 200):
        batch = Batch(inputs, torch.arange(16), n_classes=n_classes)
        network = seeded(
            lambda n=n_classes: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, n))
        )
        score = score_network(network, batch, ["epe_nas"])["epe_nas"]
        assert score.reason.startswith("epe_nas: no class has two samples in the batch")
        some = Batch(inputs, torch.arange(16) // 2, n_classes=n_classes)
        assert score_network(network, some, ["epe_nas"])["epe_nas"].reason is None


def test_a_large_bias_does_not_hide_what_the_logits_depend_on() -> None:
    """In float32, small features beside the bias of the head leave no trace in the logits; the gradient has none."""
    network, twin = seeded(Body), seeded(Body)
    with torch.no_grad():
        twin.head.weight.mul_(1e-9)
    one, other = (score_network(made, images(), ["jacob_cov"])["jacob_cov"] for made in (network, twin))
    assert other.reason is None
    assert other.value == pytest.approx(one.value, rel=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
        "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_connected_cells_have_a_jacobian(text) -> None:
    space = NASBench201(input_shape=(3, 16, 16))
    network = space.build_seeded(space.parse(text), 0)
    score = score_network(network, images(16, (3, 16, 16), 10), ["jacob_cov"])["jacob_cov"]
    if text.endswith("none~2|"):
        assert score.reason.startswith("jacob_cov: the logits do not depend on the input")
    else:
        assert score.reason is None
