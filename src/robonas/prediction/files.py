"""Reading the preprocessing out of exported files, as text and nothing more."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

from robonas.common.files import read_notes
from robonas.common.reading import check_member, open_zip, parse_json
from robonas.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOTE = "preprocessing"
"""Name under which the preprocessing stands in the notes of parameters, and in JSON."""
EXTRA_FILE = "robonas.json"
"""Name of the file within a ``.pt2`` archive, and of the entry in the metadata of an ``.onnx`` file."""


def read_note(path: Path) -> str:
    """Return the text of the preprocessing in an exported file.

    Raises:
        ConfigError: The file has another ending than an export.
        DataError: There is no such file, it is damaged, or it holds no such text.
        MissingExtraError: The package that reads ``.onnx`` files is not installed.
    """
    read = READERS.get(path.suffix)
    if read is None:
        raise ConfigError(f"Preprocessing is read from files that end in {', '.join(READERS)}; got '{path}'.")
    try:
        text = read(path)
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(f"Cannot read '{path}': {error}. Export the network again.") from error
    if text is None:
        raise DataError(f"'{path}' holds no preprocessing: it was not exported by robonas, or its network has none.")
    return text


def _of_tensors(path: Path) -> str | None:
    return read_notes(path).get(NOTE)


def _of_program(path: Path) -> str | None:
    with path.open("rb") as stream, open_zip(stream) as archive:
        member = next((one for one in archive.infolist() if one.filename.endswith(f"/extra/{EXTRA_FILE}")), None)
        if member is None:
            return None
        check_member(member)
        return archive.read(member).decode()


def _of_onnx(path: Path) -> str | None:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("A network in an .onnx file", "onnx") from error
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ValueError(f"it is damaged or no .onnx file ({error})") from error
    return next((str(entry.value) for entry in model.metadata_props if entry.key == EXTRA_FILE), None)


def _of_json(path: Path) -> str | None:
    import json

    value = parse_json(path.read_bytes())
    holders = [value, value.get("best") if isinstance(value, dict) else None]
    found = next((holder[NOTE] for holder in holders if isinstance(holder, dict) and holder.get(NOTE)), None)
    return None if found is None else json.dumps(found)


READERS: Mapping[str, Callable[[Path], str | None]] = {
    ".safetensors": _of_tensors,
    ".pt2": _of_program,
    ".onnx": _of_onnx,
    ".json": _of_json,
}
"""The reader of each kind of file, by its ending."""
