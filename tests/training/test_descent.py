"""What a recipe does to a training, step by step: clipping, pieces of batches, the auxiliary head, dropped paths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from robonas.common.randomness import torch_generator
from robonas.datasets import from_arrays, load_dataset
from robonas.errors import ConfigError, NetworkError
from robonas.objectives import TrainingObjective
from robonas.spaces.darts import DARTS
from tests.objectives.toy import FIRST, ToySpace, blobs

CPU = {"device": "cpu", "threads": 1}
PLAIN = {"epochs": 1, "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.5, **CPU}


def gradients(objective, space, targets_of=F.cross_entropy):
    """A network before its first step, and the gradients of the loss on all training samples."""
    network = space.build_seeded(FIRST, 0).train()
    part = objective.training_part
    targets_of(network(part.inputs), part.labels).backward()
    return network, [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("clip", [None, 0.1, 1e6])
def test_clip_scales_the_gradient_to_its_norm(clip) -> None:
    space, data = ToySpace(lambda: nn.Linear(4, 3)), blobs()
    objective = TrainingObjective(data, batch_size=100, clip=clip, **PLAIN)
    network, gradient = gradients(objective, space)
    norm = float(torch.sqrt(sum((entry**2).sum() for entry in gradient)))
    assert norm > 0.1
    scale = 0.1 / norm if clip == 0.1 else 1.0
    answer = objective.evaluate(space, FIRST, seed=0)
    for (name, parameter), entry in zip(network.named_parameters(), gradient, strict=True):
        assert torch.allclose(answer.parameters[name], parameter - 0.5 * scale * entry, atol=1e-5)


@pytest.mark.parametrize("pieces", [2, 3, 7])
def test_pieces_of_a_batch_give_the_gradient_of_the_whole(pieces) -> None:
    space = ToySpace(lambda: nn.Linear(4, 3))
    settings = {**PLAIN, "epochs": 3, "batch_size": 20}
    whole = TrainingObjective(blobs(), **settings).evaluate(space, FIRST, seed=0)
    cut = TrainingObjective(blobs(), accumulate=pieces, **settings).evaluate(space, FIRST, seed=0)
    for name in whole.parameters:
        assert torch.allclose(whole.parameters[name], cut.parameters[name], atol=1e-6)
    assert cut.curve[-1].loss == pytest.approx(whole.curve[-1].loss, abs=1e-6)


def test_pieces_need_samples() -> None:
    with pytest.raises(ConfigError, match=r"batches in 100 pieces need at least 200 samples to train with; got 45"):
        TrainingObjective(blobs(), accumulate=100, **PLAIN).evaluate(ToySpace(), FIRST, seed=0)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.side = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        y = self.body(x)
        return (self.head(y), self.side(y)) if self.training else self.head(y)


def test_the_auxiliary_head_adds_its_share_of_the_loss() -> None:
    space, data = ToySpace(TwoHeads), blobs()
    objective = TrainingObjective(data, batch_size=100, auxiliary_weight=0.4, label_smoothing=0.1, **PLAIN)

    def loss(returned, targets):
        one, other = (F.cross_entropy(logits, targets, label_smoothing=0.1) for logits in returned)
        return one + 0.4 * other

    network, gradient = gradients(objective, space, loss)
    answer = objective.evaluate(space, FIRST, seed=0)
    for (name, parameter), entry in zip(network.named_parameters(), gradient, strict=True):
        assert torch.allclose(answer.parameters[name], parameter - 0.5 * entry, atol=1e-5)


def test_heads_that_do_not_fit_the_recipe() -> None:
    with pytest.raises(NetworkError, match=r"must return \(logits, auxiliary logits\); got a Tensor. Make"):
        TrainingObjective(blobs(), auxiliary_weight=0.4, **PLAIN).evaluate(ToySpace(), FIRST, seed=0)
    with pytest.raises(NetworkError, match="or train both heads of a network"):
        TrainingObjective(blobs(), **PLAIN).evaluate(ToySpace(TwoHeads), FIRST, seed=0)
    with pytest.raises(ConfigError, match="leave out `logits`"):
        TrainingObjective(blobs(), auxiliary_weight=0.4, logits=lambda returned: returned[0], **PLAIN)


def test_paths_are_dropped_more_and_more() -> None:
    rates = []

    class Spy(nn.Linear):
        drop_path = 0.0

        def forward(self, x):
            if self.training:
                rates.append(self.drop_path)
            return super().forward(x)

    objective = TrainingObjective(blobs(), epochs=4, batch_size=100, drop_path=0.2, **CPU)
    objective.evaluate(ToySpace(lambda: Spy(4, 3)), FIRST, seed=0)
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15])


def test_a_share_of_the_samples_is_trained_with() -> None:
    data = from_arrays(np.arange(80.0)[:, None], np.arange(80) % 2)
    whole = TrainingObjective(data, validation_fraction=0.25, **PLAIN)
    part = TrainingObjective(data, validation_fraction=0.25, training_fraction=0.25, **PLAIN)
    assert (len(part.training_part), len(part.validation_part)) == (20, 20)
    assert torch.equal(part.validation_part.rows, whole.validation_part.rows)
    assert set(part.training_part.rows.tolist()) < set(whole.training_part.rows.tolist())
    assert int((part.training_part.labels == 0).sum()) == 10
    assert set(part.batch(20, 0).inputs.flatten().tolist()) == set(part.training_part.inputs.flatten().tolist())
    all_that_is_left = TrainingObjective(data, validation_fraction=0.1, training_fraction=0.9, **PLAIN)
    assert len(all_that_is_left.training_part) == 72
    for wrong in (0, 0.8, -1):
        with pytest.raises(ConfigError, match=r"at most what is not held out, 0\.75; got"):
            TrainingObjective(data, validation_fraction=0.25, training_fraction=wrong, **PLAIN)


def test_networks_smaller_than_the_images_see_crops_of_them() -> None:
    seen = {True: set(), False: set()}

    class Spy(nn.Linear):
        def forward(self, x):
            seen[self.training].add(tuple(x.shape[1:]))
            return super().forward(x.flatten(1))

    images = torch_generator("images")
    data = from_arrays(torch.randint(256, (40, 3, 10, 8), dtype=torch.uint8, generator=images), torch.arange(40) % 2)
    space = ToySpace(lambda: Spy(3 * 6 * 6, 2), input_shape=(3, 6, 6), n_classes=2)
    with pytest.raises(ConfigError, match=r"made for the data, input_shape=\(3, 10, 8\) and n_classes=2; got \(3, 6"):
        TrainingObjective(data, **PLAIN).evaluate(space, FIRST, seed=0)
    recipe = {"resized_crop": 0.3, "colour_jitter": 0.4, "flip": True, "cutout": 2, **PLAIN}
    TrainingObjective(data, **recipe).evaluate(space, FIRST, seed=0)
    assert seen == {True: {(3, 6, 6)}, False: {(3, 6, 6)}}
    objective = TrainingObjective(data, **recipe)
    batch = objective.batch(4, 0)
    assert torch.equal(objective.as_seen(batch, space).inputs, batch.inputs[:, :, 2:8, 1:7])
    wide = ToySpace(lambda: Spy(1, 2), input_shape=(3, 6, 9), n_classes=2)
    with pytest.raises(ConfigError, match=r"\(3, 10, 8\) or a smaller height and width .*got \(3, 6, 9\)"):
        TrainingObjective(data, **recipe).evaluate(wide, FIRST, seed=0)
    with pytest.raises(ConfigError, match="for images of bytes"):
        TrainingObjective(from_arrays(torch.rand(8, 3, 4, 4), [0, 1] * 4), colour_jitter=0.1, **PLAIN).evaluate(
            ToySpace(lambda: Spy(48, 2), input_shape=(3, 4, 4), n_classes=2), FIRST, seed=0
        )


def test_darts_learns_by_all_of_the_published_recipe() -> None:
    data = load_dataset("digits")
    space = DARTS(input_shape=data.input_shape, channels=4, layers=3, auxiliary=True)
    cell = space.parse(
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
        "normal_concat=range(2, 6), "
        "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
        "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
        "reduce_concat=range(2, 6))"
    )
    objective = TrainingObjective(
        data,
        epochs=4,
        batch_size=64,
        learning_rate=0.1,
        nesterov=False,
        decay_all=True,
        schedule_every="epoch",
        clip=5.0,
        auxiliary_weight=0.4,
        drop_path=0.2,
        crop=1,
        cutout=2,
        **CPU,
    )
    answer = objective.evaluate(space, cell, seed=0)
    assert answer.value > 0.5
    assert answer.curve[-1].loss < answer.curve[0].loss
    again = objective.evaluate(space, cell, seed=0)
    assert all(torch.equal(entry, again.parameters[name]) for name, entry in answer.parameters.items())
