"""Files of others that state more than they have, or more than is reasonable: refused before memory is taken."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.lib.format import write_array_header_1_0

from robonas.architecture import Architecture
from robonas.common import reading
from robonas.common.files import read_tensors, write_tensors
from robonas.common.reading import open_zip, parse_json, read_parquet
from robonas.datasets import load_dataset
from robonas.errors import ArchitectureError, DataError, ScoreTableError, StudyError, TableError
from robonas.experiments.codes import codes_of_texts
from robonas.experiments.results import Results
from robonas.scores.table import ScoreTable
from robonas.spaces import SPACES, make_space
from robonas.tables import BenchmarkTable, read_table

DEEP = ["[" * 200_000, "[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300]


# ── JSON ──


def test_json_is_read_as_json() -> None:
    value = {"a": [1, {"b": None, "c": "é"}], "d": 1e300}
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode("utf-16")) == parse_json(text.encode()) == value
    assert parse_json("[" * 100 + "]" * 100)
    for text in ("", "{", "nul", '{"a" 1}', "1" * 5000):
        with pytest.raises(ValueError):
            parse_json(text)
    with pytest.raises(ValueError):
        parse_json(b"\xff\xff\xff")


@pytest.mark.parametrize("text", DEEP, ids=len)
def test_deep_json_is_told_in_one_line(tmp_path, text) -> None:
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        parse_json(text)
    path = tmp_path / "deep.json"
    path.write_text(text)
    for name in ("suite_zero", "nasbenchmacro"):
        with pytest.raises(TableError, match="nested deeper"):
            read_table(path, format=name)
    with pytest.raises(ArchitectureError, match="nested deeper"):
        Architecture.from_json(text)
    for name in SPACES:
        with pytest.raises(ArchitectureError):
            make_space(name).parse(text)
    assert codes_of_texts([text, text]) is None or text.startswith("[")


def test_a_key_that_occurs_twice_is_told(tmp_path) -> None:
    with pytest.raises(ValueError, match="the key 'b' occurs twice"):
        parse_json('{"a": {"b": 1, "c": 2, "b": 3}}')
    path = tmp_path / "zc.json"
    record = {"synflow": {"score": 1.0}, "val_accuracy": 90.0}
    path.write_text(f'{{"cifar10": {{"x": {json.dumps(record)}, "x": {json.dumps(record)}}}}}')
    with pytest.raises(TableError, match=r"'x' occurs twice"):
        read_table(path, format="suite_zero")
    with pytest.raises(ArchitectureError, match="'width' occurs twice"):
        Architecture.from_json('{"width": 1, "width": 2}')


def test_a_deep_suite_is_told_in_one_line(tmp_path) -> None:
    from robonas.errors import ConfigError
    from robonas.experiments.suite import load_suite

    path = tmp_path / "suite.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="is not TOML"):
        load_suite(path)


# ── zip and npz ──


def npz(path, *, header=None, x=None, compression=zipfile.ZIP_STORED):
    """An .npz file whose array ``x`` has another header, or other bytes, than it should."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in (("x", np.zeros((4, 3))), ("y", np.array([0, 1, 0, 1]))):
            stream = io.BytesIO()
            np.save(stream, array)
            data = stream.getvalue()
            if name == "x" and header is not None:
                stream = io.BytesIO()
                write_array_header_1_0(stream, header)
                data = stream.getvalue() + array.tobytes()
            archive.writestr(f"{name}.npy", x if name == "x" and x is not None else data)
    return path


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 2**62), (4, 4), (0, 10**12), (4,)], ids=str)
def test_an_array_that_states_another_size_is_refused(tmp_path, shape) -> None:
    load_dataset(str(npz(tmp_path / "whole.npz")))  # imports what it needs
    path = npz(tmp_path / "x.npz", header={"descr": "<f8", "fortran_order": False, "shape": shape})
    tracemalloc.start()
    with pytest.raises(DataError, match=r"its header states an array of shape"):
        load_dataset(str(path))
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\x01\x00\x06\x00" + b"[" * 6,
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
        b"\x93NUMPY\x03\x00" + struct.pack("<I", 2) + b"{}",
        b"\x93NUMPY\x01\x00\x37\x00" + b"{'descr': '|V99', 'fortran_order': False, 'shape': (1,)}".ljust(55),
        b"nothing",
        b"",
    ],
    ids=range(7),
)  # fmt: skip
def test_headers_that_cannot_be_read(tmp_path, content) -> None:
    with pytest.raises(DataError, match=r"Array 'x' of '.*' is damaged"):
        load_dataset(str(npz(tmp_path / "x.npz", x=content)))


def test_an_archive_that_unpacks_a_thousandfold_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros((20_000, 100), np.uint8), y=np.arange(20_000) % 2)
    assert load_dataset(str(path)).input_shape == (100,)  # small ones may
    monkeypatch.setattr(reading, "MODEST", 10**6)
    with pytest.raises(DataError, match=r"a large file may unpack to 100 times its size"):
        load_dataset(str(path))


def test_a_list_of_contents_that_is_too_long_is_not_read(tmp_path, monkeypatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(100):
            archive.writestr(str(number), b"")
    assert len(open_zip(stream).namelist()) == 100
    monkeypatch.setattr(reading, "MAX_DIRECTORY", 1000)
    with pytest.raises(ValueError, match="its list of contents has"):
        open_zip(stream)
    for content in (b"", b"PK\x03\x04", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18):
        with pytest.raises(ValueError):
            open_zip(io.BytesIO(content))


# ── Parquet ──


def test_parquet_is_read_without_what_it_says_of_pandas(tmp_path) -> None:
    frame = pd.DataFrame({"arch": ["a", None, "c"], "v": [1.0, np.nan, 3.0], "n": [1, 2, 3], "b": [True, False, True]})
    frame["kind"] = pd.Categorical(["x", "y", "x"])
    frame["day"] = pd.Timestamp("2024-01-01")
    frame["list"] = [[1], [2], [3]]
    content = pa.Table.from_pandas(frame, preserve_index=False)
    content = content.replace_schema_metadata({b"pandas": b"[" * 100_000, b"mine": b"kept"})
    pq.write_table(content, tmp_path / "x.parquet")
    found, notes = read_parquet(tmp_path / "x.parquet")
    assert notes[b"mine"] == b"kept"
    assert found.column_names == ["arch", "v", "n", "b", "kind"]
    assert found.column("kind").to_pylist() == ["x", "y", "x"]
    assert found.column("arch").to_pylist() == ["a", None, "c"]
    with pytest.raises(KeyError, match="day"):
        read_parquet(tmp_path / "x.parquet", ["day"])


def test_parquet_that_unpacks_a_thousandfold_is_refused(tmp_path) -> None:
    pq.write_table(pa.table({"v": np.zeros(9_000_000, np.int8)}), tmp_path / "rows.parquet")
    long = pa.DictionaryArray.from_arrays(np.zeros(200_000, np.int32), ["x" * 2_000_000])
    pq.write_table(pa.table({"v": long}), tmp_path / "texts.parquet")  # 400 GB
    for name in ("rows", "texts"):
        path = tmp_path / f"{name}.parquet"
        assert path.stat().st_size < 200_000
        with pytest.raises(ValueError, match="may unpack to 100 times its size"):
            read_parquet(path)
        with pytest.raises(TableError, match="may unpack to 100 times its size"):
            read_table(path)


@pytest.mark.parametrize(
    "note", [b"[" * 100_000, b"[]", b"3", b'{"metrics": 3}', b'{"metrics": [], "columns": [3], "format": "x"}', b"{}"]
)
def test_notes_of_tables_that_cannot_be_read(tmp_path, note) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"architecture": ["a"], "canonical": ["a"], "v": ["text"]})
    keys = {b"robonas_table": note, b"robonas_scores": note, b"robonas": note, b"robonas_experiment": note}
    pq.write_table(table.replace_schema_metadata(keys), path)
    for read, error in (
        (BenchmarkTable.read, TableError),
        (ScoreTable.read, ScoreTableError),
        (Results.read, StudyError),
    ):
        with pytest.raises(error, match=r"x\.parquet"):
            read(path)


def test_a_metric_that_holds_texts_is_refused(tmp_path) -> None:
    path = tmp_path / "x.parquet"
    note = {"format": 1, "columns": [{"name": "v", "role": "metric"}], "provenance": {}}
    table = pa.table({"architecture": ["a"], "v": ["text"]})
    pq.write_table(table.replace_schema_metadata({b"robonas_table": json.dumps(note)}), path)
    with pytest.raises(TableError, match="column 'v' must hold numbers"):
        read_table(path)


# ── others ──


@pytest.mark.parametrize(
    "text",
    ["arch,v,v\na,1,2\n", '\ufeff"arch",v,"v"\na,1,2\n', "v,arch,arch\n1,a,b\n"],
    ids=["numbers", "quoted, with a byte-order mark", "texts"],
)
def test_a_column_that_occurs_twice_is_told(tmp_path, text) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=r"has the column '(v|arch)' twice"):
        read_table(path)


def test_tensors_whose_header_states_too_much(tmp_path) -> None:
    import torch

    path = tmp_path / "x.safetensors"
    write_tensors(path, {"w": torch.zeros(3)}, {})
    whole = path.read_bytes()

    def header(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode() + whole[-12:]

    entry = '{"w":{"dtype":"F32","shape":[%s],"data_offsets":[0,%s]}}'
    for content in (
        struct.pack("<Q", 2**62) + whole[8:],
        header(entry % ("1000000000000", "4000000000000")),
        header(entry % ("1000000000000", "12")),
        header("[" * 100_000),
        whole[:-1],
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            read_tensors(path)
