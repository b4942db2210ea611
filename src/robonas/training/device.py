"""The device and precision of a training, and PyTorch's settings while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

Mixed: TypeAlias = bool | Literal["auto", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """Return the device of that name; for ``"auto"`` a CUDA GPU, else Apple's, else the CPU.

    Raises:
        ConfigError: There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"Device must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'; got {name!r}.") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise ConfigError(f"Device {name!r} is not available here. Use 'auto', or one of {_names(available)}.")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise ConfigError(f"Device {name!r} is not available here; there are {torch.cuda.device_count()} CUDA devices.")
    return device


def _names(available: dict[str, bool]) -> str:
    return ", ".join(repr(name) for name, here in available.items() if here)


def choose_precision(mixed: Mixed, device: torch.device) -> torch.dtype:
    """Return the type in which convolutions and products are computed.

    Mixed precision is bfloat16 on GPUs that have it, else float16 with scaled gradients; ``"auto"`` uses it on CUDA
    alone. ``"bf16"`` and ``"fp16"`` ask for one of them, on any device.

    Raises:
        ConfigError: It is asked for on the CPU without its name: it is mostly slower there.
    """
    if mixed == "auto":
        mixed = device.type == "cuda"
    if isinstance(mixed, str) and mixed in _HALF:
        return _HALF[mixed]
    if not isinstance(mixed, bool):
        raise ConfigError(f"`mixed_precision` must be 'auto', True, False, 'bf16' or 'fp16'; got {mixed!r}.")
    if not mixed:
        return torch.float32
    if device.type == "cpu":
        raise ConfigError(
            "Mixed precision needs a GPU; the device is 'cpu', where it is mostly slower. Use mixed_precision='auto', "
            "or 'bf16' to have it all the same."
        )
    bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if bfloat16 else torch.float16


@contextmanager
def training_settings(threads: int | None) -> Iterator[None]:
    """Set gradients on, repeatable cuDNN kernels and this many CPU threads until the block ends."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = flags
        if threads is not None:
            torch.set_num_threads(before)
