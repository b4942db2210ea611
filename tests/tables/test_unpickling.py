"""Pickles of others: data is read as pickle reads it, code is never run, stated sizes are not believed."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given, strategies as st

from robonas.errors import TableError
from robonas.tables import pickle_containers
from robonas.tables.nasbenchmacro import NASBenchMacro
from robonas.tables.suite_zero import SuiteZero
from robonas.tables.unpickling import MAX_FILE, SafeUnpickler, UnsafePickleError, read_small, unpickle, unpickle_all
from tests.tables import fuzz

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
    with pytest.raises(UnsafePickleError, match="state of a dict"):
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
    with pytest.raises(TableError, match="in no order"):
        unpickle(b"\x80\x02K\x01r" + struct.pack("<I", 2**32 - 1) + b".", "f.p")
    assert unpickle(b"\x80\x02]q\x01h\x01\x86.", "f.p") == ([], [])  # Python 2 counted from 1


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


# ── ways to break the reader itself ──


def with_state(array: np.ndarray, old: bytes, new: bytes) -> bytes:
    """The pickle of an array whose stated type is another."""
    made = pickle.dumps(array, 2)
    assert old in made
    return made.replace(old, new)


FLAGS = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
"""How the pickle of a type of numbers ends: size, alignment and flags."""


def test_numbers_cannot_be_said_to_be_objects() -> None:
    data = with_state(np.array([4919.0]), FLAGS, FLAGS[:-2] + b"\x3ft")  # NumPy would follow 4919.0 as an address
    with pytest.raises(TableError, match=r"type 'f8' states order '<', size -1 and flags 63"):
        unpickle(data, "f.p")


def test_objects_cannot_come_as_raw_bytes() -> None:
    data = with_state(np.array([4919.0]), b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00O8")
    data = data.replace(FLAGS, FLAGS[:-2] + b"\x3ft")
    with pytest.raises(TableError, match="must bring a list"):
        unpickle(data, "f.p")
    data = pickle.dumps(np.float64(2), 2).replace(b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00O8")
    with pytest.raises(TableError, match=r"flags 0|must not be objects"):
        unpickle(data, "f.p")


@pytest.mark.parametrize("code", ["V1000000000", "V8", "m8", "M8", "f16", "i4,i4", "(1000,1000)f8", "U99999", "O,O"])
def test_other_types_are_not_read(code) -> None:
    text = code.encode()
    short = b"X" + struct.pack("<I", len(text)) + text
    for value in (np.float64(1), np.zeros(2)):
        data = pickle.dumps(value, 2).replace(b"X\x02\x00\x00\x00f8", short)
        with pytest.raises(TableError, match="plain numbers or texts"):
            unpickle(data, "f.p")


def test_memory_that_was_never_written_is_not_shown() -> None:
    made = pickle.dumps(np.zeros(3), 2)
    head = made[: made.index(b"R", made.index(b"R") + 1) + 1]  # the empty array, without its state
    assert not isinstance(unpickle(head + b".", "f.p"), np.ndarray)
    with pytest.raises(TableError, match="must start empty"):
        unpickle(head.replace(b"K\x00\x85", b"K\x63\x85") + b".", "f.p")
    place = bytes([head.count(b"q")])
    with pytest.raises(TableError, match="not there yet"):
        unpickle(head + b"q" + place + b"h" + place + b"\x86.", "f.p")


def test_texts_of_characters_that_do_not_exist() -> None:
    data = pickle.dumps(np.array(["ab"]), 4).replace(b"a\0\0\0b\0\0\0", b"\xff\xff\xff\xffb\0\0\0")
    with pytest.raises(TableError, match="of characters"):
        unpickle(data, "f.p")


def test_truth_values_are_true_or_false() -> None:
    found = unpickle(pickle.dumps(np.array([True, False]), 4).replace(b"\x01\x00\x94", b"\x42\x00\x94"), "f.p")
    assert found.view(np.uint8).tolist() == [1, 0]


def twice(levels: int, kind: bytes) -> bytes:
    """A container that holds the one before twice, over and over."""
    one = {b"t": b"(%(0)s%(0)st", b"l": b"](%(0)s%(0)se"}[kind]
    data = b"\x80\x02)q\x00" if kind == b"t" else b"\x80\x02]q\x00"
    for level in range(levels):
        data += one.replace(b"%(0)s", b"h" + bytes([level])) + b"q" + bytes([level + 1])
    return data


def test_tuples_nested_as_a_key_are_refused() -> None:
    data = b"\x80\x02}K\x01" + b"\x85" * 300_000 + b"K\x01s."
    with pytest.raises(TableError, match="keys must have at most 1,000 parts"):
        unpickle(data, "f.p")
    with pytest.raises(TableError, match="keys must have at most 1,000 parts"):
        unpickle(twice(60, b"t") + b"}h\x3cK\x01s.", "f.p")
    text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x00"
    with pytest.raises(TableError, match="keys must have at most 1,000 parts"):
        unpickle(b"\x80\x02}(" + text + b"h\x00" * 899 + b"tK\x01s.", "f.p")
    assert len(unpickle(b"\x80\x02}" + text + b"K\x01s.", "f.p")) == 1
    with pytest.raises(TableError, match="64 bits"):  # numbers that all have the same hash
        unpickle(pickle.dumps({2**61 * 2**40 - 1: 1}, 4), "f.p")


def test_deep_and_tangled_data_are_refused() -> None:
    for data in (
        b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
        b"\x80\x02)" + b"\x85" * 10**6 + b".",
    ):
        with pytest.raises(TableError, match="more than 100 levels"):
            unpickle(data, "f.p")
    with pytest.raises(TableError, match="begins more than 1,000"):
        unpickle(b"\x80\x02" + b"(" * 10**7, "f.p")
    with pytest.raises(TableError, match="large once written out"):
        unpickle(twice(60, b"l") + b".", "f.p")
    with pytest.raises(TableError, match="contain themselves"):
        unpickle(b"\x80\x02]q\x00h\x00a.", "f.p")
    assert sys.getrecursionlimit() < 100_000


ARRAY = b"cnumpy.core.numeric\n_frombuffer\n(%s" + b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1tR%sX\x01\x00\x00\x00CtR"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(b"]" + ARRAY % (b"X\x01\x00\x00\x00a", b"h\x3c") + b"a.", "shape of numbers", id="shape"),
        pytest.param(b"]cnumpy\ndtype\n(h\x3ctRa.", "got type a tuple", id="type"),
        pytest.param(b"]cnumpy\ndtype\n(X\x02\x00\x00\x00u1tR(K\x03h\x3cNNNK\x01K\x01K\x00tba.", "order", id="order"),
        pytest.param(b"]c_codecs\nencode\n(X\x01\x00\x00\x00ah\x3ctRa.", "in latin1; got a tuple", id="encoding"),
    ],
)  # fmt: skip
def test_what_is_refused_is_neither_written_out_nor_compared(call, message) -> None:
    """A tuple of 2^60 parts, where something else belongs."""
    with pytest.raises(TableError, match=message):
        unpickle(twice(60, b"t") + call, "f.p")


def colliding(n: int) -> list[tuple[int, int]]:
    """Different pairs of one hash, by the constants with which Python makes the hash of a tuple."""
    one, two, five, bits = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64
    turned = lambda x: (x << 31 | x >> 33) % bits
    undone = lambda x: (x >> 31 | x << 33) % bits
    back_one, back_two = pow(one, -1, bits), pow(two, -1, bits)
    found: list[tuple[int, int]] = []
    first = 0
    while len(found) < n:
        first += 1
        before = turned((five + first * two) % bits) * one % bits
        second = (undone(12345 * back_one % bits) - before) * back_two % bits
        if second < 2**61 - 1:
            found.append((first, second))
    assert len({hash(pair) for pair in found}) == 1
    return found


def test_keys_of_one_hash_cost_no_more_than_any_other_pickle(monkeypatch) -> None:
    monkeypatch.setattr(pickle_containers, "MAX_STEPS", 10**5)
    keys = colliding(2500)
    for data in (dict.fromkeys(keys[:300]), set(keys[:300])):
        assert unpickle(pickle.dumps(data, 4), "f.p") == data
    for protocol in (2, 4):
        for many in (dict.fromkeys(keys), set(keys), frozenset(keys), OrderedDict.fromkeys(keys)):
            with pytest.raises(TableError, match="more instructions than any real one"):
                unpickle(pickle.dumps(many, protocol), "f.p")
    with pytest.raises(TableError, match="real numbers; got a complex"):
        unpickle(pickle.dumps({1 + 2j: 1}, 4), "f.p")


ROW = b"X" + struct.pack("<I", 2**16) + b"a" * 2**16


@pytest.mark.parametrize(
    ("part", "call"),
    [
        pytest.param(ROW, b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR", id="texts"),
        pytest.param(b"B" + ROW[1:], b"cbuiltins\nbytearray\n(h\x00tR", id="bytes"),
        pytest.param(ROW, ARRAY % (b"h\x00", b"(J\x00\x00\x01\x00t"), id="arrays"),
        pytest.param(b"](" + b"".join(b"J" + struct.pack("<i", n) for n in range(2**16)) + b"e",
                     b"cbuiltins\nset\n(h\x00tR", id="sets"),
    ],
)  # fmt: skip
def test_what_is_there_once_is_not_copied_without_end(monkeypatch, part, call) -> None:
    monkeypatch.setattr(pickle_containers, "MAX_ROOM", 2**22)
    monkeypatch.setattr(pickle_containers, "MAX_STEPS", 2**22)
    start = b"\x80\x04](" + part + b"\x94"
    assert len(unpickle(start + call * 20 + b"e.", "f.p")) == 21
    with pytest.raises(TableError, match="than any real one"):
        unpickle(start + call * 2000 + b"e.", "f.p")


def test_a_shared_list_may_be_referred_to_a_few_times() -> None:
    assert unpickle(twice(2, b"l") + b".", "f.p") == [[[], []], [[], []]]
    shared = list(range(100))
    assert unpickle(pickle.dumps([shared] * 50, 4), "f.p") == [shared] * 50
    arrays = pickle.dumps([[np.zeros(10_000)] * 100] * 20, 4)
    assert len(unpickle(arrays, "f.p")) == 20
    with pytest.raises(TableError, match="large once written out"):
        unpickle(pickle.dumps([[np.zeros(10_000)] * 1000] * 20, 4), "f.p")


def test_long_pickles_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(pickle_containers, "MAX_STEPS", 1000)
    with pytest.raises(TableError, match="more instructions"):
        unpickle(pickle.dumps(list(range(2000)), 4), "f.p")
    monkeypatch.setattr(pickle_containers, "MAX_STEPS", 10**6)
    monkeypatch.setattr(pickle_containers, "MAX_CONTAINERS", 1000)
    with pytest.raises(TableError, match="more containers"):
        unpickle(pickle.dumps([[n] for n in range(2000)], 4), "f.p")


def test_the_largest_whole_numbers() -> None:
    assert unpickle(pickle.dumps(2**8000, 4), "f.p") == 2**8000
    for data in (pickle.dumps(2**100_000, 2), b"L" + b"9" * 5000 + b"L\n.", b"I" + b"9" * 5000 + b"\n."):
        with pytest.raises(TableError, match=r"at most 1,024 are read|more than 1,024 bytes"):
            unpickle(data, "f.p")


def test_escapes_of_old_texts() -> None:
    for text in (b"a\\nb", b"\\x00\\xff", b"it\\'s", b"\\\\n", b"\\101"):
        data = b"S'" + text + b"'\n."
        assert unpickle(data, "f.p") == pickle.loads(data, encoding="latin1")


def test_mutated_pickles_give_data_or_a_table_error(tmp_path) -> None:
    outcome = fuzz.run(0, 600, tmp_path)
    assert outcome["refused"] > 100
    assert outcome["read"] > 20
    assert outcome["imported"] == []
    assert outcome["other"] == []


@pytest.mark.slow
def test_ten_thousand_mutated_pickles(tmp_path) -> None:
    """In processes with little memory: a crash, a hang or too much memory ends one of them otherwise."""
    for part in range(4):
        answer = subprocess.run(
            [sys.executable, "-m", "tests.tables.fuzz", str(part), "2500", str(tmp_path)],
            capture_output=True, text=True, timeout=540, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        outcome = json.loads(answer.stdout)
        assert outcome["other"] == outcome["imported"] == []
        assert outcome["read"] + outcome["refused"] == 2500


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


@pytest.mark.parametrize("reader", [NASBenchMacro(), SuiteZero()], ids=lambda reader: reader.name)
def test_a_large_file_of_json_is_told_as_such(tmp_path, reader) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(MAX_FILE + 1)  # no bytes are written
    with pytest.raises(TableError, match=r"^'[^']*large\.json' has 536,870,913 bytes"):
        reader.read(tmp_path / "large.json")


def test_more_names_can_be_allowed() -> None:
    data = pickle.dumps(pickle.PicklingError, 2)
    with pytest.raises(UnsafePickleError):
        unpickle(data, "f.p")
    reader = SafeUnpickler(io.BytesIO(data), {("pickle", "PicklingError"): len, ("_pickle", "PicklingError"): len})
    made = reader.load()
    assert (made.text.rpartition(".")[2], made.make) == ("PicklingError", len)
    assert not callable(made)
