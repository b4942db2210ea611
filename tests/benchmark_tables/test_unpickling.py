"""Pickles of others: data is read as pickle reads it, code is never run, stated sizes are not believed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given, strategies as st

from robonas.errors import TableError
from robonas.tables.unpickling import SafeUnpickler, UnsafePickleError, read_small, unpickle, unpickle_all

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4) | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from(list(PROTOCOLS)))
def test_plain_data_is_read_as_pickle_reads_it(data, protocol) -> None:
    assert unpickle(pickle.dumps(data, protocol), "file") == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype=">f4").reshape(2, 3).T,
        np.array(["a", "bc"]),
        np.array([1, "x", None], dtype=object),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.array([1 + 2j]),
    ],
    ids=str,
)
def test_arrays(array, protocol) -> None:
    found = unpickle(pickle.dumps(array, protocol), "file")
    assert isinstance(found, np.ndarray)
    assert found.shape == array.shape
    assert np.array_equal(found, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_and_containers(protocol) -> None:
    shared = [1.5]
    data = [
        np.float64(2.5), np.float32(0.25), np.int64(-3), np.bool_(True), 3 + 4j, {1, 2}, frozenset([3]),
        OrderedDict(b=1, a=2), defaultdict(list, x=[1]), shared, shared,
    ]  # fmt: skip
    found = unpickle(pickle.dumps(data, protocol), "file")
    assert found == data
    assert found[-1] is found[-2]


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_either_name_of_numpys_private_modules(core) -> None:
    made = pickle.dumps(np.float64(1.25), 2).replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    data = made.replace(b"cnumpy.core.multiarray", f"c{core}.multiarray".encode())
    assert core.encode() in data
    assert unpickle(data, "file") == 1.25


class Hostile:
    """Writes a file when it is unpickled the ordinary way."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, protocol) -> None:
    target = tmp_path / "owned"
    data = pickle.dumps([1, Hostile(str(target))], protocol)
    with pytest.raises(UnsafePickleError, match=r"'f\.p' is refused.*mkdir.*not run") as caught:
        unpickle(data, "f.p")
    assert caught.value.wanted.endswith("mkdir")
    assert not target.exists()
    pickle.loads(data)
    assert target.exists()  # it was a real one


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\nexec\n(S'1'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
        b"(ios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ of an allowed name
        b"\x80\x02Q.",  # BINPERSID
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02cnumpy\ntesting\n.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"ctorch\nload\n(S'x'\ntR.",
    ],
    ids=lambda data: repr(data)[:30],
)
def test_ways_around_are_refused(data) -> None:
    with pytest.raises(UnsafePickleError, match="not run"):
        unpickle(data, "f.p")


def test_a_state_cannot_be_set_on_anything_else() -> None:
    data = b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(UnsafePickleError, match="state of a OrderedDict"):
        unpickle(data, "f.p")


def array_that_lies(shape: tuple[int, ...]) -> bytes:
    """A pickled array whose stated shape is not that of its data."""
    made = pickle.dumps(np.zeros(3), 2)
    reader = io.BytesIO(made)
    assert pickle.loads(reader.read()).shape == (3,)
    return made.replace(b"K\x03\x85", pickle.dumps(shape, 2)[2:-1].replace(b"q\x00", b""))


def test_stated_sizes_are_not_believed() -> None:
    with pytest.raises(TableError, match="states shape"):
        unpickle(array_that_lies((2**40,)), "f.p")
    huge = 2**40
    for code in (pickle.BINBYTES8, pickle.BINUNICODE8, pickle.BYTEARRAY8):
        with pytest.raises(TableError, match=r"1,099,511,627,776 bytes.*hostile"):
            unpickle(b"\x80\x05" + code + struct.pack("<Q", huge) + b"x.", "f.p")
    # The reader in C sets aside room for as many entries as the largest number says.
    assert unpickle(b"\x80\x02K\x01r" + struct.pack("<I", 2**32 - 1) + b".", "f.p") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x80\x02",
        b"\x80\x02]q\x00(K\x01",
        b"\x80\x63.",
        b"\x80\x02K\x01a.",
        b"\x80\x04\x95" + b"\xff" * 8,
    ],
)
def test_damaged_files_are_table_errors(data) -> None:
    with pytest.raises(TableError, match=r"'f\.p'"):
        unpickle(data, "f.p")


@given(st.binary(max_size=200))
def test_any_bytes_give_data_or_a_table_error(data) -> None:
    try:
        unpickle(data, "f.p")
    except TableError:
        return


@given(st.integers(0, 400), st.integers(0, 255))
def test_any_damage_gives_data_or_a_table_error(place, byte) -> None:
    data = bytearray(pickle.dumps({"a": np.arange(9.0), "b": [OrderedDict(x=np.float32(1))] * 3, "c": {"d"}}, 4))
    data[place % len(data)] = byte
    try:
        unpickle(bytes(data), "f.p")
    except TableError:
        return


def test_deep_nesting_ends_well() -> None:
    data = b"\x80\x02" + b"(" * 100_000 + b"]" + b"t" * 100_000 + b"."
    found = unpickle(data, "f.p")
    assert isinstance(found, tuple)
    assert sys.getrecursionlimit() < 100_000


def test_several_pickles_in_one_file() -> None:
    file = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps({"a": 2}, 4) + pickle.dumps([3], 0))
    assert list(unpickle_all(file, "f.p")) == [1, {"a": 2}, [3]]
    with pytest.raises(TableError, match="empty"):
        list(unpickle_all(io.BytesIO(), "f.p"))


def test_large_files_are_not_read(tmp_path) -> None:
    path = tmp_path / "large.p"
    path.write_bytes(b"0123456789")
    assert read_small(path, 10) == b"0123456789"
    with pytest.raises(TableError, match="10 bytes; files of this format are read up to 9"):
        read_small(path, 9)


def test_more_names_can_be_allowed() -> None:
    data = pickle.dumps(pickle.PicklingError, 2)
    with pytest.raises(UnsafePickleError):
        unpickle(data, "f.p")
    reader = SafeUnpickler(io.BytesIO(data), {("pickle", "PicklingError"): len, ("_pickle", "PicklingError"): len})
    assert reader.load() is len
