"""Files that are whole or absent: written beside their place, then moved there."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from torch import Tensor


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to; it takes the place of `path` when the block ends well, else vanishes.

    The folder is made if there is none. A crash, a kill or a full disk leaves the old file as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 is for secrets, and these are results to share
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_parquet(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary, temporary.open("wb") as stream:  # PyArrow takes paths in UTF-8 only
        pq.write_table(table, stream)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and notes about them as safetensors, whole or not at all."""
    from safetensors.torch import save

    # Copies, since tensors that share memory are not taken.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(whole, metadata=dict(notes)))  # its own writing to files hides what went wrong


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in a safetensors file, and the notes about them.

    Raises:
        ValueError: The file is damaged.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, dict(stream.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"damaged: {error}") from error
