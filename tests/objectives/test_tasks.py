"""Trainings of every kind of task: they learn, are judged as the task is, and refuse what does not fit."""

import numpy as np
import pytest
import torch
from torch import nn

from robonas.datasets import from_arrays
from robonas.datasets.targets import TASKS, loss_of
from robonas.errors import ConfigError, NetworkError
from robonas.objectives import TrainingObjective
from robonas.spaces import TransNASMicro, from_choices
from tests.objectives.toy import task_data

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(40, 2, 4, 4)).astype(np.float32)


def data_of(task):
    """What a 1×1 convolution or a linear layer could answer."""
    return task_data(task, INPUTS, INPUTS)


class Net(nn.Module):
    """A 1×1 convolution, and the mean of its maps where numbers are wanted."""

    def __init__(self, maps, squashed):
        super().__init__()
        self.layer = nn.Conv2d(2, 3, 1)
        self.maps, self.squashed = maps, squashed

    def forward(self, x):
        y = self.layer(x)
        y = y.tanh() if self.squashed else y
        return y if self.maps else y.mean((2, 3))


def space_of(task):
    """One network, in a space that answers maps where the task wants them."""
    maps = task in {"segmentation", "image"}
    shape = {"output_shape": (3, 4, 4)} if maps else {}
    return from_choices({"a": [1]}, lambda a: Net(maps, task == "image"), input_shape=(2, 4, 4), n_classes=3, **shape)


def training(task, **settings):
    return TrainingObjective(
        data_of(task), **{"epochs": 12, "batch_size": 10, "threads": 1, "learning_rate": 0.5, **settings}
    )


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_task_learns(task):
    space, objective = space_of(task), training(task)
    answer = objective.evaluate(space, space.at(0), seed=0)
    losses = [point.loss for point in answer.curve]
    assert losses[-1] < 0.8 * losses[0]
    if objective.direction == "maximize":
        assert answer.value > 0.6
    else:
        assert answer.value < 0.69
    assert answer.value == objective.evaluate(space, space.at(0), seed=0).value


@pytest.mark.parametrize("task", TASKS)
def test_the_value_is_that_of_the_returned_parameters(task):
    space, objective = space_of(task), training(task, measure="loss", epochs=2)
    answer = objective.evaluate(space, space.at(0), seed=1)
    network = space.build(space.at(0))
    network.load_state_dict(answer.parameters)
    held_out = objective.validation_part
    with torch.no_grad():
        expected = loss_of(network(held_out.inputs), held_out.labels, task)
    assert answer.value == pytest.approx(float(expected), rel=1e-5)
    assert (objective.direction, objective.value_name) == ("minimize", "validation loss")


def test_numbers_are_learned_in_deviations_from_the_mean():
    objective = training("regression")
    assert objective.value_name == "validation R²"
    part = objective.training_part
    assert part.labels.mean(0).abs().max() < 1e-5
    assert part.label_mean == pytest.approx(data_of("regression").labels[part.rows].mean(0).tolist(), rel=1e-5)


def test_names_and_defaults():
    measures = {task: training(task).settings["measure"] for task in TASKS}
    assert measures == {
        "classification": "accuracy",
        "multilabel": "loss",
        "regression": "r2",
        "segmentation": "mean_iou",
        "image": "ssim",
    }


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("regression", {"measure": "accuracy"}, "must be one of r2, mae, loss for regression; got 'accuracy'"),
        ("image", {"label_smoothing": 0.1}, "`label_smoothing` needs classes; got 0.1 for image"),
        ("segmentation", {"flip": True}, "whose targets are no maps"),
        ("image", {"crop": 1}, "whose targets are no maps"),
    ],
)
def test_settings_that_do_not_suit_the_task(task, settings, message):
    with pytest.raises(ConfigError, match=message):
        training(task, **settings)


def test_spaces_that_do_not_suit_the_task():
    space = space_of("regression")
    with pytest.raises(ConfigError, match="answer classification, multilabel, regression; the data's task is image"):
        training("image").evaluate(space, space.at(0), seed=0)
    space = TransNASMicro(task="segmentsemantic", input_shape=(2, 32, 32), n_classes=3, channels=2)
    with pytest.raises(ConfigError, match=r"answer segmentation; the data's task is image. Take another space, or"):
        training("image").evaluate(space, space.at(0), seed=0)
    space, other = space_of("segmentation"), np.zeros((40, 2, 2), dtype=np.int64)
    with pytest.raises(ConfigError, match=r"\(3, 4, 4\); got \(3, 2, 2\). Resize them"):
        TrainingObjective(from_arrays(INPUTS, other, n_classes=3, task="segmentation")).evaluate(
            space, space.at(0), seed=0
        )


def test_networks_that_answer_in_another_shape():
    shapes = {"input_shape": (2, 4, 4), "n_classes": 3, "output_shape": (3, 4, 4)}
    wrong = from_choices({"a": [1]}, lambda a: Net(False, False), **shapes)
    with pytest.raises(NetworkError, match=r"of shape \(10, 3, 4, 4\), one map a sample and class; got \(10, 3\)"):
        training("segmentation").evaluate(wrong, wrong.at(0), seed=0)
    for shape in ((4, 4), (4, 4, 4), (3, 4)):
        with pytest.raises(ConfigError, match=r"`output_shape` must be \(n_classes,\) or \(n_classes, height, width\)"):
            from_choices({"a": [1]}, Net, **{**shapes, "output_shape": shape})


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentsemantic", "normal", "autoencoder"])
def test_decoders_of_the_benchmark_learn(task):
    from robonas.datasets import load_dataset

    names = {"segmentsemantic": "digits_segment", "normal": "digits_normal", "autoencoder": "digits_autoencoder"}
    data = load_dataset(names[task])
    space = TransNASMicro(task=task, input_shape=data.input_shape, n_classes=data.n_classes, channels=4)
    objective = TrainingObjective(
        data, epochs=12, batch_size=16, threads=1, training_fraction=0.06, validation_fraction=0.05
    )
    answer = objective.evaluate(space, space.parse("3_31_123"), seed=0)
    losses = [point.loss for point in answer.curve]
    assert losses[-1] < 0.75 * losses[0]
