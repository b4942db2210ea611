"""Counts, parameters and operations of the spaces against published numbers.

| space | published | here |
|---|---|---|
| nasbench201 | 15,625 cells, 9,445 classes, parameters of all | equal (also `tests/spaces/test_nasbench201.py`) |
| transnas_micro | 4,096 cells, 2,128 classes, parameters of all on class_scene, of samples on four more tasks | equal |
| transnas_macro | 3,256 networks, parameters of samples on four tasks | equal |
| nasbenchmacro | 6,561 networks, parameters and multiply–accumulates of all | equal |
| nasbench101 | 423,624 classes; from 227,274 to 49,979,274 parameters; 2,694,282 of the authors' example | equal |
| nats_size | 32,768 networks | equal; no parameters at hand |
"""

import ast
import itertools
import json

import numpy as np
import pytest

from robonas.costs.measuring import count_macs
from robonas.spaces import make_space
from tests.published import table


@pytest.mark.parametrize(
    ("name", "size", "classes"),
    [
        ("nasbench201", 15_625, 9_445),
        ("transnas_micro", 4_096, 2_128),
        ("transnas_macro", 3_256, 3_256),
        ("nasbenchmacro", 6_561, 3_969),
    ],
)
def test_counts(name, size, classes):
    space = make_space(name)
    assert space.size == size
    assert len({space.canonical(architecture) for architecture in space}) == classes


def test_nats_size_has_as_many_as_published():
    assert make_space("nats_size").size == 32_768


def test_micro_table_lists_the_space():
    space = make_space("transnas_micro")
    published = table("tnb101-micro-class_scene-full")["arch"]
    assert {space.parse(key) for key in published} == set(space)


def test_micro_parameters_of_a_sample():
    space = make_space("transnas_micro")
    for row in table("tnb101-micro-class_scene-full").sample(150, random_state=0).itertuples():
        assert space.count_parameters(space.parse(row.arch)) == round(row.params * 1e6)


@pytest.mark.slow
def test_micro_parameters_of_all():
    space = make_space("transnas_micro")
    for row in table("tnb101-micro-class_scene-full").itertuples():
        assert space.count_parameters(space.parse(row.arch)) == round(row.params * 1e6)


@pytest.mark.parametrize("task", ["autoencoder", "class_object", "class_scene", "normal", "room_layout"])
def test_micro_parameters_of_other_tasks(task):
    # These tables built each cell as written, dead edges too: ours agree where a cell has none.
    space = make_space("transnas_micro", task=task)
    frame = table(f"tnb101-micro-{task}")
    live = [row for row in frame.itertuples() if space.canonical(space.parse(row.arch)) == space.parse(row.arch)]
    assert len(live) > 300
    for row in live[:40]:
        assert space.count_parameters(space.parse(row.arch)) == round(row.params * 1e6)


@pytest.mark.parametrize("task", ["class_scene", "jigsaw", "normal", "segmentsemantic"])
def test_macro_parameters(task):
    space = make_space("transnas_macro", task=task)
    for row in table(f"tnb101-macro-{task}").sample(60, random_state=0).itertuples():
        assert space.count_parameters(space.parse(row.arch)) == round(row.params * 1e6)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["class_scene", "jigsaw", "normal", "segmentsemantic"])
def test_macro_parameters_of_all_that_are_published(task):
    space = make_space("transnas_macro", task=task)
    for row in table(f"tnb101-macro-{task}").itertuples():
        assert space.count_parameters(space.parse(row.arch)) == round(row.params * 1e6)


def test_keys_of_the_tables_round_trip():
    macro, micro = make_space("transnas_macro"), make_space("transnas_micro")
    for key in table("tnb101-macro-jigsaw")["arch"]:
        assert tuple(macro.parse(key).values()) == ast.literal_eval(key)
    for key in table("tnb101-micro-normal")["arch"]:
        assert tuple(micro.encode(micro.parse(key)).tolist()) == ast.literal_eval(key)


def test_nasbenchmacro_lists_the_space():
    space = make_space("nasbenchmacro")
    assert set(table("nbmacro-cifar10")["arch"]) == {space.format(architecture) for architecture in space}


def test_nasbenchmacro_sample():
    space = make_space("nasbenchmacro")
    for row in table("nbmacro-cifar10").sample(40, random_state=0).itertuples():
        architecture = space.parse(row.arch)
        assert space.count_parameters(architecture) == row.params
        assert count_macs(space, architecture) == row.flops


@pytest.mark.slow
def test_nasbenchmacro_all():
    space = make_space("nasbenchmacro")
    for row in table("nbmacro-cifar10").itertuples():
        assert space.count_parameters(space.parse(row.arch)) == row.params


def test_nasbenchmacro_classes_share_the_published_numbers():
    space = make_space("nasbenchmacro")
    frame = table("nbmacro-cifar10")
    frame["class"] = [str(space.canonical(space.parse(text))) for text in frame["arch"]]
    groups = frame.groupby("class")
    assert (groups["params"].nunique() == 1).all()
    assert (groups["flops"].nunique() == 1).all()
    # The two trainings of one network differ by chance only: far less than two networks do.
    assert (groups["test_acc"].max() - groups["test_acc"].min()).max() < 2


def count_nasbench101(n_inner):
    """Classes with this many inner vertices, all on a path: orbits of labelled graphs, by Burnside's lemma.

    A graph is the bits of its edges in any direction, so that renumbering the inner vertices permutes bits.
    """
    n = n_inner + 2
    pairs = [(i, j) for i in range(n - 1) for j in range(1, n) if i != j]
    forward = [(i, j) for i, j in pairs if i < j]
    codes = np.arange(2 ** len(forward), dtype=np.int64)
    bits = {pair: (codes >> place & 1).astype(bool) for place, pair in enumerate(forward)}
    keep = sum(bit.astype(int) for bit in bits.values()) <= 9
    ahead = {0: np.ones(len(codes), dtype=bool)}
    for j in range(1, n):
        ahead[j] = np.any([ahead[i] & bits[i, j] for i in range(j)], axis=0)
    behind = {n - 1: np.ones(len(codes), dtype=bool)}
    for i in range(n - 2, -1, -1):
        behind[i] = np.any([behind[j] & bits[i, j] for j in range(i + 1, n)], axis=0)
    keep &= np.all([ahead[v] & behind[v] for v in range(n)], axis=0)
    graphs = sum(bits[pair][keep].astype(np.int64) << pairs.index(pair) for pair in forward)
    least = graphs.copy()
    moved_by = []
    for order in itertools.permutations(range(1, n - 1)):
        new = dict(zip(range(n), (0, *order, n - 1), strict=True))
        moved = np.zeros_like(graphs)
        for place, (i, j) in enumerate(pairs):
            moved |= (graphs >> place & 1) << pairs.index((new[i], new[j]))
        cycles, seen = 0, set()
        for start in range(1, n - 1):
            cycles += start not in seen
            while start not in seen:
                seen.add(start)
                start = new[start]  # noqa: PLW2901
        moved_by.append((moved, cycles))
        least = np.minimum(least, moved)
    _, first = np.unique(least, return_index=True)
    fixed = sum((moved[first] == graphs[first]) * 3**cycles for moved, cycles in moved_by)
    symmetries = sum((moved[first] == graphs[first]).astype(int) for moved, _ in moved_by)
    return int((fixed // symmetries).sum())


def test_nasbench101_classes():
    assert sum(count_nasbench101(n_inner) for n_inner in range(6)) == 423_624


def small_cells_of_nasbench101(space):
    """The canonical forms of all cells of up to three inner vertices."""
    found = set()
    for n_inner in range(4):
        n = n_inner + 2
        pairs = list(itertools.combinations(range(n), 2))
        for bits in itertools.product((0, 1), repeat=len(pairs)):
            matrix = np.zeros((n, n), dtype=int)
            for (i, j), bit in zip(pairs, bits, strict=True):
                matrix[i, j] = bit
            power = np.linalg.matrix_power(np.eye(n, dtype=int) + matrix, n)
            if sum(bits) > 9 or not all(power[0, v] and power[v, n - 1] for v in range(n)):
                continue
            for inner in itertools.product(("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"), repeat=n_inner):
                text = json.dumps({"matrix": matrix.tolist(), "ops": ["input", *inner, "output"]})
                found.add(space.canonical(space.parse(text)))
    return found


def test_small_nasbench101_classes_are_those_of_canonical():
    # As many canonical forms as the lemma says.
    found = small_cells_of_nasbench101(make_space("nasbench101"))
    assert len(found) == sum(count_nasbench101(n_inner) for n_inner in range(4))


def cell(edges, *inner):
    """The text of a cell."""
    n = len(inner) + 2
    matrix = [[int((i, j) in edges) for j in range(n)] for i in range(n)]
    short = {"1": "conv1x1-bn-relu", "3": "conv3x3-bn-relu", "p": "maxpool3x3"}
    return json.dumps({"matrix": matrix, "ops": ["input", *(short[name] for name in inner), "output"]})


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        # The example of the authors' README.
        (cell({(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6)}, *"1333p"), 2_694_282),
        # The ends of the published range.
        (cell({(0, 1), *((1, v) for v in range(2, 6)), *((v, 6) for v in range(2, 6))}, *"ppppp"), 227_274),
        (cell({*((v, v + 1) for v in range(6)), (0, 2), (0, 3), (0, 6)}, *"33333"), 49_979_274),
    ],
)
def test_nasbench101_parameters(text, parameters):
    space = make_space("nasbench101")
    assert space.count_parameters(space.parse(text)) == parameters
