"""The drawing of an architecture."""

from __future__ import annotations

import re

import pytest

from robonas.architecture import Architecture
from robonas.report import cell
from tests.report import sample

TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|none~2|"
"""Only the pooling from node 0 to node 3 reaches the output."""


def picks(text=TEXT):
    space = sample.space()
    return cell.choices(space, space.parse(text))


def test_choices_know_what_is_dead():
    found = {pick.name: pick for pick in picks()}
    assert list(found) == ["edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"]
    assert [name for name, pick in found.items() if pick.dead] == ["edge_0_1", "edge_1_2"]
    assert [name for name, pick in found.items() if pick.nothing] == ["edge_0_2", "edge_1_3", "edge_2_3"]
    assert (
        len(
            {
                pick.colour
                for pick in picks("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")
            }
        )
        == 5
    )


def test_drawing_of_a_cell():
    drawing = cell.draw(picks())
    assert [(node, name) for node, _, _, name in drawing.nodes] == [(0, "in"), (1, "1"), (2, "2"), (3, "out")]
    assert len(drawing.edges) == 6
    assert [edge.choice.option for edge in drawing.edges if not (edge.choice.dead or edge.choice.nothing)] == [
        "avg_pool_3x3"
    ]
    assert drawing.edges[-1].choice.option == "avg_pool_3x3"
    assert "node 0 to node 1: nor_conv_3x3 (no effect); node 0 to node 2: none;" in drawing.description


def test_labels_meet_no_other_label_and_no_node_and_stay_in_the_box():
    drawing = cell.draw(picks())
    left, top, width, height = drawing.box
    boxes = [(edge.x - edge.width / 2, edge.y - 12, edge.x + edge.width / 2, edge.y + 12) for edge in drawing.edges]
    for place, (x0, y0, x1, y1) in enumerate(boxes):
        assert left <= x0
        assert x1 <= left + width
        assert top <= y0
        assert y1 <= top + height
        for a0, b0, a1, b1 in boxes[place + 1 :]:
            assert x1 < a0 or a1 < x0 or y1 < b0 or b1 < y0
        for _, x, y, _ in drawing.nodes:
            assert not (x0 - 17 < x < x1 + 17 and y0 - 17 < y < y1 + 17)


def point(path, t):
    x0, y0, x1, y1, x2, y2, x3, y3 = map(float, re.findall(r"-?[\d.]+", path))
    s = 1 - t
    weights = (s**3, 3 * t * s**2, 3 * t**2 * s, t**3)
    return sum(w * v for w, v in zip(weights, (x0, x1, x2, x3))), sum(w * v for w, v in zip(weights, (y0, y1, y2, y3)))  # noqa: B905


def test_lines_pass_under_no_label_but_their_own():
    drawing = cell.draw(picks())
    for edge in drawing.edges:
        if "C" not in edge.path:
            continue
        for other in drawing.edges:
            if other is edge:
                continue
            for step in range(101):
                x, y = point(edge.path, step / 100)
                assert abs(x - other.x) > other.width / 2 or abs(y - other.y) > 12, (
                    edge.choice.name,
                    other.choice.name,
                )


@pytest.mark.parametrize(
    "names", [["depth"], ["edge_0_1", "depth"], ["edge_1_0"], ["edge_1_1"], [], [f"edge_{n}_{n + 1}" for n in range(8)]]
)
def test_other_choices_make_no_graph(names):
    assert cell.draw([cell.Choice(name, "skip", 0, nothing=False, dead=False) for name in names]) is None


def test_any_space_has_its_choices():
    space = sample.HostileSpace()
    architecture = Architecture({"<b>depth</b>": 2, "kind": "%{x}"})
    found = cell.choices(space, architecture)
    assert [(pick.name, pick.option, pick.colour) for pick in found] == [("<b>depth</b>", "2", 1), ("kind", "%{x}", 2)]
    assert cell.draw(found) is None
