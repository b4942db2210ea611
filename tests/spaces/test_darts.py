"""DARTS: genotypes, size, isomorphism, pools, drop-path and the auxiliary head."""

import itertools
import math

import numpy as np
import pytest
import torch

from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import DARTS
from robonas.spaces.darts import OPERATIONS

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
SMALL = {"input_shape": (3, 16, 16), "channels": 4, "layers": 3}
SPACE = DARTS(**SMALL)


def test_published_parameters():
    # The authors' log for CIFAR-10, without the auxiliary head, and their network for ImageNet ("4.7 M").
    cifar = DARTS(channels=36, layers=20)
    assert cifar.count_parameters(cifar.parse(DARTS_V2)) == 3_349_342
    imagenet = DARTS(channels=48, layers=14, stem="imagenet", n_classes=1000, input_shape=(3, 224, 224))
    assert imagenet.count_parameters(imagenet.parse(DARTS_V2)) == pytest.approx(4.7e6, rel=0.01)


def test_size():
    assert SPACE.size == (math.prod(math.comb(node, 2) * 7**2 for node in (2, 3, 4, 5))) ** 2
    assert 10**18 < SPACE.size < 1.1 * 10**18


def test_genotypes():
    architecture = SPACE.parse(DARTS_V2)
    assert architecture["normal_2_inputs"] == "0+1"
    assert architecture["normal_4_first"] == "skip_connect", "the lower input comes first"
    assert architecture["normal_4_second"] == "sep_conv_3x3"
    assert SPACE.parse(SPACE.format(architecture)) == architecture
    assert SPACE.parse("genotypes." + DARTS_V2) == architecture
    assert SPACE.parse(DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)")) == architecture


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DARTS_V2[:-1], "must read like"),
        ("__import__('os').system('true')", "must read like"),
        ("Genotype(normal=[], reduce=[])", "must read like"),
        (DARTS_V2.replace("normal=", "usual="), "must read like"),
        (
            DARTS_V2.replace("('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ", "", 1),
            "normal cell .* must have 8 edges; got 6",
        ),
        (
            DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[4, 5]"),
            "must return nodes 2 to 5; got ",
        ),
        (
            DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=range(1000000000000000)"),
            r"must return nodes 2 to 5; got \[\[0, 1, 2, 3, 4\], ",
        ),
        (DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4, 1e999]"), "must read like"),
        (
            DARTS_V2.replace("sep_conv_3x3", "conv_7x7", 1),
            "'normal_2_first' .* got 'conv_7x7'",
        ),
        (DARTS_V2.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 0)", 1), r"'normal_2_inputs' .* got '0\+0'"),
        (DARTS_V2.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 5)", 1), r"got '0\+5'"),
    ],
)
def test_wrong_genotypes(text, message):
    with pytest.raises(ArchitectureError, match=message):
        SPACE.parse(text)


def test_nasbench301():
    configuration = SPACE.to_nasbench301(SPACE.parse(DARTS_V2))
    prefix = "NetworkSelectorDatasetInfo:darts:"
    normal = {name.removeprefix(prefix): value for name, value in configuration.items() if "normal" in name}
    assert normal == {
        "edge_normal_0": "sep_conv_3x3",
        "edge_normal_1": "sep_conv_3x3",
        "edge_normal_2": "sep_conv_3x3",
        "edge_normal_3": "sep_conv_3x3",
        "inputs_node_normal_3": "0_1",
        "edge_normal_5": "skip_connect",
        "edge_normal_6": "sep_conv_3x3",
        "inputs_node_normal_4": "0_1",
        "edge_normal_9": "skip_connect",
        "edge_normal_11": "dil_conv_3x3",
        "inputs_node_normal_5": "0_2",
    }
    for architecture in SPACE.sample(30, seed=3):
        assert SPACE.from_nasbench301(SPACE.to_nasbench301(architecture)) == architecture
    with pytest.raises(ArchitectureError, match=r"must have .*edge_normal_0"):
        SPACE.from_nasbench301({})
    with pytest.raises(ArchitectureError, match=r"must not have .*edge_normal_4' beside these inputs"):
        SPACE.from_nasbench301({**configuration, f"{prefix}edge_normal_4": "skip_connect"})
    with pytest.raises(ArchitectureError, match=r"'normal_2_first' .* got 'none'"):
        SPACE.from_nasbench301({**configuration, f"{prefix}edge_normal_0": "none"})


def test_renumbered_cells_are_one_class():
    def genotype(cell):
        edges = [edge for node in cell for edge in node]
        return f"Genotype(normal={edges}, normal_concat=range(2, 6), reduce={edges}, reduce_concat=range(2, 6))"

    nodes = [
        [("sep_conv_3x3", 0), ("sep_conv_5x5", 1)],
        [("max_pool_3x3", 0), ("skip_connect", 1)],
        [("dil_conv_3x3", 0), ("dil_conv_5x5", 1)],
        [("sep_conv_3x3", 2), ("avg_pool_3x3", 3)],
    ]
    classes = set()
    for order in itertools.permutations(range(4)):
        place = {0: 0, 1: 1, **{node + 2: number + 2 for number, node in enumerate(order)}}
        moved = [[(name, place[source]) for name, source in nodes[node]] for node in order]
        if all(source < number + 2 for number, node in enumerate(moved) for _, source in node):
            classes.add(SPACE.canonical(SPACE.parse(genotype(moved))))
    assert len(classes) == 1
    nodes[3] = [("sep_conv_3x3", 2), ("avg_pool_3x3", 4)]
    assert SPACE.canonical(SPACE.parse(genotype(nodes))) not in classes


def test_classes_are_the_isomorphic_graphs():
    # Cells of one operation and two pairs of inputs a node, so that many are alike; networkx is the judge.
    import networkx as nx

    def graph(architecture):
        found = nx.DiGraph()
        for node in range(6):
            found.add_node(node, kind=min(node, 2))  # the two inputs are not alike
        for node in range(2, 6):
            sources = architecture[f"normal_{node}_inputs"].split("+")
            for part, source in zip(("first", "second"), sources, strict=True):
                found.add_edge(int(source), node, operation=architecture[f"normal_{node}_{part}"])
        return found

    base = SPACE.parse(DARTS_V2)
    generator = np.random.default_rng(1)
    cells = []
    for _ in range(60):
        options = {}
        for node in range(2, 6):
            pairs = SPACE.choices[f"normal_{node}_inputs"]
            options[f"normal_{node}_inputs"] = pairs[int(generator.integers(min(3, len(pairs))))]
            options[f"normal_{node}_first"] = "skip_connect"
            options[f"normal_{node}_second"] = ("skip_connect", "max_pool_3x3")[int(generator.random() < 0.2)]
        cells.append(base.replace(**options))
    alike = 0
    for one, other in itertools.combinations(cells, 2):
        isomorphic = nx.is_isomorphic(
            graph(one),
            graph(other),
            node_match=lambda a, b: a == b,
            edge_match=lambda a, b: a == b,
        )
        assert (SPACE.canonical(one) == SPACE.canonical(other)) == isomorphic
        alike += isomorphic and one != other
    assert alike > 10


def test_the_papers_sampling_is_uniform():
    # Weights for every edge and operation; the strongest two edges of a node, the strongest operation of each.
    generator = np.random.default_rng(0)
    n = 6000
    weights = generator.random((n, 3, len(OPERATIONS)))
    soft = np.exp(weights) / np.exp(weights).sum(-1, keepdims=True)
    strongest = soft.max(-1).argsort(1)[:, -2:]
    pairs = np.sort(strongest, axis=1)
    operations = np.take_along_axis(soft.argmax(-1), pairs, axis=1)
    counts = np.zeros((3, 7, 7))
    np.add.at(counts, (pairs.sum(1) - 1, operations[:, 0], operations[:, 1]), 1)
    expected = n / counts.size
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert abs(statistic - (counts.size - 1)) < 4 * math.sqrt(2 * counts.size), "chi-squared, 4 deviations"


def test_pools():
    pool = SPACE.sample(3000, seed=5)
    assert len(set(pool)) == 3000
    code = np.array([SPACE.encode(architecture) for architecture in pool])
    operations = code[:, [place for place, name in enumerate(SPACE.choices) if not name.endswith("inputs")]]
    shares = np.bincount(operations.ravel(), minlength=7) / operations.size
    assert np.abs(shares - 1 / 7).max() < 0.01


@pytest.mark.slow
def test_a_pool_as_large_as_the_papers():
    assert len(set(SPACE.sample(60_000, seed=0))) == 60_000


@pytest.mark.parametrize("layers", [3, 5, 8])
def test_sizes_halve_at_the_thirds(layers):
    space = DARTS(input_shape=(3, 16, 16), channels=4, layers=layers)
    network = space.build_seeded(space.parse(DARTS_V2))
    sides, widths = [], []

    def note(_, __, maps):
        sides.append(maps.shape[-1])
        widths.append(maps.shape[1])

    for cell in network.cells:
        cell.register_forward_hook(note)
    network(torch.randn(2, 3, 16, 16))
    halved = {layers // 3, 2 * layers // 3}
    side, width = 16, 16
    for layer in range(layers):
        if layer in halved:
            side, width = side // 2, width * 2
        assert (sides[layer], widths[layer]) == (side, width)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 15, 17), (3, 5, 5)])
def test_odd_sizes(shape):
    space = DARTS(input_shape=shape, channels=4, layers=3)
    assert all(space.failure(architecture) is None for architecture in space.sample(10))


def test_imagenet_stem():
    space = DARTS(**{**SMALL, "input_shape": (3, 64, 64)}, stem="imagenet")
    network = space.build_seeded(space.parse(DARTS_V2))
    seen = []
    network.cells[0].register_forward_hook(lambda _, __, y: seen.append(y.shape[-1]))
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    assert seen == [8]


def test_auxiliary_head_speaks_in_training_only():
    space = DARTS(**SMALL, auxiliary=True)
    network = space.build_seeded(space.parse(DARTS_V2))
    logits, side = network.train()(torch.randn(2, 3, 16, 16))
    assert logits.shape == side.shape == (2, 10)
    assert network.eval()(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    assert space.failure(space.parse(DARTS_V2)) is None


def test_drop_path_acts_in_training_only_and_can_be_raised():
    space = DARTS(**SMALL, drop_path=0.5)
    network = space.build_seeded(space.parse(DARTS_V2))
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(network.eval()(x), network.eval()(x))
    network.train()
    assert not torch.equal(network(x), network(x))
    network.drop_path = 0.0
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_shape": (3, 8)}, r"must be \(channels, height, width\)"),
        ({"channels": 3}, "`channels` of darts must be even, and `layers` at least 3; got 3 and 8"),
        ({"layers": 2}, "got 16 and 2"),
        ({"stem": "mnist"}, "one of cifar, imagenet; got 'mnist'"),
        ({"drop_path": 1.0}, r"must be in \[0, 1\); got 1.0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        DARTS(**settings)
