"""NAS-Bench-101: texts, rules, isomorphism, channels."""

import itertools
import json

import numpy as np
import pytest
import torch

from robonas.errors import ArchitectureError, ConfigError
from robonas.spaces import NASBench101
from robonas.spaces.networks.nasbench101 import vertex_channels

SPACE = NASBench101(input_shape=(3, 8, 8), channels=12, depth=1)
C3, C1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"


def text(edges, *inner):
    n = len(inner) + 2
    matrix = [[int((i, j) in edges) for j in range(n)] for i in range(n)]
    return json.dumps({"matrix": matrix, "ops": ["input", *inner, "output"]})


def test_isomorphic_cells_are_one_class_with_one_network():
    one = SPACE.parse(text({(0, 1), (0, 2), (1, 3), (2, 3)}, C3, C1))
    other = SPACE.parse(text({(0, 1), (0, 2), (1, 3), (2, 3)}, C1, C3))
    assert one != other
    assert SPACE.canonical(one) == SPACE.canonical(other)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(SPACE.build_seeded(one)(x), SPACE.build_seeded(other)(x))


def test_renumbered_vertices_are_one_class():
    edges = {(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5), (1, 6), (5, 6), (0, 6)}
    inner = [C3, C1, POOL, C3, C1]
    classes = set()
    for order in itertools.permutations(range(1, 6)):
        place = dict(zip((0, *range(1, 6), 6), (0, *order, 6), strict=True))
        moved = {(place[i], place[j]) for i, j in edges}
        if all(i < j for i, j in moved):
            names = [inner[order.index(vertex)] for vertex in range(1, 6)]
            classes.add(SPACE.canonical(SPACE.parse(text(moved, *names))))
    assert len(classes) == 1


def test_vertices_on_no_path_change_nothing():
    small = SPACE.parse(text({(0, 1), (1, 2)}, C3))
    dangling = SPACE.parse(text({(0, 1), (1, 6), (0, 2), (3, 6), (2, 4)}, C3, C1, POOL, C1, C3))
    assert SPACE.canonical(dangling) == SPACE.canonical(small)
    assert SPACE.count_parameters(dangling) == SPACE.count_parameters(small)


def test_different_cells_stay_apart():
    texts = [
        text({(0, 1), (1, 2)}, C3),
        text({(0, 1), (1, 2)}, C1),
        text({(0, 1), (1, 2), (0, 2)}, C3),
        text({(0, 1), (1, 2), (2, 3)}, C3, C1),
        text({(0, 1), (1, 2), (2, 3)}, C1, C3),
        text({(0, 1)}),
    ]
    assert len({SPACE.canonical(SPACE.parse(given)) for given in texts}) == len(texts)


def test_official_channels():
    # Three vertices share 128: 43, 43 and 42; a vertex that feeds only them is as wide as the widest.
    matrix = np.zeros((6, 6), dtype=int)
    for i, j in [(0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (3, 5), (4, 5)]:
        matrix[i, j] = 1
    assert vertex_channels(matrix, 64, 128) == [64, 43, 43, 43, 42, 128]
    assert vertex_channels(np.array([[0, 1], [0, 0]]), 64, 128) == [64, 128]


def test_the_cell_without_vertices_projects():
    network = SPACE.build_seeded(SPACE.parse(text({(0, 1)})))
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_full_text_round_trip():
    architecture = SPACE.sample(1, 4)[0]
    given = json.loads(SPACE.format(architecture))
    assert np.array(given["matrix"]).shape == (7, 7)
    assert given["ops"][0] == "input"
    assert SPACE.parse(json.dumps(given)) == architecture


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nonsense", 'must be JSON like {"matrix"'),
        ('{"matrix": [[0, 1], [0, 0]]}', "must be JSON like"),
        ('{"matrix": [[0, 1], [0]], "ops": ["input", "output"]}', "must be JSON like"),
        ('{"matrix": [[0, 1], [0, 0]], "ops": ["output", "input"]}', "from 'input' to 'output'"),
        ('{"matrix": [[0]], "ops": ["input"]}', "of 2 to 7 vertices"),
        (text({(0, 7)}, *[C3] * 6), "of 2 to 7 vertices"),
        ('{"matrix": [[0, 2], [0, 0]], "ops": ["input", "output"]}', "must be 0 or 1"),
        ('{"matrix": [[0, 1], [1, 0]], "ops": ["input", "output"]}', "0 on and below its diagonal"),
        (text({(0, 1), (1, 2)}, "conv5x5"), "Choice 'operation_1' of nasbench101 must be one of .*; got 'conv5x5'"),
        (text({(0, 1), (1, 2)}, 3), "must be texts"),
        (text({(0, 1)}, C3), "must have a path from input to output; this one has none"),
        (text(set(itertools.combinations(range(5), 2)), *[C3] * 3), "must have at most 9 edges; got 10"),
    ],
)
def test_wrong_texts(given, message):
    with pytest.raises(ArchitectureError, match=message):
        SPACE.parse(given)


def test_impossible_settings():
    with pytest.raises(ConfigError, match="sides of at least 4"):
        NASBench101(input_shape=(3, 2, 2))
    with pytest.raises(ConfigError, match="must be at least 7 and 1; got 3 and 1"):
        NASBench101(channels=3, depth=1)
