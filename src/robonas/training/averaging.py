"""A running average of a network's parameters, which is often a better network than the last step's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from typing import TypeAlias

    from torch import Tensor, nn

    Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of a network's parameters and buffers, to be updated after every step.

    After the first step the average a is θ, and after step t + 1 = 2, 3, … it is d_t a + (1 - d_t) θ with
    d_t = min(decay, (1 + t)/(10 + t)), so that the average of a short training does not remember its first parameters.
    Buffers of whole numbers, such as tables of indices, are copied.

    Args:
        network: The network, on its device; a copy of it holds the average.
        decay: Largest decay of a step, in (0, 1).

    Source:
        Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; the growing decay is that of
        TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """

    def update(averages: Tensors, now: Tensors, _: object) -> None:
        t = int(model.n_averaged)  # on the CPU, so that no GPU is waited for
        if averages[0].is_floating_point() or averages[0].is_complex():
            average_into = get_ema_multi_avg_fn(min(decay, (1 + t) / (10 + t)))  # type: ignore[no-untyped-call]
            average_into(averages, now, t)
        else:  # which PyTorch would average too, and round down
            for average, entry in zip(averages, now, strict=True):
                average.copy_(entry)

    model = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return model
