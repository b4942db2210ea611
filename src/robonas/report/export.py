"""The outcome of a search, or of a full training, in the files that other programs read."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.common.files import check_file, replacing
from robonas.errors import ConfigError, MissingExtraError, StudyError
from robonas.prediction.files import EXTRA_FILE
from robonas.study.result import SearchResult

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from robonas.prediction import Preprocessing
    from robonas.retraining import TrainedNetwork
    from robonas.study.query import Query

    Result: TypeAlias = SearchResult | TrainedNetwork

ONNX_EXTRA = ("onnx", "onnxruntime", "onnxscript")
"""Packages that an ``.onnx`` file is written and checked with."""


def export(
    result: Result,
    path: str | os.PathLike[str],
    *,
    query: Query | None = None,
    logits: Callable[[Any], Tensor] | None = None,
) -> Path:
    """Write the network, or how it came about, in the format that the file's ending names.

    ``.pt2`` and ``.onnx`` hold the trained network with the preparation of its inputs built in: it takes batches of any
    size of inputs as they come, such as bytes of pixels, and returns what `robonas.prediction.MEANINGS` says. Both, and
    ``.safetensors`` and ``.json``, hold the `Preprocessing` as JSON, which `Preprocessing.read` returns.

    Args:
        result: A search, whose winner is written, or a full training.
        path: ``.json`` for everything about the result, ``.csv`` for one line a query or epoch, ``.safetensors`` for
            the trained parameters, ``.pt2`` for the trained network as a program of `torch.export`, which PyTorch loads
            without robonas and without the code that built it, ``.onnx`` for the same as an ONNX model.
        query: Query of a search whose network is written, such as one of its front; None for the winner.
        logits: Picks the answer from what the network returns, where the search or training was given one too.

    Returns:
        The path.

    Raises:
        ConfigError: Another ending, or a query for a format that holds the whole search.
        OutputError: The place cannot be written.
        StudyError: No query has completed, no trained parameters were kept for a format that holds them, or the program
            does not compute what the network does.
        CheckpointError: The trained parameters are gone or damaged.
        MissingExtraError: The packages for ``.onnx`` files are not installed.
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
        write(result, temporary, query, logits)
    return target


def _json(result: Result, path: Path, *_: object) -> None:
    result.write_json(path)


def _csv(result: Result, path: Path, *_: object) -> None:
    result.history().to_csv(path, index=False)


def _safetensors(result: Result, path: Path, query: Query | None, *_: object) -> None:
    if query is None:
        result.load_parameters()  # raises unless they are there, and the winner's
        source = result.parameters_file
    else:
        assert isinstance(result, SearchResult)
        result.load_parameters(query)
        source = result.parameters_file_of(query)
    assert source is not None
    path.write_bytes(source.read_bytes())


def _program(result: Result, path: Path, query: Query | None, logits: Callable[[Any], Tensor] | None) -> None:
    import torch

    network, how, samples = _network(result, query, logits)
    try:
        program = torch.export.export(network, (samples[:2],), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        answer = program.module()
    except Exception as error:
        raise StudyError(
            f"PyTorch cannot export this network as a program ({error}). Export its parameters as .safetensors."
        ) from error
    _check(network, answer, samples, "The program that PyTorch exports")
    content = io.BytesIO()
    notes = {} if how is None else {EXTRA_FILE: how.to_text()}
    torch.export.save(program, content, extra_files=notes)
    path.write_bytes(content.getbuffer())  # PyTorch's own writing to files ends the process on a full disk


def _onnx(result: Result, path: Path, query: Query | None, logits: Callable[[Any], Tensor] | None) -> None:
    import torch

    for package in ONNX_EXTRA:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError("An .onnx file", "onnx") from error
    import onnxruntime

    network, how, samples = _network(result, query, logits)
    try:
        with _quiet("torch.onnx"):
            made = torch.onnx.export(
                network,
                (samples[:2],),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim.AUTO},),
                input_names=["inputs"],
                output_names=["outputs"],
                external_data=False,
                verbose=False,
            )
        assert made is not None
        model: Any = made.model_proto
        _name_batch(model.graph)
        if how is not None:
            entry = model.metadata_props.add()
            entry.key, entry.value = EXTRA_FILE, how.to_text()
        content: bytes = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StudyError(
            f"This network cannot be written as an ONNX model ({type(error).__name__}: {error}). Export it as .pt2, or "
            "its parameters as .safetensors."
        ) from error

    def answer(inputs: Tensor) -> list[Tensor]:
        return [torch.from_numpy(found) for found in session.run(None, {"inputs": inputs.numpy()})]

    _check(network, answer, samples, "The ONNX model, run by ONNX Runtime,")
    path.write_bytes(content)


def _name_batch(graph: Any) -> None:
    """Call the number of inputs of an ONNX graph ``batch``, where the exporter has made up a name such as ``s85``."""
    made_up = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if made_up and size.dim_param:
                size.dim_param = re.sub(rf"\b{re.escape(made_up)}\b", "batch", size.dim_param)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Reject what a package logs below errors until the block ends; here, that torchvision is not installed."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _network(
    result: Result, query: Query | None, logits: Callable[[Any], Tensor] | None
) -> tuple[nn.Module, Preprocessing | None, Tensor]:
    """Return the trained network, its preprocessing where there is one, and seven inputs to try it with."""
    import torch

    from robonas.common.randomness import torch_generator
    from robonas.prediction import ReadyNetwork

    network = result.build(query, logits=logits) if isinstance(result, SearchResult) else result.build(logits=logits)
    how = network.preprocessing if isinstance(network, ReadyNetwork) else None
    generator = torch_generator("export")
    if how is None:
        text = result.text if query is None else query.architecture
        shape = result.space.input_shape_of(result.space.parse(text))
        return network, None, torch.randn(7, *shape, generator=generator)
    if how.stored == "uint8":
        return network, how, torch.randint(256, (7, *how.data_shape), generator=generator, dtype=torch.uint8)
    inputs = torch.randn(7, *how.data_shape, generator=generator)
    spread, centre = (
        torch.tensor(numbers).reshape(1, -1, *(1,) * (len(how.data_shape) - 1)) for numbers in (how.std, how.mean)
    )
    return network, how, inputs * spread + centre


def _check(network: nn.Module, answer: Callable[[Tensor], Any], samples: Tensor, what: str) -> None:
    """Raise unless a program answers as the network does, also with another number of inputs than it was made with.

    Raises:
        StudyError: It does not run, or answers otherwise.
    """
    import torch

    with torch.no_grad():
        try:
            expected, found = _tensors(network(samples)), _tensors(answer(samples))
        except Exception as error:
            raise StudyError(
                f"{what} does not take {len(samples)} inputs at once ({error}). Export the parameters as .safetensors."
            ) from error
    if len(found) != len(expected):
        raise StudyError(
            f"{what} does not compute what the network computes: it returns {len(found)} tensors instead of "
            f"{len(expected)}. Export the parameters as .safetensors."
        )
    for ours, theirs in zip(expected, found, strict=True):
        scale = float(ours.abs().max()) + 1e-6
        if theirs.shape != ours.shape or not torch.allclose(theirs.float(), ours.float(), rtol=1e-3, atol=1e-4 * scale):
            raise StudyError(
                f"{what} does not compute what the network computes: its answers differ by up to "
                f"{_difference(ours, theirs)}. Export the parameters as .safetensors."
            )


def _tensors(returned: Any) -> list[Tensor]:
    import torch

    return [one for one in torch.utils._pytree.tree_leaves(returned) if isinstance(one, torch.Tensor)]  # noqa: SLF001


def _difference(ours: Tensor, theirs: Tensor) -> str:
    if ours.shape != theirs.shape:
        return f"their shape, {tuple(theirs.shape)} instead of {tuple(ours.shape)}"
    return f"{float((ours - theirs).abs().max()):.3g}"


HOLD_ONE_NETWORK = (".safetensors", ".pt2", ".onnx")
"""Endings of the formats that hold one network."""
WRITERS: Mapping[str, Callable[..., None]] = {
    ".json": _json,
    ".csv": _csv,
    ".safetensors": _safetensors,
    ".pt2": _program,
    ".onnx": _onnx,
}
"""Every format by the ending of its files."""
