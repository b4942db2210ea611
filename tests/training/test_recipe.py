"""The pieces of a recipe, by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import get_type_hints

import pytest
import torch
from torch import nn

from robonas.errors import ConfigError, ObjectiveError
from robonas.spaces.autoformer import AutoFormer
from robonas.spaces.darts import DARTS
from robonas.training.optimizers import make_optimizer
from robonas.training.recipe import (
    Recipe,
    RecipeSettings,
    drop_path_rate,
    learning_rate,
    meanings,
    set_drop_path,
    steps_of_epoch,
)


def rates(steps: int, **settings) -> list[float]:
    recipe = Recipe(**settings)
    return [learning_rate(recipe, step, steps) for step in range(recipe.epochs * steps)]


def test_cosine() -> None:
    expected = [0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5))]
    assert rates(2, epochs=2, learning_rate=0.2) == pytest.approx(expected)


def test_cosine_ends_near_the_final_rate() -> None:
    found = rates(1, epochs=600, learning_rate=0.035, final_learning_rate=1e-4)
    assert found[0] == 0.035
    assert found[300] == pytest.approx((0.035 + 1e-4) / 2)
    assert found[-1] == pytest.approx(1e-4 + (0.035 - 1e-4) * (1 - math.cos(math.pi / 600)) / 2)


def test_the_rate_of_an_epoch_is_that_of_its_first_step() -> None:
    found = rates(3, epochs=4, learning_rate=0.2, schedule_every="epoch")
    assert found[::3] == rates(1, epochs=4, learning_rate=0.2)
    assert all(found[3 * epoch : 3 * epoch + 3] == [found[3 * epoch]] * 3 for epoch in range(4))


def test_linear_with_warm_up() -> None:
    found = rates(1, epochs=7, learning_rate=0.5, schedule="linear", warmup_epochs=2)
    assert found == pytest.approx([0.25, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert max(found) == 0.5


def test_warm_up_by_steps() -> None:
    found = rates(2, epochs=3, learning_rate=0.8, warmup_epochs=1)
    assert found[:3] == pytest.approx([0.4, 0.8, 0.8])
    assert found[2:] == pytest.approx(rates(2, epochs=2, learning_rate=0.8))


def test_drop_path_grows_with_the_epochs() -> None:
    recipe = Recipe(epochs=4, drop_path=0.2)
    assert [drop_path_rate(recipe, epoch) for epoch in (1, 2, 3, 4)] == pytest.approx([0.0, 0.05, 0.1, 0.15])
    space = DARTS(input_shape=(3, 8, 8), channels=2, layers=3, drop_path=0.3)
    network = space.build(space.at(0))
    set_drop_path(network, Recipe(), 1)
    assert network.drop_path == 0.3  # its own, since the recipe says nothing
    set_drop_path(network, recipe, 3)
    assert network.drop_path == pytest.approx(0.1)
    with pytest.raises(ConfigError, match=r"needs a network with an attribute `drop_path`.* got 0\.2 for a Linear"):
        set_drop_path(nn.Linear(2, 2), recipe, 1)


def test_weight_decay_on_matrices_or_on_all() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    groups = make_optimizer(network, Recipe(weight_decay=0.1)).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.1), (3, 0.0)]
    (group,) = make_optimizer(network, Recipe(weight_decay=0.1, decay_all=True)).param_groups
    assert [entry.shape for entry in group["params"]] == [entry.shape for entry in network.parameters()]
    assert group["weight_decay"] == 0.1
    with pytest.raises(ObjectiveError, match="no parameters to train"):
        make_optimizer(nn.Identity(), Recipe())


def test_each_optimiser_has_its_usual_rate_and_decay() -> None:
    sgd, adamw = Recipe(), Recipe(optimizer="adamw")
    assert (sgd.learning_rate, sgd.weight_decay, sgd.nesterov) == (0.1, 5e-4, True)
    assert (adamw.learning_rate, adamw.weight_decay, adamw.nesterov) == (0.001, 0.05, False)
    assert Recipe(learning_rate=0.1, weight_decay=5e-4) == sgd
    given = Recipe(optimizer="adamw", learning_rate=0.01, weight_decay=0)
    assert (given.rate, given.decay) == (given.learning_rate, given.weight_decay) == (0.01, 0)
    with pytest.raises(ConfigError, match=r"from 0 to the learning rate, 0\.001; got 0\.01"):
        Recipe(optimizer="adamw", final_learning_rate=0.01)


def test_adamw_by_hand() -> None:
    """Three steps of two numbers; the decay is taken from the parameters, and does not enter the means."""
    network = nn.Linear(1, 1).double()
    recipe = Recipe(optimizer="adamw", learning_rate=0.1, weight_decay=0.2, momentum=0.8, beta2=0.9)
    optimizer = make_optimizer(network, recipe)
    expected = {name: (float(entry.detach()), 0.0, 0.0) for name, entry in network.named_parameters()}
    for step in (1, 2, 3):
        for place, (name, entry) in enumerate(network.named_parameters()):
            gradient = (1.0, -3.0)[place] * step
            entry.grad = torch.full_like(entry, gradient)
            value, mean, square = expected[name]
            value -= 0.1 * (0.2 if name == "weight" else 0.0) * value
            mean, square = 0.8 * mean + 0.2 * gradient, 0.9 * square + 0.1 * gradient**2
            value -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.9**step)) + 1e-8)
            expected[name] = value, mean, square
        optimizer.step()
    for name, entry in network.named_parameters():
        assert float(entry.detach()) == pytest.approx(expected[name][0], rel=1e-12)


def test_positions_are_spared_by_adamw() -> None:
    space = AutoFormer(input_shape=(1, 8, 8), patch=4)
    network = space.build(next(iter(space.sample(1, 0))))
    for settings, shapes in (({"optimizer": "adamw"}, True), ({}, False), ({"decay_all": True}, False)):
        decayed = make_optimizer(network, Recipe(**settings)).param_groups[0]["params"]
        assert all(entry is not network.positions for entry in decayed) == shapes


def test_no_piece_of_a_batch_is_a_single_sample() -> None:
    assert steps_of_epoch(Recipe(batch_size=96), 50_000) == 521
    assert steps_of_epoch(Recipe(batch_size=16), 33) == 3
    assert steps_of_epoch(Recipe(batch_size=4, accumulate=2), 33, n_processes=2) == 4  # at least eight a batch
    assert steps_of_epoch(Recipe(batch_size=4), 1) == 1


def test_every_setting_is_documented_and_typed_alike() -> None:
    names = [setting.name for setting in dataclasses.fields(Recipe)]
    assert list(meanings()) == names
    assert all(text.endswith(".") for text in meanings().values())
    assert get_type_hints(RecipeSettings) == get_type_hints(Recipe)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"optimizer": "adam"}, r"`optimizer` must be one of \('sgd', 'adamw'\); got 'adam'"),
        ({"beta2": 1}, r"`beta2` must be in \[0, 1\); got 1"),
        ({"learning_rate": "0.1"}, "`learning_rate` must be a number; got '0.1'"),
        ({"weight_decay": -1}, "`weight_decay` must be at least 0; got -1"),
        ({"epochs": 1.5}, "`epochs` must be a whole number; got 1.5"),
        ({"accumulate": 0}, "`accumulate` must be at least 1; got 0"),
        ({"final_learning_rate": 0.2}, "`final_learning_rate` must be from 0 to the learning rate, 0.1; got 0.2"),
        ({"schedule": "step"}, r"`schedule` must be one of \('cosine', 'linear'\); got 'step'"),
        ({"schedule_every": "batch"}, "`schedule_every` must be 'step' or 'epoch'; got 'batch'"),
        ({"warmup_epochs": 10}, "`warmup_epochs` must be at least 0 and below `epochs`, 10; got 10"),
        ({"clip": 0}, "`clip` must be positive, or None; got 0"),
        ({"clip": math.nan}, "`clip` must be positive"),
        ({"auxiliary_weight": -1}, "`auxiliary_weight` must be at least 0"),
        ({"drop_path": 1}, r"`drop_path` must be in \[0, 1\)"),
        ({"cutout": -1}, "`cutout` must be at least 0"),
        ({"resized_crop": 2}, r"`resized_crop` must be in \[0, 1\]"),
        ({"colour_jitter": math.inf}, "`colour_jitter`"),
        ({"randaugment": -1}, "`randaugment` must be at least 0; got -1"),
        ({"randaugment_magnitude": 31}, "`randaugment_magnitude` must be from 0 to 30; got 31"),
        ({"mixup": -0.1}, "`mixup` must be at least 0"),
        ({"cutmix": math.inf}, "`cutmix` must be at least 0"),
        ({"ema": 1}, r"`ema` must be in \[0, 1\); got 1"),
    ],
)
def test_settings_out_of_range(settings, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Recipe(**settings)


def test_nothing_to_look_ahead_by() -> None:
    assert not Recipe(momentum=0).nesterov
    make_optimizer(nn.Linear(2, 2), Recipe(momentum=0)).step()
    assert torch.is_grad_enabled()
