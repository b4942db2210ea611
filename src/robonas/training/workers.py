"""Processes that train one network together, started by `torchrun`; one alone is the usual case.

Every process has the whole order of an epoch, and takes its own part of each batch, so that together they take the
steps that one would: with batch normalisation, which sees a process's part alone, up to its statistics.
"""

from __future__ import annotations

import contextlib
import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Workers:
    """The processes of one training, and which of them this one is."""

    rank: int = 0
    """Number of this process, from 0; process 0 writes the files."""
    n: int = 1
    """Number of processes."""

    def share(self, places: Tensor) -> Tensor:
        """Return this process's part of a list; sizes differ by at most one."""
        return places.tensor_split(self.n)[self.rank]

    def share_range(self, n: int) -> slice:
        """Return the same part of a list of length `n`, as a slice."""
        size, larger = divmod(n, self.n)
        first = self.rank * size + min(self.rank, larger)
        return slice(first, first + size + (self.rank < larger))

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.n > 1:
            torch.distributed.all_reduce(values)
        return values

    def gather(self, rows: Tensor, n: int) -> Tensor:
        """Return the rows of all processes in their order, from each process's `share` of `n` ≥ `self.n` rows."""
        if self.n == 1:
            return rows
        parts = [rows.new_zeros((n // self.n + 1, *rows.shape[1:])) for _ in range(self.n)]
        mine = parts[self.rank].clone()
        mine[: len(rows)] = rows
        torch.distributed.all_gather(parts, mine)
        sizes = [len(range(n)[Workers(rank, self.n).share_range(n)]) for rank in range(self.n)]
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.n > 1:
            torch.distributed.barrier()

    def wrap(self, network: nn.Module, probe: Callable[[nn.Module], Tensor]) -> nn.Module:
        """Return the network for the forward pass of training, whose gradients become the mean over the processes.

        Args:
            network: On its device.
            probe: Function from a copy of it to a loss, to learn whether it has parameters that get no gradient.
        """
        if self.n == 1:
            return network
        trial = copy.deepcopy(network)
        probe(trial).backward()  # type: ignore[no-untyped-call]
        unused = any(parameter.requires_grad and parameter.grad is None for parameter in trial.parameters())
        device = next(network.parameters()).device
        return nn.parallel.DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=unused,
        )

    def align(self, network: nn.Module) -> None:
        """Give all processes the buffers of process 0, such as the running means of batch normalisation."""
        if self.n > 1:
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, 0)


ALONE = Workers()


@contextlib.contextmanager
def working_together(device: torch.device) -> Iterator[tuple[Workers, torch.device]]:
    """Connect the processes that `torchrun` started until the block ends, by NCCL on CUDA and by Gloo elsewhere.

    A group that the caller has set up is used, and left as it is.

    Args:
        device: Device of this process; ``cuda`` without a number becomes the GPU of its local rank.

    Raises:
        ConfigError: There are more processes than GPUs on this machine, or one GPU is named for all.
    """
    distributed = torch.distributed
    began = False
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        if device.type == "cuda" and device != torch.device("cuda"):
            raise ConfigError(
                f"Several processes take a GPU each, by their numbers; got the device {str(device)!r} for all. "
                "Use 'cuda' or 'auto'."
            )
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if device == torch.device("cuda"):
            if local >= torch.cuda.device_count():
                raise ConfigError(
                    f"Each process must have a GPU of its own; process {local} of this machine found "
                    f"{torch.cuda.device_count()}. Start torchrun with --nproc-per-node={torch.cuda.device_count()}."
                )
            device = torch.device("cuda", local)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            began = True
    elif not (distributed.is_available() and distributed.is_initialized()):
        yield ALONE, device
        return
    try:
        yield Workers(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        if began:
            distributed.destroy_process_group()
