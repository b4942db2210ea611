"""The outcome of a search, or of a full training, in the files that other programs read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from robonas.common.files import check_file, replacing
from robonas.errors import ConfigError, StudyError
from robonas.study.result import SearchResult

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from robonas.retraining import TrainedNetwork
    from robonas.study.query import Query

    Result: TypeAlias = SearchResult | TrainedNetwork


def export(result: Result, path: str | os.PathLike[str], *, query: Query | None = None) -> Path:
    """Write the network, or how it came about, in the format that the file's ending names.

    Args:
        result: A search, whose winner is written, or a full training.
        path: ``.json`` for everything about the result, ``.csv`` for one line a query or epoch, ``.safetensors`` for
            the trained parameters, ``.pt2`` for the trained network as a program of `torch.export`, which PyTorch loads
            without robonas and without the code that built it.
        query: Query of a search whose network is written, such as one of its front; None for the winner.

    Returns:
        The path.

    Raises:
        ConfigError: Another ending, or a query for a format that holds the whole search.
        OutputError: The place cannot be written.
        StudyError: No query has completed, or no trained parameters were kept for a format that holds them.
        CheckpointError: The trained parameters are gone or damaged.
    """
    target = Path(path)
    write = WRITERS.get(target.suffix)
    if write is None:
        raise ConfigError(f"A file to export to must end in one of {', '.join(WRITERS)}; got '{target}'.")
    _ = result.text  # raises where there is nothing to export
    if query is not None and target.suffix not in HOLD_ONE_NETWORK:
        raise ConfigError(
            f"One of a search's networks goes to a file that ends in {' or '.join(HOLD_ONE_NETWORK)}; got '{target}'."
        )
    check_file(target)
    with replacing(target) as temporary:
        write(result, temporary, query)
    return target


def _json(result: Result, path: Path, _: Query | None) -> None:
    result.write_json(path)


def _csv(result: Result, path: Path, _: Query | None) -> None:
    result.history().to_csv(path, index=False)


def _safetensors(result: Result, path: Path, query: Query | None) -> None:
    if query is None:
        result.load_parameters()  # raises unless they are there, and the winner's
        source = result.parameters_file
    else:
        assert isinstance(result, SearchResult)
        result.load_parameters(query)
        source = result.parameters_file_of(query)
    assert source is not None
    path.write_bytes(source.read_bytes())


def _program(result: Result, path: Path, query: Query | None) -> None:
    import torch

    network = result.build(query, trained=True) if isinstance(result, SearchResult) else result.build(trained=True)
    example = torch.zeros(2, *result.space.input_shape)
    try:
        program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    except Exception as error:
        raise StudyError(
            f"PyTorch cannot export this network as a program ({error}). Export its parameters as .safetensors."
        ) from error
    content = io.BytesIO()
    torch.export.save(program, content)
    path.write_bytes(content.getbuffer())  # PyTorch's own writing to files ends the process on a full disk


HOLD_ONE_NETWORK = (".safetensors", ".pt2")
"""Endings of the formats that hold one network."""
WRITERS: Mapping[str, Callable[[Result, Path, Query | None], None]] = {
    ".json": _json,
    ".csv": _csv,
    ".safetensors": _safetensors,
    ".pt2": _program,
}
"""Every format by the ending of its files."""
