"""Architectures: immutable, hashable, told apart by type, and the same in any order."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from robonas.architecture import Architecture
from robonas.errors import ArchitectureError, NasError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
options = st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
mappings = st.dictionaries(texts, options, max_size=6)


@given(mappings)
def test_json_round_trip_keeps_values_and_types(choices):
    architecture = Architecture(choices)
    back = Architecture.from_json(architecture.to_json())
    assert back == architecture
    assert hash(back) == hash(architecture)
    assert {name: (type(value), value) for name, value in back.items()} == {
        name: (type(value), value) for name, value in choices.items()
    }


@given(mappings, st.randoms(use_true_random=False))
def test_order_of_the_choices_does_not_matter_for_equality_and_is_kept(choices, random):
    names = list(choices)
    random.shuffle(names)
    other = Architecture({name: choices[name] for name in names})
    assert other == Architecture(choices)
    assert hash(other) == hash(Architecture(choices))
    assert str(other) == str(Architecture(choices))
    assert list(other) == names


@given(mappings)
def test_copies_and_pickles_are_equal(choices):
    architecture = Architecture(choices)
    assert pickle.loads(pickle.dumps(architecture)) == architecture
    assert copy.deepcopy(architecture) == architecture == copy.copy(architecture)


def test_types_tell_architectures_apart():
    variants = [Architecture({"a": value}) for value in (1, 1.0, True, "1", None, 0, False)]
    assert len(set(variants)) == len(variants)
    assert all((one == other) == (one is other) for one in variants for other in variants)


def test_is_a_mapping():
    architecture = Architecture({"depth": 3, "kernel": "5x5"})
    assert len(architecture) == 2
    assert dict(architecture) == {"depth": 3, "kernel": "5x5"}
    assert "depth" in architecture
    assert "width" not in architecture
    assert architecture.get("width", 7) == 7
    assert {**architecture} == dict(architecture)
    with pytest.raises(KeyError):
        architecture["width"]
    assert architecture != {"depth": 3, "kernel": "5x5"}, "a dict that looks alike is not an architecture"
    assert repr(architecture) == "Architecture({'depth': 3, 'kernel': '5x5'})"


def test_nothing_can_change_it():
    choices = {"depth": 3}
    architecture = Architecture(choices)
    choices["depth"] = 4
    assert architecture["depth"] == 3
    with pytest.raises(AttributeError, match="immutable; cannot set 'depth'. Use `replace`"):  # noqa: RUF043
        architecture.depth = 4
    with pytest.raises(AttributeError, match="immutable"):
        architecture._text = "{}"
    with pytest.raises(AttributeError, match="immutable; cannot delete"):
        del architecture._text
    with pytest.raises(TypeError):
        architecture["depth"] = 4


def test_replace():
    architecture = Architecture({"depth": 3, "kernel": "5x5"})
    other = architecture.replace(depth=4)
    assert dict(other) == {"depth": 4, "kernel": "5x5"}
    assert architecture["depth"] == 3
    with pytest.raises(ArchitectureError, match="has no choice 'width'; it has depth, kernel"):
        architecture.replace(width=1)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({1: "a"}, "names must be strings; got 1 that is a int"),
        ({"a": [1]}, r"Option of choice 'a' must be a string, a number, a boolean or None; got \[1\] that is a list"),
        ({"a": (1,)}, "is a tuple"),
        ({"a": float("nan")}, "must be finite numbers"),
        ({"a": float("-inf")}, "must be finite numbers"),
        ({"a": "\ud800"}, "must be valid Unicode"),
        ({"\ud800": 1}, "must be valid Unicode"),
        ({"a": b"x"}, "is a bytes"),
    ],
)
def test_what_cannot_be_an_architecture(choices, message):
    with pytest.raises(ArchitectureError, match=message) as caught:
        Architecture(choices)
    assert isinstance(caught.value, NasError)
    assert isinstance(caught.value, ValueError)


def test_numpy_scalars_are_refused_with_their_type():
    import numpy as np

    with pytest.raises(ArchitectureError, match="int64"):
        Architecture({"a": np.int64(3)})


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '"a"', "null", "{'a': 1}"])
def test_what_is_not_json_of_an_object(text):
    with pytest.raises(ArchitectureError, match="must be an object; got"):
        Architecture.from_json(text)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": [1]}', '{"a": {}}'])
def test_json_of_something_that_is_no_architecture(text):
    with pytest.raises(ArchitectureError):
        Architecture.from_json(text)


def test_the_text_is_compact_sorted_json():
    architecture = Architecture({"b": "é", "a": None})
    assert str(architecture) == '{"a":null,"b":"é"}' == architecture.to_json()
    assert json.loads(str(architecture)) == dict(architecture)


def test_equal_in_another_process():
    architecture = Architecture({"b": 1.5, "a": "x"})
    code = (
        "import sys, pickle; from robonas.architecture import Architecture;"
        "a = pickle.loads(sys.stdin.buffer.read()); print(a == Architecture({'a': 'x', 'b': 1.5}), a)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(architecture), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == f"True {architecture}"
