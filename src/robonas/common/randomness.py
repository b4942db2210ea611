"""Seeds that depend on what they are for, and draws that leave the caller's generators alone."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch


def derive_seed(*parts: object) -> int:
    """Return a seed in [0, 2⁶³) that is the same for the same parts, on every machine and in every process.

    Args:
        parts: Strings, numbers (NumPy's count as Python's), booleans, None, and lists of them: what the draw is for,
            then what it depends on.

    Raises:
        TypeError: A part is anything else, whose text may differ from process to process.

    Example:
        >>> derive_seed("weights", 0, "arch") == derive_seed("weights", 0, "arch") != derive_seed("weights", 1, "arch")
        True
    """
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _plain(part: object) -> object:
    """Return NumPy's and PyTorch's scalars as Python's."""
    item = getattr(part, "item", None)
    if item is None or getattr(part, "ndim", 0) != 0:
        raise TypeError(f"Parts of a seed must be strings, numbers, booleans, None or lists of them; got {part!r}.")
    plain: object = item()
    return plain


def numpy_generator(*parts: object) -> np.random.Generator:
    """Return NumPy's generator, seeded by `derive_seed`."""
    import numpy as np

    return np.random.default_rng(derive_seed(*parts))


def torch_generator(*parts: object) -> torch.Generator:
    """Return PyTorch's generator on the CPU, seeded by `derive_seed`."""
    import torch

    return torch.Generator().manual_seed(derive_seed(*parts))


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed PyTorch's, NumPy's and Python's global generators by the parts until the block ends, and restore them.

    For code that cannot be given a generator, such as a network's constructor or dropout.
    """
    import random

    import numpy as np
    import torch

    seed = derive_seed(*parts)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
