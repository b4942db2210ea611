"""NAS-Bench-201 against its published order, parameters and classes."""

import functools
import random

import numpy as np
import pytest
import torch

from robonas.architecture import Architecture
from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces.nasbench201 import EDGE_NAMES, NASBench201
from tests.published import table

SPACE = NASBench201()
ALL_NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
DIRECT_NONE_ELSE_CONV = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@functools.cache
def published():
    return table("nb201-cifar10")


@functools.cache
def cells():
    return tuple(SPACE)


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_official_order_is_the_tables():
    assert [SPACE.format(cell) for cell in cells()] == published()["arch"].tolist()
    assert [SPACE.at(index) for index in (0, 1, 284, 15624)] == [cells()[index] for index in (0, 1, 284, 15624)]


def test_parameters_are_the_published_ones():
    found = np.array([SPACE.count_parameters(cell) for cell in cells()])
    assert np.array_equal(found, np.rint(published()["params"].to_numpy() * 1e6).astype(int))


def test_parameters_of_the_other_data_sets():
    imagenet = table("nb201-ImageNet16-120")["params"].to_numpy() * 1e6
    space = NASBench201(n_classes=120, input_shape=(3, 16, 16))
    found = np.array([space.count_parameters(cell) for cell in cells()])
    assert np.array_equal(found, np.rint(imagenet).astype(int))


def test_the_sample_of_cifar100_counts_dead_edges_too():
    # NAS-Bench-Suite-Zero built each cell as written, with operations whose results are never used.
    space = NASBench201(n_classes=100)
    weights = {"nor_conv_1x1": [1, 2], "nor_conv_3x3": [9, 2]}
    for row in table("nb201-cifar100-sample").itertuples():
        cell = space.parse(row.arch)
        dead = [cell[name] for name, option in space.canonical(cell).items() if option != cell[name]]
        unused = sum(
            5 * (weights[op][0] * w * w + weights[op][1] * w) for op in dead if op in weights for w in (16, 32, 64)
        )
        assert space.count_parameters(cell) + unused == round(row.params * 1e6)


@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        NASBench201(n_classes=100),
        NASBench201(input_shape=(1, 8, 8), channels=4, depth=1),
        NASBench201(input_shape=(5, 9, 7), n_classes=1, channels=3, depth=2),
    ],
)
def test_built_networks_have_the_counted_parameters(space):
    for cell in space.sample(25, seed=1):
        with torch.device("meta"):
            assert n_parameters(space.build(cell)) == space.count_parameters(cell)


@pytest.mark.slow
def test_every_class_builds_what_is_counted():
    space = NASBench201(channels=2, depth=1)
    for cell in {space.canonical(cell) for cell in cells()}:
        with torch.device("meta"):
            assert n_parameters(space.build(cell)) == space.count_parameters(cell)


def test_classes():
    classes = {}
    for cell in cells():
        classes.setdefault(SPACE.canonical(cell), []).append(cell)
    assert len(classes) == 9_445
    assert len(cells()) == SPACE.size == 15_625
    # A class has one published value of every parameter-only metric.
    assert all(len({SPACE.count_parameters(cell) for cell in members}) == 1 for members in classes.values())


def test_classes_share_their_published_metrics():
    frame = published()
    frame["class"] = [str(SPACE.canonical(cell)) for cell in cells()]
    for metric in ("params", "flops"):
        assert (frame.groupby("class")[metric].nunique() == 1).all()


def test_isomorphic_cells_give_equal_outputs():
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pool = list(cells())
    random.Random(3).shuffle(pool)
    classes = {}
    for cell in pool[:4000]:
        classes.setdefault(space.canonical(cell), []).append(cell)
    pairs = [members[:2] for members in classes.values() if len(members) > 1][:40]
    assert len(pairs) == 40
    for one, other in pairs:
        assert one != other
        assert torch.equal(space.build_seeded(one, 7)(x), space.build_seeded(other, 7)(x))


def reference_forward(network, cell, x):
    """The network's answer with the cells computed edge by edge, dead edges and all, as the paper defines them."""
    x = network.stem(x)
    for block in network.blocks:
        if not hasattr(block, "edges"):
            x = block(x)
            continue
        nodes = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for source in range(target):
                if cell[f"edge_{source}_{target}"] == "none":
                    continue
                if f"{source}_{target}" in block.edges:
                    total = total + block.edges[f"{source}_{target}"](nodes[source])
            nodes.append(total)
        x = nodes[3]
    return network.classifier(network.head(x))


def test_output_is_the_papers_sum_over_edges():
    space = NASBench201(input_shape=(2, 12, 12), channels=4, depth=2)
    x = torch.randn(3, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    for cell in space.sample(40, seed=2):
        network = space.build_seeded(cell)
        assert torch.allclose(network(x), reference_forward(network, cell, x), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "n"), [((3, 32, 32), 2), ((1, 8, 8), 3), ((3, 9, 13), 2), ((1, 4, 4), 2), ((4, 5, 7), 2)]
)
def test_any_size(shape, n):
    space = NASBench201(input_shape=shape, n_classes=7, channels=4, depth=1)
    network = space.build(space.parse(DIRECT_NONE_ELSE_CONV))
    assert network(torch.randn(n, *shape)).shape == (n, 7)
    assert network.forward_features(torch.randn(n, *shape)).shape == (n, 16, -(-shape[1] // 4), -(-shape[2] // 4))


def test_the_disconnected_cell_is_a_constant_with_gradients_of_zero():
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    network = space.build(space.parse(ALL_NONE))
    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    logits = network(x)
    assert torch.equal(logits[0], logits[1])
    logits.sum().backward()
    assert float(x.grad.abs().sum()) == 0
    disconnected = {cell for cell in cells() if SPACE.format(SPACE.canonical(cell)) == ALL_NONE}
    no_way = {
        cell
        for cell in cells()
        if all(
            "none" in [cell[f"edge_{one}_{other}"] for one, other in path]
            for path in [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
        )
    }
    assert disconnected == no_way
    assert ALL_NONE in {SPACE.format(cell) for cell in disconnected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must read like '\|op~0\|"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "Choice 'edge_0_1' of nasbench201 must be one of 'none'"),
        (ALL_NONE + "x", "must read like"),
        (ALL_NONE.replace("~2", "~1"), "must read like"),
        ("64-41414-3_33_123", "got '64-41414-3_33_123'"),
        (str(cells()[0]), "must read like"),
    ],
)
def test_wrong_texts(text, message):
    with pytest.raises(ArchitectureError, match=message):
        SPACE.parse(text)


def test_surrounding_space_is_forgiven():
    assert SPACE.format(SPACE.parse(f"  {ALL_NONE}\n")) == ALL_NONE


@pytest.mark.parametrize(
    "method", ["build", "canonical", "format", "encode", "neighbours", "count_parameters", "check"]
)
def test_foreign_architectures_are_refused(method):
    good = dict(cells()[0])
    for architecture, message in [
        (Architecture({}), "must set choice 'edge_0_1'; it sets none"),
        (Architecture({**good, "depth": 3}), "has no choice 'depth'"),
        (
            Architecture({**good, "edge_1_3": "conv"}),
            "Choice 'edge_1_3' of nasbench201 must be one of 'none', .*; got 'conv'",
        ),
        (Architecture({**good, "edge_1_3": 0}), "got 0"),
    ]:
        with pytest.raises(ArchitectureError, match=message):
            getattr(SPACE, method)(architecture)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_shape": (3, 32)}, r"must be \(channels, height, width\) with sides of at least 4; got \(3, 32\)"),
        ({"input_shape": (3, 3, 32)}, "sides of at least 4"),
        ({"input_shape": ()}, r"positive sizes; got \(\)"),
        ({"input_shape": (0, 8, 8)}, "positive sizes"),
        ({"n_classes": 0}, "`n_classes` must be at least 1; got 0"),
        ({"channels": 0}, "`channels` and `depth` of nasbench201 must be at least 1; got 0 and 5"),
        ({"depth": -1}, "got 16 and -1"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        NASBench201(**settings)


@pytest.mark.parametrize("index", [-1, 15_625])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match=r"from 0 to 15,625 \(exclusive\)"):
        SPACE.at(index)


def test_neighbours_change_one_edge():
    cell = cells()[5]
    neighbours = SPACE.neighbours(cell)
    assert len(set(neighbours)) == len(neighbours) == 24
    assert all(sum(cell[name] != neighbour[name] for name in EDGE_NAMES) == 1 for neighbour in neighbours)


def test_parameters_depend_on_the_seed_and_the_class_only():
    space = NASBench201(input_shape=(3, 8, 8), channels=4, depth=1)
    cell = cells()[1]
    state = torch.get_rng_state()
    one, same, other = (space.build_seeded(cell, seed).classifier.weight for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
