"""Training: what is learned, how it is measured, that it can be repeated, and how it fails."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from robonas.common.randomness import torch_generator
from robonas.datasets import from_arrays, from_dataset, load_dataset
from robonas.errors import ConfigError, DataError, NetworkError, ObjectiveError
from robonas.objectives import OBJECTIVES, Objective, TrainingObjective
from robonas.spaces import NASBench201
from robonas.training.device import choose_device, choose_precision
from tests.objectives.toy import FIRST, OTHER, TWIN, ToySpace, Wrapped, blobs
from tests.published import ROOT

CPU = {"device": "cpu", "threads": 1}


def training(data=None, **settings):
    return TrainingObjective(blobs() if data is None else data, **{"epochs": 2, "batch_size": 8, **CPU, **settings})


# ── by hand ──


def test_one_epoch_is_nesterov_descent_with_decay_on_matrices_only():
    """Two steps, done again with NumPy from the equations."""
    data = blobs(16, 2)
    space = ToySpace(lambda: nn.Linear(4, 2), n_classes=2)
    objective = training(
        data, epochs=1, batch_size=6, learning_rate=0.3, momentum=0.8, weight_decay=0.1, label_smoothing=0.2
    )
    answer = objective.evaluate(space, FIRST, seed=5)

    network = space.build_seeded(FIRST, 5)
    W, b = network.weight.detach().double().numpy(), network.bias.detach().double().numpy()
    part = objective.training_part
    x, y = part.inputs.double().numpy(), np.eye(2)[part.labels]
    order = torch.randperm(12, generator=torch_generator("order", 5, str(FIRST), 1)).tensor_split(2)
    velocity_W, velocity_b, losses = np.zeros_like(W), np.zeros_like(b), []
    for step, places in enumerate(order):
        rate = 0.15 * (1 + math.cos(math.pi * step / 2))
        inputs, targets = x[places], 0.8 * y[places] + 0.1
        logits = inputs @ W.T + b
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        losses.append(-(targets * log_p).sum(1).mean())
        gradient = (np.exp(log_p) - targets) / len(places)
        grad_W, grad_b = gradient.T @ inputs + 0.1 * W, gradient.sum(0)
        velocity_W, velocity_b = 0.8 * velocity_W + grad_W, 0.8 * velocity_b + grad_b
        W, b = W - rate * (grad_W + 0.8 * velocity_W), b - rate * (grad_b + 0.8 * velocity_b)
    np.testing.assert_allclose(answer.parameters["weight"], W, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer.parameters["bias"], b, rtol=1e-5, atol=1e-6)
    assert answer.curve[0].loss == pytest.approx(np.mean(losses), rel=1e-5)
    held_out = objective.validation_part
    guesses = (held_out.inputs.double().numpy() @ W.T + b).argmax(1)
    assert answer.value == pytest.approx((guesses == held_out.labels.numpy()).mean())


def test_value_is_that_of_the_returned_parameters_in_evaluation_mode():
    objective, space = training(measure="loss"), ToySpace()
    answer = objective.evaluate(space, FIRST, seed=0)
    network = space.build(FIRST)
    network.load_state_dict(answer.parameters)
    held_out = objective.validation_part
    with torch.no_grad():
        loss = F.cross_entropy(network.eval()(held_out.inputs), held_out.labels)
    assert answer.value == pytest.approx(float(loss), rel=1e-5)
    assert objective.direction == "minimize"
    assert objective.value_name == "validation loss"


def test_every_sample_is_seen_once_an_epoch_and_no_batch_is_a_single_sample():
    sizes = []

    class Spy(nn.Linear):
        def forward(self, x):
            if self.training:
                sizes.append(len(x))
            return super().forward(x)

    for n, batch_size, expected in ((17, 4, [4, 4, 4]), (17, 16, [12]), (19, 4, [4, 3, 3, 3]), (5, 2, [3])):
        sizes.clear()
        data = from_arrays(np.random.default_rng(0).normal(size=(n, 4)), np.arange(n) % 2)
        n_training = sum(expected)
        objective = training(data, epochs=1, batch_size=batch_size, validation_fraction=0.3)
        assert len(objective.training_part) == n_training
        objective.evaluate(ToySpace(lambda: Spy(4, 2), n_classes=2), FIRST, seed=0)
        assert sizes == expected


def test_batch_norm_meets_no_single_sample():
    data = blobs(45, 3)  # 33 to train with: 32 and a single one, were the last batch not shared out
    assert len(training(data).training_part) % 32 == 1
    assert 0 <= training(data, batch_size=32).evaluate(ToySpace(), FIRST, seed=0).value <= 1


# ── it learns ──


def test_digits_are_learned_by_a_good_cell():
    space = NASBench201(input_shape=(1, 8, 8), channels=8, depth=1)
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    points = []
    objective = TrainingObjective(load_dataset("digits"), epochs=2, batch_size=64, **CPU)
    answer = objective.evaluate(space, space.parse(cell), seed=0, report=points.append)
    assert answer.value > 0.9
    assert [(point.step, point.steps) for point in points] == [(1, 2), (2, 2)]
    assert tuple(points) == answer.curve
    assert points[1].loss < points[0].loss
    assert points[1].value == answer.value
    assert 0 < points[0].seconds < points[1].seconds <= answer.seconds
    network = space.build(space.parse(cell))
    network.load_state_dict(answer.parameters)


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": True, "crop": 1},
        {"momentum": 0},
        {"nesterov": False},
        {"label_smoothing": 0.1},
        {"optimizer": "adamw", "learning_rate": 0.02, "warmup_epochs": 2},
    ],
)
def test_variants_learn(settings):
    data = blobs(120, 3, (1, 4, 4), spread=0.2)
    space = ToySpace(
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        input_shape=(1, 4, 4),
    )
    assert training(data, epochs=15, **settings).evaluate(space, FIRST, seed=0).value > 0.6


def test_lazy_data_give_the_same_value():
    class Items(torch.utils.data.Dataset):
        def __init__(self):
            self.data = blobs()

        def __len__(self):
            return len(self.data)

        def __getitem__(self, index):
            return self.data.samples.values[index], int(self.data.labels[index])

    values = [
        training(from_dataset(Items(), memory_limit=limit)).evaluate(ToySpace(), FIRST, seed=0).parameters["1.weight"]
        for limit in (0, 10**9)
    ]
    assert torch.equal(*values)


# ── the same again ──


def same(one, other):
    return all(torch.equal(one.parameters[name], other.parameters[name]) for name in one.parameters)


def test_same_seed_same_value_whatever_ran_between():
    objective, space = training(), ToySpace()
    first = objective.evaluate(space, FIRST, seed=0)
    random.random(), np.random.default_rng().normal(), torch.rand(7)
    objective.evaluate(space, OTHER, seed=0)
    torch.manual_seed(9)

    def disturb(point):
        torch.rand(3), random.random()  # between two epochs, of which dropout must not hear

    again = objective.evaluate(space, FIRST, seed=0, report=disturb)
    assert same(first, again)
    assert first.value == again.value
    assert same(first, training().evaluate(ToySpace(), TWIN, seed=0))  # isomorphic
    assert not same(first, objective.evaluate(space, FIRST, seed=1))


def test_same_value_in_another_process():
    code = (
        "import json, torch; torch.rand(3);"
        "from tests.objectives.test_training import *;"
        "print(json.dumps(training().evaluate(ToySpace(), FIRST, seed=0).parameters['5.weight'].tolist()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == training().evaluate(ToySpace(), FIRST, seed=0).parameters["5.weight"].tolist()


def test_a_training_has_one_thread_unless_it_is_told_otherwise():
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return super().forward(x)

    space, before = ToySpace(lambda: Spy(4, 3)), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for settings, expected in (({}, 1), ({"threads": 2}, 2), ({"threads": None}, 3)):
            seen.clear()
            TrainingObjective(blobs(), epochs=1, device="cpu", **settings).evaluate(space, FIRST, seed=0)
            assert set(seen) == {expected}
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_global_state_is_left_alone():
    def state():
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.is_grad_enabled(),
        )

    threads = torch.get_num_threads()
    before = state()
    training(threads=threads + 1).evaluate(ToySpace(), FIRST, seed=0)
    assert state() == before
    with pytest.raises(ObjectiveError):
        training(threads=threads + 1).evaluate(ToySpace(lambda: 1 / 0), FIRST, seed=0)
    assert state() == before


def test_trains_within_no_grad_and_inference_mode():
    expected = training().evaluate(ToySpace(), FIRST, seed=0)
    with torch.no_grad():
        assert same(training().evaluate(ToySpace(), FIRST, seed=0), expected)
    with torch.inference_mode():
        assert same(training().evaluate(ToySpace(), FIRST, seed=0), expected)


def test_data_are_not_changed():
    data = blobs(shape=(1, 4, 4))
    kept = data.samples.values.clone()
    space = ToySpace(
        lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3)), input_shape=(1, 4, 4)
    )
    training(data, flip=True, crop=1).evaluate(space, FIRST, seed=0)
    assert torch.equal(kept, data.samples.values)


def test_split_is_the_same_for_all_seeds_and_the_batch_is_of_the_training_part():
    data = from_arrays(np.arange(80.0)[:, None], np.arange(80) % 2)
    objective = training(data, validation_fraction=0.5, split_seed=3)
    held_out = {float(value) for value in objective.validation_part.inputs}
    seen = {float(value) for seed in range(5) for value in objective.batch(40, seed).inputs}
    assert not held_out & seen


def test_settings_are_json_and_tell_data_apart():
    one, other = training(blobs()), training(blobs(63))
    assert json.loads(json.dumps(one.settings)) == one.settings
    assert one.settings == training(blobs()).settings != other.settings
    for change in ({"epochs": 3}, {"crop": 1}, {"split_seed": 1}, {"measure": "loss"}, {"logits": len}):
        data = blobs(shape=(1, 4, 4))
        assert training(data, **change).settings != training(data).settings


def test_frozen_parameters_stay():
    def make():
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
        network[0].requires_grad_(requires_grad=False)
        return network

    space = ToySpace(make)
    answer = training().evaluate(space, FIRST, seed=0)
    before = space.build_seeded(FIRST, 0).state_dict()
    assert torch.equal(answer.parameters["0.weight"], before["0.weight"])
    assert not torch.equal(answer.parameters["1.weight"], before["1.weight"])


# ── it fails clearly ──


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda y: y * math.nan, "diverged in epoch 1 of 2: the loss is not finite"),
        (lambda y: (y * 1e30) ** 3, "diverged in epoch 1 of 2: the loss is not finite"),
    ],
)
def test_not_finite(change, reason):
    with pytest.raises(ObjectiveError, match=reason):
        training().evaluate(ToySpace(lambda: Wrapped(change)), FIRST, seed=0)


def test_exploding():
    space = ToySpace(lambda: Wrapped(lambda y: y**3))
    with pytest.raises(
        ObjectiveError, match=r"Training diverged in epoch \d of 9: .* A smaller learning rate may help"
    ):
        training(epochs=9, learning_rate=1e12).evaluate(space, FIRST, seed=0)


def test_not_finite_in_validation_only():
    class Late(nn.Linear):
        def forward(self, x):
            return super().forward(x) if self.training else super().forward(x) * math.inf

    with pytest.raises(ObjectiveError, match="diverged in epoch 1 of 2: outputs on held-out samples are not finite"):
        training().evaluate(ToySpace(lambda: Late(4, 3)), FIRST, seed=0)


class Crash(nn.Linear):
    """Raises at its third forward pass in training mode."""

    def __init__(self, error):
        super().__init__(4, 3)
        self.error, self.calls = error, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == 8:
            raise self.error
        return super().forward(x)


def test_a_crash_is_a_failure_with_its_epoch():
    with pytest.raises(ObjectiveError, match=r"Training crashed in epoch 2 of 2: ValueError: boom") as caught:
        training().evaluate(ToySpace(lambda: Crash(ValueError("boom"))), FIRST, seed=0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_crash_in_backward():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("no gradient here")

    with pytest.raises(ObjectiveError, match=r"crashed in epoch 1 of 2: RuntimeError: no gradient here"):
        training().evaluate(ToySpace(lambda: Wrapped(Bad.apply)), FIRST, seed=0)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_out_of_memory(error):
    with pytest.raises(ObjectiveError, match=r"ran out of memory in epoch 2 of 2. Use a smaller batch size"):
        training().evaluate(ToySpace(lambda: Crash(error)), FIRST, seed=0)


def test_a_crash_lets_its_tensors_go():
    import weakref

    kept = []

    class Holds(nn.Linear):
        def forward(self, x):
            big = torch.zeros(1000)
            kept.append(weakref.ref(big))
            raise ValueError(str(len(x)))

    with pytest.raises(ObjectiveError) as caught:
        training().evaluate(ToySpace(lambda: Holds(4, 3)), FIRST, seed=0)
    assert kept[0]() is None
    assert caught.value.__cause__ is not None


def test_a_network_that_cannot_be_built():
    with pytest.raises(ObjectiveError, match=r"Training crashed in building: ZeroDivisionError"):
        training().evaluate(ToySpace(lambda: 1 / 0), FIRST, seed=0)


def test_nothing_to_train():
    with pytest.raises(ObjectiveError, match="no parameters to train"):
        training().evaluate(ToySpace(nn.Identity), FIRST, seed=0)


def test_interrupts_and_reports_pass_through():
    with pytest.raises(KeyboardInterrupt):
        training().evaluate(ToySpace(lambda: Crash(KeyboardInterrupt())), FIRST, seed=0)

    class PrunedError(Exception):
        pass

    def prune(point):
        raise PrunedError

    with pytest.raises(PrunedError):
        training().evaluate(ToySpace(), FIRST, seed=0, report=prune)


FORMS = {
    "tuple": (lambda y: (y, y * 2), lambda out: out[0]),
    "features first": (lambda y: (y * 2, y), lambda out: out[1]),
    "dict": (lambda y: {"logits": y}, lambda out: out["logits"]),
    "more dimensions": (lambda y: y[:, None], lambda out: out[:, 0]),
}


@pytest.mark.parametrize("form", FORMS)
def test_other_outputs_need_the_hook_and_then_give_the_same_value(form):
    change, pick = FORMS[form]
    space = ToySpace(lambda: Wrapped(change))
    with pytest.raises(NetworkError, match=r"must return .*logits.*; got"):
        training().evaluate(space, FIRST, seed=0)
    plain = training().evaluate(ToySpace(lambda: Wrapped(lambda y: y)), FIRST, seed=0)
    assert same(training(logits=pick).evaluate(space, FIRST, seed=0), plain)


def test_sentences_about_outputs():
    with pytest.raises(NetworkError, match=r"must return a tensor of logits; got a tuple. Pick it with `logits`"):
        training().evaluate(ToySpace(lambda: Wrapped(lambda y: (y, y))), FIRST, seed=0)
    with pytest.raises(NetworkError, match=r"logits of shape \(8, 3\), one a sample and class; got \(8, 5\)"):
        training().evaluate(ToySpace(lambda: Wrapped(lambda y: y, 5)), FIRST, seed=0)
    with pytest.raises(NetworkError, match=r"The `logits` hook must return a tensor of logits; got a NoneType"):
        training(logits=lambda out: None).evaluate(ToySpace(), FIRST, seed=0)


@pytest.mark.parametrize("space", [ToySpace(input_shape=(5,)), ToySpace(n_classes=4)])
def test_a_space_for_other_data(space):
    with pytest.raises(ConfigError, match=r"made for the data, input_shape=\(4,\) and n_classes=3; got"):
        training().evaluate(space, FIRST, seed=0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "`epochs` must be at least 1; got 0"),
        ({"batch_size": 1}, "`batch_size` must be at least 2; got 1"),
        ({"learning_rate": 0}, "`learning_rate` must be positive"),
        ({"learning_rate": math.nan}, "`learning_rate` must be positive"),
        ({"momentum": 1}, "`momentum` must be in"),
        ({"weight_decay": -1}, "`weight_decay`"),
        ({"label_smoothing": 1}, "`label_smoothing`"),
        ({"crop": -1}, "`crop`"),
        ({"crop": 1}, r"are for images .* got \(4,\)"),
        ({"flip": True}, r"are for images .* got \(4,\)"),
        ({"validation_fraction": 1.5}, "between 0 and 1"),
        ({"measure": "acuracy"}, "`measure` must be one of"),
        ({"threads": 0}, "`threads`"),
        ({"n_workers": -1}, "`n_workers`"),
        ({"device": "gpu"}, "Device must be 'auto'"),
        ({"device": "meta"}, "not available here"),
        ({"mixed_precision": True}, "needs a GPU"),
        ({"mixed_precision": "yes"}, "must be 'auto', True, False, 'bf16' or 'fp16'"),
    ],
)
def test_settings_out_of_range(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        training(**settings)


def test_data_that_cannot_be_split():
    with pytest.raises(DataError, match="class '1' has 1"):
        training(from_arrays(np.zeros((4, 4)), [0, 0, 0, 1]))


def test_devices_and_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cuda:1").index == 1
    with pytest.raises(ConfigError, match="there are 2 CUDA devices"):
        choose_device("cuda:2")
    gpu = torch.device("cuda")
    for has_bfloat16, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has_bfloat16: has)
        assert choose_precision("auto", gpu) == expected
    assert choose_precision(False, gpu) == torch.float32
    assert choose_precision("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_learns_with_parameters_kept_in_full(precision):
    objective = training(epochs=8)
    objective.precision = precision  # as on a GPU; here to run the same lines
    answer = objective.evaluate(ToySpace(), FIRST, seed=0)
    assert answer.value > 0.8
    assert answer.parameters["1.weight"].dtype == torch.float32
    assert not same(answer, training(epochs=8).evaluate(ToySpace(), FIRST, seed=0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("mixed", [True, False])
def test_on_a_gpu(mixed):
    answers = [
        training(epochs=10, device="cuda", mixed_precision=mixed).evaluate(ToySpace(), FIRST, seed=0) for _ in range(2)
    ]
    assert answers[0].value == answers[1].value > 0.8
    assert all(entry.device.type == "cpu" for entry in answers[0].parameters.values())


def test_catalogue():
    assert list(OBJECTIVES) == ["command", "function", "table", "training"]
    assert all(issubclass(entry, Objective) and entry.name == name for name, entry in OBJECTIVES.items())
