"""Metrics on every kind of task: their loss is the task's, and what is not defined for a task says so."""

import pytest
import torch
from torch import nn

from robonas.common.randomness import seeded
from robonas.datasets.batch import Batch
from robonas.datasets.targets import TASKS, loss_of
from robonas.errors import NetworkError
from robonas.metrics import METRICS, score_network
from robonas.spaces import make_space
from robonas.spaces.transnas import TASKS as BENCHMARK_TASKS

PAPER = ["grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"]


def targets_of(task, n, n_outputs, side):
    generator = torch.Generator().manual_seed(1)
    return {
        "classification": torch.randint(n_outputs, (n,), generator=generator),
        "multilabel": torch.rand(n, n_outputs, generator=generator),
        "regression": torch.randn(n, n_outputs, generator=generator),
        "segmentation": torch.randint(n_outputs, (n, side, side), generator=generator),
        "image": torch.rand(n, n_outputs, side, side, generator=generator),
    }[task]


class Net(nn.Module):
    """Two convolutions, and the mean of their maps where numbers are wanted."""

    def __init__(self, *, maps):
        super().__init__()
        self.first, self.last, self.maps = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 1), maps

    def forward(self, x):
        y = self.last(self.first(x).relu())
        return y if self.maps else y.mean((2, 3))


def case(task):
    inputs = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    with seeded("case", task):
        return Net(maps=task in {"segmentation", "image"}), Batch(inputs, targets_of(task, 6, 3, 5), 3, task)


@pytest.mark.parametrize("task", TASKS)
def test_gradients_are_of_the_tasks_loss(task):
    network, batch = case(task)
    scores = score_network(network, batch, ["grad_norm", "snip"])
    gradients = torch.autograd.grad(
        loss_of(network(batch.inputs), batch.targets, task), [network.first.weight, network.last.weight]
    )
    weights = [network.first.weight, network.last.weight]
    norm = sum(float(gradient.norm()) for gradient in gradients)
    assert scores["grad_norm"].value == pytest.approx(norm, rel=1e-4)
    products = sum(float((g * w).detach().abs().sum()) for g, w in zip(gradients, weights, strict=True))
    assert scores["snip"].value == pytest.approx(products, rel=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_micro_batches_change_nothing(task):
    network, batch = case(task)
    whole = score_network(network, batch, PAPER)
    parts = score_network(network, batch, PAPER, micro_batch=2)
    for name in PAPER:
        assert whole[name].reason is None, whole[name].reason
        assert parts[name].value == pytest.approx(whole[name].value, rel=1e-3), name


@pytest.mark.parametrize("task", TASKS)
def test_each_metric_is_defined_for_a_task_or_says_so(task):
    network, batch = case(task)
    scores = score_network(network, batch, list(METRICS))
    undefined = {name for name, score in scores.items() if score.reason is not None}
    refused = {name for name, metric in METRICS.items() if task not in metric.tasks}
    assert refused <= undefined
    assert all(f"the batch's task is {task}" in scores[name].reason for name in refused)
    assert len(undefined - refused) <= 4, {name: scores[name].reason for name in undefined - refused}


def test_maps_of_another_shape_are_told():
    network, batch = case("segmentation")
    network.maps = False
    with pytest.raises(NetworkError, match=r"of shape \(6, 3, 5, 5\), one row a sample and one map for each of 3"):
        score_network(network, batch, ["snip"])


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(BENCHMARK_TASKS))
def test_metrics_on_the_heads_of_the_benchmark(task):
    card = BENCHMARK_TASKS[task]
    shape = (9, 3, 16, 16) if task == "jigsaw" else (3, 32, 32)
    space = make_space("transnas_micro", task=task, input_shape=shape, channels=4, n_classes=5)
    inputs = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    batch = Batch(inputs, targets_of(card.kind, 4, 5, 32), 5, card.kind)
    space.check_data(batch)
    scores = score_network(space.build_seeded(space.parse("3_31_123")), batch, list(METRICS))
    defined = [name for name, score in scores.items() if score.reason is None]
    assert len(defined) >= 25, {name: score.reason for name, score in scores.items()}
    assert {"grad_norm", "snip", "grasp", "fisher"} <= set(defined)
