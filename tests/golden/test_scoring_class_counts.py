"""How many scoring classes the spaces have, each figure by two ways that share nothing.

| space | architectures | canonical forms | scoring classes |
|---|---|---|---|
| nasbench201 | 15,625 | 9,445 | 5,425 |
| transnas_micro | 4,096 | 2,128 | 1,376 |
| darts, a normal cell | 180 · 7⁸ | 382,128,166 | 382,114,852 |
| darts, a reduction cell | 180 · 7⁸ | 382,128,166 | 382,128,166 |

The spaces that are not here have their canonical forms. Those of NAS-Bench-101 with up to three inner vertices are
compared too: no two are one function.

Cells of four nodes are compared by what they compute: with two equally likely draws for each operation, the
distribution of their result is the list of the results of all draws, and cells of equal distribution have equal means
of any function of it. Cells of DARTS are counted by Burnside's lemma, as colourings of the cells of one operation, and
for one operation by listing them.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from robonas.spaces import make_space
from robonas.spaces.darts import _in_order
from robonas.spaces.darts_classes import form_of_nodes, rewritten
from robonas.spaces.edges import EDGES
from robonas.spaces.isomorphism import form_of
from robonas.spaces.nasbench101 import _matrix, _used
from tests.golden.test_space_counts import small_cells_of_nasbench101

INPUTS = np.array([0.3, -0.7, 1.1])


def functions(pool_is_drawn):
    """For each operation, its two equally likely functions."""
    generator = np.random.default_rng(0)

    def drawn():
        a, b, c = generator.normal(size=3)
        return lambda x: np.tanh(a * x + b) + c * x**2 / 10

    found = {name: (drawn(), drawn()) for name in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "strided skip")}
    if not pool_is_drawn:
        found["avg_pool_3x3"] = (lambda x: 0.61803 * x,) * 2  # linear, and without parameters
    return found


def fingerprint(cell, known, *, strided=False):
    """Means, over all draws of all operations, of functions of the cell's result; of float64."""
    draws = np.array(list(itertools.product((0, 1), repeat=6)))
    nodes = [np.broadcast_to(INPUTS, (len(draws), 3)), *(np.zeros((len(draws), 3)) for _ in range(3))]
    reached = [True, False, False, False]
    for place, (source, target) in sorted(enumerate(EDGES), key=lambda edge: edge[1][1]):
        operation = cell[f"edge_{source}_{target}"]
        if operation == "none" or not reached[source]:
            continue
        reached[target] = True
        if operation == "skip_connect":
            if not (strided and source == 0):
                nodes[target] = nodes[target] + nodes[source]
                continue
            operation = "strided skip"
        one, other = (function(nodes[source]) for function in known[operation])
        nodes[target] = nodes[target] + np.where(draws[:, place, None] == 0, one, other)
    out = nodes[3]
    mixed = out @ np.array([0.7, 1.3, -0.4])
    return np.array([np.cos(mixed).mean(), np.sin(1.7 * mixed).mean(), np.cos(2.3 * out[:, 0] - out[:, 1]).mean()])


def groups(fingerprints):
    """A number for each fingerprint, equal for those that differ by rounding; all others are far apart."""
    keys = fingerprints @ np.random.default_rng(1).normal(size=fingerprints.shape[1])
    order = np.argsort(keys)
    gaps = np.diff(keys[order])
    assert not np.any((gaps > 1e-13) & (gaps < 1e-10)), "rounding cannot be told from difference"
    numbers = np.zeros(len(keys), dtype=int)
    numbers[order[1:]] = np.cumsum(gaps >= 1e-10)
    return numbers


def forms_and_classes(name):
    space = make_space(name)
    forms = list(dict.fromkeys(map(space.canonical, space)))
    return forms, [space.scoring_class(form) for form in forms]


def check(classes, found, count):
    """The classes are those groups exactly."""
    assert len(set(classes)) == len(set(found)) == len(set(zip(classes, found, strict=True))) == count


def test_nasbench201():
    forms, classes = forms_and_classes("nasbench201")
    known = functions(pool_is_drawn=True)
    check(classes, groups(np.array([fingerprint(cell, known) for cell in forms])).tolist(), 5_425)


@pytest.mark.slow
def test_nasbench201_with_poolings_as_the_linear_maps_that_they_are():
    # Fewer functions than classes: 2 · pool(x) is made by one pooling or by two, which is not the same work.
    forms, classes = forms_and_classes("nasbench201")
    known = functions(pool_is_drawn=False)
    found = groups(np.array([fingerprint(cell, known) for cell in forms])).tolist()
    assert len(set(found)) == 5_044
    assert len(set(zip(classes, found, strict=True))) == 5_425, "each class lies in one of them"


def test_transnas_micro():
    forms, classes = forms_and_classes("transnas_micro")
    known = functions(pool_is_drawn=True)
    both = [np.concatenate([fingerprint(cell, known, strided=strided) for strided in (False, True)]) for cell in forms]
    check(classes, groups(np.array(both)).tolist(), 1_376)


@pytest.mark.parametrize(("name", "count"), [("nasbenchmacro", 3_969), ("transnas_macro", 3_256)])
def test_other_spaces_have_their_canonical_forms(name, count):
    forms, classes = forms_and_classes(name)
    assert forms == classes
    assert len(forms) == count


# ── NAS-Bench-101 ──


def fingerprint_of_vertices(architecture):
    """Means, over all draws, of functions of what the vertices bring to the output, in any order of the vertices."""
    generator = np.random.default_rng(0)

    def drawn():
        a, b, c = generator.normal(size=3)
        return lambda x: np.tanh(a * x + b) + c * x**2 / 10

    names = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "projection", "projection to the output")
    known = {name: (drawn(), drawn()) for name in names}
    matrix = _matrix(architecture)
    used = _used(matrix)
    matrix = matrix[np.ix_(used, used)]
    inner = len(used) - 2
    draws = np.array(list(itertools.product((0, 1), repeat=3 * inner + 1)))
    x = np.broadcast_to(INPUTS, (len(draws), 3))

    def applied(name, place, value):
        one, other = (function(value) for function in known[name])
        return np.where(draws[:, place, None] == 0, one, other)

    values = [x]
    for vertex in range(1, inner + 1):
        total = sum((values[source] for source in range(1, vertex) if matrix[source, vertex]), np.zeros_like(x))
        if matrix[0, vertex]:
            total = total + applied("projection", inner + vertex - 1, x)
        values.append(applied(architecture[f"operation_{used[vertex]}"], vertex - 1, total))
    feeding = [vertex for vertex in range(1, inner + 1) if matrix[vertex, -1]]
    parts = [
        values[vertex] + (applied("projection to the output", 2 * inner + vertex - 1, x) if matrix[0, -1] else 0.0)
        for vertex in feeding
    ] or [applied("projection to the output", 3 * inner, x)]
    one = sum(np.sin(1.3 * part + 0.2) for part in parts) @ np.array([0.7, 1.3, -0.4])
    other = sum(np.cos(0.9 * part) * part**2 for part in parts) @ np.array([0.2, -0.9, 0.6])
    return np.array([np.cos(one).mean() + len(feeding), np.sin(1.7 * one + other).mean(), np.cos(other).mean()])


@pytest.mark.slow
def test_no_two_classes_of_nasbench101_of_up_to_three_vertices_are_one_function():
    space = make_space("nasbench101")
    forms = sorted(small_cells_of_nasbench101(space), key=str)
    assert [space.scoring_class(form) for form in forms] == forms
    assert len(set(groups(np.array([fingerprint_of_vertices(form) for form in forms])).tolist())) == len(forms) == 2_532


# ── DARTS ──

PAIRS = [list(itertools.combinations(range(node), 2)) for node in (2, 3, 4, 5)]
"""The pairs of inputs that each node may have."""


def skeletons(identity_from):
    """Forms of all cells of one operation, and identities where the source is at least that node; None: nowhere."""
    found = set()
    for inputs in itertools.product(*PAIRS):
        edges = [(node, source) for node, pair in enumerate(inputs) for source in pair]
        may = [identity_from is not None and source >= identity_from for _, source in edges]
        for identities in itertools.product(*((False, True) if one else (False,) for one in may)):
            nodes = [[], [], [], []]
            for (node, source), identity, able in zip(edges, identities, may, strict=True):
                nodes[node].append((None if identity else "some" if able else "all", source))
            found.add(form_of(2, nodes, range(2, 6)))
    return found


def colourings(form, colours):
    """Cells of this form with so many operations of each kind, those that renaming makes one counted once."""
    n = len(form.outputs)
    sizes = Counter(form.terms)
    fixed = symmetries = 0
    for order in itertools.permutations(range(2, n)):
        new = (0, 1, *order)
        old = [new.index(place) for place in range(n)]

        def moved(counts, old=old):
            return tuple(counts[place] for place in old)

        image = {term: term._replace(source=new[term.source], counts=moved(term.counts)) for term in sizes}
        same = moved(form.outputs) == form.outputs and all(moved(counts) == counts for counts in form.inputs)
        if not same or any(sizes.get(image[term]) != size for term, size in sizes.items()):
            continue
        symmetries += 1
        ways, seen = 1, set()
        for term, size in sizes.items():
            if term in seen:
                continue
            while term not in seen:
                seen.add(term)
                term = image[term]  # noqa: PLW2901
            ways *= math.comb(colours[term.operation] + size - 1, size)  # a cycle has one choice: a multiset
        fixed += ways
    return fixed // symmetries


def test_darts_cells_but_for_the_numbers_of_nodes():
    assert sum(colourings(form, {"all": 7}) for form in skeletons(None)) == 382_128_166


def test_darts_reduction_cells():
    # From an input all seven operations have parameters or a stride, from a node six, and the seventh is the identity.
    assert sum(colourings(form, {"all": 7, "some": 6}) for form in skeletons(2)) == 382_128_166


@pytest.mark.slow
def test_darts_normal_cells():
    forms = skeletons(0)
    assert sum(colourings(form, {"some": 6}) for form in forms) == 382_114_852
    assert sum(colourings(form, {"some": 1}) for form in forms) == 17_422


@pytest.mark.slow
def test_darts_normal_cells_of_one_operation_are_as_many_as_counted():
    classes = {}
    for inputs in itertools.product(*PAIRS):
        for operations in itertools.product(("sep_conv_3x3", "skip_connect"), repeat=8):
            pairs = zip(operations[::2], operations[1::2], inputs, strict=True)
            nodes = _in_order([((first, one), (second, other)) for first, second, (one, other) in pairs])
            stands = classes.setdefault(form_of_nodes(nodes), _in_order(rewritten(nodes)))
            assert stands == _in_order(rewritten(nodes)) == _in_order(rewritten(stands))
    assert len(classes) == len(set(classes.values())) == 17_422
