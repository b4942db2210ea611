"""Reading JSON, zip archives and Parquet of others: what a file states is checked before memory is taken for it.

Every function here raises `ValueError` with the fault in a few words; who calls it names the file and the remedy. See
docs/explanation/files-from-others.md.
"""

from __future__ import annotations

import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

DEEPEST = 100
"""Levels of lists and objects inside each other that JSON of others may have; ours has fewer than ten."""
FOLD = 100
"""Largest ratio of the content of a large file to the file itself."""
MODEST = 64 * 2**20
"""Bytes up to which content may unpack to any multiple of its file: constant labels pack a thousandfold."""
MAX_DIRECTORY = 16 * 2**20
"""Bytes of the largest list of contents of a zip archive; one of 100,000 members has about 8 MiB."""


# ── JSON ──


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys are all different."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:100]!r} occurs twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: It is not JSON, has a key twice in one object, or is nested deeper than `DEEPEST`.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text))
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEEPEST):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


# ── zip ──


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """Open a zip archive for reading, unless its list of contents is unreasonably long.

    Raises:
        ValueError: It is no zip archive, damaged, or lists more than `MAX_DIRECTORY` bytes of contents.
    """
    size = _directory_size(stream)
    if size > MAX_DIRECTORY:
        raise ValueError(f"its list of contents has {size:,} bytes; at most {MAX_DIRECTORY:,} are read")
    stream.seek(0)
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error, OverflowError) as error:
        raise ValueError(str(error) or "it is no zip archive") from error


def _directory_size(stream: BinaryIO) -> int:
    """Return the stated size of an archive's list of contents."""
    end = stream.seek(0, 2)
    start = max(0, end - 22 - 2**16 - 76)
    stream.seek(start)
    tail = stream.read(end - start)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < 22:
        raise ValueError("it is no zip archive")
    (size,) = struct.unpack_from("<L", tail, place + 12)
    long = tail.rfind(b"PK\x06\x06", 0, place)
    if long >= 0 and place - long >= 56:
        size = max(int(size) if size != 2**32 - 1 else 0, *struct.unpack_from("<Q", tail, long + 40))
    return int(size)


def check_member(member: zipfile.ZipInfo) -> None:
    """Raise unless a member of an archive is stored or deflated, and has a reasonable size once it is unpacked.

    Raises:
        ValueError: It is compressed otherwise, or unpacks to more than `FOLD` times its size in the file, and to more
            than `MODEST`.
    """
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError(f"'{member.filename}' in it must be stored or deflated; it is compressed otherwise")
    check_fold(member.file_size, member.compress_size)


def check_fold(unpacked: int, packed: int) -> None:
    """Raise where content is unreasonably larger than the file that it comes from.

    Raises:
        ValueError: It is, see `FOLD` and `MODEST`.
    """
    if unpacked > MODEST and unpacked > FOLD * packed:
        raise ValueError(
            f"it states {unpacked:,} bytes of content and has {packed:,}; a large file may unpack to {FOLD} times its "
            "size"
        )


# ── Parquet ──


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> tuple[pa.Table, dict[bytes, bytes]]:
    """Read a Parquet file's columns of numbers, truth values and texts; others are left out.

    What the file says about pandas is not looked at.

    Args:
        path: The file.
        columns: Read these alone; None for all.

    Returns:
        The table, without metadata, and the metadata.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or its content is unreasonably larger than the file.
        KeyError: A column that it does not have, or has of another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = path.stat().st_size
    try:
        # PyArrow takes paths in UTF-8 only, so it is given streams.
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        plain = [field.name for field in schema if _is_plain(_content_of(field.type))]
        named = plain if columns is None else list(columns)
        for name in named:
            if name not in plain:
                raise KeyError(name)
        if len(set(schema.names)) != len(schema.names):
            twice = next(name for name in schema.names if schema.names.count(name) > 1)
            raise ValueError(f"it has the column {twice!r} twice")
        check_fold(8 * rows * max(len(named), 1), packed)
        texts = [name for name in named if not _is_number(_content_of(schema.field(name).type))]
        # Texts stay numbered, as the file has them, until their length written out is known.
        with path.open("rb") as stream, pq.ParquetFile(stream, read_dictionary=texts) as file:
            table = file.read(columns=named)
        check_fold(sum(_length(table.column(name)) for name in texts), packed)
        table = pa.table({name: _written_out(table.column(name)) for name in named})
    except (pa.ArrowException, OSError, OverflowError, RecursionError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__) from error
    return table, dict(schema.metadata or {})


def to_frame(table: pa.Table, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table, in this order.

    Raises:
        KeyError: A column that it does not have.
        TypeError: One of `numbers` does not hold float64.
    """
    import pyarrow as pa

    for name in numbers:
        if not table.column(name).type.equals(pa.float64()):
            raise TypeError(f"column {name!r} must hold numbers")
    frame: pd.DataFrame = table.select(list(columns)).to_pandas()
    return frame


def _content_of(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, where they are numbered."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)) or kind.equals(
        pa.null()
    )


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return _is_number(kind) or bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _length(column: pa.ChunkedArray) -> int:
    """Return how many bytes the texts of a column have in all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
            total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        else:
            total += chunk.nbytes
    return total


def _written_out(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
