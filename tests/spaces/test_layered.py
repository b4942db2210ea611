"""Spaces of chosen depth: MobileNetV3, AutoFormer, Conv1d, MLP."""

import json
import math

import numpy as np
import pytest
import torch

from robonas.architecture import Architecture
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import MLP, AutoFormer, Conv1d, MobileNetV3
from robonas.spaces.layered import LayeredSpace, Stage
from robonas.spaces.networks.blocks import make_divisible


class Toy(LayeredSpace):
    """2 · (1 + 4 + 16) · (3 + 9) architectures."""

    name = "toy"
    whole = {"w": (1, 2)}  # noqa: RUF012
    stages = (Stage("a", (0, 1, 2), {"k": (3, 5), "e": ("x", "y")}), Stage("b", (1, 2), {"f": (1, 2, 3)}))

    def build(self, architecture):
        return torch.nn.Identity()


TOY = Toy(input_shape=(1,), n_classes=1)


def test_count_and_order():
    listed = list(TOY)
    assert TOY.size == 2 * 21 * 12 == len(listed) == len(set(listed))
    assert all(TOY.contains(architecture) for architecture in listed)
    assert [TOY.at(index) for index in (0, 100, 503)] == [listed[index] for index in (0, 100, 503)]
    assert TOY.format(listed[0]) == '{"w":1,"a":[],"b":[[1]]}'
    assert TOY.format(listed[1]) == '{"w":1,"a":[],"b":[[2]]}'
    assert TOY.format(listed[-1]) == '{"w":2,"a":[[5,"y"],[5,"y"]],"b":[[3],[3]]}'


def test_neighbours_are_symmetric_and_reach_everything():
    listed = list(TOY)
    neighbours = {architecture: TOY.neighbours(architecture) for architecture in listed}
    for architecture, found in neighbours.items():
        assert architecture not in found
        assert len(set(found)) == len(found)
        assert all(architecture in neighbours[other] for other in found)
    seen, ahead = {listed[0]}, [listed[0]]
    while ahead:
        new = [other for other in neighbours[ahead.pop()] if other not in seen]
        seen.update(new)
        ahead += new
    assert len(seen) == len(listed)


def test_draws_are_uniform():
    generator = np.random.default_rng(0)
    depths = [TOY.draw(generator)["a_depth"] for _ in range(2100)]
    assert np.bincount(depths) == pytest.approx([100, 400, 1600], abs=80)


def test_left_out_choices():
    architecture = TOY.parse('{"w":1,"a":[[3,"y"]],"b":[[2]]}')
    assert dict(architecture) == {"w": 1, "a_depth": 1, "a_k_1": 3, "a_e_1": "y", "b_depth": 1, "b_f_1": 2}
    code = dict(zip(TOY.choices, TOY.encode(architecture).tolist(), strict=True))
    assert code["a_k_2"] == code["a_e_2"] == code["b_f_2"] == -1
    with pytest.raises(ArchitectureError, match="must set choice 'a_k_2'"):
        TOY.check(architecture.replace(a_depth=2))
    with pytest.raises(ArchitectureError, match="must leave out choice 'b_f_2', of a layer that its"):
        TOY.check(Architecture({**architecture, "b_f_2": 1}))
    with pytest.raises(ArchitectureError, match="Choice 'a_depth' of toy must be one of 0, 1, 2; got True"):
        TOY.check(architecture.replace(a_depth=True))
    with pytest.raises(ArchitectureError, match="must set choice 'a_depth'"):
        TOY.check(Architecture({"w": 1}))


@pytest.mark.parametrize(
    "text",
    [
        "3",
        '{"w":1,"a":[]}',
        '{"w":1,"a":[],"b":[[1]],"c":1}',
        '{"w":1,"a":[[3]],"b":[[1]]}',
        '{"w":1,"a":3,"b":[[1]]}',
        '{"w":[1],"a":[],"b":[[1]]}',
    ],
)
def test_wrong_texts(text):
    with pytest.raises(ArchitectureError, match=r'of toy must read like \'{"w":1,"a":'):
        TOY.parse(text)


def test_texts_of_wrong_options_name_them():
    with pytest.raises(ArchitectureError, match="Choice 'a_k_1' of toy must be one of 3, 5; got 7"):
        TOY.parse('{"w":1,"a":[[7,"x"]],"b":[[1]]}')
    with pytest.raises(ArchitectureError, match="Choice 'b_depth' of toy must be one of 1, 2; got 0"):
        TOY.parse('{"w":1,"a":[],"b":[]}')


# ── MobileNetV3 ──


def test_mobilenetv3_is_as_large_as_once_for_all():
    assert MobileNetV3().size == sum(9**depth for depth in (2, 3, 4)) ** 5
    assert f"{MobileNetV3().size:.0e}" == "2e+19"


def test_once_for_alls_description():
    space = MobileNetV3()
    theirs = json.dumps({"ks": [7, 3, 5, 3] * 5, "e": [6, 3, 4, 3] * 5, "d": [2, 3, 4, 3, 2]})
    architecture = space.parse(theirs)
    assert [architecture[f"stage_{stage}_depth"] for stage in range(1, 6)] == [2, 3, 4, 3, 2]
    assert architecture["stage_2_kernel_3"] == 5
    assert architecture["stage_2_expansion_3"] == 4
    assert "stage_1_kernel_3" not in architecture
    with pytest.raises(ArchitectureError, match="must read like"):
        space.parse('{"ks": [3], "e": [3], "d": [2]}')
    with pytest.raises(ArchitectureError, match="must be one of 2, 3, 4; got 1"):
        space.parse(json.dumps({"ks": [3] * 20, "e": [3] * 20, "d": [1] * 5}))


def test_mobilenetv3_sizes():
    space = MobileNetV3(input_shape=(3, 64, 64))
    network = space.build_seeded(space.at(0))
    seen = []
    for layer in network[:13]:
        layer.register_forward_hook(lambda _, __, maps: seen.append(tuple(maps.shape[1:])))
    network(torch.randn(2, 3, 64, 64))
    assert seen[:2] == [(16, 32, 32), (16, 32, 32)]
    assert seen[3::2] == [(24, 16, 16), (40, 8, 8), (80, 4, 4), (112, 4, 4), (160, 2, 2)]


def test_mobilenetv3_last_layers_by_hand():
    space = MobileNetV3()
    wider = MobileNetV3(n_classes=11)
    architecture = space.at(0)
    assert wider.count_parameters(architecture) - space.count_parameters(architecture) == 1281
    more = architecture.replace(stage_1_kernel_2=5)  # 24 channels, three times expanded
    assert space.count_parameters(more) - space.count_parameters(architecture) == (25 - 9) * 72


@pytest.mark.parametrize(
    ("width", "expected"), [(0.5, 8), (16, 16), (17, 16), (20, 24), (18, 24), (22, 24), (960, 960)]
)
def test_make_divisible(width, expected):
    # 18 is nearest to 16, which is below nine tenths of it.
    assert make_divisible(width) == expected


# ── AutoFormer ──


def test_autoformer_is_deit_where_they_meet():
    # DeiT-tiny has 5,717,416 parameters, 192 of them a class token and 192 its position, which ours has not.
    space = AutoFormer(input_shape=(3, 224, 224), patch=16, n_classes=1000)
    architecture = space.parse(json.dumps({"embedding": 192, "blocks": [[3, 4.0]] * 12}))
    assert space.count_parameters(architecture) == 5_717_416 - 2 * 192


def test_autoformer_sizes():
    assert AutoFormer().size == 3 * sum(4**depth for depth in (12, 13, 14))
    assert AutoFormer(size="base").size == 3 * sum(9**depth for depth in (14, 15, 16))


def test_positions_matter():
    space = AutoFormer(input_shape=(3, 8, 8))
    network = space.build_seeded(space.at(0)).eval()
    x = torch.randn(1, 3, 8, 8)
    moved = torch.cat([x[..., 4:], x[..., :4]], dim=-1)
    assert not torch.allclose(network(x), network(moved), atol=1e-6)


# ── Conv1d and MLP ──


def test_conv1d_by_hand():
    space = Conv1d(input_shape=(2, 50), n_classes=3)
    text = '{"width":16,"pool":"max","blocks":[["conv",7,2],["separable",3,1],["conv",3,1]]}'
    expected = (
        (2 * 16 * 7 + 32) + (2 * 16 + 32)  # convolution and shortcut, each with batch norm
        + (16 * 3 + 16 * 16 + 32) + (16 * 16 + 32)
        + (16 * 32 * 3 + 64) + (16 * 32 + 64)
        + (32 * 3 + 3)
    )  # fmt: skip
    assert space.count_parameters(space.parse(text)) == expected


@pytest.mark.parametrize("length", [1, 2, 3, 17, 100])
def test_conv1d_takes_any_length(length):
    space = Conv1d(input_shape=(3, length))
    assert all(space.failure(architecture) is None for architecture in space.sample(20, seed=length))


def test_mlp_by_hand():
    space = MLP(input_shape=(5,), n_classes=3)
    text = '{"activation":"relu","norm":"batch","dropout":0.1,"residual":true,"layers":[[32],[32]]}'
    architecture = space.parse(text)
    assert space.count_parameters(architecture) == 6 * 32 + 64 + 33 * 32 + 64 + 33 * 3
    assert MLP().size == 4 * 3 * 3 * 2 * sum(6**depth for depth in range(5))


def test_mlp_residual_adds_the_input():
    space = MLP(input_shape=(5,), n_classes=3)
    text = '{"activation":"tanh","norm":"none","dropout":0.0,"residual":true,"layers":[[32],[32]]}'
    network = space.build_seeded(space.parse(text))
    with torch.no_grad():
        network[2].layer[0].weight.zero_()
        network[2].layer[0].bias.zero_()
    hidden = network[1](network[0](torch.randn(4, 5)))
    assert torch.equal(network[2](hidden), hidden)


def test_mlp_classes():
    space = MLP(input_shape=(5,), n_classes=3)

    def canonical(activation, residual, *widths):
        layers = [[width] for width in widths]
        parts = {"activation": activation, "norm": "batch", "dropout": 0.1, "residual": residual, "layers": layers}
        return space.canonical(space.parse(json.dumps(parts)))

    assert canonical("relu", False) == canonical("gelu", True)
    assert canonical("relu", False, 16, 32) == canonical("relu", True, 16, 32)
    assert canonical("relu", False, 16, 16) != canonical("relu", True, 16, 16)
    assert canonical("relu", False, 16) != canonical("gelu", False, 16)


def test_mlp_flattens():
    space = MLP(input_shape=(1, 8, 8))
    assert math.prod(space.input_shape) == 64
    assert space.failure(space.sample(1)[0]) is None


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (MobileNetV3, {"input_shape": (3, 8)}, r"must be \(channels, height, width\)"),
        (MobileNetV3, {"width": 0}, "`width` of mobilenetv3 must be positive; got 0"),
        (AutoFormer, {"input_shape": (3, 30, 32)}, r"multiples of `patch` \(4\); got \(3, 30, 32\)"),
        (AutoFormer, {"patch": 0}, "multiples of `patch`"),
        (AutoFormer, {"size": "huge"}, "one of tiny, small, base; got 'huge'"),
        (Conv1d, {"input_shape": (3, 8, 8)}, r"must be \(channels, length\)"),
    ],
)
def test_impossible_settings(cls, settings, message):
    with pytest.raises(ConfigError, match=message):
        cls(**settings)


def test_mobilenetv3_can_be_derived_twice():
    space = MobileNetV3(input_shape=(3, 32, 32), width=0.25)
    network = space.build_seeded(space.at(0)).eval()
    gate = next(module for module in network.modules() if type(module).__name__ == "_HardSigmoid")
    x = torch.linspace(-5, 5, 21)
    assert torch.allclose(gate(x), torch.nn.functional.hardsigmoid(x))
    parameters = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    loss = network(torch.randn(2, 3, 32, 32)).square().sum()
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), parameters)
    assert all(torch.isfinite(gradient).all() for gradient in second)
