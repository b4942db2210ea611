"""RandAugment, MixUp and CutMix: what they do, and that they draw from nothing but their seeds."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from robonas.common.randomness import torch_generator
from robonas.datasets import from_arrays
from robonas.errors import ConfigError, MissingExtraError
from robonas.objectives import TrainingObjective
from robonas.training.augment import draw
from robonas.training.mixing import mix, randaugment
from robonas.training.recipe import Recipe
from robonas.training.workers import Workers
from tests.objectives.toy import FIRST, ToySpace, blobs

v2 = pytest.importorskip("torchvision.transforms.v2")
CPU = {"device": "cpu", "threads": 1}


def images(n: int = 40, channels: int = 3) -> torch.Tensor:
    return torch.randint(256, (n, channels, 9, 7), dtype=torch.uint8, generator=torch_generator("images"))


def test_each_image_has_changes_of_its_own_and_no_generator_is_touched() -> None:
    recipe, raw = Recipe(randaugment=2, randaugment_magnitude=20), images()
    seeds = draw(recipe, 40, (3, 9, 7), torch_generator("test"))["policies"]
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    kept = raw.clone()
    changed = randaugment(raw, recipe, seeds)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002
    assert torch.equal(raw, kept)
    assert (changed.dtype, changed.shape) == (torch.uint8, raw.shape)
    assert sum(not torch.equal(one, other) for one, other in zip(changed, raw, strict=True)) > 20
    torch.rand(3)
    assert torch.equal(randaugment(raw, recipe, seeds), changed)
    order = torch.randperm(40, generator=torch_generator("order"))
    assert torch.equal(randaugment(raw[order], recipe, seeds[order]), changed[order])


def test_randaugment_is_torchvisions() -> None:
    raw = images(3)
    found = randaugment(raw, Recipe(randaugment=3, randaugment_magnitude=7), torch.tensor([5, 6, 7]))
    for place, seed in enumerate((5, 6, 7)):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            assert torch.equal(found[place], v2.RandAugment(num_ops=3, magnitude=7)(raw[place]))


@pytest.mark.parametrize(("settings", "alpha"), [({"mixup": 0.4}, 0.4), ({"cutmix": 1.0}, 1.0)])
def test_images_and_labels_are_mixed_with_the_one_before(settings, alpha) -> None:
    inputs = torch.rand(6, 2, 8, 8, generator=torch_generator("inputs"))
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    before = torch.get_rng_state()
    mixed, targets = mix(inputs, labels, Recipe(**settings), 11, 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert targets.shape == (6, 4)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    hard = F.one_hot(labels, 4).float()
    others, theirs = inputs.roll(1, 0), hard.roll(1, 0)
    share = float(targets[0, labels[0]])  # sample 0 has the label of the last, and of nobody else
    assert labels[0] == labels[-1]
    assert share == 1.0
    share = float(targets[1, 1])
    assert torch.allclose(targets, share * hard + (1 - share) * theirs, atol=1e-6)
    if "mixup" in settings:
        with torch.random.fork_rng():
            torch.manual_seed(11)
            assert share == pytest.approx(float(torch.distributions.Beta(alpha, alpha).sample()), abs=1e-6)
        assert torch.allclose(mixed, share * inputs + (1 - share) * others, atol=1e-6)
    else:
        own = (mixed == inputs).all(1).all(0)  # (height, width)
        assert torch.equal(mixed, torch.where(own, inputs, others))
        assert float(own.double().mean()) == pytest.approx(share)


def test_both_take_turns_at_random() -> None:
    inputs = torch.rand(4, 1, 8, 8, generator=torch_generator("inputs"))
    kinds = []
    for seed in range(200):
        mixed, _ = mix(inputs, torch.arange(4), Recipe(mixup=1.0, cutmix=1.0), seed, 4)
        kinds.append(bool(torch.isin(mixed, inputs).all()))
    assert 70 < sum(kinds) < 130


def test_a_batch_has_one_draw_and_processes_share_it() -> None:
    recipe = Recipe(randaugment=1, mixup=0.2, flip=True)
    draws = draw(recipe, 7, (3, 9, 7), torch_generator("test"))
    assert {len(values) for values in draws.values()} == {7}
    assert len(set(draws["mixes"].tolist())) == 1
    assert len(set(draws["policies"].tolist())) == 7
    alone = draw(Recipe(flip=True), 7, (3, 9, 7), torch_generator("test"))
    assert torch.equal(alone["mirrored"], draws["mirrored"])  # what is drawn besides changes nothing
    raw = images(7)
    parts = [Workers(rank, 3).share_range(7) for rank in range(3)]
    changed = torch.cat([randaugment(raw[rows], recipe, draws["policies"][rows]) for rows in parts])
    assert torch.equal(changed, randaugment(raw, recipe, draws["policies"]))


def test_one_step_on_mixed_images_by_hand() -> None:
    raw = images(20, 1)
    data = from_arrays(raw, torch.arange(20) % 2)
    recipe = {"mixup": 0.5, "label_smoothing": 0.1, "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.5}
    space = ToySpace(lambda: nn.Sequential(nn.Flatten(), nn.Linear(63, 2)), input_shape=(1, 9, 7), n_classes=2)
    objective = TrainingObjective(data, epochs=1, batch_size=100, **recipe, **CPU)
    answer = objective.evaluate(space, FIRST, seed=3)
    part = objective.training_part
    generator = torch_generator("order", 3, str(FIRST), 1)
    order = torch.randperm(len(part), generator=generator)
    torch.randint(2**62, (), generator=generator)  # the seed of data that are read lazily
    seed = int(draw(objective.recipe, len(part), (1, 9, 7), generator)["mixes"][0])
    inputs, targets = mix(part.inputs[order], part.labels[order], objective.recipe, seed, 2)
    assert bool(((targets > 0) & (targets < 1)).any())
    network = space.build_seeded(FIRST, 3)
    smooth = 0.9 * targets + 0.05
    loss = -(smooth * F.log_softmax(network(inputs), 1)).sum(1).mean()
    loss.backward()
    assert answer.curve[0].loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, entry in network.named_parameters():
        assert torch.allclose(answer.parameters[name], entry - 0.5 * entry.grad, atol=1e-5)


def test_what_cannot_be_mixed(monkeypatch) -> None:
    data = from_arrays(images(20), torch.arange(20) % 2)
    for settings in ({"randaugment": 2}, {"mixup": 0.2}, {"cutmix": 1.0}):
        with pytest.raises(ConfigError, match=r"`mixup` and `cutmix` are for images \(channels, height, width\)"):
            TrainingObjective(blobs(), **settings)
    many = from_arrays(images(20), np.eye(2, dtype=np.float32)[np.arange(20) % 2], task="multilabel")
    with pytest.raises(ConfigError, match="need one class for each sample; got multilabel"):
        TrainingObjective(many, mixup=0.2)
    with pytest.raises(ConfigError, match="images of 1 or 3 channels; got 2"):
        TrainingObjective(from_arrays(images(20, 2), torch.arange(20) % 2), randaugment=2)
    with pytest.raises(ConfigError, match=r"`randaugment` is for images of bytes; got torch\.float32"):
        randaugment(images().float(), Recipe(randaugment=2), torch.zeros(40))
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    TrainingObjective(data, flip=True)
    with pytest.raises(MissingExtraError, match=r"RandAugment, MixUp or CutMix needs .*robonas\[vision\]"):
        TrainingObjective(data, cutmix=1.0)
