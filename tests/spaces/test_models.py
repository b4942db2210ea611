"""Spaces of ready networks."""

import sys

import pytest
import torch
from torch import nn

from robonas.architecture import Architecture
from robonas.errors import ArchitectureError, ConfigError, MissingExtraError, UnknownNameError
from robonas.spaces import Model, from_models
from robonas.spaces.models import replace_head
from tests.spaces import own


def net(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def test_each_model_has_its_own_input_size():
    space = own.models()
    assert [space.input_shape_of(arch) for arch in space] == [(3, 32, 32), (3, 48, 48), (3, 9, 9)]
    assert space.input_shape == (3, 48, 48)
    assert all(space.failure(arch) is None for arch in space)
    assert space.settings["models"] == {"side_32": [3, 32, 32], "side_48": [3, 48, 48], "side_9": [3, 9, 9]}


def test_texts_are_names():
    space = own.models()
    assert space.format(space.at(1)) == "side_48"
    assert space.parse("side_9") == space.at(2)
    with pytest.raises(
        ArchitectureError,
        match="Choice 'model' of own_models must be one of 'side_32', .*; got 'side_7'",  # noqa: RUF043
    ):
        space.parse("side_7")


def test_callables():
    space = from_models([net], n_classes=10, input_shape=(3, 8, 8))
    assert [space.format(arch) for arch in space] == ["net"]
    space = from_models({"narrow": net, "wide": lambda: net(8)}, n_classes=10, input_shape=(3, 8, 8))
    assert [space.count_parameters(arch) for arch in space] == [28 * 4 + 50, 28 * 8 + 90]
    space = from_models({"small": Model("ignored", net, (3, 6, 6))}, n_classes=10)
    assert space.input_shape == (3, 6, 6)


def test_torchvision_by_name():
    space = from_models(["torchvision:squeezenet1_1", "torchvision:inception_v3"], n_classes=7)
    assert [space.input_shape_of(arch) for arch in space] == [(3, 224, 224), (3, 299, 299)]
    network = space.build_seeded(space.at(0))
    assert network(torch.zeros(2, 3, 224, 224)).shape == (2, 7)
    small = from_models(["torchvision:resnet18", "torchvision:vit_b_16"], n_classes=7, input_shape=(3, 32, 32))
    assert small.count_parameters(small.at(0)) == 11_176_512 + 7 * 513
    assert small.failure(small.at(0)) is None
    assert small.failure(small.at(1)) is None, "a transformer is made for the size that is asked for"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_heads_return_logits(name):
    space = from_models([f"torchvision:{name}"], n_classes=7)
    network = space.build_seeded(space.at(0)).train()
    assert network(torch.randn(2, *space.input_shape)).shape == (2, 7)


def test_timm_by_name():
    space = from_models(["test_resnet", "timm:test_vit"], n_classes=5)
    assert [space.input_shape_of(arch) for arch in space] == [(3, 160, 160), (3, 160, 160)]
    small = from_models(["timm:test_resnet", "timm:test_vit"], n_classes=5, input_shape=(1, 32, 32))
    for architecture in small:
        assert small.build_seeded(architecture)(torch.randn(2, 1, 32, 32)).shape == (2, 5)


def test_bare_names_are_timms_where_it_has_them():
    assert type(from_models(["resnet18"], n_classes=2).build(Architecture({"model": "resnet18"}))).__module__ == (
        "timm.models.resnet"
    )
    # Only torchvision spells it like this.
    assert from_models(["vit_b_16"], n_classes=2).input_shape == (3, 224, 224)


def test_pretrained_is_passed_on(monkeypatch):
    import timm

    seen = []
    real = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **given: seen.append(given) or real(name, **{**given, "pretrained": False})
    )
    space = from_models(["timm:test_resnet"], n_classes=3, pretrained=True)
    space.build(space.at(0))
    assert seen[0]["pretrained"] is True
    assert seen[0]["num_classes"] == 3


def test_pretrained_torchvision_keeps_the_weights_and_gets_a_new_head(monkeypatch):
    from torchvision import models as torchvision_models

    real = torchvision_models.get_model
    trained = real("squeezenet1_1", weights=None)

    def download(name, weights, **given):
        assert weights is not None
        return trained

    monkeypatch.setattr(torchvision_models, "get_model", download)
    space = from_models(["torchvision:squeezenet1_1"], n_classes=3, pretrained=True)
    before = trained.features[0].weight.clone()
    network = space.build(space.at(0))
    assert torch.equal(network.features[0].weight, before)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_replace_head():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5, bias=False))
    head = network[2]
    replace_head(network, 5)
    assert network[2] is head, "a head of the right width stays"
    replace_head(network, 2)
    assert network[2].weight.shape == (2, 4)
    assert network[2].bias is None
    with pytest.raises(ArchitectureError, match="A ReLU has no last linear layer"):
        replace_head(nn.ReLU(), 2)


@pytest.mark.parametrize(
    ("models", "given", "error", "message"),
    [
        ([], {}, ConfigError, "at least one; got none"),
        ([net, net], {"input_shape": (3, 8, 8)}, ConfigError, "different names; 'net' comes twice"),
        ([net], {}, ConfigError, "The input size of model 'net' must be known"),
        ([3], {}, ConfigError, "must be names, `Model`s or callables; got 3"),
        (["keras:resnet50"], {}, ConfigError, "must be timm or torchvision; got 'keras'"),
        (["timm:resnet999"], {}, UnknownNameError, "Unknown model 'timm:resnet999'"),
        (["torchvision:resnet999"], {}, UnknownNameError, "Unknown model 'torchvision:resnet999'"),
        (["no such"], {}, UnknownNameError, "Unknown model 'no such'"),
        (["torchvision:resnet18"], {"input_shape": (1, 8, 8)}, ConfigError, "take 3 channels; got 1"),
        ([Model("a", net, (3, 8, 8)), Model("b", net, (100,))], {}, ConfigError, "inputs of one kind"),
    ],
)
def test_impossible_models(models, given, error, message):
    with pytest.raises(error, match=message):
        from_models(models, n_classes=10, **given)


def test_unknown_names_get_near_ones():
    with pytest.raises(
        UnknownNameError, match=r"Unknown model 'torchvision:resnet5'. Did you mean 'resnet50'\? Known: alexnet, "
    ):
        from_models(["torchvision:resnet5"], n_classes=10)


@pytest.mark.parametrize(
    ("module", "name", "extra"), [("timm", "timm:resnet18", "timm"), ("torchvision", "torchvision:resnet18", "vision")]
)
def test_missing_libraries(monkeypatch, module, name, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"robonas\[{extra}\]"):
        from_models([name], n_classes=10)


def test_a_model_that_cannot_be_made():
    def broken():
        raise RuntimeError("no weights")

    space = from_models([broken, Model("three", lambda: 3, (3, 8, 8))], n_classes=10, input_shape=(3, 8, 8))
    with pytest.raises(ArchitectureError, match="Building 'broken' of models failed: RuntimeError: no weights"):
        space.build(space.at(0))
    assert space.failure(space.at(1)) == "Building 'three' of models must make a torch.nn.Module; it made a int."
