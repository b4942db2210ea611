"""From what a network returns to its answer, such as logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from robonas.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable


def check_logits(returned: Any, shape: tuple[int, ...], logits: Callable[[Any], Tensor] | None) -> Tensor:
    """Return the logits, or whatever the task wants, in what a network returned.

    Args:
        returned: Object that the network returned.
        shape: Wanted, (n, *output_shape).
        logits: Picks the logits, where they are not what is returned.

    Raises:
        NetworkError: There are none of that shape; the message says what came instead.
    """
    found = returned if logits is None else logits(returned)
    if not isinstance(found, Tensor):
        what = "The network" if logits is None else "The `logits` hook"
        raise NetworkError(
            f"{what} must return a tensor of logits; got a {type(found).__name__}. "
            "Pick it with `logits`, such as logits=lambda returned: returned[0], or train both heads of a network "
            "that returns (logits, auxiliary logits) with `auxiliary_weight`."
        )
    if found.shape != shape:
        one = "one a sample and class" if len(shape) == 2 else "one map a sample and class"
        raise NetworkError(
            f"The network must return logits of shape {shape}, {one}; got {tuple(found.shape)}. "
            "Set the number of classes of the space, or pick the logits with `logits`."
        )
    return found


def check_heads(returned: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the logits of the head and of the auxiliary head in what a network in training returned.

    Raises:
        NetworkError: It is not a pair of them.
    """
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        got = f"{len(returned)} values" if isinstance(returned, tuple | list) else f"a {type(returned).__name__}"
        raise NetworkError(
            f"With `auxiliary_weight`, a network in training must return (logits, auxiliary logits); got {got}. "
            "Make the space with auxiliary=True where it has that setting, or leave `auxiliary_weight` at 0."
        )
    return check_logits(returned[0], shape, None), check_logits(returned[1], shape, None)
