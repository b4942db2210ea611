"""TransNAS-Bench-101: texts, tasks, heads and rules."""

import pytest
import torch

from robonas.architecture import Architecture
from robonas.datasets.targets import loss_of
from robonas.errors import ArchitectureError, ConfigError, UnknownNameError
from robonas.spaces import TransNASMacro, TransNASMicro
from robonas.spaces.transnas import TASKS

SMALL = {"channels": 2}
OUTPUTS = {
    "autoencoder": (3, 64, 64),
    "class_object": (100,),
    "class_scene": (63,),
    "jigsaw": (1000,),
    "normal": (3, 64, 64),
    "room_layout": (9,),
    "segmentsemantic": (17, 64, 64),
}


def targets_of(task, n):
    """Targets of the kind that the task has."""
    if task == "segmentsemantic":
        return torch.randint(0, 17, (n, 64, 64))
    if TASKS[task].kind == "classification":
        return torch.randint(0, TASKS[task].n_outputs, (n,))
    return torch.rand(n, *OUTPUTS[task])


def small(cls, task):
    return cls(task=task, input_shape=(9, 3, 16, 16) if task == "jigsaw" else (3, 64, 64), **SMALL)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_trains_on_micro(task):
    space = small(TransNASMicro, task)
    assert space.output_shape == OUTPUTS[task]
    network = space.build_seeded(space.parse("3_33_123"))
    outputs = network(torch.randn(2, *space.input_shape))
    assert outputs.shape == (2, *OUTPUTS[task])
    loss = loss_of(outputs, targets_of(task, 2), TASKS[task].kind)
    assert loss.ndim == 0
    assert loss.item() > 0
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@pytest.mark.parametrize("task", ["jigsaw", "segmentsemantic", "normal"])
@pytest.mark.parametrize("text", ["1242", "333312", "4112"])
def test_answers_of_macro_have_the_tasks_shape_whatever_the_halvings(task, text):
    space = small(TransNASMacro, task)
    assert space.failure(space.parse(text)) is None


def test_images_are_in_the_range_of_their_targets():
    space = small(TransNASMicro, "autoencoder")
    image = space.build_seeded(space.parse("3_33_123"))(10 * torch.randn(2, 3, 64, 64))
    assert image.abs().max().item() <= 1


def test_jigsaw_looks_at_every_patch():
    space = small(TransNASMicro, "jigsaw")
    network = space.build_seeded(space.parse("3_33_123")).eval()
    x = torch.randn(2, 9, 3, 16, 16)
    swapped = x[:, [1, 0, *range(2, 9)]]
    assert not torch.allclose(network(x), network(swapped))


def test_texts_of_micro():
    space = TransNASMicro()
    architecture = space.parse("64-41414-3_02_123")
    assert dict(architecture) == {
        "edge_0_1": "nor_conv_3x3",
        "edge_0_2": "none",
        "edge_1_2": "nor_conv_1x1",
        "edge_0_3": "skip_connect",
        "edge_1_3": "nor_conv_1x1",
        "edge_2_3": "nor_conv_3x3",
    }
    assert (
        space.parse("(3, 0, 2, 1, 2, 3)") == space.parse("3, 0, 2, 1, 2, 3") == space.parse("3_02_123") == architecture
    )
    assert space.format(architecture) == "64-41414-3_02_123"
    assert TransNASMicro(channels=8).format(architecture) == "8-41414-3_02_123"


def test_texts_of_macro():
    space = TransNASMacro()
    architecture = space.parse("64-1242-basic")
    assert tuple(architecture.values()) == (1, 2, 4, 2, 0, 0)
    assert space.parse("(1, 2, 4, 2, 0, 0)") == space.parse("1242") == architecture
    assert space.format(architecture) == "64-1242-basic"


@pytest.mark.parametrize("text", ["64-41414-3_33_12", "4_33_123", "64-1242-basic", "3_33_1234", "(3, 3, 3, 3, 3)"])
def test_wrong_texts_of_micro(text):
    with pytest.raises(ArchitectureError, match="must read like '64-41414-3_33_123' or '\\(3, 3, 3, 1, 2, 3\\)'"):
        TransNASMicro().parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("64-124-basic", "must read like '64-1242-basic'"),
        ("64-1242424-basic", "must read like"),
        ("64-41414-3_33_123", "must read like"),
        ("1111", r"must have 4 to 6 modules, without gaps, .* got \(1, 1, 1, 1, 0, 0\)"),
        ("1112", "1 to 4 halve"),
        ("1113", "1 to 3 double"),
        ("33333", "1 to 4 halve"),
        ("4444", "1 to 3 double"),
        ("(1, 2, 4, 2, 0, 1)", "without gaps"),
        ("(1, 2, 4, 0, 0, 0)", "Choice 'module_4' of transnas_macro must be one of 1, 2, 3, 4; got 0"),
    ],
)
def test_wrong_texts_of_macro(text, message):
    with pytest.raises(ArchitectureError, match=message):
        TransNASMacro().parse(text)


def test_a_disconnected_cell_is_a_constant():
    space = TransNASMicro(input_shape=(3, 32, 32), channels=4)
    network = space.build_seeded(space.parse("0_00_000"))
    logits = network(torch.randn(3, 3, 32, 32))
    assert logits.shape == (3, 63)
    assert torch.equal(logits[0], logits[1])


def test_dead_edges_change_nothing():
    space = TransNASMicro(input_shape=(3, 32, 32), channels=4)
    x = torch.randn(2, 3, 32, 32)
    one, other = space.parse("3_00_100"), space.parse("0_03_100")
    assert space.canonical(one) == space.canonical(other)
    assert torch.equal(space.build_seeded(one)(x), space.build_seeded(other)(x))
    assert space.canonical(space.parse("3_01_100")) != space.canonical(space.parse("3_01_101"))


def test_neighbours_of_macro_keep_the_rules():
    space = TransNASMacro()
    neighbours = space.neighbours(space.parse("1242"))
    assert Architecture({**space.parse("1242"), "module_5": 3}) in neighbours
    assert all(space.contains(neighbour) for neighbour in neighbours)


@pytest.mark.parametrize("cls", [TransNASMicro, TransNASMacro])
def test_impossible_settings(cls):
    with pytest.raises(
        UnknownNameError,
        match=r"Unknown task 'scene' of TransNAS-Bench-101. Did you mean 'class_scene'",
    ):
        cls(task="scene")
    with pytest.raises(ConfigError, match="must be even and at least 2; got 3"):
        cls(channels=3)
    with pytest.raises(ConfigError, match=r"\(channels, height, width\) for class_scene; got \(9, 3, 64, 64\)"):
        cls(input_shape=(9, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"\(9, channels, height, width\) for jigsaw; got \(3, 64, 64\)"):
        cls(task="jigsaw", input_shape=(3, 64, 64))
    with pytest.raises(ConfigError, match=r"must be multiples of \d\d for normal, whose answer is as large"):
        cls(task="normal", input_shape=(3, 72, 72))
